'use strict';

// `serve` with a certificate: by flags or variables, and again at SIGHUP.

const fs = require('fs');
const https = require('https');
const { once } = require('events');
const { certificate, certificates } = require('../support/certificates.js');
const { onCleanup } = require('../support/cleanup.js');
const { readAll } = require('../support/http.js');
const { shakeHands } = require('../support/tls-client.js');
const { until } = require('../support/server.js');
const { Worker } = require('../../lib/worker');
const { fileWith, runCommand, startCommand } = require('./support/command.js');

let made;
beforeAll(() => {
  made = certificates();
});

async function startServe(...args) {
  const command = startCommand('serve', '--host', '127.0.0.1', '--port', '0', '--insecure', ...args);
  const [, port] = await command.stdout(/^Workers wss:\/\/127\.0\.0\.1:(\d+)$/m);
  const [text] = await command.stdout(/[^]*^npx .*$[^]*/m);
  return { ...command, port: Number(port), lines: text.trimEnd().split('\n') };
}

const files = () => ['--tls-cert', made.server.certFile, '--tls-key', made.server.keyFile];
const shown = async (port) => (await shakeHands(port, { ca: made.ca.cert })).getPeerCertificate().subject.CN;

test('everything is served over TLS, and the addresses that are printed say so', async () => {
  const serve = await startServe(...files());
  const at = `127.0.0.1:${serve.port}`;
  expect(serve.lines).toEqual([
    `Workers wss://${at}`,
    `OpenAI https://${at}/v1`,
    `Status https://${at}/status`,
    `Metrics https://${at}/metrics`,
    `npx @hardlydifficult/worker-server bridge --server wss://${at} --upstream http://127.0.0.1:11434/v1`,
  ]);
  const worker = new Worker({
    url: `wss://${at}`,
    tls: { ca: made.ca.cert },
    capabilities: { models: [{ modelId: 'm' }], maxConcurrentRequests: 1 },
    handler: ({ body }) => ({ said: body.messages }),
    handleSignals: [],
  });
  worker.run().catch(() => {});
  onCleanup(() => worker.close());
  await until(() => worker.state === 'connected');
  const options = { port: serve.port, host: '127.0.0.1', ca: made.ca.cert, agent: false };
  const headers = { 'content-type': 'application/json' };
  const req = https.request({ ...options, path: '/v1/chat/completions', method: 'POST', headers });
  req.end(JSON.stringify({ model: 'm', messages: ['hello'] }));
  const [res] = await once(req, 'response');
  expect(JSON.parse(await readAll(res))).toEqual({ said: ['hello'] });
});

test('at SIGHUP the files are read again; ones that can not be used change nothing', async () => {
  const [cert, key] = ['cert', 'key'].map((name) => fileWith(made.server[name]));
  const env = { WORKER_SERVER_TLS_CERT: cert, WORKER_SERVER_TLS_KEY: key };
  const serve = await startServe({ env });
  let warned = '';
  serve.child.stderr.on('data', (text) => (warned += text));
  expect(await shown(serve.port)).toBe('localhost');
  const renewed = certificate('renewed', made.ca, { names: ['DNS:localhost'] });
  fs.writeFileSync(cert, renewed.cert);
  serve.child.kill('SIGHUP');
  await until(() => /certificate stays as it is: --tls-key: the file must be the key of the certificate/.test(warned));
  expect(await shown(serve.port)).toBe('localhost');
  fs.writeFileSync(key, renewed.key);
  serve.child.kill('SIGHUP');
  while ((await shown(serve.port)) !== 'renewed');
  serve.child.kill('SIGTERM');
  expect((await serve.exit).code).toBe(0);
});

test.each([
  ['only one of the two', () => ['--tls-cert', made.server.certFile], 2, /--tls-cert needs --tls-key/],
  ['only the other', () => ['--tls-key', made.server.keyFile], 2, /--tls-key needs --tls-cert/],
  [
    'a file that is not there',
    () => ['--tls-cert', '/nowhere', '--tls-key', made.server.keyFile],
    1,
    /--tls-cert: \/nowhere can't be read \(ENOENT\)/,
  ],
  [
    'a file that is no certificate',
    () => ['--tls-cert', made.server.keyFile, '--tls-key', made.server.keyFile],
    1,
    /--tls-cert: the file must be a certificate chain in PEM/,
  ],
  [
    'the key of another',
    () => ['--tls-cert', made.server.certFile, '--tls-key', made.client.keyFile],
    1,
    /--tls-key: the file must be the key of the certificate/,
  ],
])('%s ends it', async (_, args, code, line) => {
  const result = await runCommand('serve', '--port', '0', ...args());
  expect({ code: result.code, stdout: result.stdout }).toEqual({ code, stdout: '' });
  expect(result.stderr.trim().split('\n')).toHaveLength(1);
  expect(result.stderr).toMatch(line);
});
