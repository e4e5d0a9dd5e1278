'use strict';

const { startServer, nextCall, until } = require('../support/server');
const { openWorker } = require('../support/socket');
const { RawWebSocket } = require('../support/raw');

const KIB = 1024;
const PAD = 'x'.repeat(128 * KIB);

/** Sends numbered messages of 128 KiB until `send` returns false; returns how many it took. */
function sendUntilFull(server, workerId) {
  for (let seq = 0; seq < 1000; seq += 1) {
    if (!server.send(workerId, { type: 'work', seq, pad: PAD })) return seq;
  }
  throw new Error('125 MiB are queued for a worker that takes nothing');
}

/** Sends until even the system's own buffers take no more, which shows in that there is no room for long. */
async function sendUntilStuck(server, workerId) {
  for (let refused = 0; refused < 50;) {
    if (server.send(workerId, { type: 'work', pad: PAD })) refused = 0;
    else {
      refused += 1;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}

/** A registered worker that reads nothing until its socket is resumed. */
async function openDeafWorker(port, id) {
  const raw = await RawWebSocket.register(port, id);
  raw.socket.pause();
  return raw;
}

test('send returns false when limits.maxQueuedBytes wait for a worker that takes nothing, with one warning', async () => {
  const { server, port, log } = await startServer({ limits: { maxQueuedBytes: 1024 * KIB } });
  await openDeafWorker(port, 'deaf');
  sendUntilFull(server, 'deaf');
  // The system's own buffers may yet take some, and be full again: that is another warning.
  await sendUntilStuck(server, 'deaf');
  await log.line((line) => line.level === 'warn');
  const warnings = () => log.lines.filter((line) => line.level === 'warn');
  const before = warnings().length;
  for (let i = 0; i < 100; i += 1) expect(server.send('deaf', { type: 'more', pad: PAD })).toBe(false);
  const other = await openWorker(port, 'other');
  server.send('other', { type: 'all that was logged before has come' });
  await other.nextJson();
  expect(warnings()).toHaveLength(before);
  expect(JSON.stringify(warnings()[0])).toContain('deaf');
});

test('other workers are served while one takes nothing', async () => {
  const { server, port } = await startServer({ limits: { maxQueuedBytes: 1024 * KIB } });
  const other = await openWorker(port, 'other');
  await openDeafWorker(port, 'deaf');
  sendUntilFull(server, 'deaf');
  for (let i = 0; i < 20; i += 1) {
    expect(server.send('other', { type: 'work', i })).toBe(true);
    expect(await other.nextJson()).toEqual({ type: 'work', i });
  }
  server.broadcast({ type: 'to all' });
  expect(await other.nextJson()).toEqual({ type: 'to all' });
});

test('send returns true again once the worker has taken something, and all that it took arrives in order', async () => {
  const { server, port } = await startServer({ limits: { maxQueuedBytes: 1024 * KIB } });
  const raw = await openDeafWorker(port, 'deaf');
  let sent = sendUntilFull(server, 'deaf');
  raw.socket.resume();
  // While the backlog is being read there is a moment at which a message is taken again.
  let seq = 0;
  for (let again = 0; again < 5;) {
    const frame = JSON.parse((await raw.frame()).text);
    expect(frame.seq).toBe(seq);
    seq += 1;
    if (seq === sent) await until(() => server.send('deaf', { type: 'work', seq: sent }));
    else if (!server.send('deaf', { type: 'work', seq: sent })) continue;
    sent += 1;
    again += 1;
  }
  for (; seq < sent; seq += 1) expect(JSON.parse((await raw.frame()).text).seq).toBe(seq);
});

test('a message that was refused is not sent later', async () => {
  const { server, port } = await startServer({ limits: { maxQueuedBytes: 256 * KIB } });
  const raw = await openDeafWorker(port, 'deaf');
  const sent = sendUntilFull(server, 'deaf');
  server.send('deaf', { type: 'refused', pad: PAD });
  raw.socket.resume();
  await until(() => server.send('deaf', { type: 'end' }));
  const types = [];
  while (types.at(-1) !== 'end') types.push(JSON.parse((await raw.frame()).text).type);
  expect(types).toEqual([...Array(sent).fill('work'), 'end']);
});

describe('stallTimeoutMs', () => {
  test('a worker that takes nothing of what waits for it is closed as a slow consumer, with its pending requests', async () => {
    const { server, port, log } = await startServer({ limits: { stallTimeoutMs: 500, maxQueuedBytes: 1024 * KIB } });
    const raw = await openDeafWorker(port, 'deaf');
    const disconnected = nextCall((resolve) => server.onWorkerDisconnected(resolve));
    server.trackRequest('deaf', 'request');
    await sendUntilStuck(server, 'deaf');
    const [worker, pending] = await disconnected;
    expect([worker.id, [...pending]]).toEqual(['deaf', ['request']]);
    expect(log.lines.filter((line) => line.level === 'warn' && /slow consumer/i.test(line.message))).toHaveLength(1);
    raw.socket.resume();
    await raw.end();
  });

  test('a worker for which nothing waits is not closed, however long it is silent', async () => {
    const { server, port } = await startServer({ limits: { stallTimeoutMs: 500, maxQueuedBytes: 1024 * KIB } });
    const idle = await openWorker(port, 'idle');
    await openDeafWorker(port, 'deaf');
    const disconnected = nextCall((resolve) => server.onWorkerDisconnected(resolve));
    await sendUntilStuck(server, 'deaf');
    expect((await disconnected)[0].id).toBe('deaf');
    expect(server.send('idle', { type: 'still there' })).toBe(true);
    expect(await idle.nextJson()).toEqual({ type: 'still there' });
  });

  test('a worker that is slow but takes something is not closed', async () => {
    const { server, port } = await startServer({ limits: { stallTimeoutMs: 800, maxQueuedBytes: 1024 * KIB } });
    const slow = await openDeafWorker(port, 'slow');
    await openDeafWorker(port, 'deaf');
    const disconnected = nextCall((resolve) => server.onWorkerDisconnected(resolve));
    // As much again waits for the slow one after each sip, so it is never without data waiting.
    const timer = setInterval(() => {
      while (server.send('slow', { type: 'work', pad: PAD }));
      slow.socket.once('data', () => slow.socket.pause());
      slow.socket.resume();
    }, 20);
    await sendUntilStuck(server, 'deaf');
    const [worker] = await disconnected;
    clearInterval(timer);
    expect([worker.id, server.getWorkerInfo().map(({ id }) => id)]).toEqual(['deaf', ['slow']]);
  });
});
