'use strict';

const { spawn } = require('node:child_process');
const path = require('node:path');
const { once } = require('node:events');
const { freePort } = require('../support/ports.js');
const { onCleanup } = require('../support/cleanup.js');
const { WORKER_ENV, pythonWithWorker } = require('../support/python.js');
const { readDocument } = require('../support/doc-examples.js');
const workerServer = require('../support/package.js');

const root = path.join(__dirname, '../..');
const readme = readDocument('README.md');

test('the README names every export and every member of the server', () => {
  const { prototype } = require('../../index.js').WorkerServer;
  const members = Object.getOwnPropertyNames(prototype).filter((name) => name !== 'constructor');
  for (const name of [...Object.keys(workerServer), ...members]) expect(readme).toContain(name);
});

test('the two numbers of the README are those of the measurement', () => {
  const { results } = JSON.parse(readDocument('docs/performance/results.json'));
  const figure = (work, name) => results.find((row) => row.name === work).figures.find((each) => each.name === name);
  const rate = figure('requests-200', 'rate');
  const js = figure('requests-200', 'js');
  const ack = figure('blocked', 'p50');
  const text = readme.replace(/\s+/g, ' ');
  expect(text).toContain(
    `**${rate.ratio.toFixed(1)} times as many requests a second** to 200 workers, with **${js.ratio.toFixed(2)} times** ` +
      `your JavaScript thread's time for each (${js.ours.median.toFixed(1)} µs instead of ${js.peer.median.toFixed(0)})`,
  );
  const [ours, peer] = [ack.ours.median / 1_000, ack.peer.median / 1_000_000];
  expect(text).toContain(`**${ours.toFixed(1)} ms instead of ${peer.toFixed(1)} s**`);
});

test('the pictures of the README are in the repository, in a light and in a dark form that say the same', () => {
  const pictures = [...readme.matchAll(/https:\/\/raw\.githubusercontent\.com\/[^/]+\/[^/]+\/main\/([^)"]+)/g)];
  expect(pictures.length).toBeGreaterThanOrEqual(3);
  // Photographs are there; what can be read in a drawing is looked at.
  for (const [, file] of pictures) expect(readDocument(file)).not.toBe('');
  const drawings = pictures.filter(([, file]) => file.endsWith('.svg'));
  const texts = drawings.map(([, file]) => [...readDocument(file).matchAll(/<text[^>]*>([^<]*)/g)].join('\n'));
  for (const text of texts) expect(text).not.toBe('');
  const withoutColours = (file) => readDocument(file).replace(/#[0-9a-f]{6}/g, '#');
  expect(withoutColours('docs/images/overview-dark.svg')).toBe(withoutColours('docs/images/overview-light.svg'));
});

// The round trip --------------------------------------------------------------------------------

/** A program of the round trip, by the name in its first line, for `port`. */
const program = (name, port) => {
  const [, code] = new RegExp(`\`\`\`\\w+\\n((?://|#) ${name}.*?)\`\`\``, 's').exec(readme);
  return code.replace('19100', String(port));
};

function start(command, args, env) {
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onCleanup(() => child.kill('SIGKILL'));
  child.printed = '';
  for (const stream of ['stdout', 'stderr']) {
    child[stream].on('data', (data) => {
      child.printed += data;
      child.emit('printed');
    });
  }
  return child;
}

const [, promised] = /The server prints:\n\n```text\n(.*?)```/s.exec(readme);

/** Runs the round trip with a worker that `startWorker` starts for a port, and ends both as Ctrl-C does. */
async function roundTrip(startWorker) {
  const port = await freePort();
  const server = start(process.execPath, ['--input-type=module', '-e', program('server.mjs', port)]);
  const worker = startWorker(port);
  while (server.printed.length < promised.length) await once(server, 'printed');
  expect(server.printed).toBe(promised);
  const ends = [once(server, 'exit'), once(worker, 'exit')];
  for (const child of [server, worker]) child.kill('SIGINT');
  expect(await Promise.all(ends)).toEqual([
    [0, null],
    [0, null],
  ]);
}

test('the round trip prints what the README says, and ends at Ctrl-C', () =>
  roundTrip((port) => start(process.execPath, ['--input-type=module', '-e', program('worker.mjs', port)])));

const { python, testWithPython } = pythonWithWorker();

testWithPython('so does the round trip with the worker in Python', () =>
  roundTrip((port) => start(python, ['-c', program('worker.py', port)], WORKER_ENV)),
);
