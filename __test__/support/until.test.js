'use strict';

const { until } = require('./server.js');

let asked = 0;
let abandoned;

test('until asks for as long as its test runs', async () => {
  abandoned = until(() => {
    asked += 1;
    return false;
  });
  abandoned.catch(() => {});
  await until(() => asked > 2);
});

test('until asks no more when its test has ended', async () => {
  await expect(abandoned).rejects.toThrow('The test has ended');
  const before = asked;
  let turns = 0;
  await until(() => (turns += 1) > 3);
  expect(asked).toBe(before);
});
