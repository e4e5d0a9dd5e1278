'use strict';

// docs/GATEWAY.md: its first two programs work together, and its tables have what the sources have.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { ask, get } = require('./support/gateway.js');
const { onCleanup } = require('../support/cleanup.js');

const root = path.join(__dirname, '../..');
const read = (name) => fs.readFileSync(path.join(root, name), 'utf8');
const guide = read('docs/GATEWAY.md');
const sources = fs
  .readdirSync(path.join(root, 'lib/gateway'))
  .filter((name) => name.endsWith('.js'))
  .map((name) => read(path.join('lib/gateway', name)))
  .join('\n');
const sorted = (matches) => [...new Set([...matches].map(([, ...found]) => found.join(' ')))].sort();

test('every log line is in the guide, and no other', () => {
  const lines = sorted(sources.matchAll(/ogger\.(debug|warn|error)\('([^']+)'/g));
  const table = guide.split('### Log lines')[1].split('\n## ')[0];
  const inTable = [...table.matchAll(/^\| `([^`]+)` \| (\w+) \|/gm)].map(([, text, level]) => `${level} ${text}`);
  expect(lines.length).toBeGreaterThan(2);
  expect(inTable.sort()).toEqual(lines);
  expect(sources.match(/ogger\.(debug|info|warn|error)\(/g)).toHaveLength(4);
});

test('every error is in the guide, with its status and type, and no other', () => {
  const pattern = /[[(](\d{3}), '(\w+)', (?:'(\w+)'|null|code)/g;
  const inSources = sorted(sources.matchAll(pattern)).filter((error) => /\w+_\w+ \w+$/.test(error));
  const rows = guide.split('## Errors')[1].split('\n\n')[2];
  const inTable = sorted(rows.matchAll(/^\| (\d{3}) \| `(\w+)` \| `(\w+)` \|/gm));
  const of400 = ['400 invalid_request_error missing_model', '400 invalid_request_error null'];
  expect(inTable).toEqual([...new Set([...inSources, ...of400])].sort());
});

function run(folder, name, code, env) {
  fs.writeFileSync(path.join(folder, name), code);
  const child = spawn(process.execPath, [name], { cwd: folder, env: { ...process.env, ...env }, stdio: 'pipe' });
  onCleanup(() => child.kill('SIGKILL'));
  return child;
}

test('the server and the worker of the guide answer a chat, whole and streamed', async () => {
  const [server, worker] = [...guide.matchAll(/```js\n(.*?)```/gs)].map(([, code]) => code);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'gateway-guide-'));
  onCleanup(() => fs.rmSync(folder, { recursive: true }));
  fs.mkdirSync(path.join(folder, 'node_modules/@hardlydifficult'), { recursive: true });
  fs.symlinkSync(root, path.join(folder, 'node_modules/@hardlydifficult/worker-server'), 'junction');
  const secrets = { WORKER_TOKEN: 'token', API_KEY: 'sk-1' };
  const { stdout } = run(folder, 'server.mjs', server, { ...secrets, PORT: '0' });
  let text = '';
  for await (const data of stdout) {
    text += data;
    if (text.includes('\n')) break;
  }
  const port = Number(/:(\d+)\/v1/.exec(text)[1]);
  run(folder, 'worker.mjs', worker, { ...secrets, SERVER_URL: `ws://127.0.0.1:${port}` });
  const headers = { Authorization: 'Bearer sk-1' };
  while ((await get(port, '/v1/models/echo', headers)).status !== 200) await new Promise(setImmediate);
  const body = { model: 'echo', messages: [{ role: 'user', content: 'one two three' }] };
  const whole = await ask(port, { body, headers });
  expect(whole.json.choices[0].message.content).toBe('one two three');
  const streamed = await ask(port, { body: { ...body, stream: true }, headers });
  const words = [...streamed.text.matchAll(/"content":"([^"]*)"/g)].map(([, word]) => word);
  expect(words).toEqual(['one ', 'two ', 'three']);
});
