'use strict';

// Coarse bounds: they are several times what the limits allow, and a fraction of what is sent.

const { startProgram } = require('../support/program');
const { startFlood, signalFile } = require('../support/fleet');
const { openWorker } = require('../support/socket');
const { RawWebSocket, json } = require('../support/raw');

const MIB = 1024 * 1024;

test.each([
  ['messages of 8 KiB', 8192, 4000],
  ['small messages', 10, 100000],
])(
  'I5: while the event loop is blocked a flood of %s takes no more memory than the limits allow, and nothing is lost',
  async (_, bytes, messages) => {
    const workers = 4;
    const file = signalFile();
    const program = startProgram('invariants/programs/flooded.js', workers, file);
    const port = await program.port();
    const flood = await startFlood(port, { count: workers });
    await flood.ask('flood', { bytes, messages, file });
    const control = await openWorker(port, 'control');
    control.send({ type: 'block' });
    const result = JSON.parse((await program.stdout(/\{.*\}/))[0]);
    expect(result).toEqual({ stalled: true, grown: expect.any(Number), handled: 0 });
    expect(result.grown).toBeLessThan(40 * MIB);
    let count = 0;
    while (count < workers * messages) {
      control.send({ type: 'count' });
      ({ count } = await control.nextJson());
    }
    expect(count).toBe(workers * messages);
    control.send({ type: 'stop' });
    expect(await program.exit).toMatchObject({ code: 0, stderr: '' });
  },
  60000,
);

test('I5: workers that read nothing take no more memory than the limits allow', async () => {
  const program = startProgram('invariants/programs/deaf-workers.js');
  const port = await program.port();
  for (let i = 0; i < 4; i += 1) (await RawWebSocket.register(port, `deaf-${i}`)).socket.pause();
  const control = await RawWebSocket.register(port, 'control');
  control.socket.pause();
  control.write(json({ type: 'send' }));
  const { taken, grown } = JSON.parse((await program.stdout(/\{.*\}/))[0]);
  // Five workers times 600 MiB were to be sent.
  expect(taken).toBeLessThan(200);
  expect(grown).toBeLessThan(150 * MIB);
  expect(await program.exit).toMatchObject({ code: 0 });
}, 60000);

test('50,000 requests later, of all kinds and with all ends, the heap is where it was', async () => {
  const program = startProgram('invariants/programs/many-requests.js', { execArgv: ['--expose-gc'] });
  const { grown, waiting } = JSON.parse((await program.stdout(/\{.*\}/))[0]);
  // Were a hundred bytes of each left, that would be 5 MB.
  expect(grown).toBeLessThan(2.5 * MIB);
  expect(waiting).toBe(0);
  expect(await program.exit).toMatchObject({ code: 0, stderr: '' });
}, 120_000);
