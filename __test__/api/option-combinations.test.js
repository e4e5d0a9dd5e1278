'use strict';

// Whatever the constructor takes, start() can start: random combinations of options, good and bad, the same ones each time.

const {
  constants: { MAX_STRING_LENGTH },
} = require('node:buffer');
const WebSocket = require('ws');
const { WorkerServer } = require('../support/package.js');
const { onCleanup } = require('../support/cleanup.js');
const { randomFrom } = require('../support/random.js');
const { rawConnect } = require('../support/raw.js');
const { warningsOfTheCode } = require('../support/warnings.js');
const { recordingLogger } = require('../support/logger.js');
const { capabilitiesOf, registrationOf } = require('../support/worker.js');

const COMBINATIONS = 250;
/** A limit of at least this much must not keep one worker from exchanging one message. */
const ENOUGH_BYTES = 4096;
const ENOUGH_MS = 60_000;

const COUNTS = [1, 2, 255, 1023, ENOUGH_BYTES, 65_537, 2 ** 29 - 25, 2 ** 31 - 1, 2 ** 31, 2 ** 53, Number.MAX_VALUE];
const TIMES = [
  0,
  0.3,
  1,
  3,
  2001,
  ENOUGH_MS,
  60_000.5,
  300_001,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 53,
  Number.MAX_VALUE,
  Infinity,
];
const JUNK = [null, -1, NaN, -Infinity, 1.5, '5', '', 'x', true, {}, [], 5n, Symbol('s'), () => 5];
const UNDEFINED = [undefined];

class Sloppy {
  lines = [];
  debug(message) {
    this.lines.push(message);
  }
  warn(message) {
    this.lines.push(message);
  }
  error(message) {
    this.lines.push(message);
  }
}

/** What may be given for each option; of a list its junk is given now and then. */
const OPTIONS = {
  port: [0, '0', -0],
  host: [undefined, null, '127.0.0.1', '::', '0.0.0.0', 'localhost'],
  authToken: [undefined, '', 'secret', ['secret'], ['other', 'secret'], 'lone \ud800'],
  acceptUnregistered: [undefined, null, true, false],
  reusePort: [undefined, null, true, false],
  heartbeatTimeoutMs: TIMES,
  healthCheckIntervalMs: TIMES,
  heartbeatIntervalMs: TIMES,
  pingIntervalMs: TIMES,
  logger: [undefined, null, console, new Sloppy(), recordingLogger()],
};
const LIMITS = {
  maxMessageBytes: [...COUNTS.filter((count) => count <= MAX_STRING_LENGTH), MAX_STRING_LENGTH],
  headTimeoutMs: TIMES,
  maxHeadBytes: COUNTS,
  registrationTimeoutMs: TIMES,
  maxConnections: COUNTS,
  maxUnregistered: COUNTS,
  maxQueuedBytes: COUNTS,
  stallTimeoutMs: TIMES,
  maxUnhandledBytes: COUNTS,
  maxUnhandledBytesTotal: COUNTS,
  stopGraceMs: TIMES,
};

function combine(random) {
  const pick = (list) => list[Math.floor(random() * list.length)];
  // Most combinations have none of it, or hardly any would be taken.
  const junk = random() < 0.4 ? 0.05 : 0;
  const choose = (spec, options) => {
    for (const [name, values] of Object.entries(spec)) {
      if (random() < 0.5) options[name] = pick(random() < junk ? JUNK : random() < 0.1 ? UNDEFINED : values);
    }
    return options;
  };
  const options = choose(OPTIONS, { port: 0 });
  if (random() < 0.8) options.limits = choose(LIMITS, {});
  return options;
}

const shown = (options) =>
  JSON.stringify(options, (name, value) =>
    name === 'logger' ? typeof value : typeof value === 'object' ? value : String(value),
  );

const isEnough = (value, enough) => value === undefined || value === null || value >= enough;
const isEnoughTime = (value) => value === 0 || isEnough(value, ENOUGH_MS);

/** Whether these options leave a worker the bytes and the time to register. */
function isRoomy({ heartbeatTimeoutMs, pingIntervalMs, limits }) {
  const { maxMessageBytes, headTimeoutMs, maxHeadBytes, registrationTimeoutMs } = limits ?? {};
  return (
    isEnough(maxMessageBytes, ENOUGH_BYTES) &&
    isEnough(maxHeadBytes, ENOUGH_BYTES) &&
    isEnoughTime(headTimeoutMs) &&
    isEnoughTime(registrationTimeoutMs) &&
    // Pings are answered in the time of a heartbeat.
    (!(pingIntervalMs < ENOUGH_MS) || pingIntervalMs === 0 || isEnough(heartbeatTimeoutMs, ENOUGH_MS))
  );
}

/** Connects and registers: the answer to the registration, or how the server ended the attempt instead. */
function register(port, address, authToken) {
  const ws = new WebSocket(`ws://${address}:${port}/`);
  onCleanup(() => ws.terminate());
  ws.on('open', () => ws.send(JSON.stringify(registrationOf('w', { authToken, capabilities: capabilitiesOf() }))));
  return new Promise((resolve) => {
    ws.on('message', (data) => resolve(JSON.parse(data)));
    ws.on('unexpected-response', (_, { statusCode }) => resolve({ statusCode }));
    ws.on('error', ({ code }) => resolve({ code }));
    ws.on('close', (code) => resolve({ code }));
  }).finally(() => ws.close());
}

async function lives(server, options) {
  const { port } = server;
  expect(port).toBeGreaterThan(0);
  const { authToken, host } = options;
  const address = host === '127.0.0.1' || host === '0.0.0.0' ? '127.0.0.1' : 'localhost';
  const ack = await register(port, address, Array.isArray(authToken) ? authToken.at(-1) : authToken?.toWellFormed());
  if (isRoomy(options)) expect(ack).toMatchObject({ type: 'worker_registration_ack', success: true });
  const raw = await rawConnect(port, address);
  raw.write('GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
  const answer = await raw.end();
  // 408 or 431 where the time or the room for a head is too short; a connection that is cut may have had no answer.
  if (isRoomy(options)) expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
}

afterEach(() => jest.restoreAllMocks());

test('whatever combination of options the constructor takes starts, serves and stops, twice; of the others one option is named', async () => {
  const random = randomFrom(20_260_131);
  jest.spyOn(console, 'debug').mockImplementation(() => {});
  jest.spyOn(console, 'warn').mockImplementation(() => {});
  jest.spyOn(console, 'error').mockImplementation(() => {});
  warningsOfTheCode();
  const seen = { taken: 0, roomy: 0, refused: 0 };
  for (let n = 0; n < COMBINATIONS; n += 1) {
    const options = combine(random);
    let server;
    try {
      server = new WorkerServer(options);
    } catch (error) {
      expect(error).toBeInstanceOf(TypeError);
      const [, name] = /^options\.(?:limits\.)?(\w+)/.exec(error.message);
      expect([...Object.keys(options), ...Object.keys(options.limits ?? {})]).toContain(name);
      seen.refused += 1;
      continue;
    }
    server.addHttpHandler((req, res) => {
      res.end('fine');
      return true;
    });
    onCleanup(() => server.stop());
    seen.taken += 1;
    seen.roomy += isRoomy(options) ? 1 : 0;
    try {
      for (let round = 0; round < 2; round += 1) {
        await server.start();
        await lives(server, options);
        await server.stop();
      }
    } catch (error) {
      throw new Error(`combination ${n}, ${shown(options)}: ${error.stack}`, { cause: error });
    }
  }
  // Else this would be no test.
  expect(Math.min(seen.taken, seen.roomy, seen.refused)).toBeGreaterThan(COMBINATIONS / 10);
}, 120_000);
