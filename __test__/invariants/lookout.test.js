'use strict';

const os = require('node:os');

const { Lookout } = require('../../lib/server/lookout.js');

/** A lookout after so many rounds in which events came 10 µs after the last ones were handled; and the time. */
function after(rounds, hasSent) {
  const lookout = new Lookout();
  let now = 0;
  for (let round = 0; round < rounds; round += 1) {
    now += 0.01;
    lookout.onEvents(now, hasSent);
    lookout.onHandled(now);
  }
  return { lookout, now };
}

test('where answers come at once, again and again, it is looked for the next', () => {
  const { lookout, now } = after(20, true);
  // Not with a single processor: nothing could come meanwhile.
  expect(lookout.goesOn(now + 0.05)).toBe(os.availableParallelism() > 1);
});

test('it is not looked for longer than a tenth of a millisecond', () => {
  const { lookout, now } = after(20, true);
  expect(lookout.goesOn(now + 0.11)).toBe(false);
});

test('a few rounds prove nothing', () => {
  const { lookout, now } = after(10, true);
  expect(lookout.goesOn(now)).toBe(false);
});

test('where nothing is sent nothing is awaited', () => {
  const { lookout, now } = after(100, false);
  expect(lookout.goesOn(now)).toBe(false);
});

test('when the next events come late, again and again, it is given up', () => {
  const { lookout, now } = after(100, true);
  for (let round = 1; round < 10; round += 1) {
    lookout.onEvents(now + round, true);
    lookout.onHandled(now + round);
  }
  expect(lookout.goesOn(now + 9)).toBe(false);
});
