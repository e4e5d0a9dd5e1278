'use strict';

const { eventData } = require('../../lib/bridge/sse.js');

async function* bytesOf(text, size) {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function dataOf(text, size = text.length * 4) {
  const events = [];
  for await (const data of eventData(bytesOf(text, Math.max(1, size)))) events.push(data);
  return events;
}

test.each([
  ['data: a\n\ndata: b\n\n', ['a', 'b']],
  ['data: a\r\n\r\ndata: b\r\n\r\n', ['a', 'b']],
  ['data: a\r\rdata: b\r\r', ['a', 'b']],
  ['\ufeffdata:a\n\ndata:  b\n\n', ['a', ' b']],
  ['event: x\nid: 1\nretry: 5\n: ping\ndata: a\ndata: b\n\n', ['a\nb']],
  [': ping\n\n: ping\n\ndata: ü€😀\n\n', ['ü€😀']],
  ['data\n\ndatum: x\n\n', ['']],
  ['data: a\n\ndata: left over', ['a', 'left over']],
  ['data: a\n\ndata: left over\r\n', ['a', 'left over']],
  ['', []],
  ['\n\n\n', []],
])('%j is %j, however it is cut', async (text, events) => {
  for (const size of [1, 2, 3, 5, 1_000]) expect([size, await dataOf(text, size)]).toEqual([size, events]);
});

test('an event without end is cut at a size, comments and many lines too', async () => {
  const big = 'x'.repeat(1024 * 1024);
  for (const line of [`data: ${big}`, `: ${big}\n`, `data: ${big}\n`]) {
    await expect(dataOf(line.repeat(17), 100_000)).rejects.toMatchObject({ code: 'TOO_LARGE' });
  }
  expect(await dataOf(`data: ${big}\n\n`.repeat(20), 100_000)).toHaveLength(20);
});
