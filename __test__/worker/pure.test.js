'use strict';

// The parts that decide something and touch nothing.

const { backoffDelayMs, retryAfterMs } = require('../../lib/worker/connection/backoff.js');
const { judgeClose } = require('../../lib/worker/connection/close-verdict.js');
const { chooseProxy } = require('../../lib/worker/connection/proxy.js');
const { Redactor } = require('../../lib/worker/connection/redactor.js');
const { ReplayBuffer } = require('../../lib/worker/connection/replay.js');

describe('back-off', () => {
  const reconnect = { initialDelayMs: 1_000, maxDelayMs: 30_000 };

  test('doubles its ceiling up to a maximum, and draws anything below it', () => {
    const ceilings = [1, 2, 3, 4, 5, 6, 7, 5_000].map((failures) => backoffDelayMs(failures, reconnect, () => 0.5) * 2);
    expect(ceilings).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    expect(backoffDelayMs(3, reconnect, () => 0)).toBe(0);
    expect(backoffDelayMs(3, reconnect, () => 0.9999)).toBe(3_999);
  });

  test('copes with nothing and with infinity', () => {
    expect(backoffDelayMs(5_000, { initialDelayMs: 0, maxDelayMs: Infinity }, () => 0.5)).toBe(0);
    expect(backoffDelayMs(5_000, { initialDelayMs: 1, maxDelayMs: Infinity }, () => 0.5)).toBeGreaterThan(1e300);
    expect(backoffDelayMs(1, { initialDelayMs: Infinity, maxDelayMs: Infinity }, () => 0)).toBe(Infinity);
  });

  test.each([
    ['5', 5_000],
    ['0', 0],
    [' 12 ', 12_000],
    [undefined, undefined],
    ['', undefined],
    ['soon', undefined],
    ['-5', undefined],
    ['1.5', undefined],
    ['Thu, 01 Jan 1970 00:00:30 GMT', 20_000],
    ['Thu, 01 Jan 1970 00:00:05 GMT', 0],
  ])('Retry-After: %s means %p ms', (header, expected) => {
    expect(retryAfterMs(header, 10_000)).toBe(expected);
  });
});

test.each([
  [1000, '', undefined, 'let-go'],
  [1001, 'Server shutting down', undefined, 'lost'],
  [1005, '', undefined, 'lost'],
  [1006, '', undefined, 'lost'],
  [4001, 'Authentication failed', 'Invalid authentication token', 'token-refused'],
  [4002, 'Invalid registration', undefined, 'rejected'],
  [4003, 'Replaced by new connection', undefined, 'rejected'],
  [4003, 'Heartbeat timeout', undefined, 'lost'],
  [4009, 'Id in use', 'Id in use', 'lost'],
  [1006, '', 'Invalid authentication token', 'token-refused'],
  [1005, '', 'Invalid registration: workerId: must be a string', 'rejected'],
  [1006, '', 'Id in use', 'lost'],
])('a close %i %s after %p is %s', (code, reason, refusal, kind) => {
  expect(judgeClose(code, reason, refusal).kind).toBe(kind);
});

describe('the proxy', () => {
  const choose = (url, option, env = {}) => chooseProxy(new URL(url), option, env);
  const proxy = { host: 'proxy', port: 80, credentials: null };

  test.each([
    ['ws://host', { HTTP_PROXY: 'http://proxy' }],
    ['wss://host', { HTTPS_PROXY: 'http://proxy' }],
    ['wss://host', { https_proxy: 'proxy' }],
    ['ws://host', { ALL_PROXY: 'http://proxy' }],
    ['wss://host', { all_proxy: 'http://proxy', HTTP_PROXY: 'http://other' }],
    ['ws://host', { http_proxy: 'http://proxy', HTTP_PROXY: 'http://other', ALL_PROXY: 'http://third' }],
    ['ws://host', { HTTP_PROXY: '', ALL_PROXY: 'http://proxy' }],
    ['ws://host', { HTTP_PROXY: 'http://proxy', NO_PROXY: 'other, nothost,thost' }],
    ['ws://host:81', { HTTP_PROXY: 'http://proxy', NO_PROXY: 'host:80' }],
  ])('of %s with %j is the one that is named', (url, env) => {
    expect(choose(url, undefined, env)).toEqual(proxy);
  });

  test.each([
    ['ws://host', {}],
    ['ws://host', { HTTPS_PROXY: 'http://proxy' }],
    ['wss://host', { HTTP_PROXY: 'http://proxy' }],
    ...[
      'ws://localhost',
      'ws://a.localhost',
      'ws://127.0.0.1',
      'ws://127.9.9.9:80',
      'ws://[::1]',
      'ws://0.0.0.0',
      'ws://[::ffff:127.0.0.1]',
    ].map((url) => [url, { ALL_PROXY: 'http://proxy' }]),
    ...[
      ['ws://host', '*'],
      ['ws://host', 'a,host'],
      ['ws://host', 'HOST'],
      ['ws://a.host', 'host'],
      ['ws://a.host', '.host'],
      ['ws://a.host', '*.host'],
      ['ws://host:81', 'host:81'],
      ['ws://host', 'host:80'],
      ['wss://host', 'host:443'],
      ['ws://10.1.2.3', '10.0.0.0/8'],
      ['ws://10.1.2.3', '10.1.2.3'],
      ['ws://[fd00::5]', 'fd00::/8'],
      ['ws://[fd00::5]', '[fd00::5]:80'],
      ['ws://host', 'a host b'],
    ].map(([url, NO_PROXY]) => [url, { ALL_PROXY: 'http://proxy', NO_PROXY }]),
  ])('of %s with %j is none', (url, env) => {
    expect(choose(url, undefined, env)).toBeNull();
  });

  test('can be given, with credentials, or forbidden', () => {
    expect(choose('wss://host', 'http://us%40er:p%3Ass@proxy:3128')).toEqual({
      host: 'proxy',
      port: 3128,
      credentials: 'us@er:p:ss',
    });
    expect(choose('wss://host', 'http://100%25:100%@[::1]:3128')).toEqual({
      host: '::1',
      port: 3128,
      credentials: '100%:100%',
    });
    expect(choose('wss://host', false, { ALL_PROXY: 'http://proxy' })).toBeNull();
    expect(choose('ws://localhost', 'http://proxy')).toBeNull();
  });

  test.each(['socks5://secret@proxy', 'https://secret@proxy', 'http://', 'nonsense://'])('can’t be %s', (value) => {
    expect(() => choose('ws://host', value)).toThrow(/^options\.proxy must be/);
    expect(() => choose('ws://host', undefined, { ALL_PROXY: value })).toThrow(/^ALL_PROXY must be/);
    expect(() => choose('ws://host', value)).toThrow(TypeError);
    expect(() => choose('ws://host', value)).not.toThrow(/secret/);
  });
});

describe('what is kept for a resume', () => {
  const MIB = 1024 * 1024;
  const chunk = (seq, bytes = MIB) => ({ seq, text: `${seq}`, bytes });
  const seqs = (chunks) => chunks?.map(({ seq }) => seq);

  test('is the last 8 MiB of a stream', () => {
    const replay = new ReplayBuffer();
    for (let seq = 0; seq < 8; seq += 1) expect(replay.add('a', chunk(seq)).size).toBe(0);
    expect([...replay.add('a', chunk(8))]).toEqual(['a']);
    expect(replay.from('a', 0, 9)).toBeUndefined();
    expect(seqs(replay.from('a', 9, 9))).toEqual([]);
  });

  test('is given from a number on, and what came before it is let go', () => {
    const replay = new ReplayBuffer();
    for (let seq = 0; seq < 500; seq += 1) replay.add('a', chunk(seq, 10));
    expect(seqs(replay.from('a', 497, 500))).toEqual([497, 498, 499]);
    expect(replay.from('a', 496, 500)).toBeUndefined();
    expect(seqs(replay.from('a', 500, 500))).toEqual([]);
    expect(replay.from('a', 501, 500)).toBeUndefined();
    expect(seqs(replay.from('unknown', 0, 0))).toEqual([]);
    expect(replay.from('unknown', 0, 1)).toBeUndefined();
  });

  test('is 64 MiB in all, and the largest stream pays', () => {
    const replay = new ReplayBuffer();
    for (let stream = 0; stream < 8; stream += 1) {
      for (let seq = 0; seq < 7; seq += 1) replay.add(stream, chunk(seq));
    }
    for (let seq = 0; seq < 8; seq += 1) expect(replay.add('large', chunk(seq)).size).toBe(0);
    expect([...replay.add('small', chunk(0))]).toEqual(['large']);
    replay.forget(0);
    expect(replay.add('small', chunk(1)).size).toBe(0);
    expect(seqs(replay.from('small', 0, 2))).toEqual([0, 1]);
  });
});

test('secrets are taken out of texts, but for those that are too short to be any', () => {
  const redactor = new Redactor(['sesame', 'abc', undefined]);
  redactor.add('other-token');
  expect(redactor.redact('sesame, sesame and other-token, abc')).toBe('***, *** and ***, abc');
  expect(redactor.redactAll({ error: 'sesame', delayMs: 5 })).toEqual({ error: '***', delayMs: 5 });
  expect(redactor.redact(undefined)).toBeUndefined();
});
