'use strict';

// The recipes of docs/SECURITY.md: each is a program of its own, which workers come to. `programs/` has what is done to
// it.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { once } = require('node:events');
const { certificate } = require('../support/certificates.js');
const { onCleanup } = require('../support/cleanup.js');
const { readDocument } = require('../support/doc-examples.js');

const root = path.join(__dirname, '../..');
const recipes = new Map(
  [...readDocument('docs/SECURITY.md').matchAll(/```js recipe (\w+)\n(.*?)```/gs)].map(([, name, code]) => [
    name,
    code,
  ]),
);

/** Runs a program of `programs/` on a recipe. Resolves with what it reports. */
async function tried(name, env = {}) {
  // Within the package, so that it finds what it imports.
  const folder = fs.mkdtempSync(path.join(root, 'target', 'recipe-'));
  onCleanup(() => fs.rmSync(folder, { recursive: true, force: true }));
  const recipe = path.join(folder, 'recipe.mjs');
  fs.writeFileSync(recipe, recipes.get(name));
  const program = path.join(__dirname, 'programs', `recipe-${name}.mjs`);
  const child = spawn(process.execPath, ['--no-warnings', program, recipe], {
    cwd: folder,
    env: { ...process.env, PORT: '0', FOLDER: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onCleanup(() => child.kill('SIGKILL'));
  let [output, errors] = ['', ''];
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (errors += data));
  const [code] = await once(child, 'close');
  expect({ code, errors }).toEqual({ code: 0, errors: '' });
  return JSON.parse(output);
}

test('there are four recipes', () => {
  expect([...recipes.keys()]).toEqual(['jwt', 'certificate', 'database', 'rotation']);
});

test('a JWT lets in whom it is for, and only while it is good', async () => {
  expect(await tried('jwt')).toEqual({
    good: { tenant: 'blue' },
    'for another id': 'the token is for another id',
    expired: 'ERR_JWT_EXPIRED',
    'of another issuer': 'ERR_JWT_CLAIM_VALIDATION_FAILED',
    'with another key': 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED',
    unsigned: expect.stringMatching(/^ERR_J/),
    'no token': expect.stringMatching(/^ERR_JW/),
    'of the same tenant again': { tenant: 'blue' },
    'of another tenant with the same id': 'id in use',
  });
});

test('a certificate lets its own id in, and after SIGHUP the certificates are the new ones', async () => {
  const ca = certificate('CA', undefined, { isAuthority: true });
  const names = ['DNS:localhost', 'IP:127.0.0.1'];
  const [first, second] = ['first', 'second'].map((name) => certificate(name, ca, { names }));
  const worker = certificate('gpu-1', ca, { names: ['DNS:gpu-1'] });
  const other = certificate('CA 2', undefined, { isAuthority: true });
  const stranger = certificate('gpu-1', other, { names: ['DNS:gpu-1'] });
  const material = { ca: ca.cert, first, second, worker, stranger };
  expect(await tried('certificate', { MATERIAL: JSON.stringify(material) })).toEqual({
    'its own id': { fingerprint256: expect.stringMatching(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/) },
    'another id': 'the certificate is for DNS:gpu-1',
    'of another authority': 'no connection',
    'without one': 'no connection',
    'before SIGHUP': 'first',
    'after SIGHUP': 'second',
    'after SIGHUP with half a file': ['second', 'options.tls.cert must be a certificate chain in PEM'],
  });
});

const hasSqlite = Number(process.versions.node.split('.')[0]) >= 22;
// Node 20 has no node:sqlite.
(hasSqlite ? test : test.skip)(
  'a token in the database lets its worker in until it is revoked (Node 22 and later)',
  async () => {
    expect(await tried('database')).toEqual({
      good: { tenant: 'blue' },
      'of another worker': 'the token is for gpu-1',
      unknown: 'unknown or revoked token',
      'no token': 'unknown or revoked token',
      revoked: 'unknown or revoked token',
    });
  },
);

test('at SIGHUP the tokens are those of the file', async () => {
  expect(await tried('rotation')).toEqual({
    'old, before': true,
    'new, before': false,
    'old, with both': true,
    'new, with both': true,
    'old, after': false,
    'new, after': true,
    'new, with no file': true,
    'new, with an empty file': false,
    'connected all the time': true,
  });
});
