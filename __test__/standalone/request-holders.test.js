'use strict';

const { RequestHolders } = require('../../lib/workers/request-holders.js');

/** Records as the server has them: each holds what it was given until it leaves. */
function holdersOf(...orders) {
  const records = orders.map((order) => ({ order, hasLeft: false, given: new Set() }));
  const holders = new RequestHolders({ isHolder: ({ hasLeft }) => !hasLeft, orderOf: ({ order }) => order });
  const give = (requestId, record) => {
    record.given.add(requestId);
    holders.add(requestId, record);
  };
  const leave = (record) => {
    record.hasLeft = true;
    holders.forget(record, record.given);
  };
  return { holders, records, give, leave };
}

test('a request is taken from the record that was given it, once', () => {
  const { holders, records, give } = holdersOf(1, 2);
  give('r', records[1]);
  expect(holders.has('r')).toBe(true);
  expect(holders.take('r')).toBe(records[1]);
  expect(holders.take('r')).toBeUndefined();
  expect(holders.has('r')).toBe(false);
});

test('of several holders the earliest comes first, in whatever order they were given the request', () => {
  const { holders, records, give } = holdersOf(1, 2, 3);
  for (const place of [2, 0, 1, 0]) give('r', records[place]);
  expect(holders.size).toBe(1);
  expect([1, 2, 3, 4].map(() => holders.take('r')?.order)).toEqual([1, 2, 3, undefined]);
});

test("what a record held that has left is nobody else's, and the others keep theirs", () => {
  const { holders, records, give, leave } = holdersOf(1, 2);
  give('shared', records[0]);
  give('shared', records[1]);
  give('own', records[0]);
  leave(records[0]);
  expect(holders.has('own')).toBe(false);
  expect(holders.take('shared')).toBe(records[1]);
  expect(holders.size).toBe(0);
});

test('I5: ids that a record that has left did not name are not remembered for ever', () => {
  const { holders, records, give } = holdersOf(1, 2);
  for (let number = 0; number < 10_000; number += 1) holders.add(`unnamed-${number}`, records[0]);
  records[0].hasLeft = true;
  holders.forget(records[0], new Set());
  for (let number = 0; number < 20_000; number += 1) {
    give(`named-${number}`, records[1]);
    holders.take(`named-${number}`);
    give(`kept-${number}`, records[1]);
  }
  expect(holders.size).toBe(20_000);
});

test("where a search is given, it says who holds what is not known to be one record's", () => {
  const hands = new Map([['by hand', [{ order: 7 }]]]);
  const holders = new RequestHolders({
    isHolder: () => true,
    orderOf: ({ order }) => order,
    search: (requestId) => hands.get(requestId) ?? [],
  });
  expect(holders.take('by hand')).toEqual({ order: 7 });
  expect(holders.take('unknown')).toBeUndefined();
});
