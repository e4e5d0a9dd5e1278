'use strict';

const crypto = require('node:crypto');
const { ask, get, startGateway } = require('./support/gateway.js');
const { connectRequestWorker } = require('../support/request-worker.js');

const KEYS = ['sk-first-secret', 'sk-second-secret'];
const bearer = (key) => ({ Authorization: `Bearer ${key}` });
const fairKeyOf = (key) => crypto.createHash('sha256').update(key).digest('hex').slice(0, 16);

const status = async (port, headers) => (await get(port, '/v1/models', headers)).status;

/** A gateway and the options that its requests are sent with. */
async function spiedGateway(options) {
  const { server, port, log } = await startGateway(options);
  await connectRequestWorker(server);
  const sent = [];
  server.request = async (payload, given) => {
    sent.push({ payload, ...given });
    return {};
  };
  return { server, port, log, sent };
}

test('without keys everybody is let in, with an empty list nobody', async () => {
  const open = await startGateway();
  expect(await status(open.port)).toBe(200);
  expect(await status(open.port, bearer('anything'))).toBe(200);
  const closed = await startGateway({ apiKeys: [] });
  expect(await status(closed.port)).toBe(401);
  expect(await status(closed.port, bearer('anything'))).toBe(401);
});

test('each key lets in, as a Bearer and no other way', async () => {
  const { port } = await startGateway({ apiKeys: KEYS });
  for (const key of KEYS) {
    expect(await status(port, bearer(key))).toBe(200);
    expect(await status(port, { Authorization: `bearer   ${key}` })).toBe(200);
  }
  for (const headers of [
    {},
    { Authorization: KEYS[0] },
    { Authorization: '' },
    { Authorization: 'Bearer' },
    { Authorization: `Basic ${KEYS[0]}` },
    { Authorization: `Basic ${Buffer.from(`:${KEYS[0]}`).toString('base64')}` },
    bearer(`${KEYS[0]}x`),
    bearer(KEYS[0].slice(0, -1)),
    bearer(KEYS[0].toUpperCase()),
    bearer(KEYS.join(',')),
    { 'api-key': KEYS[0] },
    { 'x-api-key': KEYS[0] },
    { Cookie: `Authorization=Bearer ${KEYS[0]}` },
  ]) {
    expect(await status(port, headers)).toBe(401);
  }
  expect((await get(port, `/v1/models?api_key=${KEYS[0]}`)).status).toBe(401);
});

test('a key may have any characters that a header can carry', async () => {
  const { port } = await startGateway({ apiKeys: ['schlüssel 🔑'] });
  expect(await status(port, bearer(Buffer.from('schlüssel 🔑').toString('latin1')))).toBe(200);
  expect(await status(port, bearer('schlussel'))).toBe(401);
});

test('a client that is not let in learns so on every route, before its body is looked at', async () => {
  const { server, port } = await startGateway({ apiKeys: KEYS });
  await connectRequestWorker(server);
  for (const request of [
    { path: '/v1/chat/completions' },
    { path: '/v1/responses', body: 'not JSON' },
    { path: '/v1/embeddings', headers: { 'Content-Type': 'text/plain' } },
    { method: 'GET', path: '/v1/models' },
    { method: 'GET', path: '/v1/models/m' },
  ]) {
    const answer = await ask(port, request);
    expect(answer.status).toBe(401);
    expect(answer.json.error).toEqual({
      message: expect.any(String),
      type: 'invalid_request_error',
      param: null,
      code: 'invalid_api_key',
    });
    expect(answer.headers['x-should-retry']).toBe('false');
    expect(answer.headers['x-request-id']).toMatch(/./);
  }
});

test('all keys are compared each time, in constant time', async () => {
  const { port } = await startGateway({ apiKeys: [...KEYS, 'third'] });
  const compare = jest.spyOn(crypto, 'timingSafeEqual');
  try {
    for (const headers of [bearer(KEYS[0]), bearer('third'), bearer('wrong'), bearer(KEYS[0].slice(0, 5)), {}]) {
      compare.mockClear();
      await status(port, headers);
      expect(compare).toHaveBeenCalledTimes(3);
    }
  } finally {
    compare.mockRestore();
  }
});

test('what a key’s requests wait in turn by is a part of its hash; without keys there is none', async () => {
  const { port, sent } = await spiedGateway({ apiKeys: KEYS });
  for (const key of KEYS) await ask(port, { headers: bearer(key) });
  expect(sent.map(({ fairKey }) => fairKey)).toEqual(KEYS.map(fairKeyOf));
  const open = await spiedGateway();
  await ask(open.port, { headers: bearer(KEYS[0]) });
  expect(open.sent[0].fairKey).toBeUndefined();
});

test('nothing that reaches a worker holds the key', async () => {
  const { server, port } = await startGateway({ apiKeys: KEYS });
  const worker = await connectRequestWorker(server);
  const answer = ask(port, { headers: bearer(KEYS[0]) });
  worker.answer(await worker.nextRequest(), 'result', { data: {} });
  await answer;
  expect(worker.frames.join()).not.toMatch(/sk-first/);
});

describe('authenticate', () => {
  test.each([
    [true, 200],
    ['user-1', 200],
    [false, 401],
    ['', 401],
    [undefined, 401],
    [null, 401],
    [1, 401],
    [{ ok: true }, 401],
  ])('%j is answered with %i, also later', async (verdict, expected) => {
    for (const authenticate of [() => verdict, async () => verdict]) {
      const { port } = await startGateway({ authenticate });
      expect(await status(port)).toBe(expected);
    }
  });

  test('it gets the request, and a string from it is the fairKey', async () => {
    const { port, sent } = await spiedGateway({ authenticate: (req) => req.headers['x-user'] ?? true });
    await ask(port, { headers: { 'x-user': 'ann' } });
    await ask(port);
    expect(sent.map(({ fairKey }) => fairKey)).toEqual(['ann', undefined]);
  });

  test('with keys as well both must agree', async () => {
    const authenticate = jest.fn((req) => ({ yes: true, named: 'ann', no: false })[req.headers['x-say']]);
    const { port, sent } = await spiedGateway({ apiKeys: KEYS, authenticate });
    const tried = async (key, say) => (await ask(port, { headers: { ...bearer(key), 'x-say': say } })).status;
    expect(await tried('wrong', 'yes')).toBe(401);
    expect(await tried(KEYS[0], 'no')).toBe(401);
    expect(await tried(KEYS[0], 'yes')).toBe(200);
    expect(await tried(KEYS[1], 'named')).toBe(200);
    expect(sent.map(({ fairKey }) => fairKey)).toEqual([fairKeyOf(KEYS[0]), 'ann']);
  });

  test.each([
    ['throws', () => { throw new Error('the database is away'); }], // prettier-ignore
    ['rejects', async () => { throw new Error('the database is away'); }], // prettier-ignore
  ])('one that %s is a no, and logged', async (_how, authenticate) => {
    const { port, log } = await startGateway({ authenticate });
    expect(await status(port)).toBe(401);
    expect(log.all('Error in authenticate')).toEqual([
      { level: 'error', message: 'Error in authenticate', context: { error: 'the database is away' } },
    ]);
  });
});

test('no line and no answer holds a key, not even where the application throws it', async () => {
  const quote = (req) => {
    throw Object.assign(new Error(`${req.headers.authorization} of ${KEYS}`), { status: 200 });
  };
  const first = await startGateway({ apiKeys: KEYS, authenticate: quote });
  const second = await startGateway({ options: quote });
  await connectRequestWorker(second.server);
  const answers = [
    await ask(first.port, { headers: bearer(KEYS[1]) }),
    await ask(first.port, { headers: bearer('sk-of-a-guess') }),
    await ask(second.port, { headers: bearer('sk-of-a-guess') }),
  ];
  expect(answers.map((answer) => answer.status)).toEqual([401, 401, 500]);
  expect(JSON.stringify(answers)).not.toMatch(/sk-/);
  const lines = JSON.stringify([first.log.lines, second.log.all('Error in gateway options')]);
  expect(lines).toMatch(/Error in authenticate/);
  expect(lines).toMatch(/Error in gateway options/);
  expect(lines).not.toMatch(/sk-(first|second)-secret.*authenticate/);
  expect(JSON.stringify(first.log.lines)).not.toMatch(/sk-/);
  expect(lines).not.toMatch(/sk-of-a-guess/);
});
