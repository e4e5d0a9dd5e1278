'use strict';

// A server in the middle of a day's work, for pictures: a fleet, what waits, what was lost, and ten minutes that were.

const { tracingChannel } = require('node:diagnostics_channel');
const { statusPage } = require('../../../lib/status/index.js');
const { connectRequestWorker } = require('../../support/request-worker.js');
const { SETTINGS } = require('../../../lib/server/settings.js');
const clock = require('../../../lib/time/clock.js');
const { onCleanup } = require('../../support/cleanup.js');
const { createServer } = require('../../support/server.js');

const MODELS = ['llama-3.3-70b', 'qwen-2.5-32b', 'mistral-small', 'gemma-3-27b', 'whisper-large-v3'];
const SITES = ['frankfurt', 'oslo', 'lyon', 'montreal'];
const MINUTES = 10;
const DAY_MS = 86_400_000;

/** Runs `fn` with clocks that are behind by what `behindMs()` returns. */
function inThePast(behindMs, fn) {
  const { now } = clock;
  const { now: today } = Date;
  clock.now = () => now() - behindMs();
  Date.now = () => today.call(Date) - behindMs();
  try {
    return fn();
  } finally {
    clock.now = now;
    Date.now = today;
  }
}

/** What ten minutes of requests would have published. */
function liveThrough(server, random) {
  const channels = tracingChannel('worker-server:request');
  let behindMs = MINUTES * 60_000;
  inThePast(
    () => behindMs,
    () => {
      server.addHttpHandler(statusPage(server, { authenticate: () => true, actions: true }));
      for (; behindMs > 0; behindMs -= 1_000) {
        const minute = behindMs / 60_000;
        const swell = 9 + 5 * Math.sin(minute * 1.4) + 3 * Math.sin(minute * 5.3);
        for (let i = 0; i < swell + 3 * random(); i += 1) {
          const context = { server, requestId: 'past', attempts: 1 };
          const tookMs = 320 + 90 * Math.sin(minute * 2.1) + 2_400 * random() ** 6;
          behindMs += tookMs;
          channels.start.publish(context);
          behindMs -= tookMs;
          const isLost = random() < (minute > 3.1 && minute < 3.5 ? 0.35 : 0.004);
          if (isLost) context.error = { name: 'WorkerRequestError', code: 'WORKER_LOST' };
          else context.result = {};
          channels.asyncEnd.publish(context);
        }
      }
    },
  );
}

/** Requests of every kind of model, most of them for the first. */
const DEMAND = [64, 44, 21, 9, 7];

/** As if the server and its workers had been there for days. */
function growOld(server, random) {
  const settings = { ...server[SETTINGS], startedAt: clock.now() - 3.2 * DAY_MS };
  Object.defineProperty(server, SETTINGS, { value: settings });
  const ages = new Map();
  const { getWorkerInfo } = server;
  server.getWorkerInfo = () =>
    getWorkerInfo.call(server).map((info) => {
      if (!ages.has(info.id)) ages.set(info.id, random() ** 2 * 3 * DAY_MS);
      return { ...info, connectedAt: new Date(info.connectedAt - ages.get(info.id)) };
    });
}

/** Requests go on to end while pictures are taken. */
function goOn(server, random) {
  const channels = tracingChannel('worker-server:request');
  const timer = setInterval(() => {
    const context = { server, requestId: 'now', attempts: 1, result: {} };
    inThePast(
      () => 250 + 200 * random(),
      () => channels.start.publish(context),
    );
    channels.asyncEnd.publish(context);
  }, 75);
  onCleanup(() => clearInterval(timer));
}

/** @param {() => number} random From 0 to 1. */
async function startScene(random) {
  const { server } = createServer({ limits: { resumeGraceMs: 0 } });
  liveThrough(server, random);
  await server.start();
  growOld(server, random);
  goOn(server, random);
  const workers = [];
  for (let i = 0; i < 34; i += 1) {
    const name = `${SITES[i % SITES.length]}-gpu-${String(i + 1).padStart(2, '0')}`;
    const models = [MODELS[i % MODELS.length], ...(i % 3 === 0 ? [MODELS[(i + 2) % MODELS.length]] : [])];
    workers.push(await connectRequestWorker(server, `w-${i}`, { workerName: name, models, slots: 2 + (i % 3) }));
  }
  const lost = [];
  for (const [i, name] of ['lyon-gpu-40', 'oslo-gpu-41', 'montreal-gpu-42'].entries()) {
    lost.push(await connectRequestWorker(server, `w-${40 + i}`, { workerName: name, models: ['lost'], slots: 9 }));
  }
  for (let i = 0; i < 7; i += 1) server.request('x', { workerId: 'w-40', model: 'lost' }).catch(() => {});
  await lost[0].nextRequest();
  await lost[0].die();
  await lost[1].close(4003, 'Heartbeat timeout');
  for (let i = 0; i < 2; i += 1) server.request('x', { workerId: 'w-42', model: 'lost' }).catch(() => {});
  await lost[2].nextRequest();
  await lost[2].close(1011, 'CUDA out of memory');
  server.setWorkerStatus('w-6', 'draining');
  server.setWorkerStatus('w-19', 'draining');
  const demand = DEMAND.flatMap((count, i) =>
    Array.from({ length: count }, (_, n) => ({ model: MODELS[i], at: n / count })),
  );
  demand.sort((a, b) => a.at - b.at);
  for (const [i, { model }] of demand.entries()) {
    server.request('x', { model, requestId: `chat-${(0x5f3a + 7919 * i).toString(16)}` }).catch(() => {});
    if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 400));
    workers[Math.floor(random() * workers.length)].heartbeat();
  }
  return { server, port: server.port, workers };
}

module.exports = { startScene };
