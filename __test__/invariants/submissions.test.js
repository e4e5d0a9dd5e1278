'use strict';

const { Submissions } = require('../../lib/server/submissions.js');

const PUBLISHED = 0;
const WATCHED = 1;
const EARLY = 2;

/** Submissions to a native side that only writes down what it is asked for, and what was published by then. */
function submissionsTo(calls, { maxQueuedBytes = 1024 * 1024, watched = 1 } = {}) {
  const counters = new Int32Array(3);
  const records = new Float64Array(1024);
  const texts = new Uint8Array(128 * 1024);
  const bufferedAmounts = new Float64Array(1024);
  counters[WATCHED] = watched;
  const take = (call) => {
    const published = [];
    let at = 0;
    for (let index = 0; index < counters[PUBLISHED]; index += 1) {
      const end = at + records[2 * index + 1];
      published.push([records[2 * index], Buffer.from(texts.subarray(at, end)).toString()]);
      at = end;
    }
    counters[PUBLISHED] = 0;
    calls.push({ call, published });
  };
  const native = {
    submissions: () => ({ counters, records, texts }),
    send: (id, text) => calls.push({ call: 'send', id, text }) > 0,
    broadcast: (text) => calls.push({ call: 'broadcast', text }),
    takeSubmissions: () => take('takeSubmissions'),
    flush: () => take('flush'),
    writeAll: () => take('writeAll'),
    bufferedAmountPage: () => bufferedAmounts,
  };
  return { submissions: new Submissions(native, maxQueuedBytes), counters, bufferedAmounts };
}

/** A turn with several messages, after which they are taken together. */
function warmUp(submissions, calls) {
  submissions.during(() => {
    for (let index = 0; index < 3; index += 1) submissions.send(workerOf(9), 'before');
  });
  calls.length = 0;
}

const workerOf = (key) => ({
  id: `w${key}`,
  key,
  bufferedAmountIndex: key,
  bufferedAmountSlot: key,
  departing: 0,
  departingSince: -1,
});

test('what is sent in a turn is published at once, in one order, and taken together at its end', async () => {
  const calls = [];
  const { submissions, counters } = submissionsTo(calls);
  warmUp(submissions, calls);
  const [first, second] = [workerOf(1), workerOf(2)];
  submissions.send(first, 'a');
  submissions.send(second, 'b\u00e9\ud83d\ude00');
  submissions.send(first, 'c');
  expect([counters[PUBLISHED], calls]).toEqual([3, []]);
  await new Promise(setImmediate);
  expect(calls).toEqual([
    {
      call: 'flush',
      published: [
        [1, 'a'],
        [2, 'b\u00e9\ud83d\ude00'],
        [1, 'c'],
      ],
    },
  ]);
  submissions.close();
});

test('while nobody watches each crosses at once', () => {
  const calls = [];
  const { submissions } = submissionsTo(calls, { watched: 0 });
  warmUp(submissions, calls);
  submissions.send(workerOf(1), 'a');
  submissions.send(workerOf(1), 'b');
  expect(calls).toEqual([
    { call: 'takeSubmissions', published: [[1, 'a']] },
    { call: 'takeSubmissions', published: [[1, 'b']] },
  ]);
  submissions.close();
});

test('after a turn with one or two messages each is taken at once, up to the 64th', () => {
  const calls = [];
  const { submissions, counters } = submissionsTo(calls);
  warmUp(submissions, calls);
  submissions.leave();
  calls.length = 0;
  for (let index = 0; index < 100; index += 1) submissions.send(workerOf(1), 'a');
  expect([calls.length, counters[PUBLISHED]]).toEqual([64, 36]);
  submissions.close();
});

test('what goes by another way comes after what was published before', () => {
  const calls = [];
  const { submissions } = submissionsTo(calls);
  warmUp(submissions, calls);
  const long = 'x'.repeat(5000);
  submissions.send(workerOf(1), 'a');
  submissions.send(workerOf(1), long);
  submissions.send(workerOf(2), 'b');
  submissions.broadcast('c');
  expect(calls).toEqual([
    { call: 'takeSubmissions', published: [[1, 'a']] },
    { call: 'send', id: 'w1', text: long },
    { call: 'takeSubmissions', published: [[2, 'b']] },
    { call: 'broadcast', text: 'c' },
  ]);
  submissions.close();
});

test('what does not fit into the memory makes room for itself', () => {
  const calls = [];
  const { submissions } = submissionsTo(calls);
  const worker = workerOf(1);
  for (let index = 0; index < 1000; index += 1) submissions.send(worker, `${index}`);
  for (let index = 0; index < 40; index += 1) submissions.send(worker, '\u20ac'.repeat(4000));
  submissions.leave();
  const published = calls.flatMap((call) => call.published.map(([, text]) => text));
  expect(published.slice(0, 1000)).toEqual(Array.from({ length: 1000 }, (_, index) => `${index}`));
  expect(published.slice(1000)).toEqual(new Array(40).fill('\u20ac'.repeat(4000)));
  submissions.close();
});

test('the bound counts bytes of UTF-8, and what waits on both sides', () => {
  const calls = [];
  const { submissions, bufferedAmounts } = submissionsTo(calls, { maxQueuedBytes: 100 });
  warmUp(submissions, calls);
  const worker = workerOf(1);
  bufferedAmounts[1] = 50;
  submissions.send(worker, '\u20ac'.repeat(10));
  expect([calls, worker.departing]).toEqual([[], 34]);
  // There is room for as many characters, but not for as many bytes. The native side, which knows exactly, decides.
  submissions.send(worker, '\u20ac'.repeat(5));
  expect(calls.map(({ call }) => call)).toEqual(['takeSubmissions', 'send']);
  submissions.close();
});

test('the end of a turn that was planned is planned anew when something has left early', async () => {
  const calls = [];
  const { submissions, counters } = submissionsTo(calls);
  warmUp(submissions, calls);
  submissions.during(() => {
    submissions.send(workerOf(1), 'a');
    counters[EARLY] += 1;
    submissions.send(workerOf(1), 'b');
  });
  await new Promise(setImmediate);
  expect(calls.map(({ call }) => call)).toEqual(['flush', 'flush']);
  submissions.close();
});
