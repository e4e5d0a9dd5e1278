'use strict';

// A process that did not run has heard nobody: what was sent meanwhile waits in its sockets, and must be read before anyone is judged.

const net = require('node:net');
const { once } = require('node:events');
const { setTimeout: sleep } = require('node:timers/promises');
const { onCleanup } = require('../support/cleanup.js');
const { startProgram } = require('../support/program.js');
const { connect, connectWorker } = require('../support/worker.js');

const TIMEOUT_MS = 1_000;
const isWindows = process.platform === 'win32';

/** Every worker beats, whether the server runs or not. */
function beat(workers) {
  const timer = setInterval(() => {
    for (const worker of workers) {
      if (worker.ws.readyState === 1) worker.send({ type: 'heartbeat', workerId: worker.id, timestamp: 0 });
    }
  }, 50);
  onCleanup(() => clearInterval(timer));
}

(isWindows ? test.skip : test)(
  'a server that was suspended for more than three timeouts loses nobody when it goes on',
  async () => {
    const { child, port: askPort } = startProgram('invariants/programs/suspended.js', TIMEOUT_MS);
    const server = { port: await askPort(), syncs: new Map() };
    const workers = [];
    for (let i = 0; i < 8; i += 1) workers.push(await connectWorker(server, `w${i}`));
    const stalled = await connectWorker(server, 'stalled');
    beat([...workers, stalled]);
    const used = await connect(server);
    const late = await connect(server);
    const slow = net.connect(server.port, 'localhost');
    onCleanup(() => slow.destroy());
    await once(slow, 'connect');
    slow.write('GET / HTTP/1.1\r\nHost: h\r\n');
    used.send({ type: 'taken' });
    stalled.send({ type: 'fill' });
    stalled.ws.pause();
    await workers[0].heartbeat(); // What was sent before has had its time to come.

    child.kill('SIGSTOP');
    await sleep(200);
    const registered = late.register('late');
    used.send({ type: 'taken' });
    await sleep(3 * TIMEOUT_MS + 500);
    child.kill('SIGCONT');
    stalled.ws.resume();
    slow.write('Connection: close\r\n\r\n');

    expect((await registered).success).toBe(true);
    expect(String((await once(slow, 'data'))[0])).toMatch(/^HTTP\/1\.1 404 /);
    // Several health checks and pings later.
    for (let i = 0; i < 10; i += 1) {
      await Promise.all(workers.map((worker) => worker.heartbeat()));
      await sleep(30);
    }
    workers[0].send({ type: 'report' });
    const report = await workers[0].next('report');
    const all = [...workers.map(({ id }) => id), 'stalled', 'late'];
    expect(report).toMatchObject({ workers: all.map((id) => [id, 'available']), warnings: [], ends: [] });
    expect(used.ws.readyState).toBe(1);
  },
  30_000,
);

(isWindows ? test.skip : test)(
  'who falls silent before the suspension has a full timeout after it, and no more',
  async () => {
    const { child, port: askPort } = startProgram('invariants/programs/suspended.js', TIMEOUT_MS);
    const server = { port: await askPort(), syncs: new Map() };
    const silent = await connectWorker(server, 'silent');
    const worker = await connectWorker(server, 'w');
    beat([worker]);
    child.kill('SIGSTOP');
    await sleep(3 * TIMEOUT_MS + 500);
    child.kill('SIGCONT');
    expect(await silent.closed).toEqual({ code: 4003, reason: 'Heartbeat timeout' });
    worker.send({ type: 'report' });
    const { warnings, ends, workers } = await worker.next('report');
    const [[message, { timeSinceHeartbeat }]] = warnings;
    expect(message).toBe('Worker heartbeat timeout');
    expect(timeSinceHeartbeat).toBeLessThan(3 * TIMEOUT_MS);
    expect([ends, workers]).toEqual([['silent'], [['w', 'available']]]);
  },
  30_000,
);
