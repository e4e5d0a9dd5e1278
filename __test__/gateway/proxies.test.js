'use strict';

// The configurations of docs/GATEWAY.md and docs/OPERATIONS.md, with a real nginx and a real Caddy. Where one of them
// isn't installed its tests are skipped.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { execFile, spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const { promisify } = require('node:util');
const { WebSocket } = require('ws');
const { ask, get, nextData, open, openStream, startGateway } = require('./support/gateway.js');
const { onCleanup } = require('../support/cleanup.js');
const { readDocument } = require('../support/doc-examples.js');
const { isInstalled, testIf, testWith } = require('../support/installed.js');
const { freePort, untilListening } = require('../support/ports.js');
const { connectRequestWorker } = require('../support/request-worker.js');
const { until } = require('../support/server.js');

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

const CADDY_VERSION = ['caddy', 'version'];
/** From 2.7 on Caddy knows the line with which docs/OPERATIONS.md has it leave connections open. */
const canDelayClosing = (() => {
  const { stdout } = spawnSync('caddy', ['version'], { encoding: 'utf8' });
  const [, major, minor] = /^v?(\d+)\.(\d+)/.exec(stdout ?? '') ?? [];
  return Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 7);
})();

/** Caddy as a document has it, for the installed version. `admin` is the address to which a reload is sent. */
const caddyConfiguration =
  (document, admin = 'off') =>
  (_folder, port, upstreamPort) => {
    const site = snippet(document, 'caddyfile').replace(/^\S*example\.com/, `http://:${port}`);
    const known = canDelayClosing ? site : site.replace(/^ *stream_close_delay .*\n/m, '');
    return `{\n  admin ${admin}\n  auto_https off\n}\n${known.replace(AN_UPSTREAM, `127.0.0.1:${upstreamPort}`)}`;
  };

const runCaddy = (_folder, file) => ['caddy', 'run', '--adapter', 'caddyfile', '--config', file];

const PROXIES = {
  nginx: {
    configuration: nginxConfiguration,
    command: (folder, file) => ['nginx', '-p', folder, '-e', 'stderr', '-c', file],
    version: ['nginx', '-v'],
  },
  'Caddy as GATEWAY.md has it': {
    configuration: caddyConfiguration('GATEWAY'),
    command: runCaddy,
    version: CADDY_VERSION,
  },
  'Caddy as OPERATIONS.md has it': {
    configuration: caddyConfiguration('OPERATIONS'),
    command: runCaddy,
    version: CADDY_VERSION,
  },
};

/**
 * Starts the proxy in front of a port; resolves with its own port, once it accepts connections, and with its
 * configuration's file.
 */
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
  await untilListening(port, child).catch((error) => Promise.reject(new Error(`${error.message}: ${said}`)));
  return { port, file };
}

describe.each(Object.entries(PROXIES))('behind %s', (name, proxy) => {
  const [program, ...args] = proxy.version;
  const testIfInstalled = testWith(program, args);

  /** A gateway behind the proxy, with a worker that has come through the proxy as well. */
  async function start(options = {}) {
    const { server, port: upstreamPort } = await startGateway(options);
    // One whose answer never comes.
    server.addHttpHandler((req) => req.url === '/short');
    const { port } = await startProxy(proxy, upstreamPort);
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

describe('when Caddy reloads its configuration, as OPERATIONS.md says,', () => {
  /** A worker behind Caddy, which is reloaded then. Resolves with both ends of the connection and the proxy's port. */
  async function reload() {
    const { server, port: upstreamPort } = await startGateway();
    const admin = `127.0.0.1:${await freePort()}`;
    const configuration = caddyConfiguration('OPERATIONS', admin);
    const { port, file } = await startProxy({ configuration, command: runCaddy }, upstreamPort);
    const worker = await connectRequestWorker({ port }, 'w');
    const closed = once(worker.ws, 'close');
    // Without a change Caddy reloads nothing.
    fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(/(?=reverse_proxy)/, 'header X-Reloaded yes\n'));
    await promisify(execFile)('caddy', ['reload', '--adapter', 'caddyfile', '--config', file, '--address', admin]);
    expect((await get(port, '/v1/models')).headers['x-reloaded']).toBe('yes');
    return { server, port, worker, closed };
  }

  testIf(canDelayClosing, 'no Caddy from 2.7 on is installed')('a worker’s connection stays open', async () => {
    const { port, worker } = await reload();
    const answer = ask(port, { body: { model: 'm' } });
    worker.answer(await worker.nextRequest(), 'result', { data: 1 });
    expect((await answer).status).toBe(200);
  });

  testIf(isInstalled('caddy', ['version']) && !canDelayClosing, 'no Caddy before 2.7 is installed')(
    'before 2.7 a worker’s connection is closed with 1001, and it can connect again',
    async () => {
      const { server, port, closed } = await reload();
      expect((await closed)[0]).toBe(1001);
      await until(() => server.getWorkerCount() === 0);
      await connectRequestWorker({ port }, 'w');
      expect(server.getWorkerCount()).toBe(1);
    },
  );
});
