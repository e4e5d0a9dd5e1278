'use strict';

// `POST <path>/actions`: what the page can have a worker do.

const { sendError, sendJson } = require('./answers.js');
const { isOwnOrigin } = require('./guard.js');

const MAX_BODY_BYTES = 16 * 1024;

/** Each returns false if there is no such worker. */
const ACTIONS = {
  drain: (server, workerId) => server.setWorkerStatus(workerId, 'draining'),
  resume: (server, workerId) => server.setWorkerStatus(workerId, 'available'),
  disconnect: (server, workerId) => server.disconnectWorker(workerId),
};

/**
 * Does what `{ "action": …, "workerId": … }` asks for. Another site's page can send neither JSON nor without an
 * `Origin`.
 *
 * @param {import('../../index.js').WorkerServer} server
 */
async function act(server, req, res) {
  const { origin, host } = req.headers;
  if (!isJson(req.headers['content-type'])) return sendError(res, 403, 'The Content-Type must be application/json');
  if (origin !== undefined && !isOwnOrigin(origin, host)) return sendError(res, 403, 'Not from another origin');
  const text = await readBody(req);
  // The client is gone.
  if (text === null) return undefined;
  if (text === undefined) return sendError(res, 413, 'The body is too large', { Connection: 'close' });
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    return sendError(res, 400, 'The body must be JSON');
  }
  if (!Object.hasOwn(ACTIONS, body?.action)) {
    return sendError(res, 400, `action must be one of ${Object.keys(ACTIONS).join(', ')}`);
  }
  const { action, workerId } = body;
  if (typeof workerId !== 'string') return sendError(res, 400, 'workerId must be a string');
  if (!ACTIONS[action](server, workerId)) return sendError(res, 404, 'No such worker');
  return sendJson(res, 200, { action, workerId });
}

const isJson = (contentType) => /^application\/json[ \t]*(?:;|$)/i.test(contentType ?? '');

/** Undefined if it is too large: the rest is read and dropped, so that the answer arrives. Null if it broke off. */
function readBody(req) {
  return new Promise((resolve) => {
    const chunks = [];
    let bytes = 0;
    req.on('data', (chunk) => {
      bytes += chunk.length;
      if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
      else resolve(undefined);
    });
    req.on('end', () => resolve(Buffer.concat(chunks).toString()));
    req.on('error', () => resolve(null));
  });
}

module.exports = { act };
