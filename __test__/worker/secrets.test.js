'use strict';

const { startDifficultServer } = require('./support/difficult-server.js');
const { EACH_WAY, createWorker, runWorker, stateOf } = require('./support/workers.js');

const TOKEN = 'token-sesame-1';
const SECRETS = [TOKEN, 'hunter22', 'hunter%32%32', 'key=query-sesame', 'query-sesame'];

/** All that a worker said: its lines, its states, and what run() rejected with, all own members of errors included. */
async function saidBy(worker) {
  const error = await worker.ended.catch((thrown) => thrown);
  const plain = (value) =>
    value instanceof Error
      ? {
          ...value,
          name: value.name,
          message: value.message,
          stack: value.stack,
          string: String(value),
          cause: value.cause,
        }
      : value;
  return JSON.stringify([worker.log.lines, worker.states, error], (_key, value) => plain(value));
}

const address = ({ port }) => ({ url: `ws://user:hunter%32%32@127.0.0.1:${port}/path?key=query-sesame` });

function expectNoSecret(said) {
  for (const secret of SECRETS) expect(said).not.toContain(secret);
}

describe.each(EACH_WAY)('with a connection %s', (_name, isolate) => {
  const options = { isolate, authToken: () => TOKEN, reconnect: { initialDelayMs: 1, maxAttempts: 2 } };

  test('a server that repeats the token has it in no line and no error', async () => {
    const server = await startDifficultServer();
    server.behaviour.ack = ({ authToken }, connection) => {
      connection.send({
        type: 'worker_registration_ack',
        success: false,
        error: `Invalid registration: ${authToken} of hunter22 with query-sesame`,
      });
      connection.close(4002, `no ${authToken}`);
      return null;
    };
    const worker = runWorker(address(server), options);
    const said = await saidBy(worker);
    expect(said).toContain('Invalid registration: ***');
    expectNoSecret(said);
  });

  test('nor does a server that closes with it, or refuses an update with it', async () => {
    const server = await startDifficultServer();
    const worker = runWorker(address(server), options);
    const connection = await server.connection();
    await stateOf(worker, 'connected');
    const updated = worker.update({ models: [], maxConcurrentRequests: 1 });
    await connection.next('worker_update');
    connection.send({ type: 'worker_update_ack', success: false, error: `Invalid update: ${TOKEN}` });
    await expect(updated).rejects.toThrow(/^Invalid update: \*\*\*$/);
    connection.sendText(TOKEN);
    connection.close(1011, TOKEN);
    await server.connection();
    await worker.close();
    expectNoSecret(await saidBy(worker));
  });

  test('a server that can’t be reached, or refuses the upgrade, has them in no line either', async () => {
    const server = await startDifficultServer({ upgrade: () => 500 });
    const refused = runWorker(address(server), options);
    expectNoSecret(await saidBy(refused));
    const { port } = server;
    await server.stop();
    const gone = runWorker(address({ port }), options);
    expectNoSecret(await saidBy(gone));
  });

  test('a function that fails with the token it once gave is quoted without it', async () => {
    const server = await startDifficultServer();
    let n = 0;
    const worker = createWorker(address(server), {
      ...options,
      authToken: () => {
        n += 1;
        if (n > 1) throw new Error(`${TOKEN} has expired`);
        return TOKEN;
      },
    });
    worker.ended = worker.run();
    worker.ended.catch(() => {});
    await (await server.connection()).cut();
    const said = await saidBy(worker);
    expect(said).toContain('*** has expired');
    expectNoSecret(said);
  });
});
