'use strict';

// A worker that takes requests, on a real `ws` client, with its answers given by hand.

const { capabilitiesOf, connectWorker } = require('./worker.js');

/**
 * A registered worker with the feature `request`, and whatever `features` adds to it. Besides what `connectWorker`
 * returns it has `nextRequest()`, and `answer(request, type, fields)`, which sends a message about that request.
 */
async function connectRequestWorker(
  server,
  workerId = 'w',
  { models = ['m'], slots = 2, features = ['request'], ...fields } = {},
) {
  const { limits, metadata, ...registration } = fields;
  const capabilities = capabilitiesOf(models, slots, {
    ...(limits && { concurrencyLimits: limits }),
    ...(metadata && { metadata }),
  });
  const worker = await connectWorker(server, workerId, { capabilities, features, ...registration });
  worker.nextRequest = () => worker.next('request');
  worker.answer = ({ requestId, attempt }, type, more = {}) =>
    worker.send({ type: `request_${type}`, requestId, attempt, ...more });
  return worker;
}

/** The error that a promise rejects with. */
async function rejection(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it was not rejected');
}

module.exports = { connectRequestWorker, rejection };
