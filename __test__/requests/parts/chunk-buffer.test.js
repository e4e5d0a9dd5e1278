'use strict';

const { ChunkBuffer } = require('../../../lib/requests/stream.js');

const DONE = { done: true, value: undefined };
const chunk = (value) => ({ done: false, value });

test('several calls of next at once are answered in order, before and after chunks come', async () => {
  const buffer = new ChunkBuffer(100);
  buffer.push('a', 1);
  const reads = [buffer.next(), buffer.next(), buffer.next()];
  buffer.push('b', 1);
  buffer.push('c', 1);
  expect(await Promise.all(reads)).toEqual(['a', 'b', 'c'].map(chunk));
});

test('chunks that came can be taken after the end, and then it is done for good', async () => {
  const buffer = new ChunkBuffer(100);
  for (let number = 0; number < 10; number += 1) buffer.push(number, 1);
  buffer.end();
  for (let number = 0; number < 10; number += 1) expect(await buffer.next()).toEqual(chunk(number));
  expect(await buffer.next()).toEqual(DONE);
  expect(await buffer.next()).toEqual(DONE);
});

test('an error is thrown once, behind the chunks that had come, or at once if they are dropped', async () => {
  for (const drops of [false, true]) {
    const buffer = new ChunkBuffer(100);
    const error = new Error('lost');
    buffer.push('a', 1);
    buffer.fail(error, drops);
    if (!drops) expect(await buffer.next()).toEqual(chunk('a'));
    await expect(buffer.next()).rejects.toBe(error);
    expect(await buffer.next()).toEqual(DONE);
  }
});

test('of several readers that wait the first gets the error, and the others find it done', async () => {
  const buffer = new ChunkBuffer(100);
  const error = new Error('lost');
  const [first, second] = [buffer.next(), buffer.next()];
  buffer.fail(error, false);
  await expect(first).rejects.toBe(error);
  expect(await second).toEqual(DONE);
});

test('only what nobody has taken counts for the bound', async () => {
  const buffer = new ChunkBuffer(10);
  for (let round = 0; round < 5; round += 1) {
    expect(buffer.push(round, 6)).toBe(true);
    expect(buffer.push(round, 6)).toBe(false);
    expect(await buffer.next()).toEqual(chunk(round));
  }
  const waiting = buffer.next();
  expect(buffer.push('large', 1_000)).toBe(true);
  expect(await waiting).toEqual(chunk('large'));
});

test('a reader that has left gets nothing more, an error neither', async () => {
  const buffer = new ChunkBuffer(10);
  buffer.push('a', 1);
  buffer.leave();
  buffer.fail(new Error('later'), true);
  expect(await buffer.next()).toEqual(DONE);
});
