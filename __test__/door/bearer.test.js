'use strict';

// The token in the upgrade, as Authorization: Bearer, beside that of the registration.

const { startServer } = require('../support/server.js');
const { connect } = require('../support/worker.js');

/** Whether a worker is let in that presents these. */
async function lets(server, { bearer, fields = {} }) {
  const headers = bearer === undefined ? {} : { Authorization: bearer };
  const client = await connect(server, { headers });
  const ack = await client.register('w', fields);
  if (!ack.success) {
    expect(ack).toEqual({ type: 'worker_registration_ack', success: false, error: 'Invalid authentication token' });
    expect(await client.closed).toEqual({ code: 4001, reason: 'Authentication failed' });
  }
  client.ws.terminate();
  return ack.success;
}

test.each([
  [true, { bearer: 'Bearer right' }],
  [true, { bearer: 'bearer right' }],
  [true, { bearer: 'BEARER  right' }],
  [true, { bearer: 'Bearer right', fields: { authToken: null } }],
  [true, { bearer: 'Bearer wrong', fields: { authToken: 'right' } }],
  [true, { bearer: 'Basic right', fields: { authToken: 'right' } }],
  [false, { bearer: 'Bearer wrong' }],
  [false, { bearer: 'Basic right' }],
  [false, { bearer: 'right' }],
  [false, { bearer: 'Bearer' }],
  [false, { bearer: 'Bearer right', fields: { authToken: 'wrong' } }],
  [false, { bearer: 'Bearer right', fields: { authToken: '' } }],
  [false, { bearer: 'Bearer right', fields: { authToken: 5 } }],
  [false, {}],
])('%p for a worker with %j', async (expected, given) => {
  const { server } = await startServer({ authToken: ['other', 'right'] });
  expect(await lets(server, given)).toBe(expected);
});

test('with an empty token who presents none passes still, whatever its proxy adds', async () => {
  const { server } = await startServer({ authToken: '' });
  expect(await lets(server, { bearer: 'Bearer of a proxy' })).toBe(true);
});

test('where no token is asked for none is looked at', async () => {
  const { server } = await startServer();
  expect(await lets(server, { bearer: 'Bearer anything' })).toBe(true);
});

test('no log line holds it', async () => {
  const { server, log } = await startServer({ authToken: 'right-9f2c' });
  await lets(server, { bearer: 'Bearer wrong-4e1d' });
  await lets(server, { bearer: 'Bearer right-9f2c' });
  await log.line('Worker registered');
  expect(JSON.stringify(log.lines)).not.toMatch(/right-9f2c|wrong-4e1d/);
});
