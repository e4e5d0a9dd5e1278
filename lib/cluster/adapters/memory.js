'use strict';

const { EventEmitter } = require('node:events');
const { wrongType } = require('./wrong-type.js');

/** See `index.d.ts`. Each message is delivered in a turn of its own, as a broker would do it. */
function memoryAdapter(bus = new EventEmitter()) {
  if (typeof bus?.on !== 'function' || typeof bus.emit !== 'function') throw wrongType('bus', 'an EventEmitter', bus);
  // Each node of a fleet listens.
  if (bus.getMaxListeners?.() !== 0) bus.setMaxListeners?.(0);
  return {
    publish(channel, data) {
      // What is published is the publisher's, who may use it again.
      const copy = Uint8Array.from(data);
      setImmediate(() => bus.emit(channel, copy));
    },
    async subscribe(channel, onMessage) {
      bus.on(channel, onMessage);
      return () => {
        bus.off(channel, onMessage);
      };
    },
  };
}

module.exports = { memoryAdapter };
