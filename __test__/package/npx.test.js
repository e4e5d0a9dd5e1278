'use strict';

// The command as its users run it: `npx worker-server …` in a project that has nothing but the packed package, on a
// PATH with Node and npm alone.

const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { connectRequestWorker } = require('../support/request-worker.js');
const { onCleanup } = require('../support/cleanup.js');
const { request } = require('../support/http.js');
const { installPacked, manifest } = require('../support/packed.js');
const { startProcess } = require('../support/program.js');

const testOnPosix = process.platform === 'win32' ? test.skip : test;

let project;
let environment;
let folder;
let remove;

beforeAll(() => {
  ({ folder, project, environment, remove } = installPacked());
}, 180_000);

afterAll(() => remove?.());

/** Runs `npx --offline NAME …` as a terminal does: in a process group of its own, which Ctrl-C signals as a whole. */
function npx(name, ...args) {
  const command = path.join(folder, 'bin', 'npx');
  const options = { cwd: project, env: environment, detached: true };
  const started = startProcess(command, ['--offline', name, ...args], options);
  const signal = (how) => process.kill(-started.child.pid, how);
  onCleanup(() => {
    try {
      signal('SIGKILL');
    } catch {
      // The whole group has ended.
    }
  });
  return { ...started, pressCtrlC: () => signal('SIGINT') };
}

testOnPosix.each(['cargo', 'rustc', 'python3', 'python'])('there is no %s', (tool) => {
  const { error } = spawnSync(tool, ['--version'], { cwd: project, env: environment });
  expect(error).toMatchObject({ code: 'ENOENT' });
});

testOnPosix.each(['worker-server', manifest.name])(
  'npx %s demo: four workers in JavaScript, one is killed, and nothing is lost',
  async (name) => {
    const demo = npx(name, 'demo', '--port', '0');
    const [, port] = await demo.stdout(/^OpenAI http:\/\/127\.0\.0\.1:(\d+)\/v1$/m);
    const members = ['ada', 'ben', 'cleo', 'dan'].map((member) => `${member} (JavaScript)`);
    const [shown] = await demo.stdout(/[^]*^Ctrl-C ends it\.$/m);
    expect(shown).toContain(`\n4 workers: ${members.join(', ')}\n`);
    const [, done, all] = /^(\d+) of (\d+) files have their result\.$/m.exec(shown);
    expect(Number(done)).toBeGreaterThan(4);
    expect(done).toBe(all);
    const [, killed, moved] = /^Worker (\w+) was killed on the way\. Requests it had: (\d+)\./m.exec(shown);
    expect(Number(moved)).toBeGreaterThan(0);
    expect(shown).toContain(`\n${killed} was killed while it had ${moved} request`);
    expect(shown).toContain('\nLost: nothing.\n');

    const [, curled] = / -d '(.*)'$/m.exec(shown);
    const answer = await request(Number(port), {
      path: '/v1/chat/completions',
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: curled,
    });
    expect(answer.text).toMatch(/^data: \{.*\ndata: \[DONE\]\n\n$/s);
    expect((await request(Number(port), { path: '/' })).text).toMatch(/^<!doctype html>/i);

    demo.pressCtrlC();
    // The output ends when all who share it have ended: npx, the command, and its workers.
    expect((await demo.exit).stderr).toBe('');
  },
  60_000,
);

testOnPosix(
  'npx worker-server serve, status and drain work on each other, and the bridge refuses wrong use',
  async () => {
    const serve = npx('worker-server', 'serve', '--insecure', '--port', '0');
    const [, port] = await serve.stdout(/^Workers ws:\/\/127\.0\.0\.1:(\d+)$/m);
    await serve.stdout(/^npx @hardlydifficult\/worker-server bridge --server ws:.*$/m);
    const url = `http://127.0.0.1:${port}`;
    const worker = await connectRequestWorker({ port: Number(port) }, 'gpu-1');

    const status = await npx('worker-server', 'status', url, '--json').exit;
    expect(status).toMatchObject({ code: 0, stderr: '' });
    const { state, version, workers } = JSON.parse(status.stdout);
    expect({ state, version, ids: workers.map(({ id }) => id) }).toEqual({
      state: 'running',
      version: manifest.version,
      ids: ['gpu-1'],
    });
    expect(await npx('worker-server', 'drain', url, 'gpu-1').exit).toMatchObject({ code: 0, stdout: 'gpu-1 drains\n' });
    expect((await npx('worker-server', 'status', url).exit).stdout).toMatch(/^gpu-1 .* draining /m);
    expect(await npx('worker-server', 'drain', url, 'nobody').exit).toMatchObject({
      code: 1,
      stderr: "worker-server drain: no worker 'nobody'\n",
    });
    expect((await npx('worker-server', 'bridge').exit).code).toBe(2);

    const closed = new Promise((resolve) => worker.ws.once('close', resolve));
    serve.pressCtrlC();
    expect((await serve.exit).stderr).toBe('');
    expect(await closed).toBe(1001);
  },
  60_000,
);

// npx itself ends by the signal, whatever the exit code of the command is.
testOnPosix.each(['SIGINT', 'SIGTERM'])('without npx, %s drains the installed command: exit 0', async (signal) => {
  const command = path.join(project, 'node_modules/.bin/worker-server');
  const options = { cwd: project, env: environment };
  const serve = startProcess(command, ['serve', '--insecure', '--port', '0'], options);
  await serve.stdout(/^npx .*$/m);
  serve.child.kill(signal);
  expect(await serve.exit).toMatchObject({ code: 0, signal: null, stderr: '' });
});

testOnPosix.each(['serve', 'bridge', 'status', 'drain', 'demo'])('npx worker-server %s --help', async (command) => {
  const { code, stdout, stderr } = await npx('worker-server', command, '--help').exit;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(new RegExp(`^Usage: worker-server ${command} ?`));
});
