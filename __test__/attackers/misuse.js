'use strict';

// What an application may do to itself: by name, functions that do it. Some of them are given `{ server, logger }`.

const timers = require('node:timers');
const { performance } = require('node:perf_hooks');
const { THROWN } = require('../support/thrown');

/** Has a handler called at every event that there is. */
function onAll(server, handler) {
  server.onWorkerConnected(handler);
  server.onWorkerDisconnected(handler);
  server.onWorkerMessage('echo', handler);
  server.onWorkerMessage('note', handler);
  server.addHttpHandler(handler);
}

/** The next of the values that may be thrown. */
let throws = 0;
const nextThrown = () => THROWN[(throws += 1) % THROWN.length][1]();

const never = () => ({ ref() {}, unref() {}, hasRef: () => false });

const MISUSES = {
  'throws in every handler': ({ server }) =>
    onAll(server, () => {
      throw nextThrown();
    }),

  'rejects in every handler': ({ server }) =>
    onAll(server, async () => {
      await null;
      throw nextThrown();
    }),

  'returns what can not be looked at': ({ server }) => {
    for (const subscribe of ['onWorkerConnected', 'onWorkerDisconnected']) server[subscribe](nextThrown);
    for (const type of ['echo', 'note']) server.onWorkerMessage(type, nextThrown);
  },

  'throws in every line of its log': ({ server, logger }) => {
    process.on('uncaughtException', () => {});
    logger.debug =
      logger.warn =
      logger.error =
        () => {
          throw nextThrown();
        };
    onAll(server, () => {
      throw nextThrown();
    });
  },

  'takes the methods of its logger away': ({ logger }) => {
    process.on('uncaughtException', () => {});
    delete logger.debug;
    logger.warn = logger.error = 'none';
  },

  'fakes every clock and timer that is global': () => {
    for (const name of [
      'setTimeout',
      'setInterval',
      'setImmediate',
      'clearTimeout',
      'clearInterval',
      'clearImmediate',
      'queueMicrotask',
    ]) {
      globalThis[name] = never;
    }
    process.hrtime = Object.assign(() => [0, 0], { bigint: () => 0n });
    globalThis.performance = { now: () => 0, mark() {}, measure() {} };
    globalThis.Date = class FakeDate extends Date {
      constructor(...args) {
        super(...(args.length > 0 ? args : [0]));
      }

      static now() {
        return 0;
      }
    };
  },

  "fakes the members of Node's timers": () => {
    for (const name of ['setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval', 'clearImmediate'])
      timers[name] = never;
  },

  'stops the clock': () => {
    performance.now = () => 0;
  },

  'turns the clock back': () => {
    let time = 1e9;
    performance.now = () => (time -= 1000);
  },

  'has a clock that is no number': () => {
    performance.now = () => NaN;
  },

  'has a clock that throws': () => {
    performance.now = () => {
      throw nextThrown();
    };
  },

  'has a JSON.parse that throws at some texts, and at all that the server needs itself': () => {
    const { parse } = JSON;
    JSON.parse = (text, ...more) => {
      if (!text.includes('"echo"') || text.includes('"note"')) throw nextThrown();
      return parse(text, ...more);
    };
  },

  'freezes what all objects have in common': () => {
    for (const { prototype } of [Object, Array, Function, Map, Set, Promise]) Object.freeze(prototype);
  },

  'keeps no stack traces and allows no listeners': () => {
    Error.stackTraceLimit = 0;
    require('node:events').defaultMaxListeners = 0;
  },

  'changes what handlers are given': ({ server }) => {
    const change = (info) => {
      if (info?.pendingRequestIds === undefined) return;
      for (const name of Object.keys(info)) info[name] = null;
    };
    server.onWorkerConnected(change);
    server.onWorkerDisconnected(change);
  },

  'subscribes and unsubscribes in every handler': ({ server }) => {
    const offs = [];
    onAll(server, () => {
      for (const off of offs.splice(0)) off();
      for (const subscribe of ['onWorkerConnected', 'onWorkerDisconnected']) {
        let calls = 0;
        const off = server[subscribe](() => {
          calls += 1;
          off();
          off();
          if (calls > 1) throw new Error('called though unsubscribed');
        });
        offs.push(off);
      }
    });
  },

  'enters a context in every handler': ({ server }) => {
    const als = new (require('node:async_hooks').AsyncLocalStorage)();
    onAll(server, (worker) => als.enterWith(worker));
  },

  'runs out of stack in every handler': ({ server }) => {
    let times = 0;
    const recurse = () => recurse() + 1;
    onAll(server, () => (times += 1) % 100 === 1 && recurse());
  },

  'sends what throws, sends within, when it is written': ({ server }) =>
    onAll(server, (worker) => {
      const id = typeof worker?.id === 'string' ? worker.id : 'nobody';
      server.send(id, {
        toJSON: () => {
          throw nextThrown();
        },
      });
      server.send(id, { toJSON: () => ({ type: 'aside', sent: server.send(id, { type: 'aside' }) }) });
      server.send(
        id,
        new Proxy(
          {},
          {
            ownKeys: () => {
              throw nextThrown();
            },
          },
        ),
      );
    }),
};

module.exports = { MISUSES };
