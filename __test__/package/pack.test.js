'use strict';

// Packs the package and its platform package as they would be published, installs the tarballs into an empty project on
// a PATH without Rust, and runs programs there.

const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');
const { platforms } = require('../../lib/native/platforms.js');
const { installPacked, manifest, root, suffix } = require('../support/packed.js');

const platformPackage = `${manifest.name}-${suffix}`;

let folder;
let project;
let environment;
let packed;
let installed;
let inProject;
let remove;

const readJson = (file) => JSON.parse(fs.readFileSync(file, 'utf8'));

/** The files below a folder, with forward slashes. */
function filesOf(directory) {
  return fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name)).split(path.sep).join('/'))
    .sort();
}

beforeAll(() => {
  ({ folder, project, environment, packed, installed, inProject, remove } = installPacked());
  fs.cpSync(path.join(__dirname, 'consumer'), project, { recursive: true });
}, 180_000);

afterAll(() => remove?.());

describe('the tarball of the package', () => {
  test('holds the JavaScript, the types and the papers, and nothing else', () => {
    const papers = ['README.md', 'LICENSE', 'CHANGELOG.md'].filter((file) => fs.existsSync(path.join(root, file)));
    const lib = filesOf(path.join(root, 'lib')).map((file) => `lib/${file}`);
    expect(filesOf(installed(manifest.name))).toEqual(
      ['index.js', 'index.d.ts', 'package.json', ...lib, ...papers].sort(),
    );
    expect(lib.filter((file) => !/\.(js|d\.ts|html|css)$/.test(file))).toEqual([]);
  });

  test('depends on the platform package of each target, in its own version', () => {
    const { optionalDependencies } = readJson(installed(manifest.name, 'package.json'));
    expect(optionalDependencies).toEqual(
      Object.fromEntries(platforms.map((p) => [`${manifest.name}-${p.suffix}`, manifest.version])),
    );
  });

  test('has no script, so that installing never builds', () => {
    const { scripts, devDependencies } = readJson(installed(manifest.name, 'package.json'));
    expect({ scripts, devDependencies }).toEqual({});
  });

  test('names only what users need as dependencies, and takes the types of Node that a project has', () => {
    const { dependencies, peerDependencies, peerDependenciesMeta } = readJson(installed(manifest.name, 'package.json'));
    expect(Object.keys(dependencies).sort()).toEqual(['@types/ws', 'ws']);
    expect({ peerDependencies, peerDependenciesMeta }).toEqual({
      peerDependencies: { '@types/node': '>=20' },
      peerDependenciesMeta: { '@types/node': { optional: true } },
    });
  });

  test('says where it comes from', () => {
    const { repository, homepage, bugs } = readJson(installed(manifest.name, 'package.json'));
    const [, url] = /^git\+(https:\/\/.+)\.git$/.exec(repository.url);
    expect({ homepage, bugs }).toEqual({ homepage: `${url}#readme`, bugs: { url: `${url}/issues` } });
  });

  test('has no link in its README that leads nowhere', () => {
    const readme = fs.readFileSync(installed(manifest.name, 'README.md'), 'utf8');
    const ownFiles = `${manifest.homepage.replace('#readme', '')}/blob/main/`;
    const headings = (text) =>
      [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
        heading
          .toLowerCase()
          .replaceAll(/[^\p{Letter}\p{Number} _-]/gu, '')
          .replaceAll(' ', '-'),
      );
    const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, link]) => link);
    expect(links.length).toBeGreaterThan(10);
    const dead = links.filter((link) => {
      const isOwn = link.startsWith(ownFiles);
      if (/^https?:/.test(link) && !isOwn) return false;
      const [file, heading] = (isOwn ? link.slice(ownFiles.length) : link).split('#');
      // What is not in the tarball is in the repository, to which the link has to lead then.
      const target = isOwn ? path.join(root, file) : installed(manifest.name, file || 'README.md');
      return (
        !fs.existsSync(target) ||
        (heading !== undefined && !headings(fs.readFileSync(target, 'utf8')).includes(heading))
      );
    });
    expect(dead).toEqual([]);
  });

  test('holds every file that the entry point requires', () => {
    inProject('-e', `require(${JSON.stringify(manifest.name)})`);
  });
});

test('where binaries are missing packing says which, and how to pack without them', () => {
  const out = path.join(folder, 'incomplete');
  const { status, stderr } = spawnSync(process.execPath, [path.join(root, 'scripts/pack.mjs'), '--out', out], {
    encoding: 'utf8',
  });
  const missing = platforms.map((platform) => platform.suffix).filter((name) => packed.platforms[name] === undefined);
  if (missing.length === 0) return;
  expect(status).toBe(1);
  expect(stderr).toContain('--available');
  for (const name of missing) expect(stderr).toContain(name);
  expect(fs.existsSync(out)).toBe(false);
});

describe('the platform packages', () => {
  test('the one of this platform holds the binary', () => {
    const file = `worker-server.${suffix}.node`;
    const files = filesOf(installed(platformPackage)).filter((name) => name !== 'LICENSE');
    expect(files).toEqual(['README.md', 'package.json', file].sort());
    expect(fs.statSync(installed(platformPackage, file)).size).toBeGreaterThan(100_000);
  });

  test.each(platforms)('the one for $suffix is for that platform only, and agrees with the package', (platform) => {
    const folderOf = path.join(root, 'npm', platform.suffix);
    const file = `worker-server.${platform.suffix}.node`;
    expect(readJson(path.join(folderOf, 'package.json'))).toEqual({
      name: `${manifest.name}-${platform.suffix}`,
      version: manifest.version,
      description: expect.any(String),
      license: manifest.license,
      main: file,
      files: [file],
      engines: manifest.engines,
      os: [platform.platform],
      cpu: [platform.arch],
      ...(platform.libc && { libc: [platform.libc] }),
      publishConfig: manifest.publishConfig,
      ...(manifest.repository && { repository: manifest.repository }),
    });
    expect(fs.existsSync(path.join(folderOf, 'README.md'))).toBe(true);
  });
});

describe('in an empty project, without Rust', () => {
  const worked = {
    worker: 'w',
    text: 'done',
    http: 'answered /health',
    completed: 1,
    available: true,
    pool: 0,
    closeCode: 1001,
  };

  test.each(['cargo', 'rustc'])('there is no %s', (tool) => {
    const { error } = spawnSync(tool, ['--version'], { cwd: project, env: environment });
    expect(error).toMatchObject({ code: 'ENOENT' });
  });

  test('the addon is the one of the platform package', () => {
    const print = `console.log(Object.keys(require.cache).filter((file) => file.endsWith('.node')).join())`;
    const loaded = inProject('-e', `require(${JSON.stringify(manifest.name)}); ${print}`).trim();
    expect(loaded).toBe(fs.realpathSync(installed(platformPackage, `worker-server.${suffix}.node`)));
  });

  test('a CommonJS program runs a server with a worker', () => {
    expect(JSON.parse(inProject('commonjs.cjs'))).toEqual(worked);
  });

  test('an ES module runs a server with a worker', () => {
    expect(JSON.parse(inProject('module.mjs'))).toEqual(worked);
  });

  test('a TypeScript program compiles against the installed types and runs a server with a worker', () => {
    const options = [
      '--strict',
      '--skipLibCheck',
      'false',
      '--module',
      'nodenext',
      '--target',
      'es2022',
      '--types',
      'node',
    ];
    expect(inProject(path.join(root, 'node_modules/typescript/bin/tsc'), ...options, 'typed.mts')).toBe('');
    expect(JSON.parse(inProject('typed.mjs'))).toEqual(worked);
  });

  test('a TypeScript program compiles under the old resolution, without settings for it', () => {
    const options = [
      '--strict',
      '--skipLibCheck',
      'false',
      '--module',
      'commonjs',
      '--moduleResolution',
      'node10',
      '--ignoreDeprecations',
      '6.0',
      '--target',
      'es2022',
      '--types',
      'node',
      '--noEmit',
    ];
    expect(inProject(path.join(root, 'node_modules/typescript/bin/tsc'), ...options, 'node10.ts')).toBe('');
  });

  test('the command is there under its name', () => {
    const { bin } = readJson(installed(manifest.name, 'package.json'));
    expect(bin).toEqual({ 'worker-server': 'lib/cli/main.js' });
    expect(fs.existsSync(installed('.bin', process.platform === 'win32' ? 'worker-server.cmd' : 'worker-server'))).toBe(
      true,
    );
    const command = installed(manifest.name, bin['worker-server']);
    expect(inProject(command, '--version')).toBe(`${manifest.version}\n`);
    expect(inProject(command, 'bridge', '--help')).toMatch(/^Usage: worker-server bridge /);
  });

  test('without the platform package the error says what was looked for and what to do', () => {
    const hidden = `${installed(platformPackage)}-hidden`;
    fs.renameSync(installed(platformPackage), hidden);
    try {
      const { status, stderr } = spawnSync(process.execPath, ['commonjs.cjs'], {
        cwd: project,
        env: environment,
        encoding: 'utf8',
      });
      expect(status).not.toBe(0);
      expect(stderr).toContain(`${platformPackage}: not there`);
      expect(stderr).toContain('What to do:');
    } finally {
      fs.renameSync(hidden, installed(platformPackage));
    }
  });
});
