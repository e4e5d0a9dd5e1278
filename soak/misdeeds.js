'use strict';

// What the workers of the soak do before they go. Each gets a registered, working worker (those of UNREGISTERED one that has
// only connected, `bare` ones not even a WebSocket) and returns when it is done with the connection, which is then cut.

const { frame, closePayload, upgradeHead, TEXT, CLOSE, PING } = require('../__test__/support/raw');

const CONTINUATION = 0;

/** Frames that cost the connection. */
const BROKEN = [
  () => frame(TEXT, '{}', { masked: false }),
  () => frame(TEXT, '{}', { rsv: 4 }),
  () => frame(3, 'x'),
  () => frame(CONTINUATION, 'x'),
  () => frame(PING, 'x'.repeat(126)),
  () => frame(CLOSE, 'x'),
  () => frame(CLOSE, closePayload(1005)),
  () => frame(TEXT, Buffer.from([0x7b, 0xff, 0x7d])),
  () => Buffer.concat([frame(TEXT, '{', { fin: false }), frame(TEXT, '{}')]),
  () => frame(TEXT, 'x'.repeat(300 * 1024)),
  () => Buffer.from('GET / HTTP/1.1\r\n\r\n'),
];

/** Messages that are complained about and cost nothing. */
const NONSENSE = [
  '{"type":',
  'null',
  '[]',
  '17',
  '"text"',
  '{}',
  '{"type":5}',
  '{"type":"nobody listens","x":1}',
  '{"type":"heartbeat","workerId":"nobody"}',
  '{"type":"heartbeat"}',
  `{"type":"nobody listens","x":"${'y'.repeat(5000)}"}`,
];

async function nonsense(worker) {
  for (let i = 0; i < 20 && worker.isOpen; i += 1) {
    worker.ws.send(worker.pick(NONSENSE));
    worker.tell('note');
    await worker.pause(worker.between(0, 10));
  }
  await worker.leave();
}

const MISDEEDS = [
  {
    name: 'worked and left',
    async act(worker) {
      await worker.work(worker.between(100, 3_000));
      await worker.leave();
    },
  },
  { name: 'sent nonsense', act: nonsense },
  {
    name: 'broke the protocol',
    async act(worker) {
      worker.socket.write(worker.pick(BROKEN)());
      await Promise.race([worker.gone, worker.pause(1_000)]);
    },
  },
  {
    name: 'stalled',
    async act(worker) {
      worker.ws.pause();
      for (let left = worker.between(500, 3_000); left > 0 && !worker.stopped; left -= 200) {
        worker.tell('note');
        await worker.pause(200);
      }
      if (worker.chance(0.5)) {
        worker.ws.resume();
        await worker.work(200);
        await worker.leave();
      }
    },
  },
  {
    name: 'flooded',
    async act(worker) {
      const pad = 'x'.repeat(worker.pick([10, 200, 2_000]));
      for (let left = worker.between(500, 4_000); left > 0 && worker.isOpen && !worker.stopped; left -= 100) {
        for (let i = 0; i < 100; i += 1) worker.tell('flood', { pad });
        await worker.pause(1);
      }
      await worker.leave();
    },
  },
  {
    name: 'half-closed',
    async act(worker) {
      worker.tell('note');
      worker.socket.end();
      await Promise.race([worker.gone, worker.pause(1_500)]);
    },
  },
  {
    name: 'was cut',
    async act(worker) {
      worker.tell('note');
      worker.socket.destroy();
    },
  },
  {
    name: 'was reset',
    async act(worker) {
      worker.tell('note');
      worker.socket.resetAndDestroy();
    },
  },
  {
    name: 'fell silent',
    async act(worker) {
      // The heartbeats go on, but name another worker, or nobody.
      const own = worker.id;
      worker.id = worker.chance(0.5) ? worker.pick(worker.fleet.ids) : 'nobody';
      await Promise.race([worker.gone, worker.pause(worker.between(1_000, 6_000))]);
      worker.id = own;
    },
  },
  {
    name: 'registered again and again',
    async act(worker) {
      for (let i = worker.between(1, 8); i > 0 && worker.isOpen && !worker.stopped; i -= 1) {
        await worker.register(worker.chance(0.5) ? worker.id : worker.pick(worker.fleet.ids));
        worker.tell('note');
        await worker.work(worker.between(0, 60));
      }
      await worker.leave();
    },
  },
  {
    name: 'closed while it sent',
    async act(worker) {
      for (let i = 0; i < 50; i += 1) worker.tell('flood', { pad: '' });
      await worker.leave();
    },
  },
];

const UNREGISTERED = [
  {
    name: 'never registered',
    async act(worker) {
      worker.send({ type: 'nobody listens' });
      await Promise.race([worker.gone, worker.pause(2_500)]);
    },
  },
  {
    name: 'spoke without registering',
    async act(worker) {
      worker.nonce = "a stranger's";
      for (let i = 0; i < 10; i += 1) worker.tell('note');
      await worker.pause(2_000);
      await worker.leave();
    },
  },
  {
    name: 'registered wrongly',
    async act(worker) {
      worker.send(
        worker.registration(
          worker.ownId,
          worker.pick([
            { authToken: 'wrong' },
            { authToken: undefined },
            { capabilities: undefined },
            { workerId: 5 },
            { capabilities: { models: [{}], maxConcurrentRequests: 1 } },
            { capabilities: { models: [], maxConcurrentRequests: -1 } },
          ]),
        ),
      );
      await Promise.race([worker.gone, worker.pause(1_000)]);
    },
  },
  { name: 'sent nonsense before registering', act: nonsense },
  {
    name: 'connected and said nothing',
    bare: true,
    act: (worker) => Promise.race([worker.gone, worker.pause(worker.between(0, 2_000))]),
  },
  {
    name: 'sent half a head',
    bare: true,
    async act(worker) {
      const head = upgradeHead('/');
      worker.socket.write(head.slice(0, Math.floor(worker.between(1, head.length - 1))));
      await Promise.race([worker.gone, worker.pause(worker.between(0, 2_000))]);
    },
  },
  {
    name: 'upgraded and was gone',
    bare: true,
    async act(worker) {
      worker.socket.write(upgradeHead('/'));
      if (worker.chance(0.5)) worker.socket.resetAndDestroy();
    },
  },
];

module.exports = { MISDEEDS, UNREGISTERED };
