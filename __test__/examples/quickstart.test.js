'use strict';

const { execFile, spawn } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { once } = require('node:events');
const { WebSocket } = require('ws');

const root = path.join(__dirname, '../..');
const quickstart = path.join(root, 'examples/quickstart.mjs');

let folder;

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'quickstart-'));
});

afterEach(() => {
  fs.rmSync(folder, { recursive: true, force: true });
});

function write(name, content) {
  fs.writeFileSync(path.join(folder, name), content);
  return name;
}

/** Runs the quickstart in the test's folder; resolves with its exit code and what it printed. */
function run(...args) {
  return new Promise((resolve) => {
    execFile(process.execPath, [quickstart, ...args], { cwd: folder, timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, stdout, stderr });
    });
  });
}

const SENTENCES =
  'The harbour was quiet that morning. Boats lay still at the quay. A lighthouse keeper counted the gulls. Nobody spoke.';

test('every file is worked on, and what a killed worker had is sent again to others', async () => {
  const files = Array.from({ length: 12 }, (_, i) =>
    write(`text-${i}.txt`, `${SENTENCES} Lantern number ${i} burned.`),
  );
  files.push(write('program.js', 'const answer = 42;\n// The answer to everything.\nconsole.log(answer);\n'));
  const { code, stdout } = await run(...files);
  expect(code).toBe(0);
  expect(stdout).toContain('13 of 13 files have their result.');
  const [, worker, count] = stdout.match(/Worker (\w+) was killed on the way. Requests it had: (\d+)/);
  expect(Number(count)).toBeGreaterThan(0);
  const rows = stdout.split('\n').filter((line) => /^(text-\d+\.txt|program\.js) /.test(line));
  expect(rows).toHaveLength(13);
  for (const row of rows) expect(row).not.toMatch(new RegExp(` ${worker} +\\d+$`));
  expect(rows.filter((row) => row.endsWith(' 2'))).toHaveLength(Number(count));
}, 60_000);

test('whoever has not got the token changes nothing, whatever it sends', async () => {
  const files = Array.from({ length: 12 }, (_, i) =>
    write(`text-${i}.txt`, `${SENTENCES} Lantern number ${i} burned.`),
  );
  const child = spawn(process.execPath, [quickstart, '--verbose', ...files], { cwd: folder });
  const exit = once(child, 'exit');
  const output = { stdout: '', stderr: '' };
  try {
    const listening = new Promise((resolve) => {
      for (const stream of ['stdout', 'stderr']) {
        child[stream].on('data', (chunk) => {
          output[stream] += chunk;
          const match = output.stdout.match(/Listening on (127\.0\.0\.1:\d+)/);
          if (match) resolve(match[1]);
        });
      }
    });
    const ws = new WebSocket(`ws://${await listening}`);
    await once(ws, 'open');
    ws.on('error', () => {});
    const timer = setInterval(() => {
      for (let n = 1; n <= files.length; n += 1)
        ws.send(JSON.stringify({ type: 'request_error', requestId: `request-${n}`, attempt: 1, error: 'x' }));
    }, 5);
    const [code] = await exit.finally(() => clearInterval(timer));
    expect(output.stdout).toContain('12 of 12 files have their result.');
    expect(code).toBe(0);
    expect(output.stderr).toContain("Message from unregistered connection { type: 'request_error' }");
  } finally {
    child.kill('SIGKILL');
  }
}, 60_000);

test('the counts and the sentences are those of the text', async () => {
  const { stdout } = await run(
    write('harbour.txt', `${SENTENCES}\n`),
    write('other.txt', 'Nothing of that kind is here.\n'),
  );
  expect(stdout).toMatch(/^harbour\.txt +prose +1 +20 /m);
  expect(stdout).toContain('  · The harbour was quiet that morning.');
}, 60_000);

test('a file that is missing or no text is left out with a clear message, and the others go on', async () => {
  const good = write('good.txt', SENTENCES);
  const binary = write('picture.bin', Buffer.from([0, 1, 2, 255]));
  const { code, stdout, stderr } = await run('nowhere.txt', binary, good);
  expect(stderr).toContain('nowhere.txt: left out, because there is no such file');
  expect(stderr).toContain('picture.bin: left out, because it is not a text file');
  expect(stdout).toContain('1 of 3 files have their result.');
  expect(code).toBe(1);
}, 60_000);

test('a wrong option is answered with the help and exit code 2', async () => {
  const { code, stderr } = await run('--nonsense');
  expect(code).toBe(2);
  expect(stderr).toContain('--serve');
});

function get(url) {
  return new Promise((resolve, reject) => {
    http
      .get(url, (res) => {
        let body = '';
        res.on('data', (chunk) => (body += chunk));
        res.on('end', () => resolve({ status: res.statusCode, body: JSON.parse(body) }));
      })
      .on('error', reject);
  });
}

test('--serve keeps the server running, with its health, its workers and a dashboard', async () => {
  const child = spawn(process.execPath, [quickstart, '--serve', write('a.txt', SENTENCES)], { cwd: folder });
  try {
    let printed = '';
    const serving = new Promise((resolve, reject) => {
      child.stdout.on('data', (chunk) => {
        printed += chunk;
        const match = printed.match(/Serving http:\/\/(127\.0\.0\.1:\d+)\/health/);
        if (match) resolve(match[1]);
      });
      child.once('exit', (code) => reject(new Error(`ended with ${code}: ${printed}`)));
    });
    const at = await serving;
    const health = await get(`http://${at}/health`);
    expect(health).toMatchObject({ status: 200, body: { status: 'ok', workers: 3 } });
    const workers = await get(`http://${at}/workers`);
    expect(workers.body).toHaveLength(3);
    const dashboard = new WebSocket(`ws://${at}/ws/dashboard`);
    const [data] = await once(dashboard, 'message');
    expect(JSON.parse(data)).toMatchObject({ event: 'snapshot', health: { workers: 3 } });
    const closed = once(dashboard, 'close');
    const exit = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    expect((await closed)[0]).toBe(1001);
    expect(await exit).toBe(0);
  } finally {
    child.kill('SIGKILL');
  }
}, 60_000);
