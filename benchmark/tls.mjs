// TLS beside Node's own: this package, and the same behaviour on `https` and npm's `ws`, with one certificate.
//
//   node benchmark/tls.mjs [--seconds N] [--workers N] [--rounds N]
//
// The clients are Node's, in this process, and take more time than either server: so what counts is the server's processor time
// for each message or connection, and not the rate. Rows are run in turn on both sides; the figures are medians of the rounds.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { WebSocket } from 'ws';

const require = createRequire(import.meta.url);
const { certificates } = require('../__test__/support/certificates.js');
const { registration } = require('../__test__/support/raw.js');

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    workers: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '3' },
  },
});
const { ca, server } = certificates();
const CLIENT = { ca: ca.cert, perMessageDeflate: false };
const PAYLOAD = 'x'.repeat(170);

class Served {
  static async start(implementation) {
    const served = new Served();
    const file = fileURLToPath(new URL('tls-server.cjs', import.meta.url));
    served.child = fork(file, [implementation, server.cert, server.key], { execArgv: ['--expose-gc'] });
    [{ port: served.port }] = await once(served.child, 'message');
    return served;
  }

  async usage() {
    this.child.send('usage');
    const [usage] = await once(this.child, 'message');
    return usage;
  }

  async worker(id, options = {}) {
    const ws = new WebSocket(`wss://localhost:${this.port}/`, { ...CLIENT, ...options });
    await once(ws, 'open');
    ws.send(JSON.stringify(registration(id)));
    await once(ws, 'message');
    return ws;
  }

  end() {
    this.child.kill('SIGKILL');
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const seconds = Number(values.seconds);

/** The server's microseconds for each message while `work` runs. */
async function perMessage(served, work) {
  const before = await served.usage();
  await work();
  const after = await served.usage();
  return {
    us: (after.cpuUs - before.cpuUs) / (after.messages - before.messages),
    rate: (after.messages - before.messages) / seconds,
  };
}

const ROWS = {
  async 'flood, 4 workers: µs a message'(served) {
    const sockets = await Promise.all([0, 1, 2, 3].map((i) => served.worker(`w${i}`)));
    const text = JSON.stringify({ type: 'flood', payload: PAYLOAD });
    const flood = async () => {
      const end = performance.now() + seconds * 1000;
      while (performance.now() < end) {
        for (const ws of sockets) for (let i = 0; i < 50; i += 1) ws.send(text);
        while (sockets.some((ws) => ws.bufferedAmount > 65_536)) await sleep(0);
        await new Promise(setImmediate);
      }
    };
    return (await perMessage(served, flood)).us;
  },

  'question and answer, 10 workers: µs each': (served) => questions(served, 10),
  'question and answer, 50 workers: µs each': (served) => questions(served, 50),

  async 'connect and register, full: µs each'(served) {
    return connections(served, () => ({}));
  },

  async 'connect and register, resumed: µs each'(served) {
    const socket = tls.connect({ port: served.port, host: '127.0.0.1', servername: 'localhost', ca: ca.cert });
    const [session] = await once(socket, 'session');
    socket.destroy();
    return connections(served, () => ({ session }));
  },

  async 'an idle worker: bytes'(served) {
    await served.worker('first');
    const before = await served.usage();
    const count = Number(values.workers);
    for (let i = 0; i < count; i += 50) {
      await Promise.all(Array.from({ length: 50 }, (_, j) => served.worker(`idle${i + j}`)));
    }
    await sleep(1_000);
    return ((await served.usage()).rss - before.rss) / count;
  },
};

/** Workers that each ask again as soon as they have their answer: the server's microseconds for a question with its answer. */
async function questions(served, count) {
  const sockets = await Promise.all(Array.from({ length: count }, (_, i) => served.worker(`w${i}`)));
  const text = JSON.stringify({ type: 'ask', payload: PAYLOAD });
  let goesOn = true;
  for (const ws of sockets) ws.on('message', () => goesOn && ws.send(text));
  const ask = async () => {
    for (const ws of sockets) ws.send(text);
    await sleep(seconds * 1000);
    goesOn = false;
  };
  return (await perMessage(served, ask)).us;
}

/** Workers that come and go, eight at a time: the server's microseconds for each. */
async function connections(served, options) {
  let count = 0;
  const before = await served.usage();
  const end = performance.now() + seconds * 1000;
  const loop = async (index) => {
    while (performance.now() < end) {
      const ws = await served.worker(`w${index}`, options());
      ws.terminate();
      count += 1;
    }
  };
  await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(loop));
  return ((await served.usage()).cpuUs - before.cpuUs) / count;
}

const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];

for (const [name, run] of Object.entries(ROWS)) {
  const figures = { here: [], node: [] };
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const implementation of ['node', 'here']) {
      const served = await Served.start(implementation);
      figures[implementation].push(await run(served));
      served.end();
    }
  }
  const [node, here] = [median(figures.node), median(figures.here)];
  console.log(
    `${name.padEnd(44)}${node.toFixed(1).padStart(12)}${here.toFixed(1).padStart(12)}   ${(here / node).toFixed(2)}`,
  );
}
process.exit(0);
