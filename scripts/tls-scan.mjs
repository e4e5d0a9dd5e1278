// Scans a server of this checkout with testssl.sh, where that is installed: protocols, ciphers, forward secrecy, and the known
// weaknesses of TLS.
//
//   npm run test:tls-scan
//
// Ends with 1 if it finds anything that testssl.sh calls worse than "OK", "INFO" or "WARN". Two checks are left out. That of
// renegotiation which a client begins waits for an answer that rustls never sends: `__test__/tls/attackers.test.js` holds that it is
// refused. And the order of ciphers is the client's to choose: all that are spoken are good, and it knows what its processor does best.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';

const require = createRequire(import.meta.url);
const program = ['testssl', 'testssl.sh'].find((name) => !spawnSync(name, ['--version']).error);
if (program === undefined) {
  console.log('tls-scan: skipped, since testssl.sh is not installed');
  process.exit(0);
}

const { WorkerServer } = require('../index.js');
const { certificates } = require('../__test__/support/certificates.js');

const CHECKS = [
  '--protocols',
  '--std',
  '--fs',
  ...['--heartbleed', '--ccs-injection', '--ticketbleed', '--robot', '--compression', '--breach', '--poodle'],
  ...['--tls-fallback', '--sweet32', '--freak', '--drown', '--logjam', '--beast', '--lucky13', '--rc4'],
];
const FINE = new Set(['OK', 'INFO', 'WARN']);

const { cert, key } = certificates().server;
const server = new WorkerServer({ port: 0, host: '127.0.0.1', tls: { cert, key } });
await server.start();
const folder = mkdtempSync(path.join(os.tmpdir(), 'tls-scan-'));
const file = path.join(folder, 'findings.json');
try {
  const args = ['--quiet', '--color', '0', '--warnings', 'off', '--jsonfile', file, ...CHECKS];
  const scan = spawn(program, [...args, `127.0.0.1:${server.port}`], { stdio: ['ignore', 'inherit', 'inherit'] });
  await once(scan, 'exit');
  const findings = JSON.parse(readFileSync(file, 'utf8'));
  const bad = findings.filter(({ severity }) => !FINE.has(severity));
  for (const { id, severity, finding } of bad) console.error(`tls-scan: ${severity} ${id}: ${finding}`);
  console.log(`tls-scan: ${findings.length} findings, ${bad.length} of them bad`);
  process.exitCode = findings.length > 20 && bad.length === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
  await server.stop();
}
