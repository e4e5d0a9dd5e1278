import { WorkerServer } from '@hardlydifficult/worker-server';
import {
  statusPage,
  type HttpRequestHandler,
  type StatusPageData,
  type StatusPageOptions,
} from '@hardlydifficult/worker-server/status';

const options: StatusPageOptions = {
  path: '/admin',
  authenticate: async (req) => req.headers.authorization === 'Basic x',
  actions: true,
};

const server = new WorkerServer({ port: 0 });
const handler: HttpRequestHandler = statusPage(server, options);
server.addHttpHandler(handler);
server.addHttpHandler(statusPage(server));
server.addHttpHandler(statusPage(server, { authenticate: () => true }));

export function describe({ workers, requests, losses, history, nodes }: StatusPageData): string[] {
  return [
    ...workers.map(({ id, address, categories }) => `${id} ${address ?? ''} ${categories['c']?.limit ?? Infinity}`),
    ...requests.map(({ workerId, state }) => `${state} ${workerId ?? ''}`),
    ...losses.map(({ code, reason, requests: count }) => `${code + count} ${reason}`),
    ...history.map(({ p50Ms }) => (p50Ms ?? 0).toFixed(1)),
    ...(nodes ?? []).map(({ nodeId }) => nodeId),
  ];
}

// @ts-expect-error a string is no yes
statusPage(server, { authenticate: () => 'yes' });
// @ts-expect-error it is a boolean
statusPage(server, { actions: 'on' });
