'use strict';

const { WorkerServer } = require('../support/package');
const { startServer } = require('../support/server');
const { openWorker } = require('../support/socket');

const MEMBERS = [
  'maxMessageBytes',
  'headTimeoutMs',
  'maxHeadBytes',
  'registrationTimeoutMs',
  'maxConnections',
  'maxUnregistered',
  'maxQueuedBytes',
  'stallTimeoutMs',
  'maxUnhandledBytes',
  'maxUnhandledBytesTotal',
  'stopGraceMs',
  'authTimeoutMs',
  'maxAuthFailures',
  'cancelGraceMs',
  'resumeGraceMs',
  'maxStreamBytes',
];

/** What the constructor throws. */
function thrownBy(limits) {
  try {
    new WorkerServer({ port: 0, limits });
  } catch (error) {
    return error;
  }
  return undefined;
}

test.each(MEMBERS)('limits.%s must be a number that makes sense', (member) => {
  for (const value of [-1, NaN, '10', {}, true, null]) {
    const error = thrownBy({ [member]: value });
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain(`options.limits.${member}`);
  }
});

test.each(MEMBERS)('limits.%s may be left out or be undefined', (member) => {
  expect(thrownBy({})).toBeUndefined();
  expect(thrownBy({ [member]: undefined })).toBeUndefined();
  expect(thrownBy({ [member]: 20000 })).toBeUndefined();
});

test.each([[5], ['much'], [true]])('limits must be an object, which %p is not', (limits) => {
  const error = thrownBy(limits);
  expect(error).toBeInstanceOf(TypeError);
  expect(error.message).toContain('limits');
});

test('a server with all of its limits set serves workers', async () => {
  const { port } = await startServer({
    limits: {
      maxMessageBytes: 65536,
      headTimeoutMs: 5000,
      maxHeadBytes: 8192,
      registrationTimeoutMs: 5000,
      maxConnections: 10,
      maxUnregistered: 5,
      maxQueuedBytes: 1048576,
      stallTimeoutMs: 5000,
      maxUnhandledBytes: 1048576,
      maxUnhandledBytesTotal: 4194304,
      stopGraceMs: 1000,
    },
  });
  expect((await openWorker(port, 'w')).ack.success).toBe(true);
});
