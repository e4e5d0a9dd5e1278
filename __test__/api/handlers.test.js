'use strict';

// How event handlers run: in order, each once, none disturbing another.

const { nextCall, startServer } = require('../support/server.js');
const { connectWorker } = require('../support/worker.js');

/** The three kinds of handlers: how to subscribe, and how to make the event happen (for `worker`, if there is one). */
const KINDS = [
  {
    kind: 'connected',
    complaint: 'Error in connected handler',
    subscribe: (server, handler) => server.onWorkerConnected(handler),
    prepare: async () => {},
    happen: async (server) => {
      await connectWorker(server, 'w');
    },
  },
  {
    kind: 'disconnected',
    complaint: 'Error in disconnected handler',
    subscribe: (server, handler) => server.onWorkerDisconnected(handler),
    prepare: (server) => connectWorker(server, 'w'),
    happen: async (server, log, worker) => {
      const left = nextCall((handler) => server.onWorkerDisconnected(handler));
      await worker.close();
      await left;
    },
  },
  {
    kind: 'message',
    complaint: 'Error in message handler',
    context: { type: 'x' },
    subscribe: (server, handler) => server.onWorkerMessage('x', handler),
    prepare: (server) => connectWorker(server, 'w'),
    happen: async (server, log, worker) => {
      worker.send({ type: 'x' });
      await worker.sync();
    },
  },
];

describe.each(KINDS)('$kind handlers', ({ complaint, context = {}, subscribe, prepare, happen }) => {
  /** Makes the event happen once, after `subscribeAll` has subscribed. */
  async function run(subscribeAll) {
    const { server, log } = await startServer();
    const worker = await prepare(server);
    const calls = [];
    subscribeAll((handler) => subscribe(server, handler), calls);
    await happen(server, log, worker);
    return { calls, log, server };
  }

  test('run in the order of their registration', async () => {
    const { calls } = await run((on, called) => {
      for (const name of ['a', 'b', 'c']) on(() => called.push(name));
    });
    expect(calls).toEqual(['a', 'b', 'c']);
  });

  test('that are the same function count once, at the first place', async () => {
    const { calls } = await run((on, called) => {
      const twice = () => called.push('twice');
      on(twice);
      on(() => called.push('other'));
      on(twice);
    });
    expect(calls).toEqual(['twice', 'other']);
  });

  test('that were removed do not run, however often they are removed', async () => {
    const { calls } = await run((on, called) => {
      const off = on(() => called.push('removed'));
      on(() => called.push('kept'));
      expect(off()).toBeUndefined();
      expect(off()).toBeUndefined();
    });
    expect(calls).toEqual(['kept']);
  });

  test('that were removed and added again run last', async () => {
    const { calls } = await run((on, called) => {
      const moved = () => called.push('moved');
      const off = on(moved);
      on(() => called.push('other'));
      off();
      on(moved);
    });
    expect(calls).toEqual(['other', 'moved']);
  });

  test('that are added while the event runs, run', async () => {
    const { calls } = await run((on, called) => {
      on(() => {
        called.push('a');
        on(() => called.push('added'));
      });
      on(() => called.push('b'));
    });
    expect(calls).toEqual(['a', 'b', 'added']);
  });

  test('that are removed while the event runs, before their turn, do not run', async () => {
    const { calls } = await run((on, called) => {
      let off = null;
      on(() => {
        called.push('a');
        off();
      });
      off = on(() => called.push('removed'));
      on(() => called.push('c'));
    });
    expect(calls).toEqual(['a', 'c']);
  });

  test('that remove themselves leave the others their turn', async () => {
    const { calls } = await run((on, called) => {
      const off = on(() => {
        called.push('once');
        off();
      });
      on(() => called.push('b'));
    });
    expect(calls).toEqual(['once', 'b']);
  });

  test.each([
    ['an Error', new Error('broken'), 'broken'],
    ['a text', 'just text', 'just text'],
    ['undefined', undefined, 'undefined'],
    ['null', null, 'null'],
  ])('that throw %s are logged and the others run', async (_, thrown, error) => {
    const { calls, log } = await run((on, called) => {
      on(() => {
        throw thrown;
      });
      on(() => called.push('next'));
    });
    expect(calls).toEqual(['next']);
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([
      { level: 'error', message: complaint, context: { ...context, error } },
    ]);
  });

  test('that are async and reject are logged like those that throw', async () => {
    const { calls, log } = await run((on, called) => {
      on(async () => {
        await null;
        throw new Error('rejected');
      });
      on(() => called.push('next'));
    });
    expect(calls).toEqual(['next']);
    expect(await log.line(complaint)).toEqual({
      level: 'error',
      message: complaint,
      context: { ...context, error: 'rejected' },
    });
  });

  test('that are async and resolve are not logged', async () => {
    const { log } = await run((on) => on(async () => 5));
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

test('handlers of one type do not get messages of another', async () => {
  const { server } = await startServer();
  const [a, b] = [jest.fn(), jest.fn()];
  server.onWorkerMessage('a', a);
  server.onWorkerMessage('b', b);
  const worker = await connectWorker(server);
  worker.send({ type: 'a' });
  await worker.sync();
  expect([a.mock.calls.length, b.mock.calls.length]).toEqual([1, 0]);
});

test('one function may serve several types', async () => {
  const { server } = await startServer();
  const handler = jest.fn();
  const off = server.onWorkerMessage('a', handler);
  server.onWorkerMessage('b', handler);
  const worker = await connectWorker(server);
  worker.send({ type: 'a' });
  worker.send({ type: 'b' });
  await worker.sync();
  off();
  worker.send({ type: 'a' });
  worker.send({ type: 'b' });
  await worker.sync();
  expect(handler.mock.calls.map(([, { type }]) => type)).toEqual(['a', 'b', 'b']);
});

test('when the last handler of a type is gone its messages are unhandled', async () => {
  const { server, log } = await startServer();
  const off = server.onWorkerMessage('x', () => {});
  off();
  const worker = await connectWorker(server);
  worker.send({ type: 'x' });
  await worker.sync();
  expect(log.contexts('Unhandled message type from worker')).toEqual([{ type: 'x' }]);
});

test('handlers get exactly their arguments', async () => {
  const { server } = await startServer();
  const counts = [];
  server.onWorkerConnected((...args) => counts.push(['connected', args.length]));
  server.onWorkerMessage('x', (...args) => counts.push(['message', args.length]));
  server.onWorkerDisconnected((...args) => counts.push(['disconnected', args.length]));
  const worker = await connectWorker(server);
  worker.send({ type: 'x' });
  await worker.sync();
  const left = nextCall((handler) => server.onWorkerDisconnected(handler));
  await worker.close();
  await left;
  expect(counts).toEqual([
    ['connected', 1],
    ['message', 2],
    ['disconnected', 2],
  ]);
});

test('a handler may stop the server', async () => {
  const { server } = await startServer();
  const after = jest.fn();
  const stopped = new Promise((resolve) => {
    server.onWorkerMessage('stop', () => resolve(server.stop()));
    server.onWorkerMessage('after', after);
  });
  const worker = await connectWorker(server);
  worker.send({ type: 'stop' });
  worker.send({ type: 'after' });
  await stopped;
  expect((await worker.closed).code).toBe(1001);
});
