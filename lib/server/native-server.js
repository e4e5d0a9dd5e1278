'use strict';

const { listenError } = require('./listen-error.js');
const native = require('../native/addon.js');
const { MEMORY_IS_SHARED } = require('../native/shared-memory.js');

/**
 * Makes the native side of a server, from the options as JavaScript has them, and binds its port.
 *
 * @param options as `readOptions` returns them, without the logger
 * @param relayPort the port that sockets from other HTTP servers come to, if there is one
 * @param {() => void} onEvents called when there are events for the JavaScript thread
 * @param counters the native part of the metrics
 * @throws what Node's `listen` reports, if the port can't be bound
 */
function bindNativeServer({ tls, ...settings }, { relayPort, onEvents, counters }) {
  try {
    return new native.NativeServer(
      {
        ...settings,
        exactModels: settings.modelMatch === 'exact',
        requestTypes: settings.requestTypes !== undefined,
        authenticates: settings.authenticate !== undefined,
        relayPort,
        sharesMemory: MEMORY_IS_SHARED,
      },
      onEvents,
      tls,
      counters,
    );
  } catch (error) {
    throw listenError(error, settings.host, settings.port);
  }
}

module.exports = { bindNativeServer };
