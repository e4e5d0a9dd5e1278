'use strict';

const { spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const ts = require('typescript');

const root = path.resolve(__dirname, '../..');
const declarations = path.join(root, 'index.d.ts');
const requestDeclarations = path.join(root, 'lib/requests/types.d.ts');
const channelDeclarations = path.join(root, 'lib/workers/diagnostics.d.ts');
const at = (name) => path.join(__dirname, name);

// TypeScript 6 still knows the resolution of old (`node10`), which `module: commonjs` meant for years; 7 has dropped it.
const compilers = { 6: 'typescript', 7: 'typescript-7' };
const both = [6, 7];
const USES = ['program.ts', 'standalone.ts', 'requests.ts', 'door.ts', 'channels.ts'];
const COMMONJS = [...USES, 'rejected.ts'];
const ALL = [...COMMONJS, 'esm.mts'];
const selfByPath = { paths: { '@hardlydifficult/worker-server': [declarations] } };
const settings = [
  { name: 'node16', versions: both, files: ALL, options: { module: 'node16' } },
  { name: 'nodenext', versions: both, files: ALL, options: { module: 'nodenext' } },
  {
    name: 'bundler with esnext',
    versions: both,
    files: ALL,
    options: { module: 'esnext', moduleResolution: 'bundler' },
  },
  {
    name: 'bundler with preserve',
    versions: [7],
    files: ALL,
    options: { module: 'preserve', moduleResolution: 'bundler' },
  },
  { name: 'commonjs', versions: [7], files: COMMONJS, options: { module: 'commonjs' } },
  {
    name: 'commonjs with node10',
    versions: [6],
    files: COMMONJS,
    options: { module: 'commonjs', moduleResolution: 'node10', ignoreDeprecations: '6.0', ...selfByPath },
  },
  {
    name: 'nodenext with every further strict flag',
    versions: both,
    files: ALL,
    options: {
      module: 'nodenext',
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      noPropertyAccessFromIndexSignature: true,
      noImplicitOverride: true,
      isolatedModules: true,
    },
  },
];

let folder;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'worker-server-types-'));
});
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

/** What the compiler prints for a set of files: nothing if they compile. */
function compile(version, files, options) {
  const project = path.join(folder, 'tsconfig.json');
  const compilerOptions = {
    strict: true,
    skipLibCheck: false,
    noEmit: true,
    target: 'es2022',
    lib: ['es2022', 'dom'],
    types: ['node'],
    typeRoots: [path.join(root, 'node_modules/@types')],
    ...options,
  };
  fs.writeFileSync(project, JSON.stringify({ compilerOptions, files }));
  const bin = path.join(root, 'node_modules', compilers[version], 'bin/tsc');
  const tsc = spawnSync(process.execPath, [bin, '--pretty', 'false', '--project', project], { encoding: 'utf8' });
  if (tsc.error) throw tsc.error;
  return { status: tsc.status, output: tsc.stdout + tsc.stderr };
}

for (const { name, versions, files, options } of settings) {
  test.each(versions)(
    `a strict program that uses everything compiles under ${name} with TypeScript %i, and what must not compile does not`,
    (version) => {
      expect(compile(version, files.map(at), options)).toEqual({ status: 0, output: '' });
    },
    120_000,
  );
}

test.each(both)(
  'a program with a mistake does not compile with TypeScript %i, so the tests above can fail',
  (version) => {
    // In this folder the package's own name can be resolved.
    const file = path.join(folder, 'mistake.ts');
    fs.writeFileSync(
      file,
      "import { WorkerServer } from '@hardlydifficult/worker-server';\nnew WorkerServer({ port: 0 }).send(1);\n",
    );
    const { status, output } = compile(version, [file], { module: 'nodenext', ...selfByPath });
    expect(status).not.toBe(0);
    expect(output).toMatch(/mistake\.ts\(2,\d+\): error TS2554/);
  },
  120_000,
);

const parsed = (file) => ts.createSourceFile(file, fs.readFileSync(file, 'utf8'), ts.ScriptTarget.Latest);

/** The members that a declaration has and, as member.inner, those of the object types within it. */
function membersOf(node) {
  const names = [];
  ts.forEachChild(node, (child) => {
    const isMember = ts.isClassElement(child) || ts.isTypeElement(child) || ts.isEnumMember(child);
    const name = isMember && child.name ? child.name.text : undefined;
    if (name !== undefined) names.push(name);
    names.push(...membersOf(child).map((inner) => (name === undefined ? inner : `${name}.${inner}`)));
  });
  return names;
}

/** The names that the declaration files export and, as Type.member, the members of their types. */
function declaredNames() {
  const names = [];
  for (const statement of [declarations, requestDeclarations, channelDeclarations].flatMap(
    (file) => parsed(file).statements,
  )) {
    if (!statement.name) continue;
    names.push(statement.name.text);
    for (const member of membersOf(statement)) names.push(`${statement.name.text}.${member}`);
  }
  return names;
}

test.each(both)(
  'what docs/OBSERVABILITY.md shows in TypeScript compiles with TypeScript %i',
  (version) => {
    const text = fs.readFileSync(path.join(root, 'docs/OBSERVABILITY.md'), 'utf8');
    const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, block]) => block);
    expect(blocks.length).toBeGreaterThan(0);
    const file = path.join(folder, 'shown.ts');
    fs.writeFileSync(file, blocks.join('\n'));
    expect(compile(version, [file], { module: 'nodenext', ...selfByPath })).toEqual({ status: 0, output: '' });
  },
  120_000,
);

test('the program uses every type and every member that is declared', () => {
  const program = USES.map((name) => fs.readFileSync(at(name), 'utf8')).join('');
  const used = (name) => new RegExp(`\\b${name.split('.').pop()}\\b`).test(program);
  expect(declaredNames().length).toBeGreaterThan(100);
  expect(declaredNames().filter((name) => !used(name))).toEqual([]);
});

test('what is declared for requests and channels is exported, all of it', () => {
  const declared = [requestDeclarations, channelDeclarations].flatMap((file) =>
    parsed(file).statements.flatMap(({ name }) => (name ? [name.text] : [])),
  );
  const exported = parsed(declarations)
    .statements.filter((statement) => ts.isExportDeclaration(statement))
    .flatMap(({ exportClause }) => exportClause.elements.map(({ name }) => name.text));
  expect(exported.sort()).toEqual(declared.sort());
});

test('the package exports at run time exactly the values that are declared', () => {
  const isValue = (s) => ts.isClassDeclaration(s) || ts.isFunctionDeclaration(s) || ts.isEnumDeclaration(s);
  const statements = [declarations, requestDeclarations].flatMap((file) => [...parsed(file).statements]);
  const values = statements.filter(isValue).map(({ name }) => name.text);
  expect(Object.keys(require('../..')).sort()).toEqual(values.sort());
});

test('WorkerStatus is an enum at run time, with the declared values', () => {
  expect(require('../..').WorkerStatus).toEqual({
    Available: 'available',
    Busy: 'busy',
    Draining: 'draining',
    Unhealthy: 'unhealthy',
  });
});

test('every declared member of a class is there at run time', () => {
  const exported = require('../..');
  const missing = declaredNames()
    .map((name) => name.split('.'))
    .filter(([, member, inner]) => member !== undefined && inner === undefined)
    .filter(([type]) => typeof exported[type] === 'function' && type !== 'WorkerRequestError')
    .filter(([type, member]) => !(member in exported[type].prototype));
  expect(missing).toEqual([]);
});

test('a request that fails does so with the declared members of its error', async () => {
  const { WorkerRequestError, WorkerServer } = require('../..');
  const error = await new WorkerServer({ port: 0 }).request('x').catch((thrown) => thrown);
  const members = declaredNames().flatMap((name) => name.match(/^WorkerRequestError\.(.*)$/)?.[1] ?? []);
  const optional = ['workerId', 'data', 'retryAfterMs'];
  expect(error).toBeInstanceOf(WorkerRequestError);
  expect(members.filter((member) => !(member in error) && !optional.includes(member))).toEqual([]);
  expect(Object.keys(error).filter((name) => !members.includes(name))).toEqual([]);
});
