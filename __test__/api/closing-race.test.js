'use strict';

const { once } = require('node:events');
const { WebSocket } = require('ws');
const { WorkerServer } = require('../support/package.js');

const registration = JSON.stringify({
  type: 'worker_registration',
  workerId: 'w',
  workerName: 'W',
  capabilities: { models: [{ modelId: 'm' }], maxConcurrentRequests: 1 },
});

let server;

beforeEach(async () => {
  server = new WorkerServer({ port: 0 });
  await server.start();
});

afterEach(() => server.stop());

test('what was sent while the worker was closing still reaches it', async () => {
  for (let round = 0; round < 100; round += 1) {
    const ws = new WebSocket(`ws://127.0.0.1:${server.port}`);
    await once(ws, 'open');
    ws.send(registration);
    await once(ws, 'message');
    const received = [];
    ws.on('message', (data) => received.push(String(data)));
    // In one turn of the loop, so that the close frame comes when the message waits to be sent or was sent.
    const sent = server.send('w', { round });
    ws.close(1000);
    await once(ws, 'close');
    expect([round, sent, received]).toEqual([round, true, [JSON.stringify({ round })]]);
  }
});
