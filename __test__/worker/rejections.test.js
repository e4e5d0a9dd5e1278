'use strict';

const { WorkerRejectedError } = require('../../lib/worker/index.js');
const { startDifficultServer } = require('./support/difficult-server.js');
const { EACH_WAY, connectedWorker, runWorker, stateOf } = require('./support/workers.js');

const NACK = { type: 'worker_registration_ack', success: false };
const YES = { type: 'worker_registration_ack', success: true, sessionId: 's', heartbeatIntervalMs: 15_000 };
const BAD_TOKEN = { ...NACK, error: 'Invalid authentication token' };

/** Refuses with an ack and a close, as long as `refuses(registration, n)` holds; n counts from 1. */
function refusing(ack, code, reason, refuses = () => true) {
  let n = 0;
  return function answer(registration, connection) {
    n += 1;
    if (!refuses(registration, n)) return this.granted();
    connection.send(ack);
    connection.close(code, reason);
    return null;
  };
}

async function startRefusingServer(...how) {
  const server = await startDifficultServer();
  server.behaviour.granted = () => server.ackOf();
  server.behaviour.ack = refusing(...how);
  return server;
}

describe.each(EACH_WAY)('with a connection %s', (_name, isolate) => {
  const run = (server, options) => runWorker(server, { isolate, ...options });

  test.each([
    [
      4002,
      'Invalid registration',
      { ...NACK, error: 'Invalid registration: capabilities.models: must be an array' },
      /capabilities\.models/,
    ],
    [4003, 'Replaced by new connection', undefined, /Replaced/],
    [4001, 'Authentication failed', BAD_TOKEN, /Invalid authentication token/],
  ])('a close %i %s ends the run with a WorkerRejectedError', async (code, reason, nack, message) => {
    const server = await startRefusingServer(nack ?? YES, code, reason);
    const worker = run(server, { authToken: 'wrong-token' });
    const error = await worker.ended.catch((thrown) => thrown);
    expect(error).toBeInstanceOf(WorkerRejectedError);
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: 'WorkerRejectedError', code, reason, message: expect.stringMatching(message) });
    expect(error.message).not.toContain('wrong-token');
    expect(worker.states.at(-1)).toEqual({ state: 'closed', error });
    expect(server.upgrades).toHaveLength(1);
  });

  test('an ack that says no is believed when the close frame gets lost', async () => {
    const server = await startDifficultServer();
    server.behaviour.ack = (_registration, connection) => {
      connection.ws.send(JSON.stringify(BAD_TOKEN), () => connection.cut());
      return null;
    };
    await expect(run(server, { authToken: 'wrong' }).ended).rejects.toMatchObject({
      code: 4001,
      reason: 'Authentication failed',
    });
  });

  test('a refused token that came from a function is followed by another one, at most twice in a row', async () => {
    const server = await startRefusingServer(BAD_TOKEN, 4001, 'Authentication failed');
    let n = 0;
    const worker = run(server, { authToken: () => `token-${++n}` });
    await expect(worker.ended).rejects.toMatchObject({ name: 'WorkerRejectedError', code: 4001 });
    expect(server.upgrades.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer token-1',
      'Bearer token-2',
      'Bearer token-3',
    ]);
  });

  test('a function that has no other token ends the run', async () => {
    const server = await startRefusingServer(BAD_TOKEN, 4001, 'Authentication failed');
    await expect(run(server, { authToken: () => 'the-same' }).ended).rejects.toMatchObject({ code: 4001 });
    expect(server.upgrades).toHaveLength(1);
  });

  test('refusals count anew after a registration', async () => {
    const server = await startRefusingServer(
      BAD_TOKEN,
      4001,
      'Authentication failed',
      (_registration, at) => at % 3 !== 0,
    );
    let n = 0;
    const worker = run(server, { authToken: () => `token-${++n}` });
    for (let round = 0; round < 2; round += 1) {
      let connection;
      do connection = await server.connection();
      while (connection.registration.authToken !== `token-${3 * (round + 1)}`);
      await stateOf(worker, 'connected');
      await connection.cut();
    }
  });

  test('a close 1000 that the server began lets the worker go', async () => {
    const server = await startDifficultServer();
    const { worker, connection } = await connectedWorker(server, { isolate });
    await connection.close(1000, 'thank you');
    await expect(worker.ended).resolves.toBeUndefined();
    expect(worker.state).toBe('closed');
  });

  test('a refused id is tried again', async () => {
    const server = await startRefusingServer(
      { ...NACK, error: 'Id in use' },
      4009,
      'Id in use',
      (_registration, n) => n <= 2,
    );
    const worker = run(server);
    await stateOf(worker, 'connected');
    expect(server.upgrades).toHaveLength(3);
  });
});
