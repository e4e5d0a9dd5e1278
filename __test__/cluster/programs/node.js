'use strict';

// A node of a fleet in a process of its own, over NATS, with callers of its own if it is asked to have some. It says its
// port to its parent.

const { WorkerServer } = require('../../../index.js');
const { natsAdapter } = require('../../../lib/cluster');
const { connect } = require('@nats-io/transport-node');
const { Ledger } = require('../support/ledger.js');

const { NATS_PORT, NODE_ID, PORT, HEARTBEAT_MS, TIMEOUT_MS } = process.env;

async function main() {
  const connection = await connect({
    servers: `127.0.0.1:${NATS_PORT}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
    pingInterval: 500,
  });
  const server = new WorkerServer({
    port: Number(PORT),
    host: '127.0.0.1',
    drainOnSignals: true,
    limits: { stopGraceMs: 500 },
    cluster: {
      adapter: natsAdapter(connection),
      nodeId: NODE_ID,
      heartbeatMs: Number(HEARTBEAT_MS),
      timeoutMs: Number(TIMEOUT_MS),
    },
  });
  await server.start();
  const ledger = new Ledger();
  const answers = {
    info: () => ({ info: server.getClusterInfo(), workers: server.getWorkerInfo().length }),
    keep: (load) => {
      ledger.keep(server, load);
      return {};
    },
    end: async () => {
      await ledger.end();
      return { called: ledger.called, outcomes: ledger.outcomes };
    },
  };
  process.on('message', async ({ question, options }) => process.send(await answers[question](options)));
  // The parent is gone.
  process.on('disconnect', () => process.exit());
  process.send({ port: server.port });
  const timer = setInterval(async () => {
    if (server.state !== 'stopped') return;
    clearInterval(timer);
    await connection.close();
    process.disconnect();
  }, 20);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
