'use strict';

// Connections that send as fast as they are let, in a process of their own. How far each got is written to a file, to
// be read while the event loop of the test is blocked.

const fs = require('fs');
const { RawWebSocket, json, registration } = require('./raw');

const STALLED_MS = 500;

/**
 * Sends `messages` messages of `bytes` bytes with a heartbeat every hundred, and resolves when the system has taken
 * all. `progress` counts the bytes that it took.
 */
function flood(raw, id, { messages, bytes }, progress) {
  let seq = 0;
  let timer = null;
  const pad = 'x'.repeat(bytes);
  const beat = () => json({ type: 'heartbeat', workerId: id, timestamp: new Date().toISOString() });
  return new Promise((resolve) => {
    const next = () => {
      if (seq >= messages) {
        // Goes on living: a worker that has sent all is still a worker.
        timer = setInterval(() => raw.write(beat()), 100);
        raw.socket.on('close', () => clearInterval(timer));
        resolve();
        return;
      }
      const frames = [beat()];
      for (const last = Math.min(messages, seq + 100); seq < last; seq += 1)
        frames.push(json({ type: 'flood', id, seq, pad }));
      const chunk = Buffer.concat(frames);
      raw.socket.write(chunk, () => {
        progress.taken += chunk.length;
        progress.at = Date.now();
        // Not at once: timers must have their turn.
        setImmediate(next);
      });
    };
    next();
  });
}

const connections = [];

const commands = {
  async open({ port, count, prefix }) {
    for (let i = 0; i < count; i += 1) {
      const id = `${prefix}-${i}`;
      connections.push({ id, raw: await RawWebSocket.register(port, id, { registration: registration(id) }) });
    }
    return count;
  },

  /** Writes the file when the server has ended all connections, whose close frames nobody here answers. */
  async awaitEnd({ file }) {
    await Promise.all(connections.map(({ raw }) => raw.end()));
    fs.writeFileSync(file, '');
  },

  /**
   * Floods on all connections from when the file `${file}.go` exists. Writes `{ stalled, taken }` to `file` when all
   * was sent or nothing has moved for a while.
   */
  flood(options) {
    const waiting = setInterval(() => {
      if (!fs.existsSync(`${options.file}.go`)) return;
      clearInterval(waiting);
      commands.floodNow(options);
    }, 5);
  },

  floodNow(options) {
    const progress = { taken: 0, at: Date.now() };
    const report = (stalled) => {
      clearInterval(timer);
      fs.writeFileSync(`${options.file}.part`, JSON.stringify({ stalled, taken: progress.taken }));
      fs.renameSync(`${options.file}.part`, options.file);
    };
    const timer = setInterval(() => {
      if (Date.now() - progress.at > STALLED_MS) report(true);
    }, 20);
    Promise.all(connections.map(({ id, raw }) => flood(raw, id, options, progress))).then(() => {
      if (!fs.existsSync(options.file)) report(false);
    });
  },
};

process.on('message', async ({ number, command, options }) => {
  try {
    process.send({ number, result: await commands[command](options) });
  } catch (error) {
    process.send({ number, error: error.message });
  }
});
