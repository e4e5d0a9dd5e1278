'use strict';

// A process of workers, and of visitors who use HTTP and the endpoint. Started by soak.mjs, which says over IPC when to
// make noise and when to be quiet, and which may stop or kill it at any moment.

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { once } = require('node:events');
const WebSocket = require('ws');
const { randomFrom } = require('../__test__/support/random');
const { answerCommands } = require('./commands');
const { Worker } = require('./worker');

const { port, host, seed, first, count, workers, visitors, runsFolder } = JSON.parse(process.argv[2]);
const MAX_VIOLATIONS = 20;

/** Which requests ran is in a file, since this process may be killed at any moment. */
const runs = fs.openSync(path.join(runsFolder, `${process.pid}`), 'a');

const fleet = {
  port,
  host,
  ids: Array.from({ length: workers }, (_, index) => `w${index}`),
  violations: [],
  counts: {},
  complain(what) {
    if (this.violations.length < MAX_VIOLATIONS) this.violations.push(what);
  },
  ran: (requestId) => fs.writeSync(runs, `${requestId}\n`),
};
const all = Array.from(
  { length: count },
  (_, index) => new Worker(fleet, `w${first + index}`, randomFrom(seed * 1000 + first + index)),
);
const random = randomFrom(seed * 1000 + 999);
let noisy = false;

const add = (name) => {
  fleet.counts[name] = (fleet.counts[name] ?? 0) + 1;
};

/** A request; `abort` cuts it when the answer begins. */
function request(path, agent, abort) {
  return new Promise((resolve) => {
    const req = http.get({ port, host, path, agent }, (res) => {
      add(abort ? 'HTTP aborted' : `HTTP ${res.statusCode}`);
      if (abort) req.destroy();
      res.resume();
    });
    req.on('error', () => add('HTTP failed'));
    req.on('close', resolve);
  });
}

/** An endpoint socket that must get back what it sends, in order. */
async function useEndpoint() {
  const ws = new WebSocket(`ws://${host}:${port}/ws/echo?x=${random()}`);
  let next = 0;
  ws.on('error', () => {});
  ws.on('open', () => {
    for (let i = 0; i < 20; i += 1) ws.send(String(i));
  });
  ws.on('message', (data) => {
    if (String(data) !== String(next)) fleet.complain(`the endpoint sent ${data} where ${next} was due`);
    next += 1;
    if (next < 20) return;
    add('endpoint');
    if (random() < 0.5) ws.close();
    else ws.terminate();
  });
  await new Promise((resolve) => ws.on('close', resolve));
}

async function visit() {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
  while (noisy) {
    const path = ['/health', '/health', '/large', '/nowhere', '/boom'][Math.floor(random() * 5)];
    await Promise.all([request(path, agent, false), request('/large', agent, random() < 0.5), useEndpoint()]);
    await new Promise((resolve) => setTimeout(resolve, random() * 100));
  }
  agent.destroy();
}

let running = null;

const commands = {
  noise() {
    noisy = true;
    running = Promise.all([...all.map((worker) => worker.run()), ...(visitors ? [visit()] : [])]);
  },
  /** Resolves when none of the process's connections is left. */
  async quiet() {
    noisy = false;
    for (const worker of all) worker.stop();
    const overdue = setTimeout(() => {
      for (const worker of all.filter(({ doing }) => doing !== null))
        fleet.complain(`${worker.ownId} does not end: ${worker.doing}`);
      console.log(fleet.violations);
    }, 10_000);
    await running;
    clearTimeout(overdue);
    return commands.report();
  },
  report: () => ({ violations: fleet.violations.splice(0), counts: fleet.counts }),
  /** Connections that are there when the server stops: workers, one that answers nothing, idle HTTP and an endpoint socket. */
  async stay() {
    const sockets = ['/', '/', '/ws/echo'].map((path) => new WebSocket(`ws://${host}:${port}${path}`));
    for (const ws of sockets) ws.on('error', () => {});
    await Promise.all(sockets.map((ws) => once(ws, 'open')));
    sockets[0].send(JSON.stringify(all[0].registration('the last')));
    await once(sockets[0], 'message');
    sockets[1].pause();
    await request('/health', new http.Agent({ keepAlive: true }), false);
  },
};

answerCommands(commands);
// Nothing of this outlives the soak.
process.on('disconnect', () => process.exit());
