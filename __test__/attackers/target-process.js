'use strict';

// The server that is attacked, in a process of its own, with the application that its well-behaved worker needs.

const fs = require('node:fs');
const obey = require('./obey');

const status = (name) => {
  const text = fs.existsSync('/proc/self/status') ? fs.readFileSync('/proc/self/status', 'latin1') : '';
  const match = text.match(new RegExp(`${name}:\\s+(\\d+) kB`));
  return match ? Number(match[1]) * 1024 : process.memoryUsage.rss();
};

let server;
let taken = 0;
const lines = {};
const log = (message) => {
  lines[message] = (lines[message] ?? 0) + 1;
};

obey({
  async start({ standin = false, ...options } = {}) {
    const { WorkerServer } = require(standin ? '../parity/standin.js' : '../../index.js');
    server = new WorkerServer({ port: 0, logger: { debug: log, info: log, warn: log, error: log }, ...options });
    server.onWorkerMessage('echo', (worker, { n }) => server.send(worker.id, { type: 'echoed', n }));
    server.onWorkerMessage('taken', () => {
      taken += 1;
    });
    server.addHttpHandler(async (req, res) => {
      res.end('fine');
      return true;
    });
    await server.start();
    return server.port;
  },

  /** Sends each worker whose id begins with `deaf` a megabyte, again and again, `times` times at most. */
  sendMuch({ times }) {
    const text = 'x'.repeat(1024 * 1024);
    const timer = setInterval(() => {
      if (times === 0) {
        clearInterval(timer);
        return;
      }
      times -= 1;
      for (const { id } of server.getWorkerInfo()) {
        if (id.startsWith('deaf')) server.send(id, { type: 'much', text });
      }
    }, 5);
  },

  sizes() {
    const { user, system } = process.cpuUsage();
    return {
      resident: status('VmRSS'),
      peak: status('VmHWM'),
      cpuMs: (user + system) / 1000,
      workers: server.getWorkerCount(),
      taken,
      lines,
    };
  },

  statusOf: (id) => server.getWorkerInfo().find((worker) => worker.id === id)?.status,
  stop: () => server.stop(),
});
