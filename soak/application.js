'use strict';

// The server's process: an application on the public API that gives out work, tracks and releases it, and keeps a ledger of
// what must hold. Started by soak.mjs, or by cluster.mjs as one of several, which say over IPC when to be quiet, to measure
// and to stop.

const fs = require('node:fs');
const { WorkerServer } = require(process.env.WORKER_SERVER_IMPL === 'standin' ? '../__test__/parity/standin.js' : '..');
const { randomFrom } = require('../__test__/support/random');
const { Callers } = require('./callers');
const { answerCommands } = require('./commands');
const { Ledger } = require('./ledger');
const { DeliveryGauge, descriptors, measure } = require('./gauges');
const { sockets } = require('./leftovers');
const { CLUSTER_TIMES, openBroker } = require('./broker');

const [seed, workers] = process.argv.slice(2).map(Number);
const [, , , , runsFolder] = process.argv;
/** What makes it one of several servers: `{ nodeId, port, natsPort }`. */
const node = process.argv[5] === undefined ? null : JSON.parse(process.argv[5]);
const TOKEN = "the soak's token";
/** Both ways of treating those who have not registered are soaked: the seed decides. */
const HEARS_STRANGERS = seed % 2 === 0;
const MODELS = ['llama-3-8b', 'llama-3-70b', 'mistral', 'qwen'];
const CATEGORIES = ['chat', 'embed', undefined];
const BODY = Buffer.alloc(512 * 1024, 'x');
/** Several times what silence, a close that nobody answers, and a half-read answer take to be given up. */
const DRAIN_MS = 30_000;
const MAX_VIOLATIONS = 20;

const random = randomFrom(seed);
const pick = (list) => list[Math.floor(random() * list.length)];
const violations = [];
const complain = (what) => {
  if (violations.length < MAX_VIOLATIONS) violations.push(what);
};

const lines = new Map();
const count = (message) => lines.set(message, (lines.get(message) ?? 0) + 1);
const log = (message, context) => {
  count(message);
  if (message === 'Replacing existing worker connection') ledger.replacing(context);
  if (message === 'Worker disconnected') ledger.ended(context);
  if (JSON.stringify(context ?? '').includes(TOKEN)) complain(`a token in the log: ${message}`);
};

const broker = node === null ? null : openBroker(node);

const server = new WorkerServer({
  port: node?.port ?? 0,
  ...(node !== null && { cluster: { adapter: broker.adapter, nodeId: node.nodeId, secret: TOKEN, ...CLUSTER_TIMES } }),
  authToken: TOKEN,
  acceptUnregistered: HEARS_STRANGERS,
  heartbeatTimeoutMs: 1_500,
  healthCheckIntervalMs: 200,
  heartbeatIntervalMs: 400,
  logger: { debug: log, info: log, warn: log, error: log },
  limits: {
    maxMessageBytes: 256 * 1024,
    headTimeoutMs: 1_000,
    registrationTimeoutMs: 1_500,
    maxQueuedBytes: 1024 * 1024,
    stallTimeoutMs: 1_000,
    maxUnhandledBytes: 256 * 1024,
    maxUnhandledBytesTotal: 4 * 1024 * 1024,
    stopGraceMs: 2_000,
    cancelGraceMs: 500,
    resumeGraceMs: 500,
  },
});
const ledger = new Ledger(server, complain, HEARS_STRANGERS);
/** The stand-in has no request(). */
const callers =
  typeof server.request === 'function'
    ? new Callers({ server, complain, random, ...(node === null ? { runsFolder } : { name: node.life }) })
    : null;
ledger.callers = callers;
ledger.isOfFleet = node !== null;
const delivery = new DeliveryGauge();
const others = { http: 0, endpoint: 0, sends: 0, refusedSends: 0, broadcasts: 0 };
let nextRequest = 0;
let nextBroadcast = 0;
let noisy = false;
let socketsAtStart = 0;

server.onWorkerConnected((worker) => ledger.connected(worker));
server.onWorkerDisconnected((worker, pending) => ledger.disconnected(worker, pending));
for (const type of ['note', 'flood', 'result', 'slow', 'boom']) {
  server.onWorkerMessage(type, (worker, message) => {
    delivery.message();
    const session = ledger.message(worker, message);
    if (type === 'result' && session !== undefined) release(message.requestId);
    if (type === 'boom') throw new Error('a handler that throws');
    return type === 'slow' ? workOn() : undefined;
  });
}

/** An async handler: its work is done when the delivery of its message is over. */
async function workOn() {
  await null;
  const end = performance.now() + 0.2;
  while (performance.now() < end);
}

/** Ends a request. One that has ended is released a second time now and then: that must change nothing. */
function release(requestId) {
  if (!ledger.isOpen(requestId) && random() < 0.5) return;
  const completed = random() < 0.8;
  server.releaseRequest(requestId, { incrementCompleted: completed });
  ledger.release(requestId, completed);
}

function sendTo(session, message) {
  const sent = server.send(session.id, { ...message, nonce: session.nonce, n: session.sent });
  if (sent) session.sent += 1;
  others[sent ? 'sends' : 'refusedSends'] += 1;
  return sent;
}

function track(session) {
  const requestId = `r${nextRequest}`;
  nextRequest += 1;
  const sent = sendTo(session, { type: 'work', requestId });
  // A request that could not be sent may be tracked as well: its worker is there until its disconnected event.
  if (!sent && random() < 0.5) return;
  server.trackRequest(session.id, requestId, pick(CATEGORIES));
  ledger.track(session, requestId);
  // Who gets no result in time gives up, or leaves the request to the worker's end.
  if (random() < 0.7) setTimeout(release, 1_000 + random() * 2_000, requestId).unref();
}

function dispatch() {
  for (let i = Math.ceil(workers / 12); i > 0; i -= 1) {
    const worker = server.getAvailableWorker(pick(MODELS), pick(CATEGORIES));
    if (worker === null) continue;
    const session = ledger.session(worker.id);
    if (session?.sessionId !== worker.sessionId || session.active >= session.max) {
      complain(`selected a worker that is not there or full: ${worker.id}`);
    } else {
      track(session);
    }
  }
  for (let i = Math.ceil(workers / 12); i > 0; i -= 1) callers?.ask();
  const { id, status } = pick(server.getWorkerInfo()) ?? {};
  if (status !== undefined && random() < 0.2) server.setWorkerStatus(id, pick(['draining', 'available', 'available']));
  server.trackRequest('nobody', 'never tracked');
  server.releaseRequest('never tracked');
}

/** Much for one worker, whether it reads or not. */
function burst() {
  const sessions = [...ledger.sessions()];
  if (sessions.length === 0) return;
  const session = pick(sessions);
  const pad = 'x'.repeat(16 * 1024);
  for (let i = 0; i < 20; i += 1) sendTo(session, { type: 'bulk', pad });
}

server.addHttpHandler(async (req, res) => {
  others.http += 1;
  if (req.url === '/health') res.end(JSON.stringify({ workers: server.getWorkerCount() }));
  else if (req.url === '/large') res.end(BODY);
  else if (req.url === '/boom') throw new Error('a handler that throws');
  else return false;
  return true;
});
const endpoint = (ws) => {
  others.endpoint += 1;
  ws.on('message', (data) => ws.send(data));
};

setInterval(() => noisy && dispatch(), 20).unref();
setInterval(() => noisy && burst(), 100).unref();
setInterval(() => {
  if (!noisy) return;
  server.broadcast({ type: 'config', broadcast: nextBroadcast });
  nextBroadcast += 1;
  others.broadcasts += 1;
}, 250).unref();

/**
 * Resolves once no worker is left, and no socket but those of the beginning. The slowest to go are those of a vanished network,
 * which are recognised by their silence. What is left after this time is a violation, and named.
 */
async function drained(atMostMs) {
  const end = performance.now() + atMostMs;
  const socketsLeft = () => (Number.isFinite(socketsAtStart) ? descriptors().socket - socketsAtStart : 0);
  const isLeft = () => server.getWorkerCount() > 0 || ledger.liveCount > 0 || socketsLeft() > 0 || callers?.open > 0;
  while (isLeft() && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  if (!isLeft()) return;
  complain(
    `${server.getWorkerCount()} workers and ${socketsLeft()} sockets are left ${atMostMs / 1_000} s after all had gone`,
  );
  for (const { id, status, sessionId, pendingRequestIds } of server.getWorkerInfo()) {
    complain(`left: worker ${id} (${status}, session ${sessionId}, ${pendingRequestIds.size} requests)`);
  }
  for (const socket of sockets()) complain(`left: socket of ${socket}`);
}

const report = () => ({
  violations: violations.splice(0),
  counts: ledger.counts,
  callers: callers?.counts ?? {},
  others,
  lines: Object.fromEntries(lines),
  delivery: {
    late: delivery.maxLate,
    messages: delivery.maxMessages,
    callbacks: delivery.maxCallbacks,
    heldMs: delivery.maxHeldMs,
    elapsedMs: delivery.maxElapsedMs,
  },
});

const commands = {
  async start() {
    server.addWebSocketEndpoint('/ws/echo', endpoint);
    await broker?.connect();
    await server.start();
    socketsAtStart = fs.existsSync('/proc/self/fd') ? descriptors().socket : Infinity;
    return { port: server.port };
  },
  noise() {
    noisy = true;
  },
  /** Ends the noise; with what is left when all workers are gone. */
  async quiet() {
    noisy = false;
    await drained(DRAIN_MS);
    ledger.settle();
    callers?.settle();
    return report();
  },
  /** Must be asked for when nobody is connected any more. */
  measure,
  /** What this server sees of the others. */
  fleet: () => server.getClusterInfo().nodes,
  async stop() {
    noisy = false;
    const begun = performance.now();
    callers?.askBeforeStop();
    const stopped = server.stop();
    await null;
    callers?.settle();
    await stopped;
    await broker?.close();
    return { ms: performance.now() - begun, workers: server.getWorkerCount(), ...report() };
  },
};

// Nothing of this outlives the soak. After the last answer it is this process that goes, and it must be able to.
const orphaned = () => process.exit(1);
process.on('disconnect', orphaned);
answerCommands(commands, (command) => {
  if (command !== 'stop') return;
  // After its last answer nothing here keeps the process alive: it must end by itself.
  process.off('disconnect', orphaned);
  process.disconnect();
});
