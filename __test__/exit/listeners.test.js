'use strict';

// What a process holds for this package: one listener, however often it is evaluated, and none when no server runs.

const { emittedWarnings } = require('../support/warnings.js');

const PACKAGE = require.resolve('../../index.js');
/** More than Node tolerates of one event's before it warns. */
const TIMES = 15;

function evaluateAgain() {
  jest.resetModules();
  return require(PACKAGE);
}

test('the package, evaluated again and again, with a server running each time, listens once, and not at all when they have stopped', async () => {
  const warnings = emittedWarnings();
  const before = process.listenerCount('exit');
  const servers = [];
  for (let time = 0; time < TIMES; time += 1) {
    const { WorkerServer } = evaluateAgain();
    const server = new WorkerServer({ port: 0 });
    await server.start();
    servers.push(server);
    expect(process.listenerCount('exit')).toBe(before + 1);
  }
  await servers[0].stop();
  expect(process.listenerCount('exit')).toBe(before + 1);
  await Promise.all(servers.map((server) => server.stop()));
  expect(process.listenerCount('exit')).toBe(before);
  // A stopped server that starts again counts again.
  await servers[0].start();
  expect(process.listenerCount('exit')).toBe(before + 1);
  await servers[0].stop();
  expect(process.listenerCount('exit')).toBe(before);
  expect(warnings).toEqual([]);
});

test('evaluating the package adds no listener of any kind', () => {
  const counts = () => process.eventNames().map((name) => [name, process.listenerCount(name)]);
  const before = counts();
  for (let time = 0; time < TIMES; time += 1) evaluateAgain();
  expect(counts()).toEqual(before);
});

test('all that is to be done at the exit is done, though some of it fails', () => {
  const { onProcessExit } = require('../../lib/server/exit-hook.js');
  const before = process.listeners('exit');
  const done = [];
  const forget = ['a', 'b', 'c'].map((name) =>
    onProcessExit(() => {
      done.push(name);
      if (name === 'b') throw new Error('failed');
    }),
  );
  const [listener] = process.listeners('exit').filter((found) => !before.includes(found));
  forget[0]();
  listener();
  expect(done).toEqual(['b', 'c']);
  forget.forEach((again) => again());
  expect(process.listeners('exit')).toEqual(before);
});
