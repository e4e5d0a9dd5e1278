// The part of a user's program that says who may come in, and asks whence they came. Compiled beside program.ts, never run.

import { WorkerServer } from '@hardlydifficult/worker-server';
import type {
  ConnectionInfo,
  TlsCertificate,
  TlsOptions,
  WorkerServerLimits,
  WorkerServerOptions,
} from '@hardlydifficult/worker-server';

const limits: WorkerServerLimits = { authTimeoutMs: 5_000, maxAuthFailures: 10 };
const door: WorkerServerOptions = {
  port: 0,
  allowedOrigins: ['https://app.example', 'null'],
  workerPath: ['/ws', '/workers'],
  trustProxy: ['127.0.0.1', '10.0.0.0/8'],
  limits,
};
const server = new WorkerServer({ ...door, workerPath: '/ws' });

server.setAuthToken('token');
server.setAuthToken(['new', 'old'] as const);
server.setAuthToken(null);

const info: ConnectionInfo | null = server.getConnectionInfo('w1');
if (info !== null) {
  const { remoteAddress, remotePort, url, headers, encrypted, connectedAt } = info;
  const texts: string[] = [remoteAddress, url];
  const agent: string | undefined = headers['user-agent'];
  const facts: [number, boolean, Date] = [remotePort, encrypted, connectedAt];
  console.log(texts, agent, facts);
}

const pair: TlsCertificate = { cert: 'PEM', key: Buffer.from('PEM') };
const tls: TlsOptions = {
  ...pair,
  ca: new Uint8Array(1),
  requestCert: true,
  rejectUnauthorized: false,
  minVersion: 'TLSv1.3',
  sni: { '*.example.com': pair },
};
const secure = new WorkerServer({ port: 0, tls });
const done: void = secure.setSecureContext({ ...pair, ca: undefined, sni: undefined, minVersion: 'TLSv1.2' });
console.log(done);
