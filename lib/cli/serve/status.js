'use strict';

// What is to be seen of a server, from its public API: a small page, its data, and the actions on a worker.

const { version } = require('../../../package.json');

const MAX_ACTION_BYTES = 16 * 1024;

const HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'content-security-policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
};

function statusHandler(server) {
  const since = Date.now();
  const routes = {
    '/status': { GET: (_req, res) => answer(res, 200, 'text/html; charset=utf-8', pageOf(statusOf(server, since))) },
    '/status.json': { GET: (_req, res) => answerJson(res, 200, statusOf(server, since)) },
    '/status/actions': { POST: (req, res) => act(server, req, res) },
  };
  return async (req, res) => {
    const path = req.url.split('?', 1)[0];
    if (!Object.hasOwn(routes, path)) return false;
    const route = routes[path];
    const method = req.method === 'HEAD' && route.GET !== undefined ? 'GET' : req.method;
    if (!Object.hasOwn(route, method)) {
      answerJson(res, 405, { error: 'Method not allowed' }, { allow: Object.keys(route).join(', ') });
      return true;
    }
    await route[method](req, res);
    return true;
  };
}

function statusOf(server, since) {
  const now = Date.now();
  return {
    state: server.state,
    version,
    uptimeMs: now - since,
    workers: server.getWorkerInfo().map((worker) => ({
      id: worker.id,
      name: worker.name,
      address: null,
      status: worker.status,
      active: worker.activeRequests,
      slots: worker.capabilities.maxConcurrentRequests,
      categories: categoriesOf(worker),
      models: worker.capabilities.models.map(({ modelId }) => modelId),
      heartbeatAgeMs: Math.max(0, now - worker.lastHeartbeat.getTime()),
      connectedAt: worker.connectedAt.toISOString(),
    })),
    queue: server.getQueueInfo(),
    requests: [],
    history: [],
    losses: [],
    nodes: null,
  };
}

function categoriesOf({ categoryActiveRequests, capabilities }) {
  const limits = capabilities.concurrencyLimits ?? {};
  const names = new Set([...Object.keys(limits), ...categoryActiveRequests.keys()]);
  const entries = [...names].map((name) => [
    name,
    { active: categoryActiveRequests.get(name) ?? 0, limit: Object.hasOwn(limits, name) ? limits[name] : null },
  ]);
  return Object.fromEntries(entries);
}

/** `{"action": "drain" | "resume" | "disconnect", "workerId": "…"}`, and not from a page elsewhere. */
async function act(server, req, res) {
  const refuse = (status, error) => answerJson(res, status, { error });
  const type = (req.headers['content-type'] ?? '').split(';', 1)[0].trim().toLowerCase();
  if (type !== 'application/json') return refuse(403, 'Content-Type must be application/json');
  const { origin, host } = req.headers;
  if (origin !== undefined && !isOriginOf(origin, host)) return refuse(403, 'Not from another origin');
  const text = await readBody(req);
  if (text === undefined) return answerJson(res, 413, { error: 'The body is too large' }, { connection: 'close' });
  let action;
  let workerId;
  try {
    ({ action, workerId } = JSON.parse(text));
  } catch {
    return refuse(400, 'The body must be a JSON object');
  }
  if (typeof workerId !== 'string') return refuse(400, 'workerId must be a string');
  if (!Object.hasOwn(ACTIONS, action)) return refuse(400, 'action must be drain, resume or disconnect');
  if (!ACTIONS[action](server, workerId)) return refuse(404, 'No such worker');
  return answerJson(res, 200, { action, workerId });
}

/** Undefined if it is too large. The rest is then read and let go, so that the answer arrives. */
function readBody(req) {
  return new Promise((resolve, reject) => {
    const chunks = [];
    let bytes = 0;
    req.on('data', (chunk) => {
      bytes += chunk.length;
      if (bytes <= MAX_ACTION_BYTES) chunks.push(chunk);
      else resolve(undefined);
    });
    req.on('end', () => resolve(Buffer.concat(chunks).toString()));
    req.on('error', reject);
  });
}

const ACTIONS = {
  drain: (server, workerId) => server.setWorkerStatus(workerId, 'draining'),
  resume: (server, workerId) => server.setWorkerStatus(workerId, 'available'),
  disconnect: (server, workerId) => server.disconnectWorker(workerId),
};

function isOriginOf(origin, host) {
  try {
    return new URL(origin).host === new URL(`http://${host}`).host;
  } catch {
    return false;
  }
}

function answerJson(res, status, body, headers) {
  answer(res, status, 'application/json', `${JSON.stringify(body)}\n`, headers);
}

function answer(res, status, type, text, headers) {
  res.writeHead(status, { ...HEADERS, 'content-type': type, 'content-length': Buffer.byteLength(text), ...headers });
  res.end(res.req.method === 'HEAD' ? undefined : text);
}

function pageOf(status) {
  const rows = status.workers.map(({ name, id, status: is, active, slots, models }) =>
    [name, id, is, `${active} of ${slots}`, models.join(', ')].map((cell) => `<td>${escapeHtml(cell)}</td>`).join(''),
  );
  const head = ['Name', 'Id', 'Status', 'Active', 'Models'].map((cell) => `<th scope="col">${cell}</th>`).join('');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>worker-server</title></head><body>
<h1>worker-server ${escapeHtml(status.version)}</h1>
<p>${escapeHtml(status.state)}, ${status.workers.length} workers, ${status.queue.size} requests waiting</p>
<table><thead><tr>${head}</tr></thead><tbody>
${rows.map((row) => `<tr>${row}</tr>`).join('\n')}
</tbody></table></body></html>
`;
}

const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escapeHtml = (text) => String(text).replace(/[&<>"']/g, (character) => ENTITIES[character]);

module.exports = { statusHandler };
