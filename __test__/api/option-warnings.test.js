'use strict';

// What is said of options that are probably a mistake, though a server can be made of them.

const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { ConnectionHandler, WorkerPool, WorkerServer } = require('../support/package.js');
const { warningsOfTheCode } = require('../support/warnings.js');

const SECRET = 'hush-7f3a9c';
const TIMES = { heartbeatTimeoutMs: 60_000, heartbeatIntervalMs: 15_000 };

let warnings;
beforeEach(() => {
  warnings = warningsOfTheCode();
});

test.each([
  ['an option of the plural', { authTokens: [SECRET] }, /'authTokens' \(did you mean authToken\?\)/],
  ['an option that was cut short', { token: SECRET }, /'token' \(did you mean authToken\?\)/],
  ['an option in snake case', { auth_token: SECRET }, /'auth_token' \(did you mean authToken\?\)/],
  ['an option without its unit', { heartbeatTimeout: 5 }, /'heartbeatTimeout' \(did you mean heartbeatTimeoutMs\?\)/],
  [
    'a limit that is no member of limits',
    { maxMessageBytes: 5 },
    /'maxMessageBytes' \(did you mean limits\.maxMessageBytes\?\)/,
  ],
  [
    'a limit that does not exist',
    { limits: { maxMesageBytes: 5 } },
    /'limits\.maxMesageBytes' \(did you mean limits\.maxMessageBytes\?\)/,
  ],
  ['an option like no other', { colour: SECRET }, /'colour'$/],
  ['an option that is undefined', { authTokens: undefined }, /'authTokens'/],
  ['two of them', { authTokens: [SECRET], colour: SECRET }, /'authTokens' \(.*\), 'colour'$/],
  ['one of each level', { colour: SECRET, limits: { bound: 1 } }, /'colour', 'limits\.bound'$/],
  ['a name of great length', { ['x'.repeat(100_000)]: SECRET }, /'x+'/],
  ['a name with a line break', { 'a\nb': SECRET }, /'a\\nb'/],
])('%s causes one warning with the name, and nothing of the value', (_, options, message) => {
  new WorkerServer({ port: 0, ...options });
  expect(warnings).toEqual([['WORKER_SERVER_UNKNOWN_OPTION', expect.stringMatching(message)]]);
  expect(warnings[0][1]).not.toContain(SECRET);
});

test('an empty token causes a warning; a list of tokens, none, or one that is not empty is not', () => {
  new WorkerServer({ port: 0, authToken: '' });
  expect(warnings).toEqual([['WORKER_SERVER_EMPTY_TOKEN', expect.stringContaining('authToken')]]);
  for (const authToken of [undefined, 'x', ['x']]) new WorkerServer({ port: 0, authToken });
  expect(warnings).toHaveLength(1);
});

test('each server is warned of once, at its construction', async () => {
  const server = new WorkerServer({ port: 0, authToken: '', colour: 1 });
  expect(warnings).toHaveLength(2);
  for (let n = 0; n < 2; n += 1) {
    await server.start();
    await server.stop();
  }
  expect(warnings).toHaveLength(2);
  new WorkerServer({ port: 0, authToken: '' });
  expect(warnings).toHaveLength(3);
});

test('there is no warning of options that are refused, nor of what an object inherits, nor of all that there are', () => {
  expect(() => new WorkerServer({ port: -1, colour: 1, authToken: '' })).toThrow(TypeError);
  new WorkerServer(Object.create({ colour: 1, port: 0 }));
  new WorkerServer({
    port: 0,
    host: undefined,
    authToken: 'x',
    acceptUnregistered: true,
    reusePort: false,
    ...TIMES,
    healthCheckIntervalMs: 1,
    pingIntervalMs: 0,
    logger: undefined,
    limits: { stopGraceMs: 1 },
  });
  expect(warnings).toEqual([]);
});

test('the value of an unknown option is not even looked at', () => {
  const options = { port: 0 };
  Object.defineProperty(options, 'authTokens', {
    enumerable: true,
    get: () => {
      throw new Error('looked at');
    },
  });
  expect(() => new WorkerServer(options)).not.toThrow();
  expect(warnings).toHaveLength(1);
});

test('a ConnectionHandler warns of the same, but not of options that a WorkerServer has', () => {
  const pool = new WorkerPool();
  new ConnectionHandler(pool, { ...TIMES, port: 0, logger: console, limits: {} });
  expect(warnings).toEqual([]);
  new ConnectionHandler(pool, { ...TIMES, authTokens: [SECRET], authToken: '' });
  expect(warnings).toEqual([
    ['WORKER_SERVER_UNKNOWN_OPTION', expect.stringContaining("'authTokens' (did you mean authToken?)")],
    ['WORKER_SERVER_EMPTY_TOKEN', expect.stringContaining('config.authToken')],
  ]);
  expect(JSON.stringify(warnings)).not.toContain(SECRET);
});

test('a program that has a mistake in its options reads of it on stderr', () => {
  const program = `new (require('.').WorkerServer)({ port: 0, authTokens: ['${SECRET}'], authToken: '' })`;
  const { stderr, status } = spawnSync(process.execPath, ['-e', program], {
    cwd: path.resolve(__dirname, '../..'),
    encoding: 'utf8',
  });
  expect(status).toBe(0);
  expect(stderr).toMatch(/\[WORKER_SERVER_UNKNOWN_OPTION\] Warning: .*'authTokens'/);
  expect(stderr).toMatch(/\[WORKER_SERVER_EMPTY_TOKEN\] Warning: authToken is an empty string/);
  expect(stderr).not.toContain(SECRET);
});
