'use strict';

// What the tests of `authenticate` share: a hook that a test answers itself, and how a refusal looks.

const { until } = require('../../support/server.js');

const WRONG = { type: 'worker_registration_ack', success: false, error: 'Invalid authentication token' };
const NOT_AUTHENTICATED = 'Worker registration rejected: not authenticated';

/** A hook whose decisions are made by the test: `asked` resolves with the n-th call. */
function manualHook() {
  const calls = [];
  const authenticate = (credentials, signal) =>
    new Promise((resolve, reject) => calls.push({ credentials, signal, resolve, reject }));
  const asked = async (n = 0) => {
    await until(() => calls.length > n);
    return calls[n];
  };
  return { authenticate, asked, calls };
}

async function refused(client, ack) {
  expect(await ack).toEqual(WRONG);
  expect(await client.closed).toEqual({ code: 4001, reason: 'Authentication failed' });
}

module.exports = { NOT_AUTHENTICATED, manualHook, refused };
