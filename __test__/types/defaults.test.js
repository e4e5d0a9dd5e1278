'use strict';

// The defaults that the declarations promise are those that the native side exports, and those that the readers of options fill in.

const { readFileSync } = require('node:fs');
const path = require('node:path');
const ts = require('typescript');
const { CLUSTER_DEFAULTS } = require('../../lib/cluster/options.js');
const { defaults } = require('../../lib/native/abi.js');
const { readQueueOptions, readRequestOptions } = require('../../lib/requests/options.js');
const { readOptions } = require('../../lib/server/options.js');

const root = path.join(__dirname, '../..');

/** The text behind `@defaultValue` of each member of an interface, by the member's name. */
function documentedDefaults(file, name) {
  const source = ts.createSourceFile(file, readFileSync(path.join(root, file), 'utf8'), ts.ScriptTarget.Latest, true);
  const declaration = source.statements.find((one) => ts.isInterfaceDeclaration(one) && one.name.text === name);
  const found = {};
  for (const member of declaration.members) {
    const tag = ts.getJSDocTags(member).find(({ tagName }) => tagName.text === 'defaultValue');
    if (tag !== undefined) found[member.name.text] = ts.getTextOfJSDocComment(tag.comment);
  }
  return found;
}

/** The value that such a text begins with; undefined if it says it in words. */
function valueOf(text) {
  const [, literal] = /^`?(\d+|true|false|'[^']*')`?(?![^\s:.])/.exec(text) ?? [];
  return literal === undefined ? undefined : JSON.parse(literal.replaceAll("'", '"'));
}

const INTERFACES = [
  { file: 'index.d.ts', name: 'WorkerServerLimits', values: defaults.limits, inWords: [] },
  {
    file: 'index.d.ts',
    name: 'WorkerServerOptions',
    values: { ...defaults.server, drainOnSignals: false, onConflict: 'replace' },
    inWords: ['acceptUnregistered', 'allowedOrigins', 'host', 'trustProxy', 'workerPath'],
  },
  { file: 'index.d.ts', name: 'ClusterOptions', values: CLUSTER_DEFAULTS, inWords: ['nodeId'] },
  { file: 'index.d.ts', name: 'TlsOptions', values: defaults.tls, inWords: [] },
  {
    file: 'lib/requests/types.d.ts',
    name: 'RequestOptions',
    values: defaults.request,
    inWords: ['modelMatch', 'queueTimeoutMs', 'requestId'],
  },
  {
    file: 'lib/requests/types.d.ts',
    name: 'QueueOptions',
    values: { ...defaults.queue, whenNoWorker: 'wait' },
    inWords: ['maxPerKey'],
  },
];

test.each(INTERFACES)('the defaults of $name are documented as they are', ({ file, name, values, inWords }) => {
  const documented = documentedDefaults(file, name);
  for (const member of inWords) {
    // "true where ..." begins with a word that is a value, too.
    expect(documented[member]).toMatch(/[a-z]{3}/u);
    delete documented[member];
  }
  const read = Object.fromEntries(Object.entries(documented).map(([member, text]) => [member, valueOf(text)]));
  expect(read).toEqual(values);
});

test('the default of drain() is documented as it is', () => {
  const [, documented] = /@param options\.timeoutMs ([\d,]+) by default/.exec(
    readFileSync(path.join(root, 'index.d.ts'), 'utf8'),
  );
  expect(Number(documented.replaceAll(',', ''))).toBe(defaults.drain.timeoutMs);
});

test('options that are not given have those defaults', () => {
  const { limits, queue, ...options } = readOptions({ port: 0 });
  // To the native side what is switched off by 0 never comes.
  expect(options).toMatchObject({ ...defaults.server, pingIntervalMs: Infinity, drainOnSignals: [] });
  expect(limits).toEqual(defaults.limits);
  expect(queue).toMatchObject({ ...defaults.queue, whenNoWorker: 'wait', maxPerKey: defaults.queue.maxSize });
  expect(queue).toEqual(readQueueOptions({}));
  const { settings } = readRequestOptions({}, { queueTimeoutMs: 0, modelMatch: 'loose' });
  const { timeoutMs, maxAttempts, idleTimeoutMs } = settings;
  expect({ timeoutMs, maxAttempts }).toEqual({ timeoutMs: defaults.request.timeoutMs, maxAttempts: 1 });
  expect(idleTimeoutMs).toBe(Infinity);
});
