'use strict';

// Whatever JSON can hold reaches the other side over nodes as it does within one, in both directions.

const { startFleet, untilWorkers } = require('../support/cluster.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');
const { connectWorker } = require('../support/worker.js');

/** JSON that is not the same any more when it was parsed and written again, or that is easily spoilt. */
const TEXTS = [
  '-0',
  '[-0,0,1e999,-1e999,1E400]',
  '{"deep":[{"n":-0.0},{"n":1e999}]}',
  '{"__proto__":{"polluted":1},"constructor":null,"toString":1}',
  '{"a":1,"a":-0}',
  '12345678901234567890',
  '[5e-324,1.7976931348623157e308,0.1]',
  '"\\ud800 \\udc00 \\u0000 \\u2028 ä € 😀"',
  '" joined { \\" [ ] } , \\\\ "',
  'null',
  'false',
  '""',
  '{}',
  '[[],{},[{}]]',
];

/** Texts as messages that come alone, and as many that come together. */
const WAYS = [
  ['alone', (worker, texts) => Promise.all(texts.map((text) => worker.sendText(text)))],
  [
    'together with others',
    (worker, texts) => {
      for (const text of texts) {
        worker.send({ type: 'heartbeat', workerId: worker.id, timestamp: '' });
        worker.sendText(text);
        worker.send({ type: 'other', data: 'x' });
      }
    },
  ],
];

/** A node with a worker, the node that asks (here the same, there another), for both. */
async function startBoth() {
  const [a, b] = await startFleet(['a', 'b']);
  const worker = await connectRequestWorker(b, 'w', { models: ['m'], slots: 100 });
  await untilWorkers([a], 1);
  return { askers: { here: b, there: a }, worker };
}

const about = (type, { requestId, attempt }, more) =>
  `{"type":"request_${type}","requestId":${JSON.stringify(requestId)},"attempt":${attempt},${more}}`;

describe.each(WAYS)('values that come %s', (_name, sendAll) => {
  test('results, chunks, progress and errors are the same over nodes as within one', async () => {
    const { askers, worker } = await startBoth();
    const got = {};
    for (const [name, asker] of Object.entries(askers)) {
      const progress = [];
      const results = TEXTS.map((_text, n) => asker.request(n, { onProgress: (data) => progress.push(data) }));
      const asked = await Promise.all(TEXTS.map(() => worker.nextRequest()));
      asked.sort((one, other) => one.payload - other.payload);
      const texts = asked.flatMap((request, at) => [
        about('progress', request, `"data":${TEXTS[at]}`),
        about('result', request, `"data":${TEXTS[at]}`),
      ]);
      await sendAll(worker, texts);
      const stream = asker.stream('x');
      const request = await worker.nextRequest();
      const chunks = TEXTS.map((text, seq) => about('chunk', request, `"seq":${seq},"data":${text}`));
      await sendAll(worker, [...chunks, about('result', request, '"data":1e999')]);
      const read = [];
      for await (const chunk of stream) read.push(chunk);
      const failed = TEXTS.map((_text, n) => rejection(asker.request(n)));
      const failing = await Promise.all(TEXTS.map(() => worker.nextRequest()));
      failing.sort((one, other) => one.payload - other.payload);
      await sendAll(
        worker,
        failing.map((one, at) => about('error', one, `"error":${TEXTS[at]}`)),
      );
      const errors = await Promise.all(failed);
      got[name] = {
        results: await Promise.all(results),
        progress,
        read,
        end: await stream.result,
        errors: errors.map(({ code, message, data }) => ({ code, message, data })),
      };
    }
    const values = TEXTS.map((text) => JSON.parse(text));
    expect(got.here.results).toEqual(values);
    expect(got.here.end).toBe(Infinity);
    expect(got.there).toStrictEqual(got.here);
    expect(Object.hasOwn(got.there.results[3], '__proto__')).toBe(true);
    expect({}.polluted).toBeUndefined();
  });
});

test('payloads reach the worker of another node as one of this node gets them', async () => {
  const { askers, worker } = await startBoth();
  const payloads = [
    { n: -0, nan: NaN, infinite: -Infinity, nothing: undefined, date: new Date(0) },
    JSON.parse('{"__proto__":{"a":1}}'),
    '\ud800 \u0000 \u2028 😀',
    { toJSON: () => ({ from: 'toJSON' }) },
    null,
    0,
    '',
    [],
  ];
  const frames = {};
  for (const [name, asker] of Object.entries(askers)) {
    frames[name] = [];
    for (const [at, payload] of payloads.entries()) {
      const result = asker.request(payload, { requestId: `r${at}`, model: 'm', timeoutMs: Infinity });
      const request = await worker.nextRequest();
      frames[name].push(worker.frames.at(-1));
      worker.answer(request, 'result');
      await result;
    }
  }
  expect(frames.there).toEqual(frames.here);
});

test('a worker without features brings whole messages over nodes, unchanged', async () => {
  const requestTypes = { request: 'work', result: 'done', chunk: 'part' };
  const [a, b] = await startFleet(['a', 'b'], { requestTypes });
  const worker = await connectWorker(b, 'w');
  await untilWorkers([a], 1);
  const stream = a.stream({ n: 1 }, { requestId: 'r' });
  await worker.next('work');
  worker.sendText('{"type":"part","requestId":"r","data":-0,"__proto__":{"x":1}}');
  worker.sendText('{"type":"done","requestId":"r","n":1e999}');
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  expect(chunks).toStrictEqual([JSON.parse('{"type":"part","requestId":"r","data":-0,"__proto__":{"x":1}}')]);
  expect(await stream.result).toStrictEqual({ type: 'done', requestId: 'r', n: Infinity });
});

test.each(['', '__proto__', '\ud800', '😀 "\\'.repeat(5)])('any id and any name cross nodes (%j)', async (text) => {
  const [a, b] = await startFleet(['a', 'b']);
  // No worker registers with half a character in its id, or in a model's.
  const name = text.isWellFormed() ? text : 'name';
  const metadata = { [`k${name}`]: text };
  const worker = await connectRequestWorker(b, `w${name}`, { models: [`m${name}`], metadata });
  await untilWorkers([a], 1);
  const result = a.request('x', {
    requestId: `r${text}`,
    model: `m${name}`,
    category: `c${text}`,
    where: metadata,
    workerId: `w${name}`,
    affinity: `a${text}`,
    fairKey: `f${text}`,
  });
  const request = await worker.nextRequest();
  expect(request).toMatchObject({ requestId: `r${text}`, model: `m${name}`, category: `c${text}` });
  worker.answer(request, 'result', { data: 'done' });
  await expect(result).resolves.toBe('done');
});

test('a worker without limit at another node takes requests, as one of this node does', async () => {
  const { askers } = await startBoth();
  const worker = await connectRequestWorker(askers.here, 'endless', { models: ['endless'], slots: 1e300 });
  await untilWorkers([askers.there], 2);
  const result = askers.there.request('x', { model: 'endless' });
  worker.answer(await worker.nextRequest(), 'result', { data: 'done' });
  await expect(result).resolves.toBe('done');
});
