'use strict';

// What a server publishes on the channels of `node:diagnostics_channel`, for as long as somebody keeps what it is for.

const { subscribe, unsubscribe } = require('node:diagnostics_channel');

/** By channel: the method of a listener that takes its messages. */
const METHODS = {
  'tracing:worker-server:request:start': 'onRequest',
  'tracing:worker-server:request:asyncEnd': 'onRequestEnd',
  'worker-server:worker.connected': 'onConnected',
  'worker-server:worker.disconnected': 'onDisconnected',
};

const forgotten = new FinalizationRegistry((unsubscribeAll) => unsubscribeAll());

/**
 * Has a listener hear of its `server`. The channels are the process', and would keep it, and so the server, for good:
 * they know it weakly.
 */
function listen(listener) {
  const known = new WeakRef(listener);
  const subscriptions = Object.entries(METHODS).map(([channel, method]) => {
    const onMessage = (message) => {
      const to = known.deref();
      if (to !== undefined && message.server === to.server) to[method](message);
    };
    subscribe(channel, onMessage);
    return [channel, onMessage];
  });
  forgotten.register(listener, () => {
    for (const [channel, onMessage] of subscriptions) unsubscribe(channel, onMessage);
  });
}

module.exports = { listen };
