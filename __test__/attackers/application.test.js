'use strict';

// The application's own side: what it throws, fakes and takes away. Its workers are served meanwhile, and it can stop.

const { startProcess } = require('../support/fleet');
const { request } = require('../support/http');
const { openWorker } = require('../support/socket');
const { MISUSES } = require('./misuse');

/** More than are handled in one turn. */
const MESSAGES = 1500;

async function expectServed(port, id) {
  const worker = await openWorker(port, id);
  for (let n = 0; n < MESSAGES; n += 1) worker.send({ type: n % 3 ? 'note' : 'echo', id, n });
  for (let n = 0; n < MESSAGES; n += 3) {
    let message;
    do message = await worker.nextJson();
    while (message.type === 'aside');
    expect(message).toEqual({ type: 'echoed', n });
  }
  expect((await request(port)).text).toBe('fine');
  return worker;
}

async function expectServedAndStopped(name, when) {
  const application = startProcess('../attackers/misusing-process.js');
  const port = await application.ask('start', { name, when });
  const first = await expectServed(port, 'first');
  await expectServed(port, 'second');
  first.ws.close();
  await first.closed;
  await expectServed(port, 'third');
  await application.ask('stop');
  expect(await application.ask('count')).toBe(0);
}

describe.each([
  ['before it starts a server', 'starts a server'],
  ['while it runs a server', 'runs a server'],
])('%s, an application that', (_, when) => {
  test.each(Object.keys(MISUSES))('%s serves its workers, and stops', (name) => expectServedAndStopped(name, when));
});

test.each([
  'fakes every clock and timer that is global',
  'stops the clock',
  'turns the clock back',
  'has a clock that is no number',
  'has a clock that throws',
  'keeps no stack traces and allows no listeners',
])('before it loads the package, an application that %s serves its workers, and stops', (name) =>
  expectServedAndStopped(name, 'loads the package'),
);
