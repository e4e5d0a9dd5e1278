'use strict';

// What joins the servers of a clustered soak: NATS, or where that isn't installed the soak's own process, which passes
// messages on over IPC.

const CLUSTER_TIMES = Object.freeze({ heartbeatMs: 200, timeoutMs: 1_500 });

/** `{ adapter, connect(), close() }` for a server. @param node `natsPort`; without one messages go over IPC */
function openBroker({ natsPort }) {
  return natsPort === undefined ? overIpc() : overNats(natsPort);
}

function overNats(port) {
  const { connect } = require('@nats-io/transport-node');
  const { natsAdapter } = require('../lib/cluster');
  let connection;
  let adapter;
  return {
    adapter: {
      publish: (channel, data) => adapter.publish(channel, data),
      subscribe: (channel, onMessage) => adapter.subscribe(channel, onMessage),
    },
    async connect() {
      connection = await connect({
        servers: `127.0.0.1:${port}`,
        maxReconnectAttempts: -1,
        reconnectTimeWait: 50,
        waitOnFirstConnect: true,
      });
      adapter = natsAdapter(connection);
    },
    close: () => connection.close(),
  };
}

function overIpc() {
  const listeners = new Map();
  const onMessage = ({ channel, data }) => listeners.get(channel)?.(Buffer.from(data, 'base64'));
  return {
    adapter: {
      publish(channel, data) {
        if (process.connected) process.send({ channel, data: Buffer.from(data).toString('base64') });
      },
      async subscribe(channel, listener) {
        listeners.set(channel, listener);
        return () => listeners.delete(channel);
      },
    },
    async connect() {
      process.on('message', onMessage);
    },
    async close() {
      process.off('message', onMessage);
    },
  };
}

module.exports = { CLUSTER_TIMES, openBroker };
