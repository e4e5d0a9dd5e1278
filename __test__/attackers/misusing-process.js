'use strict';

// An application that does one thing to itself (misuse.js), before it loads the package, before its server starts, or while that runs. It is
// useful to its workers all the same: what they ask for must be answered.

const obey = require('./obey');
const { MISUSES } = require('./misuse');

const logger = { debug() {}, info() {}, warn() {}, error() {} };
let server;

obey({
  async start({ name, when }) {
    const misuse = () => MISUSES[name]({ server, logger });
    if (when === 'loads the package') misuse();
    const { WorkerServer } = require('../../index.js');
    server = new WorkerServer({ port: 0, logger, limits: { stopGraceMs: 200 } });
    if (when === 'starts a server') misuse();
    else await server.start();
    if (when === 'runs a server') misuse();
    // Behind those of the misuse.
    server.onWorkerMessage('echo', (worker, { id, n }) => server.send(id, { type: 'echoed', n }));
    server.addHttpHandler((req, res) => {
      res.end('fine');
      return true;
    });
    if (when === 'starts a server') await server.start();
    return server.port;
  },

  count: () => server.getWorkerCount(),
  stop: () => server.stop(),
});
