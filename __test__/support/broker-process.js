'use strict';

// A real broker in a process of its own, for tests, benchmark and soak.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const { isInstalled } = require('./installed.js');
const { freePort, untilListening } = require('./ports.js');

const COMMANDS = {
  nats: (port) => ['nats-server', '-a', '127.0.0.1', '-p', String(port)],
  redis: (port) => ['redis-server', '--bind', '127.0.0.1', '--port', String(port), '--save', '', '--appendonly', 'no'],
};

/** The program of a broker of this kind. */
const programOf = (kind) => COMMANDS[kind](0)[0];

class BrokerProcess {
  #kind;
  #process = null;

  constructor(kind, port) {
    this.#kind = kind;
    this.port = port;
  }

  get url() {
    return `${this.#kind}://127.0.0.1:${this.port}`;
  }

  get pid() {
    return this.#process.pid;
  }

  async start() {
    const [command, ...args] = COMMANDS[this.#kind](this.port);
    this.#process = spawn(command, args, { stdio: 'ignore' });
    await untilListening(this.port, this.#process);
  }

  /** It is gone as if its machine had lost power. */
  async kill() {
    const gone = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await gone;
    this.#process = null;
  }

  async close() {
    if (this.#process !== null) await this.kill();
  }
}

/** NATS on a free port, or null where it isn't installed. */
async function startNatsIfInstalled() {
  if (!isInstalled(programOf('nats'))) return null;
  const broker = new BrokerProcess('nats', await freePort());
  await broker.start();
  return broker;
}

module.exports = { BrokerProcess, programOf, startNatsIfInstalled };
