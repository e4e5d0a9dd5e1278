'use strict';

const { openaiGateway } = require('../../lib/gateway/index.js');
const { createServer } = require('../support/server.js');
const { warningsOfTheCode } = require('../support/warnings.js');

const make = (options) => openaiGateway(createServer().server, options);

test.each([
  ['path', ['v1', '', '/v1?x', '/v1#x', '/a b', 5, null]],
  ['apiKeys', ['sk-secret', null, {}, [''], ['sk-secret', ''], ['sk-secret', 5], [null], [,], new Set(['sk-secret'])]], // eslint-disable-line no-sparse-arrays
  ['authenticate', [null, true, 'sk-secret']],
  ['maxBodyBytes', [0, -1, 1.5, NaN, Infinity, '1', null]],
  ['options', [null, {}, 'x']],
])('a wrong %s is a TypeError that names it, and shows no value', (name, values) => {
  for (const value of values) {
    expect(() => make({ [name]: value })).toThrow(TypeError);
    expect(() => make({ [name]: value })).toThrow(new RegExp(`^options\\.${name}.* must be `));
    expect(() => make({ [name]: value })).not.toThrow(/secret/);
  }
});

test('a server and an options object are needed', () => {
  for (const server of [undefined, null, {}, 5]) {
    expect(() => openaiGateway(server)).toThrow(new TypeError('server must be a WorkerServer'));
  }
  for (const options of [null, 5, 'sk-secret']) {
    expect(() => make(options)).toThrow(new TypeError('options must be an object'));
  }
  expect(make()).toEqual(expect.any(Function));
  expect(make({ path: undefined, apiKeys: undefined, maxBodyBytes: undefined })).toEqual(expect.any(Function));
});

test('a name that is unknown causes a warning: without it a gateway would be open that should not be', () => {
  const warnings = warningsOfTheCode();
  make({ apiKey: ['sk-secret'] });
  expect(warnings).toEqual([
    ['WORKER_SERVER_UNKNOWN_OPTION', expect.stringMatching(/'apiKey' \(did you mean apiKeys\?\)/)],
  ]);
  expect(warnings[0][1]).not.toMatch(/secret/);
});
