// How the gateway is used from TypeScript. It is compiled, not run.

import type { IncomingMessage } from 'http';
import { WorkerServer, type HttpRequestHandler } from '@hardlydifficult/worker-server';
import {
  openaiGateway,
  type OpenAIGatewayErrorData,
  type OpenAIGatewayOptions,
  type OpenAIGatewayPayload,
} from '@hardlydifficult/worker-server/gateway';
import { Worker } from '@hardlydifficult/worker-server/worker';

const server = new WorkerServer({ port: 0 });
const options: OpenAIGatewayOptions = {
  path: '/v1',
  apiKeys: ['a'] as const,
  authenticate: async (req: IncomingMessage) => req.headers.host ?? false,
  maxBodyBytes: 1,
  options: (req, body) => ({ affinity: body.model, priority: req.url === '/' ? 'high' : 'low' }),
};
const handler: HttpRequestHandler = openaiGateway(server, options);
server.addHttpHandler(handler);
server.addHttpHandler(openaiGateway(server));
openaiGateway(server, { authenticate: () => true, options: async () => undefined });

new Worker({
  url: 'ws://localhost',
  capabilities: { models: [], maxConcurrentRequests: 1 },
  handler: ({ path, body }: OpenAIGatewayPayload<{ model: string; messages: string[] }>) => {
    const data: OpenAIGatewayErrorData = { status: 400, body: { error: body.messages[0] } };
    if (path === '/embeddings') throw Object.assign(new Error('no'), { data });
    return body.model;
  },
});

// @ts-expect-error A key is a string.
openaiGateway(server, { apiKeys: [5] });
// @ts-expect-error A server is needed.
openaiGateway();
