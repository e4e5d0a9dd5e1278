'use strict';

const { wrongType } = require('./wrong-type.js');

/** See `index.d.ts`. The two packages differ in their words for the same commands. */
function redisAdapter(publisher, subscriber) {
  if (typeof publisher?.publish !== 'function') throw wrongType('publisher', 'a client of ioredis or redis', publisher);
  if (typeof subscriber?.subscribe !== 'function') {
    throw wrongType('subscriber', 'a client of ioredis or redis', subscriber);
  }
  if (publisher === subscriber) {
    throw new TypeError(
      'subscriber must be another connection than publisher: one that subscribes can do nothing else',
    );
  }
  const publish = async (channel, data) => {
    // Both take buffers, and ioredis nothing that is only a Uint8Array.
    await publisher.publish(channel, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  };
  return { publish, subscribe: isIoredis(subscriber) ? ioredisSubscribe(subscriber) : redisSubscribe(subscriber) };
}

/** ioredis emits messages as events; `redis` passes them to the subscription's own listener. */
const isIoredis = (client) => typeof client.pSubscribe !== 'function';

function ioredisSubscribe(client) {
  return async (channel, onMessage) => {
    const listener = (of, data) => {
      if (of.toString() === channel) onMessage(data);
    };
    client.on('messageBuffer', listener);
    try {
      await client.subscribe(channel);
    } catch (error) {
      client.off('messageBuffer', listener);
      throw error;
    }
    return async () => {
      client.off('messageBuffer', listener);
      await client.unsubscribe(channel);
    };
  };
}

function redisSubscribe(client) {
  return async (channel, onMessage) => {
    const listener = (data) => onMessage(data);
    await client.subscribe(channel, listener, true);
    return async () => {
      await client.unsubscribe(channel, listener, true);
    };
  };
}

module.exports = { redisAdapter };
