'use strict';

// How the two threads wait for each other, as an application sees it. What decides on it is tested in `crates/core/src/pacing`.

const { execFileSync } = require('child_process');
const fs = require('fs');

const { onCleanup } = require('../support/cleanup');
const { testWith } = require('../support/installed');
const { startServer, until } = require('../support/server');
const { blockUntilFile, signalFile, startFleet } = require('../support/fleet');
const { randomFrom } = require('../support/random');

/** Asks each worker of the fleet, and again whenever it replies. `onReply` may return false to end that worker's conversation. */
async function converse(server, fleetSize, onReply) {
  server.onWorkerMessage('reply', (worker) => {
    if (onReply() !== false) server.send(worker.id, { type: 'question' });
  });
  for (let i = 0; i < fleetSize; i += 1) expect(server.send(`fleet-${i}`, { type: 'question' })).toBe(true);
}

/**
 * Confines this thread to the first processor, and with it the threads of servers that start meanwhile: they find one
 * processor then.
 */
function onOneProcessor() {
  const affinity = (cpus) => execFileSync('taskset', ['-pc', cpus, String(process.pid)], { encoding: 'utf8' });
  const [, all] = /: (\S+)$/m.exec(execFileSync('taskset', ['-pc', String(process.pid)], { encoding: 'utf8' }));
  const [first] = all.split(/[-,]/);
  affinity(first);
  onCleanup(() => affinity(all));
}

const testOnOneProcessor = testWith('taskset');

testOnOneProcessor(
  'on one processor, timers and HTTP go on while workers converse, and a handler that blocks delays no heartbeat',
  async () => {
    onOneProcessor();
    const { server, port, log } = await startServer({}, (each) =>
      each.addHttpHandler((req, res) => {
        res.end('answered');
        return true;
      }),
    );
    const fleet = await startFleet(port, { count: 3, heartbeatMs: 20 });
    let block = null;
    let replies = 0;
    await converse(server, 3, () => {
      replies += 1;
      block?.();
    });
    for (let round = 0; round < 10; round += 1) {
      const before = replies;
      expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('answered');
      await new Promise((resolve) => setTimeout(resolve, 5));
      await until(() => replies > before + 100);
      const file = signalFile();
      await fleet.ask('count', { type: 'heartbeat_ack', each: 2, file });
      const seen = await new Promise((resolve) => {
        block = () => {
          block = null;
          resolve(blockUntilFile(file));
        };
      });
      expect(seen).toBe('3');
    }
    expect(log.lines.filter((line) => line.level === 'warn')).toEqual([]);
  },
  40000,
);

test.each([1, 3, 10])(
  'I4: a handler that blocks at a random moment of its conversations with %i workers delays no heartbeat',
  async (count) => {
    const { server, port, log } = await startServer();
    const fleet = await startFleet(port, { count, heartbeatMs: 20 });
    const random = randomFrom(count);
    let next = null;
    await converse(server, count, () => {
      if (next === null || random() > 0.02) return;
      const { file, resolve } = next;
      next = null;
      // Each worker gets two acknowledgements although this thread does nothing.
      resolve(blockUntilFile(file));
    });
    for (let round = 0; round < 10; round += 1) {
      const file = signalFile();
      await fleet.ask('count', { type: 'heartbeat_ack', each: 2, file });
      const seen = await new Promise((resolve) => {
        next = { file, resolve };
      });
      expect(seen).toBe(String(count));
    }
    expect(log.lines.filter((line) => line.level === 'warn')).toEqual([]);
  },
  40000,
);

/** How often the runtime's threads have gone to sleep, which they do once for each time that they were woken. */
function sleeps() {
  const tasks = '/proc/self/task';
  const read = (task, file) => fs.readFileSync(`${tasks}/${task}/${file}`, 'latin1');
  return fs
    .readdirSync(tasks)
    .filter((task) => read(task, 'comm').trim() === 'worker-server')
    .map((task) => Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(read(task, 'status'))[1]))
    .reduce((sum, count) => sum + count, 0);
}

(process.platform === 'linux' ? test : test.skip)(
  'with nothing to do no thread wakes, whatever there was to do before',
  async () => {
    const { server, port } = await startServer();
    await startFleet(port, { count: 3 });
    let replies = 0;
    await new Promise((resolve) => {
      converse(server, 3, () => {
        replies += 1;
        if (replies === 5000) resolve();
        return replies < 5000;
      });
    });
    // Memory that was kept for what is sent next is given back after a second.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const before = sleeps();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    // Whoever looked, or rested for a millisecond at a time, would wake a thousand times.
    expect(sleeps() - before).toBeLessThan(20);
  },
  40000,
);
