'use strict';

const { Departures } = require('../../lib/departures.js');

/** Departures to a native side that only writes down what crosses to it, as lists of what came in one call. */
function departuresTo(crossings) {
  const native = {
    send: (workerId, text) => crossings.push([text]) > 0,
    sendPromised: (count, keys, lengths, texts) => crossings.push(texts.match(/../g)),
    roomPage: () => new Float64Array(1024),
    flush: () => {},
  };
  return new Departures(native, 1024 * 1024);
}

/** Sends so many messages in one turn, which then takes as long as it takes `work`. Gives what has crossed before it was over. */
function turn(departures, crossings, count, work = () => {}) {
  const record = { id: 'w', key: 1, room: 0, departing: 0 };
  const before = crossings.length;
  let crossed;
  departures.during(() => {
    for (let index = 0; index < count; index += 1) departures.send(record, `m${index % 10}`);
    crossed = crossings.length - before;
    work();
  });
  return crossed;
}

function compute(ms) {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

test('what is sent after a short turn with several messages crosses together, at the end of the turn', () => {
  const crossings = [];
  const departures = departuresTo(crossings);
  let crossed;
  // A turn may be long for lack of a processor.
  do {
    turn(departures, crossings, 3);
    crossed = turn(departures, crossings, 3);
  } while (crossed > 0);
  expect(crossings.at(-1)).toEqual(['m0', 'm1', 'm2']);
  departures.close();
});

test('what is sent after a turn with one or two messages, or with none, crosses at once', () => {
  const crossings = [];
  const departures = departuresTo(crossings);
  for (const count of [0, 1, 2]) {
    turn(departures, crossings, 3);
    turn(departures, crossings, count);
    expect(turn(departures, crossings, 2)).toBe(2);
  }
  departures.close();
});

test('what is sent after a long turn crosses at once, up to the 64th message', () => {
  const crossings = [];
  const departures = departuresTo(crossings);
  turn(departures, crossings, 10, () => compute(3));
  expect(turn(departures, crossings, 100, () => compute(3))).toBe(64);
  expect(crossings.at(-1)).toHaveLength(36);
  expect(turn(departures, crossings, 10)).toBe(0);
  departures.close();
});
