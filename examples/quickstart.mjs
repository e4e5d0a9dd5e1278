// The quickstart: a WorkerServer, four workers in processes of their own, and a batch of text files for them to work on.
//
//   npm start                      works on this repository's own documents
//   npm start -- FILE...           works on these files
//   npm start -- --help
//
// Each file is one `server.request()`. Workers serve two models, `prose-1` and `code-1`; one of them takes only one long
// text at a time. One worker is killed while it has requests, to show that they are not lost.

import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import cliProgress from 'cli-progress';
import WebSocket from 'ws';
// In your own program: import { WorkerServer } from '@hardlydifficult/worker-server';
import { WorkerServer } from '../index.js';
import { defaultFiles, kindOf, readText } from './support/read-files.mjs';
import { printable, report } from './support/report.mjs';
import { corpusOf } from './text-work.mjs';

/** Only this machine: whoever serves others puts a proxy with TLS in front. */
const HOST = '127.0.0.1';
const FIRST_PORT = 19100;
const LAST_PORT = 19199;
const LONG_TEXT = 8_000;
const MOST_ATTEMPTS = 3;
const REGISTRATION_MS = 15_000;

const WORKERS = [
  { id: 'ada', models: ['prose-1'], max: 2 },
  { id: 'ben', models: ['prose-1'], max: 2, limits: ['long=1'] },
  { id: 'cleo', models: ['code-1'], max: 2 },
  { id: 'dan', models: ['prose-1', 'code-1'], max: 2 },
];

const HELP = `Works on text files with a WorkerServer and four worker processes: counts, most telling terms, three sentences.

  npm start [-- [--serve] [--verbose] [FILE...]]

  FILE        text files in UTF-8; without any, this repository's own documents
  --serve     keep running afterwards, until Ctrl-C, with
                GET /health         is the server up, and what can it take
                GET /workers        every worker as JSON
                ws  /ws/dashboard   what happens, as it happens
  --verbose   print the server's log lines
  --help      print this

It listens on ${HOST} alone, at port ${FIRST_PORT} or the next free one, for workers that give the token which it makes at random.
The exit code is 0 if every file has its result, 1 if not, 2 for a wrong option.`;

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

function readOptions() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        serve: { type: 'boolean', default: false },
        verbose: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    console.error(`${error.message}\n\n${HELP}`);
    return process.exit(2);
  }
}

/** The files to work on, each with the name to show. */
async function chooseFiles(names) {
  if (names.length === 0) {
    return (await defaultFiles(root)).map((file) => ({ file, name: path.relative(root, file) }));
  }
  // npm runs scripts in the package's folder; names are meant from where the user is.
  const here = process.env.npm_lifecycle_event === 'start' ? process.env.INIT_CWD : process.cwd();
  return names.map((name) => ({ file: path.resolve(here, name), name }));
}

/** A job for each file that can be read; the others are complained of and left out. */
async function readJobs(files) {
  const jobs = [];
  for (const { file, name } of files) {
    try {
      const text = await readText(file);
      const category = text.length > LONG_TEXT ? 'long' : undefined;
      jobs.push({ id: `request-${jobs.length + 1}`, name, text, kind: kindOf(file), category, workers: [] });
    } catch (error) {
      console.error(`${printable(name)}: left out, because ${error.message}`);
    }
  }
  return jobs;
}

const modelOf = (job) => `${job.kind}-1`;

/** Starts a server on the first port that is free. */
async function startServer(options) {
  for (let port = FIRST_PORT; ; port += 1) {
    const server = new WorkerServer({ ...options, port });
    try {
      await server.start();
      return server;
    } catch (error) {
      if (error.code !== 'EADDRINUSE' || port === LAST_PORT) throw error;
    }
  }
}

function startWorker({ id, models, max, limits = [] }, url, token) {
  const args = ['--id', id, '--url', url, '--max', String(max)];
  args.push(...models.flatMap((model) => ['--model', model]), ...limits.flatMap((limit) => ['--limit', limit]));
  return fork(path.join(root, 'examples', 'text-worker.mjs'), args, { env: { ...process.env, WORKER_TOKEN: token } });
}

/** Resolves when all workers have registered; rejects if one ends before it did, or takes too long. */
function allRegistered(server, children) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the workers did not register in time')), REGISTRATION_MS);
    const off = server.onWorkerConnected(() => {
      if (server.getWorkerCount() === children.size) settle(resolve);
    });
    const ended = (id) => (code, signal) =>
      settle(() => reject(new Error(`worker ${id} ended early (${signal ?? code})`)));
    const watching = [...children].map(([id, child]) => {
      const onExit = ended(id);
      child.once('exit', onExit);
      return () => child.off('exit', onExit);
    });
    function settle(how) {
      clearTimeout(timer);
      off();
      for (const unwatch of watching) unwatch();
      how();
    }
  });
}

/** What a browser, a monitoring system or you can look at while the server runs. */
function addDashboard(server, tell) {
  const json = (res, status, body) => {
    res.writeHead(status, { 'content-type': 'application/json' });
    res.end(`${JSON.stringify(body)}\n`);
    return true;
  };
  const health = () => ({
    status: server.getWorkerCount() > 0 ? 'ok' : 'no workers',
    workers: server.getWorkerCount(),
    available: server.getAvailableWorkerCount(),
    waiting: server.getQueueInfo().size,
    freeSlots: { 'prose-1': server.getAvailableSlotCount('prose-1'), 'code-1': server.getAvailableSlotCount('code-1') },
  });
  // A Set and a Map are no JSON: write them as an array and an object.
  const workers = () =>
    server.getWorkerInfo().map((worker) => ({
      ...worker,
      pendingRequestIds: [...worker.pendingRequestIds],
      categoryActiveRequests: Object.fromEntries(worker.categoryActiveRequests),
    }));

  server.addHttpHandler(async (req, res) => {
    if (req.method !== 'GET') return false;
    const { pathname } = new URL(req.url, 'http://localhost');
    if (pathname === '/health') return json(res, server.getWorkerCount() > 0 ? 200 : 503, health());
    if (pathname === '/workers') return json(res, 200, workers());
    return false;
  });

  server.addWebSocketEndpoint('/ws/dashboard', (ws) => {
    const listener = (event) => {
      if (ws.readyState === WebSocket.OPEN) ws.send(JSON.stringify(event));
    };
    listener({ event: 'snapshot', health: health(), workers: workers() });
    tell.add(listener);
    // Something to see also when nothing happens.
    const timer = setInterval(() => listener({ event: 'health', health: health() }), 1_000);
    ws.on('close', () => {
      tell.delete(listener);
      clearInterval(timer);
    });
    ws.on('error', () => {});
  });
}

/** Workers are not started again: aborts what waits for a model that none of those left serves. Returns each model's signal. */
function abandonment(server) {
  const controllers = new Map(
    [...new Set(WORKERS.flatMap(({ models }) => models))].map((m) => [m, new AbortController()]),
  );
  server.onWorkerDisconnected(() => {
    for (const [model, controller] of controllers) {
      const isServed = server.explain({ model }).workers.some(({ reason }) => reason !== 'model');
      if (!isServed) controller.abort(new Error(`no worker for ${model} is left`));
    }
  });
  return (model) => controllers.get(model).signal;
}

/** Has a job done. Afterwards it has a result, or an error. */
async function runJob(server, job, signal, announce) {
  try {
    job.result = await server.request(
      { kind: job.kind, text: job.text },
      {
        model: modelOf(job),
        category: job.category,
        requestId: job.id,
        signal,
        timeoutMs: Infinity,
        // To analyse a text twice does no harm, so what a lost worker had is given to another one.
        maxAttempts: MOST_ATTEMPTS,
        onQueued: () => {
          job.hasWaited = true;
        },
        onStarted: (worker, attempt) => {
          job.workers.push(worker.id);
          announce({ event: 'request_sent', requestId: job.id, file: job.name, worker: worker.id, attempt });
        },
      },
    );
  } catch (error) {
    const isLost = error.code === 'WORKER_LOST';
    job.error = isLost ? `given up: ${error.attempts} workers were lost with it` : error.message;
  }
  const worker = job.workers.at(-1);
  announce({ event: 'request_done', requestId: job.id, file: job.name, worker, error: job.error });
}

/** Resolves, with undefined, at the first Ctrl-C. */
function interrupted() {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => resolve());
  });
}

async function stopWorkers(children) {
  const ends = [...children.values()]
    .filter((child) => child.exitCode === null && child.signalCode === null)
    .map((child) => {
      const end = once(child, 'exit');
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
      return end.finally(() => clearTimeout(timer));
    });
  await Promise.all(ends);
}

function consoleLogger() {
  const line = (level) => (message, context) => console.error(`${level}: ${message}`, context ?? '');
  return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
}

/** Hands out all jobs, and kills the worker that gets the first of them while it has requests. Resolves with its id. */
async function runBatch(server, jobs, children, announce) {
  const signalOf = abandonment(server);
  const victim = server.getAvailableWorker(modelOf(jobs[0]), jobs[0].category)?.id ?? WORKERS[0].id;
  // Frozen before it gets anything, it can't be done before it is killed. Windows can't freeze a process.
  if (process.platform !== 'win32') children.get(victim).kill('SIGSTOP');
  const ends = jobs.map((job) => runJob(server, job, signalOf(modelOf(job)), announce));
  children.get(victim).kill('SIGKILL');
  await Promise.all(ends);
  return victim;
}

function summary(jobs, leftOut, victim) {
  const done = jobs.filter((job) => job.result).length;
  const waited = jobs.filter((job) => job.hasWaited).length;
  const resent = jobs.filter((job) => job.workers.slice(0, -1).includes(victim));
  const lines = [`${done} of ${jobs.length + leftOut} files have their result.`];
  if (leftOut > 0) lines.push(`${leftOut} left out: see the messages above.`);
  if (waited > 0) lines.push(`${waited} requests waited for a free slot.`);
  const names = resent.map((job) => `${printable(job.name)} (to ${job.workers.at(-1)})`).join(', ');
  lines.push(
    `Worker ${victim} was killed on the way. Requests it had: ${resent.length}. ` +
      `They were sent again to other workers: ${names}.`,
  );
  return lines.join('\n');
}

async function main() {
  const { values: options, positionals } = readOptions();
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const files = await chooseFiles(positionals);
  const jobs = await readJobs(files);
  if (jobs.length === 0 && !options.serve) {
    console.error('There is no file to work on.');
    return 1;
  }

  // The workers get it in their environment. Nothing of whoever hasn't got it reaches the handlers below.
  const token = randomBytes(16).toString('hex');
  const logger = options.verbose ? consoleLogger() : undefined;
  const server = await startServer({
    host: HOST,
    authToken: token,
    heartbeatIntervalMs: 2_000,
    heartbeatTimeoutMs: 6_000,
    // However many files there are, and however long they take: all of them may wait, for workers that are there.
    queue: { maxSize: Infinity, maxBytes: Infinity, timeoutMs: Infinity, whenNoWorker: 'fail' },
    // A worker that was killed does not come back, so what it had need not wait for that.
    limits: { resumeGraceMs: 0 },
    logger,
  });
  const children = new Map();
  const stopped = interrupted();
  const listeners = new Set();
  const bar = new cliProgress.SingleBar(
    { format: ' {bar} {value}/{total} files, {free} free slots', hideCursor: true, gracefulExit: false },
    cliProgress.Presets.shades_classic,
  );
  const freeSlots = () => ({ free: server.getAvailableSlotCount('prose-1') + server.getAvailableSlotCount('code-1') });
  const announce = (event) => {
    for (const listener of listeners) listener(event);
    if (event.event === 'request_done') bar.increment(1, freeSlots());
  };
  addDashboard(server, listeners);
  server.onWorkerConnected((worker) => announce({ event: 'worker_connected', worker: worker.id }));
  server.onWorkerDisconnected((worker) => announce({ event: 'worker_disconnected', worker: worker.id }));

  try {
    console.log(`Listening on ${HOST}:${server.port}. Starting ${WORKERS.length} workers.`);
    for (const worker of WORKERS) {
      children.set(worker.id, startWorker(worker, `ws://${HOST}:${server.port}`, token));
    }
    await Promise.race([allRegistered(server, children), stopped.then(() => Promise.reject(new Error('interrupted')))]);

    if (jobs.length > 0) {
      // What tf-idf must know of the batch. Messages to a worker keep their order, so this one is there before the texts.
      server.broadcast({ type: 'corpus', corpus: corpusOf(jobs.map((job) => job.text)) });
      if (!options.verbose) bar.start(jobs.length, 0, freeSlots());
      const victim = await Promise.race([runBatch(server, jobs, children, announce), stopped]);
      bar.stop();
      if (victim === undefined) throw new Error('interrupted');
      const leftOut = files.length - jobs.length;
      console.log(`\n${report(jobs, process.stdout.columns ?? 120)}\n\n${summary(jobs, leftOut, victim)}`);
    }

    if (options.serve) {
      const at = `${HOST}:${server.port}`;
      console.log(`\nServing http://${at}/health, http://${at}/workers and ws://${at}/ws/dashboard until Ctrl-C.`);
      await stopped;
    }
  } finally {
    bar.stop();
    await stopWorkers(children);
    await server.stop();
  }
  return jobs.length === files.length && jobs.every((job) => job.result) ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`quickstart: ${error.message}`);
  process.exitCode = 1;
}
