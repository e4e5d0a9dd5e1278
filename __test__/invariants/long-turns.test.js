'use strict';

// What `send` accepted leaves however long the turn is, and whatever a test has put in the place of what Node offers to end one.

const { startFleet, signalFile, blockUntilFile } = require('../support/fleet');
const { createServer, startServer } = require('../support/server');
const { connectWorker } = require('../support/worker');

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A started server with a fleet of registered workers in another process, which count what comes to each of them. */
async function withFleet(count, from) {
  const { server } = createServer({}, from);
  await server.start();
  const fleet = await startFleet(server.port, { count });
  const file = signalFile();
  const ids = server.getWorkerInfo().map(({ id }) => id);
  return { server, fleet, file, ids, expectEach: (each) => fleet.ask('count', { type: 'note', each, file }) };
}

// 1.0.12 writes each message at once, so this holds for it too.
test.each([[1], [3], [50]])(
  'after turns with several messages one more to each of %i workers leaves while JavaScript computes',
  async (count) => {
    const { server, file, ids, expectEach } = await withFleet(count);
    await expectEach(13);
    for (let round = 0; round < 4; round += 1) {
      for (let index = 0; index < 3; index += 1) for (const id of ids) server.send(id, { type: 'note', index });
      await turn();
    }
    for (const id of ids) expect(server.send(id, { type: 'note' })).toBe(true);
    blockUntilFile(file);
  },
);

test.each([
  [
    'in a message handler',
    (server, worker, act) => {
      server.onWorkerMessage('go', act);
      worker.send({ type: 'go' });
    },
  ],
  ['in a promise', (server, worker, act) => Promise.resolve().then(act)],
  ['in an immediate', (server, worker, act) => setImmediate(act)],
])('what is sent %s leaves while the code that sent it goes on', async (_, run) => {
  const { server, file, ids, expectEach } = await withFleet(4);
  const worker = await connectWorker(server, 'asks');
  await expectEach(20);
  await new Promise((resolve, reject) => {
    run(server, worker, () => {
      try {
        for (let index = 0; index < 20; index += 1) for (const id of ids) server.send(id, { type: 'note', index });
        resolve(blockUntilFile(file));
      } catch (error) {
        reject(error);
      }
    });
  });
});

test('a broadcast, a long message and a short one leave in their order while JavaScript computes', async () => {
  const { server, file, expectEach, ids } = await withFleet(3);
  await expectEach(3);
  for (const id of ids) server.send(id, { type: 'note' });
  server.broadcast({ type: 'note' });
  for (const id of ids) server.send(id, { type: 'note', text: 'x'.repeat(100_000) });
  blockUntilFile(file);
});

describe('with what Node offers replaced by fakes', () => {
  afterEach(() => jest.useRealTimers());

  /** 200 messages, in one turn. */
  async function sends({ server, file, ids, expectEach }) {
    await expectEach(200 / ids.length);
    jest.useFakeTimers();
    for (let index = 0; index < 200 / ids.length; index += 1) {
      for (const id of ids) expect(server.send(id, { type: 'note', index })).toBe(true);
    }
    blockUntilFile(file);
  }

  test.each([[1], [2], [50]])('200 messages to %i workers leave', async (count) => {
    await sends(await withFleet(count));
  });

  test('they leave if the package was loaded among the fakes', async () => {
    jest.useFakeTimers();
    let fresh;
    jest.isolateModules(() => {
      fresh = require('../support/package');
    });
    await sends(await withFleet(2, fresh));
  });

  test('messages are delivered, however many come at once, if the package was loaded among the fakes', async () => {
    jest.useFakeTimers();
    let fresh;
    jest.isolateModules(() => {
      fresh = require('../support/package');
    });
    const { server } = createServer({}, fresh);
    await server.start();
    let missing = 4000;
    const delivered = new Promise((resolve) => {
      server.onWorkerMessage('note', () => {
        missing -= 1;
        if (missing === 0) resolve();
      });
    });
    await startFleet(server.port, { count: 2, messages: 2000 });
    await delivered;
  });

  test('when the fakes are gone turns end as before', async () => {
    const { server } = await startServer();
    const worker = await connectWorker(server, 'w');
    jest.useFakeTimers();
    for (let index = 0; index < 3; index += 1) server.send('w', { type: 'faked', index });
    jest.useRealTimers();
    for (let index = 0; index < 3; index += 1) server.send('w', { type: 'real', index });
    for (const type of ['faked', 'real']) {
      for (let index = 0; index < 3; index += 1) expect(await worker.next(type)).toEqual({ type, index });
    }
  });
});
