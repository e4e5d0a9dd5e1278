'use strict';

const { execFile, spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { once } = require('node:events');
const { promisify } = require('node:util');
const { WebSocket } = require('ws');
const { onCleanup } = require('../support/cleanup.js');
const { pythonWith, pythonWithWorker } = require('../support/python.js');

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
  expect(stdout).toContain('Lost: nothing.');
  const [, worker, count] = stdout.match(/Worker (\w+) was killed on the way. Requests it had: (\d+)/);
  expect(Number(count)).toBeGreaterThan(0);
  expect(stdout).toMatch(
    new RegExp(`^${worker} was killed while it had ${count} requests?: .*They move to other`, 'm'),
  );
  const rows = stdout.split('\n').filter((line) => /^(text-\d+\.txt|program\.js) /.test(line));
  expect(rows).toHaveLength(13);
  expect(rows.filter((row) => row.endsWith(' 2'))).toHaveLength(Number(count));
  for (const row of rows.filter((row) => row.endsWith(' 2'))) expect(row).not.toContain(` ${worker} `);
}, 60_000);

test('a peer without the token changes nothing, whatever it sends', async () => {
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
          const match = output.stdout.match(/^Workers ws:\/\/(127\.0\.0\.1:\d+)$/m);
          if (match) resolve(match[1]);
        });
      }
    });
    const at = await listening;
    const stranger = new WebSocket(`ws://${at}`);
    stranger.on('error', () => {});
    await once(stranger, 'open');
    stranger.send(JSON.stringify({ type: 'worker_registration', workerId: 'mallory', capabilities: {} }));
    expect((await once(stranger, 'close'))[0]).toBe(4001);
    const ws = new WebSocket(`ws://${at}`);
    await once(ws, 'open');
    ws.on('error', () => {});
    const timer = setInterval(() => {
      for (let n = 1; n <= files.length; n += 1)
        ws.send(JSON.stringify({ type: 'request_error', requestId: `summary-${n}`, attempt: 1, error: 'x' }));
    }, 5);
    const [code] = await exit.finally(() => clearInterval(timer));
    expect(output.stdout).toContain('12 of 12 files have their result.');
    expect(code).toBe(0);
    expect(output.stdout).toContain('Message from unregistered connection {"type":"request_error"}');
  } finally {
    child.kill('SIGKILL');
  }
}, 60_000);

test('the words are counted, and the summary has the sentences of the text', async () => {
  const { stdout } = await run(
    write('harbour.txt', `${SENTENCES}\n`),
    write('other.txt', 'Nothing of that kind is here.\n'),
  );
  expect(stdout).toMatch(/^harbour\.txt +20 +12 +\w+ +\d$/m);
  expect(stdout).toMatch(
    /^harbour\.txt\n {2}The harbour was quiet that morning\. A lighthouse keeper counted the gulls\.$/m,
  );
}, 60_000);

test('npm start takes names from where the user is, not from the folder of the package', async () => {
  const file = write('here.txt', SENTENCES);
  const env = { ...process.env, npm_lifecycle_event: 'start', INIT_CWD: folder };
  const { stdout } = await promisify(execFile)(process.execPath, [quickstart, file], { cwd: root, env });
  expect(stdout).toContain('1 of 1 files have their result.');
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

/** Starts it with `--serve`; resolves with its address once it says that it goes on. */
async function serve(...args) {
  const child = spawn(process.execPath, [quickstart, '--serve', ...args], { cwd: folder });
  onCleanup(() => child.kill('SIGKILL'));
  const served = { child, printed: '', exit: once(child, 'exit') };
  await new Promise((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      served.printed += chunk;
      if (/^Ctrl-C ends it\.$/m.test(served.printed)) resolve();
    });
    served.exit.then(([code]) => reject(new Error(`ended with ${code}: ${served.printed}`)));
  });
  [, served.at] = /^ {2}open (http:\/\/127\.0\.0\.1:\d+)\/$/m.exec(served.printed);
  return served;
}

test('--serve stays with all four workers, the status page at /, and a curl that works', async () => {
  const { child, printed, exit, at } = await serve(write('a.txt', SENTENCES));
  const [, killed] = /^Worker (\w+) was killed/m.exec(printed);
  expect(printed).toContain(`${killed} has ended (SIGKILL) and is started again`);
  const page = await fetch(`${at}/`);
  expect(page.status).toBe(200);
  expect(page.headers.get('content-type')).toMatch(/^text\/html/);
  expect(await page.text()).toBe(await (await fetch(`${at}/status`)).text());
  // The page asks beside its own path for what keeps it up to date.
  const events = await fetch(`${at}/events`);
  expect(events.headers.get('content-type')).toMatch(/^text\/event-stream/);
  await events.body.cancel();
  expect((await fetch(`${at}/explain?model=summary-1`)).status).toBe(200);
  const { workers } = await (await fetch(`${at}/status.json`)).json();
  expect(workers.map(({ id }) => id).sort()).toEqual(['ada', 'ben', 'cleo', 'dan']);
  const [, url, body] = /^ {2}curl -N (\S+) .* -d '(.*)'$/m.exec(printed);
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  const chunks = (await answer.text()).match(/^data: .*$/gm);
  expect(chunks.length).toBeGreaterThan(5);
  expect(chunks.at(-1)).toBe('data: [DONE]');
  child.kill('SIGTERM');
  expect(await exit).toEqual([0, null]);
}, 60_000);

test('a signal while it works ends it: exit 1, and no worker is left behind', async () => {
  const files = Array.from({ length: 40 }, (_, i) => write(`text-${i}.txt`, SENTENCES));
  const child = spawn(process.execPath, [quickstart, ...files], { cwd: folder });
  onCleanup(() => child.kill('SIGKILL'));
  const closed = once(child, 'close'); // of its streams too, which the workers share
  let stderr = '';
  child.stderr.on('data', (chunk) => (stderr += chunk));
  await new Promise((resolve) => {
    let stdout = '';
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
      if (/ tokens from /.test(stdout)) resolve();
    });
  });
  child.kill('SIGINT');
  expect(await closed).toEqual([1, null]);
  expect(stderr).toBe('quickstart: interrupted\n');
}, 60_000);

// ---- workers in Python

const { testWithPython } = pythonWithWorker();

testWithPython(
  'two of the workers run in Python, and summarise as those in JavaScript do',
  async () => {
    const files = Array.from({ length: 12 }, (_, i) => write(`text-${i}.txt`, SENTENCES));
    const { code, stdout } = await run(...files);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^4 workers: ada \(JavaScript\), ben \(Python\), cleo \(JavaScript\), dan \(Python\)$/m);
    const workers = new Set(
      [...stdout.matchAll(/^text-\d+\.txt: \d+ tokens from (\w+)/gm)].map(([, worker]) => worker),
    );
    expect(workers.has('ben') || workers.has('dan')).toBe(true);
    expect(
      stdout.match(/^ {2}The harbour was quiet that morning\. A lighthouse keeper counted the gulls\.$/gm),
    ).toHaveLength(12);
  },
  60_000,
);

test('without a Python that can be used all four run in JavaScript', async () => {
  const file = write('a.txt', SENTENCES);
  // No python3 is found there, and a virtual environment of the checkout would not find its own.
  const env = { ...process.env, PATH: folder, PYTHONHOME: folder, PYTHON: path.join(folder, 'nowhere') };
  const stdout = await new Promise((resolve, reject) => {
    execFile(process.execPath, [quickstart, file], { cwd: folder, env, timeout: 60_000 }, (error, out) =>
      error ? reject(error) : resolve(out),
    );
  });
  expect(stdout).toMatch(
    /^4 workers: ada \(JavaScript\), ben \(JavaScript\), cleo \(JavaScript\), dan \(JavaScript\)$/m,
  );
  expect(stdout).toContain('1 of 1 files have their result.');
}, 60_000);

// ---- a terminal

/** Runs a command on a pseudo-terminal of 90 columns, and ends with its exit code. What it prints is on stdout. */
const ON_A_TERMINAL = `
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 90, 0, 0))
while True:
    try:
        data = os.read(fd, 65536)
    except OSError:
        break
    if not data:
        break
    os.write(1, data)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;
const { python: terminal, testWithPython: testWithTerminals } = pythonWith('fcntl, pty, termios');

function runOnTerminal(args, env = {}) {
  const { NO_COLOR: _no, FORCE_COLOR: _force, CI: _ci, ...inherited } = process.env;
  const options = { cwd: folder, env: { ...inherited, TERM: 'xterm-256color', ...env }, timeout: 60_000 };
  const command = ['-c', ON_A_TERMINAL, process.execPath, quickstart, ...args];
  return new Promise((resolve) => {
    execFile(terminal, command, options, (error, stdout) => resolve({ code: error ? error.code : 0, stdout }));
  });
}

testWithTerminals(
  'on a terminal there is a live bar for each worker, and the killed one is red',
  async () => {
    const files = Array.from({ length: 14 }, (_, i) => write(`text-${i}.txt`, SENTENCES));
    const { code, stdout } = await runOnTerminal(files);
    expect(code).toBe(0);
    const frames = stdout.split('\u001b[5A').slice(1);
    expect(frames.length).toBeGreaterThan(5);
    const [, worker] = /Worker (\w+) was killed on the way/.exec(stdout);
    for (const frame of frames.slice(0, -1)) {
      const lines = frame.trimEnd().split('\r\n');
      expect(lines).toHaveLength(5);
      // eslint-disable-next-line no-control-regex
      for (const line of lines) expect(line.replace(/\u001b\[\w+/g, '').length).toBeLessThan(90);
    }
    const red = new RegExp(`\u001b\\[31m ${worker} .*killed, \\d requests? moved to others\u001b\\[39m`);
    const green = new RegExp(`\u001b\\[32m ${worker} .*[█░]{20} text-`);
    expect(stdout.search(green)).toBeGreaterThan(0);
    expect(stdout.search(red)).toBeGreaterThan(stdout.search(green));
    expect(frames.at(-1)).toContain('14/14 documents, 0 waiting');
    expect(frames.at(-1)).toContain('Lost: nothing.');
    expect(stdout).not.toMatch(/^text-\d+\.txt: \d+ tokens/m);
  },
  60_000,
);

for (const [title, env, hasBars] of [
  ['a terminal that knows no colours shows bars without them', { NO_COLOR: '1' }, true],
  ['a terminal that can’t move its cursor shows plain lines', { TERM: 'dumb' }, false],
]) {
  testWithTerminals(
    title,
    async () => {
      const { code, stdout } = await runOnTerminal([write('a.txt', SENTENCES)], env);
      expect(code).toBe(0);
      expect(stdout.includes('\u001b[5A')).toBe(hasBars);
      expect(stdout).not.toContain('\u001b[31m');
      expect(/^a\.txt: 12 tokens from \w+/m.test(stdout)).toBe(!hasBars);
    },
    60_000,
  );
}

testWithTerminals(
  'a file’s name steers no terminal',
  async () => {
    const { stdout } = await runOnTerminal([write('a\u001b[2Jb.txt', SENTENCES)]);
    expect(stdout).not.toContain('\u001b[2J');
    expect(stdout).toContain('a\ufffd[2Jb.txt');
  },
  60_000,
);
