'use strict';

// What attackers do. Each attack is a function of `(port, size)` that begins it and resolves, once it is under way, with
// `{ progress, stop }`: `progress()` counts what was done so far. They run in processes of their own (attacker-process.js),
// for the tests in a short form and for benchmark/attack.mjs in full size.

const net = require('node:net');
const { frame, json, registration, upgradeHead, TEXT, PING } = require('../support/raw');

const CONTINUATION = 0;
const MIB = 1024 * 1024;
const ACK = 'worker_registration_ack';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A TCP connection; what goes wrong with it is part of the attack. */
function connect(port) {
  const socket = net.connect({ port, host: '127.0.0.1' });
  socket.on('error', () => {});
  return socket;
}

const opened = (socket) =>
  new Promise((resolve) => {
    socket.once('connect', resolve);
    socket.once('close', resolve);
  });

/** Writes, and resolves with the socket once the server's answer contains `text`, or with null if the connection ends before. */
function answered(socket, bytes, text) {
  return new Promise((resolve) => {
    let received = '';
    const end = (result) => {
      socket.off('data', look);
      socket.off('close', gone);
      // From here nothing of it is kept.
      socket.resume();
      resolve(result);
    };
    const gone = () => end(null);
    const look = (data) => {
      received += data.toString('latin1');
      if (received.includes(text)) end(socket);
    };
    socket.on('data', look);
    socket.on('close', gone);
    socket.write(bytes);
  });
}

const upgraded = (port) => answered(connect(port), upgradeHead('/'), '101 ');

function registered(port, id) {
  return answered(connect(port), Buffer.concat([Buffer.from(upgradeHead('/')), json(registration(id))]), ACK);
}

/** One guess, to the answer. */
async function guess(port, headers) {
  const registers = json(registration('guesser', { authToken: `guess ${Math.random()}` }));
  const bytes = Buffer.concat([Buffer.from(upgradeHead('/', headers)), registers]);
  const socket = connect(port);
  // A head that is refused is the last that comes.
  await answered(socket, bytes, ACK);
  socket.destroy();
}

/** Something that goes on until it is stopped: `count` loops of `step(index)`, each of which may end by a stop. */
function loops(count, step) {
  const state = { done: 0, stopped: false };
  const run = async (index) => {
    while (!state.stopped) {
      await step(index);
      state.done += 1;
      // A step that has nothing to wait for must not keep this process from hearing that it is to stop.
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const ended = Promise.all(Array.from({ length: count }, (_, index) => run(index)));
  return {
    progress: () => state.done,
    async stop() {
      state.stopped = true;
      await Promise.race([ended, sleep(500)]);
    },
  };
}

/** Writes, and waits while the server takes nothing; ends with the connection too. */
function pour(socket, bytes) {
  if (socket.destroyed) return sleep(20);
  if (socket.write(bytes)) return undefined;
  return new Promise((resolve) => {
    const go = () => {
      socket.off('drain', go);
      socket.off('close', go);
      resolve();
    };
    socket.on('drain', go);
    socket.on('close', go);
  });
}

/** Frames enough for one large write. */
const repeated = (bytes, size = 64 * 1024) =>
  Buffer.concat(Array(Math.max(1, Math.floor(size / bytes.length))).fill(bytes));

/** `size` connections pour the same frames without end. One that is lost comes again. */
async function flood(open, size, frames) {
  const sockets = await Promise.all(Array.from({ length: size }, (_, index) => open(index)));
  return loops(size, async (index) => {
    if (sockets[index] === null || sockets[index].destroyed) sockets[index] = await open(index);
    if (sockets[index] === null) await sleep(20);
    else await pour(sockets[index], frames(index));
  });
}

const attacks = {
  /** Heads that come a byte at a time and never end. */
  async 'slow heads'(port, size) {
    const head = upgradeHead('/').slice(0, -2);
    const slow = () => ({ socket: connect(port), at: 0 });
    const peers = Array.from({ length: size }, slow);
    await Promise.all(peers.map(({ socket }) => opened(socket)));
    return loops(1, async () => {
      for (const [index, peer] of peers.entries()) {
        if (peer.socket.destroyed || peer.socket.readableEnded) peers[index] = slow();
        // More headers, when the first are through.
        else peer.socket.write(peer.at < head.length ? head[peer.at] : 'X: y\r\n'[peer.at % 6]);
        peer.at += 1;
      }
      await sleep(100);
    });
  },

  /** Peers that connect and say nothing. */
  async 'mute peers'(port, size) {
    const peers = [];
    while (peers.length < size) {
      const some = Array.from({ length: Math.min(250, size - peers.length) }, () => connect(port));
      await Promise.all(some.map(opened));
      peers.push(...some);
    }
    return loops(1, async () => {
      for (const [index, peer] of peers.entries()) {
        if (peer.destroyed) peers[index] = connect(port);
        else peer.resume();
      }
      await sleep(100);
    });
  },

  /** Connections that are reset as soon as they are made. */
  async 'connect and reset'(port, size) {
    return loops(size, async () => {
      const socket = connect(port);
      await opened(socket);
      socket.resetAndDestroy();
    });
  },

  /** Upgrades that are dropped as soon as they are sent, or answered. */
  async 'upgrade and drop'(port, size) {
    return loops(size, async (index) => {
      const socket = connect(port);
      await opened(socket);
      if (index % 2 === 0) await answered(socket, upgradeHead('/'), '101 ');
      else socket.write(upgradeHead('/'));
      socket.destroy();
    });
  },

  /** Messages that are announced as larger than any may be, one after the other. */
  async 'oversize messages'(port, size) {
    const announced = Buffer.concat([
      Buffer.from([0x81, 0xff, 0, 0, 0, 2, 0, 0, 0, 0, 1, 2, 3, 4]),
      Buffer.alloc(64 * 1024),
    ]);
    return flood(
      () => upgraded(port),
      size,
      () => announced,
    );
  },

  /** Messages that are announced within the limit, of which hardly anything comes. */
  async 'announced messages'(port, size) {
    const announced = Buffer.concat([
      Buffer.from([0x81, 0xff, 0, 0, 0, 0, 6, 0, 0, 0, 1, 2, 3, 4]),
      Buffer.alloc(1024),
    ]);
    const sockets = await Promise.all(Array.from({ length: size }, () => upgraded(port)));
    for (const socket of sockets) socket?.write(announced);
    return loops(1, async () => {
      for (const socket of sockets) socket?.write('x');
      await sleep(50);
    });
  },

  /** One message in fragments without end, until it is too large; then again. */
  async 'endless fragments'(port, size) {
    const fragment = frame(CONTINUATION, Buffer.alloc(64 * 1024, 'x'), { fin: false });
    const first = frame(TEXT, 'x', { fin: false });
    const open = async () => {
      const socket = await upgraded(port);
      socket?.write(first);
      return socket;
    };
    return flood(open, size, () => fragment);
  },

  /** Fragments of nothing, of which a message never grows. */
  async 'empty fragments'(port, size) {
    const empty = repeated(frame(CONTINUATION, '', { fin: false }));
    const open = async () => {
      const socket = await upgraded(port);
      socket?.write(frame(TEXT, '{', { fin: false }));
      return socket;
    };
    return flood(open, size, () => empty);
  },

  /** Pings whose pongs are read. */
  async 'ping flood'(port, size) {
    const pings = repeated(frame(PING, 'x'.repeat(125)));
    return flood(
      (index) => registered(port, `attacker-${index}`),
      size,
      () => pings,
    );
  },

  /** Pings whose pongs nobody reads. */
  async 'ping flood, pongs unread'(port, size) {
    const pings = repeated(frame(PING, 'x'.repeat(125)));
    const open = async (index) => {
      const socket = await registered(port, `attacker-${index}`);
      socket?.pause();
      return socket;
    };
    return flood(open, size, () => pings);
  },

  async 'unknown types'(port, size) {
    const messages = repeated(json({ type: 'nobody listens', text: 'x'.repeat(50) }));
    return flood(
      (index) => registered(port, `attacker-${index}`),
      size,
      () => messages,
    );
  },

  async 'bad JSON'(port, size) {
    const messages = repeated(Buffer.concat(['{"type":', 'null', '[]', '{"type":7}'].map((text) => frame(TEXT, text))));
    return flood(
      (index) => registered(port, `attacker-${index}`),
      size,
      () => messages,
    );
  },

  /** Messages that a handler takes, as fast as they are let. */
  async 'message flood'(port, size) {
    const messages = repeated(json({ type: 'taken', text: 'x'.repeat(150) }));
    return flood(
      (index) => registered(port, `attacker-${index}`),
      size,
      () => messages,
    );
  },

  /** Heartbeats that name the witness, and ids that nobody has. */
  async "others' heartbeats"(port, size) {
    const beat = (workerId) => json({ type: 'heartbeat', workerId, timestamp: 't' });
    const messages = repeated(Buffer.concat([beat('witness'), beat('nobody')]));
    return flood(
      (index) => registered(port, `attacker-${index}`),
      size,
      () => messages,
    );
  },

  /** Registrations without end: of one id on many sockets, which replace each other, and of many ids on one socket. */
  async 'registrations on a loop'(port, size) {
    const sockets = [];
    return loops(size, async (index) => {
      if (index % 2 === 0) {
        const socket = await registered(port, `attacker-${index % 8}`);
        socket?.destroy();
        return;
      }
      if (!sockets[index] || sockets[index].destroyed) sockets[index] = await registered(port, `attacker-${index}`);
      if (sockets[index])
        await answered(sockets[index], json(registration(`many-${index}-${Math.floor(Math.random() * 1000)}`)), ACK);
    });
  },

  /** Workers that read nothing, while the server sends them much. */
  async 'sent much, reading nothing'(port, size) {
    const sockets = await Promise.all(Array.from({ length: size }, (_, index) => registered(port, `deaf-${index}`)));
    for (const socket of sockets) socket?.pause();
    // What is sent to them is the server's part; here it counts that they stay.
    return loops(1, () => sleep(20));
  },

  /** Workers that come, register, and go, again and again. */
  async 'close and reopen'(port, size) {
    return loops(size, async (index) => {
      const socket = await registered(port, `attacker-${index}`);
      if (index % 2 === 0) socket?.destroy();
      else if (socket)
        await new Promise((resolve) => socket.once('close', resolve).write(frame(8, Buffer.from([3, 232]))));
    });
  },

  /** Tokens that are guessed, from one address. Once it is locked its upgrades are refused. */
  async 'guessed tokens'(port, size) {
    return loops(size, () => guess(port, {}));
  },

  /** The same, each under another address, as a proxy says or the attacker pretends. */
  async 'guessed tokens, many addresses'(port, size) {
    return loops(size, () => {
      const [a, b, c] = Array.from({ length: 3 }, () => Math.floor(Math.random() * 256));
      return guess(port, { 'X-Forwarded-For': `10.${a}.${b}.${c}` });
    });
  },

  /** Upgrades from pages that may not connect. */
  async 'foreign origins'(port, size) {
    return loops(size, () => answered(connect(port), upgradeHead('/', { Origin: 'https://evil.example' }), '403 '));
  },

  /** Workers with a right token that want to be the well-behaved one. */
  async "others' ids"(port, size) {
    const wish = json(registration('witness', { authToken: 'right' }));
    const bytes = Buffer.concat([Buffer.from(upgradeHead('/')), wish]);
    return loops(size, async () => {
      const socket = await answered(connect(port), bytes, ACK);
      socket?.destroy();
    });
  },

  /** HTTP requests, each on a connection of its own. */
  async 'HTTP requests'(port, size) {
    return loops(size, async () => {
      await answered(connect(port), 'GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n', 'fine');
    });
  },
};

module.exports = { attacks, connect, loops, opened, sleep, MIB };
