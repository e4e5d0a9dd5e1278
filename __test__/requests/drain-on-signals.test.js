'use strict';

// drainOnSignals: the first signal drains and stops, a second one stops at once, and the process ends by itself.

const { createServer, startServer } = require('../support/server.js');
const { startProgram } = require('../support/program.js');
const { connectRequestWorker } = require('../support/request-worker.js');

async function startDraining(signals) {
  const program = startProgram('requests/programs/drains.js', JSON.stringify(signals));
  const worker = await connectRequestWorker({ port: await program.port() });
  const request = await worker.nextRequest();
  return { program, worker, request };
}

test.each(['SIGTERM', 'SIGINT'])('%s: what is under way ends, and then the process by itself', async (signal) => {
  const { program, worker, request } = await startDraining(true);
  program.child.kill(signal);
  expect(await worker.next('server_draining')).toMatchObject({ timeoutMs: 25_000 });
  worker.answer(request, 'result', { data: 'done' });
  expect(await worker.closed).toEqual({ code: 1001, reason: 'Server shutting down' });
  const { code, signal: killedBy, stdout } = await program.exit;
  expect([code, killedBy]).toEqual([0, null]);
  expect(stdout).toMatch(/result done\nexit, state stopped, listeners 0\n$/);
});

test('a second signal stops at once', async () => {
  const { program, worker } = await startDraining(true);
  program.child.kill('SIGTERM');
  await worker.next('server_draining');
  program.child.kill('SIGTERM');
  expect((await worker.next('request_cancel')).reason).toBe('stopping');
  const { code, stdout } = await program.exit;
  expect([code, stdout]).toEqual([0, expect.stringMatching(/error SERVER_STOPPING\nexit, state stopped/)]);
});

test('a list names the signals, and others do what they do', async () => {
  const { program, worker } = await startDraining(['SIGUSR2']);
  program.child.kill('SIGUSR2');
  await worker.next('server_draining');
  program.child.kill('SIGTERM');
  expect((await program.exit).signal).toBe('SIGTERM');
});

test('two servers that listen to one signal do not fight: each drains, and leaves no listener behind', async () => {
  const { code, signal, stdout } = await startProgram('requests/programs/two-drain.js').exit;
  expect([code, signal]).toEqual([0, null]);
  expect(stdout).toBe('listeners 2\nstates stopped,stopped, listeners 0\n');
});

test('without the option nobody listens', async () => {
  const before = process.listenerCount('SIGTERM');
  await startServer();
  expect(process.listenerCount('SIGTERM')).toBe(before);
});

test.each([['SIGTERM'], [1], [null], [['SIGNOTHING']], [['SIGKILL']], [[7]]])(
  'drainOnSignals: %j is a TypeError',
  (drainOnSignals) => {
    expect(() => createServer({ drainOnSignals })).toThrow(TypeError);
    expect(() => createServer({ drainOnSignals })).toThrow(/^options\.drainOnSignals must be/);
  },
);
