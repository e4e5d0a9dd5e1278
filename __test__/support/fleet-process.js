'use strict';

// Many workers in a process of their own, so that they go on while the event loop of the test is blocked. Commands and
// answers cross as IPC messages; what must be known while the parent is blocked is written to a file.

const fs = require('fs');
const WebSocket = require('ws');
const { registration } = require('./raw');

const workers = [];
let counted = null;

/** One more of the messages that are counted has come. */
function arrived(worker) {
  worker.count += 1;
  if (worker.count === counted.each) counted.missing -= 1;
  if (counted.missing === 0) {
    // The process that waits for the file must not find it empty.
    fs.writeFileSync(`${counted.file}.part`, String(workers.length));
    fs.renameSync(`${counted.file}.part`, counted.file);
    counted = null;
  }
}

function heartbeat(worker) {
  if (worker.ws.readyState === WebSocket.OPEN) {
    worker.ws.send(JSON.stringify({ type: 'heartbeat', workerId: worker.id, timestamp: new Date().toISOString() }));
  }
}

function open(id, { port, messages = 0 }) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(`ws://127.0.0.1:${port}/`, { perMessageDeflate: false });
    const worker = { id, ws, count: 0, closed: null };
    ws.on('error', reject);
    ws.on('open', () => ws.send(JSON.stringify(registration(id))));
    ws.on('close', (code) => {
      worker.closed = code;
    });
    ws.on('message', (data) => {
      const message = JSON.parse(data);
      if (message.type === counted?.type) arrived(worker);
      if (message.type === 'question') return ws.send('{"type":"reply"}');
      if (message.type !== 'worker_registration_ack') return undefined;
      if (!message.success) return reject(new Error(message.error));
      for (let seq = 0; seq < messages; seq += 1) ws.send(JSON.stringify({ type: 'note', seq, from: id }));
      return resolve(worker);
    });
  });
}

const commands = {
  async open(options) {
    for (let at = 0; at < options.count; at += 250) {
      const batch = Array.from({ length: Math.min(250, options.count - at) }, (_, i) =>
        open(`${options.prefix}-${at + i}`, options),
      );
      workers.push(...(await Promise.all(batch)));
    }
    if (options.heartbeatMs) {
      for (const worker of workers) worker.timer = setInterval(heartbeat, options.heartbeatMs, worker);
    }
    return workers.length;
  },

  /** Writes the file once each worker has had `each` messages of this type from now on. */
  count({ type, each, file }) {
    for (const worker of workers) worker.count = 0;
    counted = { type, each, file, missing: workers.length };
  },

  /** Opens sockets and sends their registrations once the file `${file}.go` exists, then writes the file. */
  async openAt({ port, count, prefix, file }) {
    while (!fs.existsSync(`${file}.go`)) await new Promise((resolve) => setTimeout(resolve, 5));
    await Promise.all(
      Array.from(
        { length: count },
        (_, i) =>
          new Promise((resolve, reject) => {
            const ws = new WebSocket(`ws://127.0.0.1:${port}/`);
            ws.on('error', reject);
            ws.on('open', () => ws.send(JSON.stringify(registration(`${prefix}-${i}`)), resolve));
          }),
      ),
    );
    fs.writeFileSync(file, '');
  },

  /** Closes all once the file `${file}.go` exists, and writes the close codes to the file when all are closed. */
  async closeAt({ file }) {
    while (!fs.existsSync(`${file}.go`)) await new Promise((resolve) => setTimeout(resolve, 5));
    await Promise.all(
      workers.map(
        ({ ws }) =>
          new Promise((resolve) => {
            ws.on('close', resolve);
            ws.close(4100, 'going');
          }),
      ),
    );
    fs.writeFileSync(`${file}.part`, JSON.stringify(workers.map((worker) => worker.closed)));
    fs.renameSync(`${file}.part`, file);
  },

  report: () => ({
    open: workers.filter((worker) => worker.closed === null).length,
    closed: workers.map((worker) => worker.closed).filter(Boolean),
  }),

  /** Closes all, by the closing handshake or by cutting the connection. */
  async close({ how = 'close' } = {}) {
    for (const worker of workers) {
      clearInterval(worker.timer);
      worker.ws[how]();
    }
  },
};

process.on('message', async ({ number, command, options }) => {
  try {
    process.send({ number, result: await commands[command](options) });
  } catch (error) {
    process.send({ number, error: error.message });
  }
});
