'use strict';

// docs/OPERATIONS.md names every log line, with its level, and every limit, with its default; and its examples work.

const fs = require('node:fs');
const path = require('node:path');
const { EventEmitter } = require('node:events');
const { startServer } = require('../support/server.js');
const { connectRequestWorker, rejection } = require('../support/request-worker.js');
const { connectWorker } = require('../support/worker.js');
const { readOptions } = require('../../lib/server/options.js');

const root = path.join(__dirname, '../..');
const operations = fs.readFileSync(path.join(root, 'docs/OPERATIONS.md'), 'utf8');
const section = (title) => operations.split(`\n## ${title}\n`)[1].split('\n## ')[0];
/** The cells of each row of the tables in a section, without their heads. */
const rows = (title) =>
  section(title)
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split(' | ').map((cell) => cell.replace(/^\||\|$/g, '').trim()));

const filesIn = (folder, extension) =>
  fs
    .readdirSync(path.join(root, folder), { recursive: true })
    .filter((name) => name.endsWith(extension))
    .map((name) => [path.join(folder, name), fs.readFileSync(path.join(root, folder, name), 'utf8')]);

/** The Rust sources that ship. */
const rustSources = () =>
  [...filesIn('src', '.rs'), ...filesIn('crates', '.rs')]
    .filter(([name]) => !/(^|\/)tests(\/|\.rs$)/.test(name))
    .map(([name, text]) => [name, text.split('#[cfg(test)]')[0]]);

/** Calls whose message is not in their own text: they pass on, on its level, what others have worded. */
const PASSING_ON = [
  'lib/workers/handlers.js: complaint', // Of the places that call `#call`, see below.
];

/** The sources in JavaScript whose lines are in the table. */
function javaScriptSources() {
  // A worker's own lines are in docs/WORKERS.md, the gateway's in docs/GATEWAY.md, the status page's in docs/STATUS.md.
  const elsewhere = ['worker', 'gateway', 'status'].map((folder) => path.join('lib', folder, '/'));
  return filesIn('lib', '.js').filter(([name]) => !elsewhere.some((folder) => name.startsWith(folder)));
}

/** Every `level: message` in the sources; what can't be read from them is an error. */
function linesInSources() {
  const found = new Set();
  for (const [name, text] of javaScriptSources()) {
    for (const [, level, first] of text.matchAll(/ogger\.(debug|info|warn|error)\(\s*('[^']*'|[^,)]*)/g)) {
      if (first.startsWith("'")) found.add(`${level}: ${first.slice(1, -1)}`);
      else if (!PASSING_ON.includes(`${name}: ${first}`))
        throw new Error(`${name}: the message of a log line is ${first}`);
    }
    for (const [, message] of text.matchAll(/#call\('([^']*)'/g)) found.add(`error: ${message}`);
  }
  for (const [name, shipped] of rustSources()) {
    for (const [, level, first] of shipped.matchAll(/Line::(debug|warn|error)\(\s*("[^"]*"|[^,)]*)/g)) {
      if (!first.startsWith('"')) throw new Error(`${name}: the message of a log line is ${first}`);
      found.add(`${level}: ${first.slice(1, -1)}`);
    }
    for (const [, level, message] of shipped.matchAll(/Line \{\s*level: ([^,]*), message: "([^"]*)"/g)) {
      found.add(`${level === 'kind.level' ? 'as theirs' : level}: ${message}`);
    }
  }
  return [...found].sort();
}

const linesInTable = () =>
  rows('Log lines')
    .map(([line, level]) => `${level}: ${/`([^`]*)`/.exec(line)[1]}`)
    .sort();

test('every log line in the sources is in the table, on its level, and no other', () => {
  const found = linesInSources();
  expect(found.length).toBeGreaterThan(30);
  expect(linesInTable()).toEqual(found);
});

test('the lines that are marked are those that are limited', () => {
  const limited = new Set();
  for (const [, shipped] of rustSources()) {
    for (const [, message] of shipped.matchAll(/Line::\w+\(\s*"([^"]*)"/g)) limited.add(message);
  }
  // The health of workers is judged by the server itself.
  for (const always of ['Worker heartbeat timeout', 'Worker connection presumed dead, closing']) limited.delete(always);
  for (const [, text] of javaScriptSources()) {
    for (const [, message] of text.matchAll(/imitedLogger\.\w+\('([^']*)'/g)) limited.add(message);
    // Those that are called with a logger, which is the limited one: see `Handlers`.
    for (const [, message] of text.matchAll(/#call\('([^']*)', \w+, logger,/g)) limited.add(message);
  }
  limited.add('Unhandled message type from worker'); // See Handlers.message.
  const partly = ['HTTP server error'];
  const marked = rows('Log lines')
    .filter(([line]) => line.endsWith('\\*'))
    .map(([line]) => /`([^`]*)`/.exec(line)[1]);
  expect(marked.sort()).toEqual([...limited].filter((message) => !partly.includes(message)).sort());
  for (const message of partly)
    expect(section('Log lines')).toMatch(new RegExp(`\`${message}\` \\| error \\| .*\\(\\\\\\*\\)`));
});

test('every limit is in the table, with its default', () => {
  const inTable = rows('Limits').map(([name, byDefault]) => {
    const [, number, unit] = /^([\d,]+)( KiB| MiB)?$/.exec(byDefault);
    const factor = { ' KiB': 2 ** 10, ' MiB': 2 ** 20 }[unit] ?? 1;
    return [name.replaceAll('`', ''), Number(number.replaceAll(',', '')) * factor];
  });
  expect(Object.fromEntries(inTable)).toEqual(readOptions({ port: 0 }).limits);
});

test('every row of a table has as many cells as its head', () => {
  let columns = 0;
  for (const line of operations.split('\n')) {
    const cells = line.startsWith('|') ? line.split('|').length : 0;
    if (cells > 0 && columns > 0) expect([line, cells]).toEqual([line, columns]);
    columns = cells;
  }
});

const examples = [...section('Draining and rolling restarts').matchAll(/```js run\n(.*?)```/gs)].map(
  ([, code]) => code,
);

describe('the example of a graceful stop', () => {
  const code = examples.find((text) => text.includes('shutDown'));

  /** Runs the example with stand-ins for the process and the console, and returns them. */
  function run(server, text = code) {
    const signals = new EventEmitter();
    const console = { warn: jest.fn() };
    new Function('server', 'process', 'console', text)(server, signals, console);
    return { signals, console };
  }

  const health = async (server) => (await fetch(`http://127.0.0.1:${server.port}/health`)).status;

  test('waits for what is under way and takes nothing new, then stops', async () => {
    const { server, log } = await startServer();
    const worker = await connectRequestWorker(server);
    server.trackRequest('w', 'own');
    server.onWorkerMessage('done', (_, { requestId }) => server.releaseRequest(requestId));
    const { signals, console } = run(server);
    const answer = server.request({});
    const request = await worker.nextRequest();
    expect(await health(server)).toBe(200);
    signals.emit('SIGTERM');
    expect([await health(server), (await rejection(server.request({}))).code]).toEqual([503, 'SERVER_STOPPING']);
    worker.answer(request, 'result', { data: 1 });
    worker.send({ type: 'done', requestId: 'own' });
    expect(await answer).toBe(1);
    expect(await worker.closed).toEqual({ code: 1001, reason: 'Server shutting down' });
    await log.line('HTTP + WebSocket server stopped');
    expect(console.warn).not.toHaveBeenCalled();
  });

  test('says how many requests are lost when its time is up', async () => {
    const { server, log } = await startServer();
    await connectWorker(server, 'w');
    server.trackRequest('w', 'r1');
    const { signals, console } = run(server, code.replace('20_000', '20'));
    signals.emit('SIGTERM');
    await log.line('HTTP + WebSocket server stopped');
    expect(console.warn.mock.calls).toEqual([['Stopping with 1 under way']]);
  });
});

test('the example that retires a worker lets it finish what it has', async () => {
  const code = examples.find((text) => text.includes('retire'));
  const { server } = await startServer();
  const worker = await connectRequestWorker(server);
  const answer = server.request({});
  const request = await worker.nextRequest();
  const retired = new Function('require', 'server', `${code}; return retire('w');`)(require, server);
  expect(server.getWorkerInfo()[0].status).toBe('draining');
  worker.answer(request, 'result', { data: 1 });
  expect(await answer).toBe(1);
  await retired;
  expect(await worker.closed).toEqual({ code: 1000, reason: 'Maintenance' });
});
