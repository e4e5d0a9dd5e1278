'use strict';

// The configurations of docs/GATEWAY.md and docs/OPERATIONS.md, with a real nginx and a real Caddy. Where one of them isn't
// installed its tests are skipped.

const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { WebSocket } = require('ws');
const { ask, get, nextData, open, openStream, startGateway } = require('./support/gateway.js');
const { onCleanup } = require('../support/cleanup.js');
const { readDocument } = require('../support/doc-examples.js');
const { testWith } = require('../support/installed.js');
const { freePort } = require('../support/ports.js');
const { connectRequestWorker } = require('../support/request-worker.js');

/** The first block of a document in that language. */
const snippet = (document, language) =>
  new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 's').exec(readDocument(`docs/${document}.md`))[1];

const AN_UPSTREAM = /127\.0\.0\.1:(?:8080|19100)/g;

/** nginx as the documents have it. What they don't override times out after a second here, not after a minute. */
function nginxConfiguration(folder, port, upstreamPort) {
  const workers = snippet('OPERATIONS', 'nginx').replace('listen 443 ssl', `listen 127.0.0.1:${port}`);
  const short = 'location /short { proxy_pass http://127.0.0.1:8080; }\n';
  const whole = workers.replace(/(?= *location \/ \{)/, `${short}${snippet('GATEWAY', 'nginx')}`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder};`);
  return `daemon off; master_process off; pid ${folder}/pid; error_log stderr;
events {}
http {
  access_log off; proxy_read_timeout 1s; ${temporary.join(' ')}
  ${whole.replace(AN_UPSTREAM, `127.0.0.1:${upstreamPort}`)}
}`;
}

function caddyConfiguration(_folder, port, upstreamPort) {
  const site = snippet('GATEWAY', 'caddyfile').replace('example.com', `http://:${port}`);
  return `{\n  admin off\n  auto_https off\n}\n${site.replace(AN_UPSTREAM, `127.0.0.1:${upstreamPort}`)}`;
}

const PROXIES = {
  nginx: {
    configuration: nginxConfiguration,
    command: (folder, file) => ['nginx', '-p', folder, '-e', 'stderr', '-c', file],
    version: ['nginx', '-v'],
  },
  Caddy: {
    configuration: caddyConfiguration,
    command: (_folder, file) => ['caddy', 'run', '--adapter', 'caddyfile', '--config', file],
    version: ['caddy', 'version'],
  },
};

/** Starts the proxy in front of a port; resolves with its own port when it takes connections. */
async function startProxy({ configuration, command }, upstreamPort) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'worker-server-proxy-'));
  onCleanup(() => fs.rmSync(folder, { recursive: true, force: true }));
  const port = await freePort();
  const file = path.join(folder, 'configuration');
  fs.writeFileSync(file, configuration(folder, port, upstreamPort));
  const [program, ...args] = command(folder, file);
  const env = { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder };
  const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (data) => (said += data));
  const ended = once(child, 'exit');
  onCleanup(() => {
    child.kill('SIGKILL');
    return ended;
  });
  let isOver = false;
  ended.then(() => (isOver = true));
  while (!(await takesConnections(port))) {
    if (isOver) throw new Error(`${program} has ended: ${said}`);
  }
  return port;
}

const takesConnections = (port) =>
  new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => socket.destroy());
    socket.on('error', () => {});
    socket.on('close', (hadError) => setTimeout(() => resolve(!hadError), 5));
  });

describe.each(Object.entries(PROXIES))('behind %s', (name, proxy) => {
  const [program, ...args] = proxy.version;
  const testIfInstalled = testWith(program, args);

  /** A gateway behind the proxy, with a worker that has come through the proxy as well. */
  async function start(options = {}) {
    const { server, port: upstreamPort } = await startGateway(options);
    // One whose answer never comes.
    server.addHttpHandler((req) => req.url === '/short');
    const port = await startProxy(proxy, upstreamPort);
    const worker = await connectRequestWorker({ port }, 'w');
    return { server, port, worker };
  }

  testIfInstalled('each event of a stream arrives before the next one is there', async () => {
    const { port, worker } = await start();
    const opened = openStream(port);
    const asked = await worker.nextRequest();
    worker.answer(asked, 'chunk', { seq: 0, data: { n: 0 } });
    const res = await opened;
    expect(res.statusCode).toBe(200);
    let text = '';
    const arrived = [];
    for (let n = 0; n < 5; n += 1) {
      if (n > 0) worker.answer(asked, 'chunk', { seq: n, data: { n } });
      while (!text.includes(`{"n":${n}}`)) text += (await once(res, 'data'))[0];
      arrived.push(n);
    }
    worker.answer(asked, 'result');
    while (!text.includes('[DONE]')) text += (await once(res, 'data'))[0];
    expect(arrived).toEqual([0, 1, 2, 3, 4]);
  });

  testIfInstalled('an answer that takes longer than what the proxy allows elsewhere arrives', async () => {
    const { port, worker } = await start();
    const slow = ask(port, { body: { model: 'm' } });
    const asked = await worker.nextRequest();
    // nginx abandons this one after a second. Caddy abandons nothing: there the test only waits for the same time.
    if (name === 'nginx') expect((await get(port, '/short')).status).toBe(504);
    else await new Promise((resolve) => setTimeout(resolve, 1_500));
    worker.answer(asked, 'result', { data: { slow: true } });
    expect(await slow).toMatchObject({ status: 200, json: { slow: true } });
  });

  testIfInstalled('a body of several MB passes, and one that is too large for the gateway does not', async () => {
    const { port, worker } = await start({ maxBodyBytes: 8 * 1024 * 1024 });
    const answer = ask(port, { body: { model: 'm', image: 'x'.repeat(5_000_000) } });
    const asked = await worker.nextRequest();
    expect(asked.payload.body.image).toHaveLength(5_000_000);
    worker.answer(asked, 'result', { data: 1 });
    expect((await answer).status).toBe(200);
    const refused = await ask(port, { body: { model: 'm', image: 'x'.repeat(9_000_000) } });
    expect(refused.status).toBe(413);
  });

  testIfInstalled('a client that leaves has its request cancelled', async () => {
    const { port, worker } = await start();
    const opened = openStream(port);
    const asked = await worker.nextRequest();
    worker.answer(asked, 'chunk', { seq: 0, data: 1 });
    const res = await opened;
    await nextData(res, (text) => text.includes('data: 1'));
    res.destroy();
    expect(await worker.next('request_cancel')).toMatchObject({ requestId: asked.requestId, reason: 'aborted' });
  });

  testIfInstalled('the addresses of clients and workers are in X-Forwarded-For', async () => {
    const seen = [];
    const { server, port } = await start({
      authenticate: (req) => seen.push(req.headers['x-forwarded-for']) > 0,
    });
    expect((await get(port, '/v1/models')).status).toBe(200);
    expect(seen).toEqual(['127.0.0.1']);
    expect(server.getConnectionInfo('w').headers['x-forwarded-for']).toBe('127.0.0.1');
  });

  testIfInstalled('a worker’s connection stays open in both directions, and its close passes through', async () => {
    const { server, port } = await start();
    const ws = new WebSocket(`ws://127.0.0.1:${port}/some/path`);
    await once(ws, 'open');
    const capabilities = { models: [{ modelId: 'm2' }], maxConcurrentRequests: 1 };
    ws.send(JSON.stringify({ type: 'worker_registration', workerId: 'w2', workerName: 'w2', capabilities }));
    expect(JSON.parse((await once(ws, 'message'))[0])).toMatchObject({ success: true });
    expect(server.getConnectionInfo('w2').url).toBe('/some/path');
    const closed = once(ws, 'close');
    server.disconnectWorker('w2', { code: 4321, reason: 'enough' });
    const [code, reason] = await closed;
    expect([code, String(reason)]).toEqual([4321, 'enough']);
  });

  testIfInstalled('the error of an unknown model passes unchanged', async () => {
    const { port } = await start();
    const res = await open(port, { body: { model: 'nobody' } });
    expect(res.statusCode).toBe(404);
    expect(res.headers['x-should-retry']).toBe('false');
  });
});
