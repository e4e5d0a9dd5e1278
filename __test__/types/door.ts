// The part of a user's program that says who may come in, and asks whence they came. Compiled beside program.ts, never run.

import { WorkerServer } from '@hardlydifficult/worker-server';
import type {
  AuthDecision,
  ConnectionInfo,
  PeerCertificate,
  TlsCertificate,
  TlsOptions,
  WorkerCredentials,
  WorkerInfo,
  WorkerServerLimits,
  WorkerServerOptions,
} from '@hardlydifficult/worker-server';

async function judge(credentials: WorkerCredentials, signal: AbortSignal): Promise<AuthDecision> {
  const { workerId, workerName, capabilities, authToken, url, headers, remoteAddress, peerCertificate } = credentials;
  const certificate: PeerCertificate | undefined = peerCertificate;
  if (certificate !== undefined) {
    const { subject, subjectAltNames, fingerprint256, validTo, raw } = certificate;
    const words: string[] = [subject, fingerprint256, validTo, ...subjectAltNames];
    if (!words.includes(`DNS:${workerId}`)) return { ok: false, reason: raw.toString('hex') };
  }
  const token: string | undefined = authToken ?? headers['x-token'];
  await fetch(`https://auth.example/${workerId}`, { signal });
  if (token === undefined) return false;
  if (remoteAddress === '') return { ok: false, reason: 'no address' };
  return { ok: true, context: { workerName, url, models: capabilities.models.length } };
}
const decisions: AuthDecision[] = [true, false, { ok: true }, { ok: false, reason: undefined }];

const limits: WorkerServerLimits = { authTimeoutMs: 5_000, maxAuthFailures: 10 };
const door: WorkerServerOptions = {
  port: 0,
  authenticate: judge,
  onConflict: (existing: WorkerInfo, { remoteAddress }) => existing.auth === remoteAddress,
  allowedOrigins: ['https://app.example', 'null'],
  workerPath: ['/ws', '/workers'],
  trustProxy: ['127.0.0.1', '10.0.0.0/8'],
  limits,
};
const server = new WorkerServer({ ...door, workerPath: '/ws' });
new WorkerServer({ port: 0, authenticate: () => true, onConflict: 'reject' });
new WorkerServer({ port: 0, authenticate: () => decisions[0] ?? false, onConflict: 'replace' });

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
