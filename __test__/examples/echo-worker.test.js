'use strict';

// The worker in examples/, and the one that docs/WORKERS.md shows, as processes.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { once } = require('node:events');
const { onCleanup } = require('../support/cleanup.js');
const { startDifficultServer } = require('../worker/support/difficult-server.js');

const root = path.join(__dirname, '../..');

function start(args, options = {}) {
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'ignore', 'pipe'], ...options });
  onCleanup(() => child.kill('SIGKILL'));
  child.errors = '';
  child.stderr.on('data', (data) => {
    child.errors += data;
  });
  return child;
}

test('the example streams, answers, and drains at Ctrl-C', async () => {
  const server = await startDifficultServer();
  const child = start(['examples/echo-worker.mjs', server.url], { env: { ...process.env, WORKER_TOKEN: 'sesame' } });
  const connection = await server.connection();
  expect(connection.registration).toMatchObject({
    authToken: 'sesame',
    capabilities: { models: [{ modelId: 'echo' }], maxConcurrentRequests: 4 },
  });
  connection.request('r1', { stream: true, payload: { text: 'one two three' } });
  await connection.next('request_chunk');
  child.kill('SIGINT');
  expect(await connection.next('request_result')).toMatchObject({ data: { words: 3 } });
  expect(
    connection
      .about('r1')
      .map(({ data }) => data)
      .slice(0, 3),
  ).toEqual(['one', 'two', 'three']);
  expect(await once(child, 'close')).toEqual([0, null]);
  expect(child.errors).toMatch(/is connected\n.* is draining\n.* is closed\n$/);
});

test('the worker that the guide shows works', async () => {
  const server = await startDifficultServer();
  const guide = fs.readFileSync(path.join(root, 'docs/WORKERS.md'), 'utf8');
  const code = guide.match(/```js\n(import \{ Worker \}.*?)```/s)[1].replace('ws://localhost:8080', server.url);
  const child = start(['--input-type=module', '-e', code]);
  const connection = await server.connection();
  connection.request('r1', { stream: true, payload: { text: 'hello you' } });
  expect(await connection.next('request_result')).toMatchObject({ data: { words: 2 } });
  expect(
    connection
      .about('r1')
      .map(({ data }) => data)
      .slice(0, 2),
  ).toEqual(['HELLO', 'YOU']);
  connection.close(1000, '');
  expect(await once(child, 'close')).toEqual([0, null]);
  expect(child.errors).toBe('');
});
