'use strict';

// docs/STATUS.md: its programs run, and its tables have what the sources have.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { onCleanup } = require('../support/cleanup.js');
const { root } = require('../support/exports.js');
const { act, get } = require('./support/status.js');

const guide = fs.readFileSync(path.join(root, 'docs/STATUS.md'), 'utf8');
const programs = [...guide.matchAll(/```js\n(.*?)```/gs)].map(([, code]) => code);

/** Runs a program of the guide as a user would; resolves with the port that it prints. */
async function run(code, env = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'status-guide-'));
  onCleanup(() => fs.rmSync(folder, { recursive: true }));
  fs.mkdirSync(path.join(folder, 'node_modules/@hardlydifficult'), { recursive: true });
  fs.symlinkSync(root, path.join(folder, 'node_modules/@hardlydifficult/worker-server'), 'junction');
  fs.writeFileSync(path.join(folder, 'server.mjs'), code);
  const child = spawn(process.execPath, ['server.mjs'], {
    cwd: folder,
    env: { ...process.env, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onCleanup(() => child.kill('SIGKILL'));
  let text = '';
  for await (const data of child.stdout) {
    text += data;
    if (text.includes('\n')) break;
  }
  return Number(/^Status http:\/\/localhost:(\d+)\/status$/m.exec(text)[1]);
}

test('the first program shows the page to this machine', async () => {
  const port = await run(programs[0]);
  expect((await get(port, '/status')).status).toBe(200);
  expect((await get(port, '/status', { host: 'elsewhere.example' })).status).toBe(403);
});

test('the second one asks for its password, and has actions', async () => {
  const port = await run(programs[1], { STATUS_PASSWORD: 'open:sesame' });
  const basic = (password) => ({ authorization: `Basic ${Buffer.from(`ann:${password}`).toString('base64')}` });
  for (const headers of [{}, basic('open'), basic(''), { authorization: 'Bearer open:sesame' }]) {
    expect((await get(port, '/status', headers)).status).toBe(401);
  }
  expect((await get(port, '/status', basic('open:sesame'))).status).toBe(200);
  const action = { action: 'drain', workerId: 'nobody' };
  expect((await act(port, action, basic('open:sesame'))).json).toEqual({ error: 'No such worker' });
});

test('every log line is in the guide, and no other', () => {
  const folder = path.join(root, 'lib/status');
  const sources = fs.readdirSync(folder).filter((name) => name.endsWith('.js'));
  const text = sources.map((name) => fs.readFileSync(path.join(folder, name), 'utf8')).join('\n');
  const lines = [...text.matchAll(/ogger\.(debug|info|warn|error)\('([^']+)'/g)].map(
    ([, level, line]) => `${level} ${line}`,
  );
  expect(text.match(/ogger\.(debug|info|warn|error)\(/g)).toHaveLength(lines.length);
  const table = guide.split('## Log lines')[1].split('\n## ')[0];
  const inTable = [...table.matchAll(/^\| `([^`]+)` \| (\w+) \|/gm)].map(([, line, level]) => `${level} ${line}`);
  expect(inTable).toEqual(lines);
});
