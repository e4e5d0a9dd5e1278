import type { EventEmitter } from 'events';
import type { ClusterAdapter } from '../../index.js';

export type { ClusterAdapter, ClusterInfo, ClusterNodeInfo, ClusterOptions } from '../../index.js';

/** What {@link natsAdapter} needs of a connection of `@nats-io/transport-node` 3 or `nats` 2. */
export interface NatsConnectionLike {
  publish(subject: string, payload?: Uint8Array): void;
  subscribe(
    subject: string,
    options: { callback: (error: any, message: { data: Uint8Array }) => void },
  ): { unsubscribe(): void };
  flush(): Promise<void>;
}

/**
 * Carries a fleet's messages over NATS. The connection is the caller's own: it is never closed here, and may be used
 * for other things. Have it reconnect without end (`maxReconnectAttempts: -1`), since the servers wait for it to come
 * back.
 *
 * @throws {TypeError} if it is no such connection
 */
export function natsAdapter(connection: NatsConnectionLike): ClusterAdapter;

/** What {@link redisAdapter} needs of the connection that publishes, of `ioredis` or `redis`. */
export interface RedisPublisherLike {
  publish(channel: string, message: any): Promise<unknown>;
}

/** What {@link redisAdapter} needs of the connection that subscribes, of `ioredis` or `redis`. */
export interface RedisSubscriberLike {
  subscribe(...args: any[]): Promise<unknown>;
  unsubscribe(...args: any[]): Promise<unknown>;
  on(event: any, listener: (...args: any[]) => void): unknown;
  off(event: any, listener: (...args: any[]) => void): unknown;
}

/**
 * Carries a fleet's messages over Redis' publish and subscribe. Both connections are the caller's own and are never
 * closed here; they must be two, since Redis lets a connection that has subscribed do nothing else.
 *
 * @throws {TypeError} if they are no such connections, or one and the same
 */
export function redisAdapter(publisher: RedisPublisherLike, subscriber: RedisSubscriberLike): ClusterAdapter;

/**
 * Carries a fleet's messages within a process, for tests: servers with the same adapter, or with adapters over the same
 * `bus`, hear each other.
 *
 * @param bus `new EventEmitter()` if it is left out
 */
export function memoryAdapter(bus?: EventEmitter): ClusterAdapter;
