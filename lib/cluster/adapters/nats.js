'use strict';

const { wrongType } = require('./wrong-type.js');

/** See `index.d.ts`. */
function natsAdapter(connection) {
  const isConnection = typeof connection?.publish === 'function' && typeof connection.subscribe === 'function';
  if (!isConnection || typeof connection.flush !== 'function') {
    throw wrongType('connection', 'a connection of @nats-io/transport-node or nats', connection);
  }
  return {
    publish(channel, data) {
      connection.publish(channel, data);
    },
    async subscribe(channel, onMessage) {
      const subscription = connection.subscribe(channel, {
        callback: (error, message) => {
          if (error === null || error === undefined) onMessage(message.data);
        },
      });
      // When the server has answered, it has the subscription.
      await connection.flush();
      return () => {
        subscription.unsubscribe();
      };
    },
  };
}

module.exports = { natsAdapter };
