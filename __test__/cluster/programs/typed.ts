import { EventEmitter } from 'node:events';
import {
  WorkerServer,
  type ClusterAdapter,
  type ClusterInfo,
  type ClusterOptions,
} from '@hardlydifficult/worker-server';
import { memoryAdapter, natsAdapter, redisAdapter } from '@hardlydifficult/worker-server/cluster';

const bus: ClusterAdapter = memoryAdapter(new EventEmitter());
const own: ClusterAdapter = {
  publish(channel: string, data: Uint8Array) {
    bus.publish(channel, data);
  },
  subscribe: (channel, onMessage) => bus.subscribe(channel, onMessage),
  close: async () => {},
};
const cluster: ClusterOptions = { adapter: own, name: 'fleet', nodeId: 'a', preferLocal: false, heartbeatMs: 1_000 };
const server = new WorkerServer({ port: 0, cluster: { ...cluster, timeoutMs: 5_000, secret: 'secret' } });
const info: ClusterInfo | null = server.getClusterInfo();
const waiting: number = info?.nodes.reduce((sum, node) => sum + node.waiting, 0) ?? 0;
const node: string | undefined = server.explain({ model: 'm' }).workers[0]?.node;
console.log(waiting, node, memoryAdapter());

// @ts-expect-error An adapter is needed.
new WorkerServer({ port: 0, cluster: {} });
// @ts-expect-error A connection is needed.
natsAdapter({});
// @ts-expect-error Two of them.
redisAdapter({ publish: async () => 0 });
