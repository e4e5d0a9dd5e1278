'use strict';

const { startProgram } = require('../support/program');
const { startFleet } = require('../support/fleet');
const { request } = require('../support/http');
const { openSocket, openWorker } = require('../support/socket');
const { RawWebSocket, rawConnect, json } = require('../support/raw');

test('a process that starts and stops a server exits by itself', async () => {
  expect(await startProgram('exit/programs/starts-and-stops.js').exit).toEqual({
    code: 0,
    signal: null,
    stdout: 'stopped\n',
    stderr: '',
  });
});

test('a process that only constructs servers exits by itself', async () => {
  expect(await startProgram('exit/programs/constructs.js').exit).toEqual({
    code: 0,
    signal: null,
    stdout: 'constructed 0000000000\n',
    stderr: '',
  });
});

test('a process whose server could not start exits by itself', async () => {
  expect(await startProgram('exit/programs/fails-to-start.js').exit).toEqual({
    code: 0,
    signal: null,
    stdout: 'EADDRINUSE\n',
    stderr: '',
  });
});

test('a started server keeps its process alive, and the process exits when a stop is done', async () => {
  const program = startProgram('exit/programs/stays.js');
  const port = await program.port();
  // Garbage collection and idleness must not end it: it still answers after two turns of another process.
  for (let i = 0; i < 2; i += 1) expect((await request(port)).text).toBe('alive');
  await startProgram('exit/programs/constructs.js').exit;
  expect((await request(port)).text).toBe('alive');
  expect(program.child.exitCode).toBeNull();
  const worker = await openWorker(port, 'w');
  worker.send({ type: 'stop' });
  expect(await worker.closed).toEqual({ code: 1001, reason: 'Server shutting down' });
  expect(await program.exit).toMatchObject({ code: 0, signal: null, stderr: '' });
});

test('process.exit while workers are connected and send ends the process with its code', async () => {
  const program = startProgram('exit/programs/stays.js');
  const port = await program.port();
  await startFleet(port, { count: 50, heartbeatMs: 5 });
  const worker = await openWorker(port, 'w');
  for (let i = 0; i < 1000; i += 1) worker.send({ type: 'nobody listens', i });
  worker.send({ type: 'exit', code: 7 });
  expect(await program.exit).toMatchObject({ code: 7, signal: null, stderr: '' });
  await worker.closed;
});

test.each([
  ['few', 1],
  ['many', 100],
])('what is sent in the turn in which the process exits still leaves, if it is %s', async (_, count) => {
  const program = startProgram('exit/programs/sends-and-exits.js');
  const worker = await openWorker(await program.port(), 'w');
  worker.send({ type: 'warm up', count });
  for (let i = 0; i < count; i += 1) expect(await worker.nextJson()).toEqual({ type: 'warm' });
  worker.send({ type: 'send and exit', count });
  for (let i = 0; i < count; i += 1) expect(await worker.nextJson()).toEqual({ type: 'last words', i });
  expect(await program.exit).toMatchObject({ code: 0, stderr: '' });
});

test.each([
  ['exit', 1, 0],
  ['exit', 20, 0],
  ['exit among fakes', 20, 0],
  ['throw', 20, 1],
  ['reject', 20, 1],
])(
  'what is sent as the process ends by %s still leaves to each of %i workers, by any way of sending',
  async (how, count, code) => {
    const program = startProgram('exit/programs/last-words.js', how);
    const port = await program.port();
    const workers = await Promise.all(Array.from({ length: count }, (_, index) => openWorker(port, `w${index}`)));
    workers[0].send({ type: 'end' });
    const last = ['in the turn', 'from a listener before', 'from a listener behind'].flatMap((text) => [
      text,
      `${text}, to all`,
    ]);
    for (const worker of workers) {
      for (const type of last) expect(await worker.nextJson()).toEqual({ type });
    }
    expect((await program.exit).code).toBe(code);
  },
);

test('what was sent before a stop leaves, though the process exits before that is done', async () => {
  const program = startProgram('exit/programs/last-words.js', 'exit with a stop under way');
  const port = await program.port();
  const workers = await Promise.all(Array.from({ length: 20 }, (_, index) => openWorker(port, `w${index}`)));
  workers[0].send({ type: 'end' });
  for (const worker of workers) {
    for (const type of ['in the turn', 'in the turn, to all']) expect(await worker.nextJson()).toEqual({ type });
  }
  expect((await program.exit).code).toBe(0);
});

test('what is sent in a turn that takes long leaves before the turn ends', async () => {
  const program = startProgram('exit/programs/sends-and-exits.js');
  const worker = await openWorker(await program.port(), 'w');
  worker.send({ type: 'send and compute', ms: 3000 });
  const sent = performance.now();
  expect(await worker.nextJson()).toEqual({ type: 'before' });
  const waited = performance.now() - sent;
  expect(await worker.nextJson()).toEqual({ type: 'after' });
  expect(waited).toBeLessThan((performance.now() - sent) / 2);
});

test('an uncaught exception of the application ends the process as it does without a server', async () => {
  const program = startProgram('exit/programs/stays.js');
  const port = await program.port();
  const worker = await openWorker(port, 'w');
  worker.send({ type: 'throw' });
  expect(await program.exit).toMatchObject({
    code: 1,
    signal: null,
    stderr: expect.stringContaining('Error: on purpose'),
  });
});

test('stop ends within its grace, and the process exits, whatever is still connected', async () => {
  const program = startProgram('exit/programs/leftovers.js');
  const port = await program.port();
  const unregistered = await RawWebSocket.connect(port);
  const worker = await RawWebSocket.register(port, 'w');
  const endpoint = await RawWebSocket.connect(port, { path: '/endpoint' });
  const kept = await rawConnect(port);
  kept.write('GET /kept HTTP/1.1\r\nHost: h\r\n\r\n');
  await kept.text(/kept$/);
  const silent = await rawConnect(port);
  const half = await rawConnect(port);
  half.write('POST /half HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nsome');
  const unanswered = await rawConnect(port);
  unanswered.write('GET /never HTTP/1.1\r\nHost: h\r\n\r\n');
  unregistered.write(json({ type: 'hello' }));
  expect(await program.exit).toMatchObject({
    code: 0,
    signal: null,
    stdout: expect.stringMatching(/stopped\n$/),
    stderr: '',
  });
  await Promise.all([unregistered, worker, endpoint, kept, silent, half, unanswered].map((raw) => raw.end()));
});

test.each([['terminate'], ['exit']])(
  'servers in worker threads end with their thread, by %s, and leave other servers alone',
  async (how) => {
    const result = await startProgram('exit/programs/in-thread.js', how).exit;
    expect(result).toEqual({ code: 0, signal: null, stdout: 'own 3\nown 3\nown 3\nstopped\n', stderr: '' });
  },
  60000,
);

test('a thread that is terminated leaves no connection open that was on its way to its HTTP handlers', async () => {
  const program = startProgram('exit/programs/thread-with-requests.js');
  await program.stdout(/closed/);
  expect(await program.exit).toEqual({ code: 0, signal: null, stdout: 'terminated\nclosed\n', stderr: '' });
});

test('a process that is killed closes its sockets', async () => {
  const program = startProgram('exit/programs/stays.js');
  const port = await program.port();
  const [worker, other] = await Promise.all([openWorker(port, 'w'), openSocket(port)]);
  program.child.kill('SIGTERM');
  expect(await program.exit).toMatchObject({ code: null, signal: 'SIGTERM' });
  expect([(await worker.closed).code, (await other.closed).code]).toEqual([1006, 1006]);
});
