'use strict';

const { Bridge } = require('../../bridge/bridge.js');
const { anyText, count, durationMs, names, secret, url } = require('../arguments.js');
const { Failure, UsageError } = require('../errors.js');
const { printable, withoutSecrets } = require('../printable.js');

const DEFAULT_REFRESH_MS = 30_000;

const flags = {
  server: { read: url(['ws:', 'wss:'], { bare: false }), required: true },
  token: { read: secret },
  upstream: { read: url(['http:', 'https:']), required: true },
  'upstream-key': { read: secret },
  models: { read: names },
  concurrency: { read: count },
  name: { read: anyText },
  'refresh-ms': { read: durationMs },
};

const help = `Usage: worker-server bridge --server ws://… --upstream http://127.0.0.1:11434/v1 [flag]…

Makes an OpenAI-compatible endpoint (Ollama, llama.cpp, vLLM, LM Studio) a worker of a server.

  --server URL          the server, ws: or wss:
  --token TOKEN         the server's token
  --upstream URL        the endpoint, with its /v1
  --upstream-key KEY    sent to the endpoint as Authorization: Bearer
  --models a,b          offers these of its models only
  --concurrency N       requests at once; default: what llama.cpp says, else 1
  --name NAME           a name for people; default: the worker's id
  --refresh-ms N        how often the endpoint is asked for its models; default ${DEFAULT_REFRESH_MS}

Each flag is also a variable: --upstream-key is WORKER_SERVER_UPSTREAM_KEY. Give secrets that way: a command line can be
seen by others on the machine. SIGTERM and SIGINT let what runs come to its end; a second one closes at once.`;

async function run({
  server,
  token,
  upstream,
  upstreamKey,
  models,
  concurrency,
  name,
  refreshMs = DEFAULT_REFRESH_MS,
}) {
  const say = (message) => console.log(printable(message));
  const warn = (message) => console.error(printable(message));
  const options = { upstream, upstreamKey, models, concurrency, refreshMs, say, warn };
  const worker = { url: server, authToken: token, workerName: name, logger: loggerTo(warn) };
  let bridge;
  try {
    bridge = new Bridge({ ...options, worker });
  } catch (error) {
    // Of all that it is given only the environment's proxy isn't checked yet.
    throw new UsageError(error.message);
  }
  say(`Bridge from ${withoutSecrets(server)} to ${withoutSecrets(upstream)}`);
  try {
    await bridge.run();
  } catch (error) {
    throw new Failure(error.name === 'WorkerRejectedError' ? rejection(error) : error.message);
  }
  return 0;
}

const REJECTIONS = {
  4001: 'the server refused the token',
  4002: 'the server refused the registration',
  4003: 'another worker has taken over this id',
};

const rejection = ({ code, reason }) => `${REJECTIONS[code] ?? 'the server refused this worker'} (${code} ${reason})`;

/** What a request failed with went to its caller. What is left are broken lines and odd servers. */
function loggerTo(warn) {
  const nothing = () => {};
  return { debug: nothing, info: nothing, warn: (message) => warn(`warn: ${message}`), error: nothing };
}

module.exports = { flags, help, run };
