// The part of a user's program that says who may come in, and asks whence they came. Compiled beside program.ts, never run.

import { WorkerServer } from '@hardlydifficult/worker-server';
import type { ConnectionInfo } from '@hardlydifficult/worker-server';

const server = new WorkerServer({ port: 0 });

const info: ConnectionInfo | null = server.getConnectionInfo('w1');
if (info !== null) {
  const { remoteAddress, remotePort, url, headers, encrypted, connectedAt } = info;
  const texts: string[] = [remoteAddress, url];
  const agent: string | undefined = headers['user-agent'];
  const facts: [number, boolean, Date] = [remotePort, encrypted, connectedAt];
  console.log(texts, agent, facts);
}
