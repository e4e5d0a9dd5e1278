'use strict';

const { execFile } = require('node:child_process');
const path = require('node:path');
const { promisify } = require('node:util');

const program = `
  const { WorkerServer } = require(${JSON.stringify(path.join(__dirname, '../support/package.js'))});
  const { WebSocket } = require('ws');
  const fail = (message) => { if (message.startsWith('Invalid JSON')) throw new Error('the logger failed'); };
  const server = new WorkerServer({ port: 0, logger: { debug() {}, info() {}, warn: fail, error() {} } });
  let uncaught = 0;
  process.on('uncaughtException', (error) => {
    if (error.message !== 'the logger failed') throw error;
    uncaught += 1;
  });
  server.onWorkerMessage('last', () => {
    ws.terminate();
    server.stop();
    setImmediate(() => setImmediate(() => console.log('handled, with ' + uncaught + ' uncaught')));
  });
  let ws;
  server.start().then(() => {
    ws = new WebSocket('ws://127.0.0.1:' + server.port);
    ws.on('open', () => {
      ws.send('no json');
      ws.send('no json either');
      ws.send('{"type":"last"}');
    });
  });
`;

test('I6 a logger that throws is an uncaught exception of the application, and the events behind it are still handled', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', program], {
    cwd: path.join(__dirname, '../..'),
    timeout: 15_000,
  });
  expect(stdout.trim()).toBe('handled, with 2 uncaught');
});
