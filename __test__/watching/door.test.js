'use strict';

// What `server.metrics()` counts at the door: registrations that are refused, and the limits that hold there.

const { startServer, until } = require('../support/server.js');
const { connect } = require('../support/worker.js');
const { valueOf } = require('./support/metrics.js');

test('a no of the application and a wrong token are failed authentications, and lock an address', async () => {
  const { server } = await startServer({
    authToken: 'right',
    authenticate: ({ workerId }) => workerId !== 'unwanted',
    limits: { maxAuthFailures: 2 },
  });
  const failures = () => valueOf(server, 'auth_failures_total');
  expect(failures()).toBe(0);

  const wrong = await connect(server);
  expect((await wrong.register('w', { authToken: 'wrong' })).success).toBe(false);
  expect(failures()).toBe(1);
  expect(valueOf(server, 'limit_hits_total{limit="maxAuthFailures"}')).toBe(0);

  const unwanted = await connect(server);
  expect((await unwanted.register('unwanted', { authToken: 'right' })).success).toBe(false);
  await until(() => failures() === 2);
  expect(valueOf(server, 'limit_hits_total{limit="maxAuthFailures"}')).toBe(1);
});

test('an application that takes too long is a limit that held, and no failed authentication', async () => {
  const { server } = await startServer({ authenticate: () => new Promise(() => {}), limits: { authTimeoutMs: 20 } });
  const client = await connect(server);
  const { success } = await client.register('w');
  expect(success).toBe(false);
  await until(() => valueOf(server, 'limit_hits_total{limit="authTimeoutMs"}') === 1);
  expect(valueOf(server, 'auth_failures_total')).toBe(0);
});
