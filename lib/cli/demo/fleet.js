'use strict';

// The demo's workers: processes that are started, killed, started again, and that leave when the demo does.

const { fork, spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');

const JAVASCRIPT = path.join(__dirname, 'worker.js');
const REGISTRATION_MS = 30_000;
/** How long a killed worker is missed before it is started again, in ms. */
const RESTART_MS = 3_000;
/** How long a worker may take to leave, in ms. */
const LEAVE_MS = 5_000;
const NAMES = ['ada', 'ben', 'cleo', 'dan'];

class Fleet {
  #server;
  #url;
  #env;
  #restarts;
  #onRestart;
  #onEmpty;
  #children = new Map();
  #timers = new Set();
  #leaving = false;

  /** `{ name, language, python }` each; `python` is how to run one in Python. */
  members;

  /**
   * @param {object} options
   * @param {object} options.server the server, which listens
   * @param {string} options.url its address for workers
   * @param {string} [options.token]
   * @param {{ command: string, env: object, script: string }} [options.python] half of the workers run this
   * @param {boolean} options.restarts whether a worker that has ended is started again
   * @param {(name: string, how: string) => void} [options.onRestart] a worker has ended, and is started again
   * @param {() => void} [options.onEmpty] no worker is left, and none will come
   */
  constructor({ server, url, token, python, restarts, onRestart = () => {}, onEmpty = () => {} }) {
    this.#server = server;
    this.#url = url;
    this.#env = { ...process.env, ...(token === undefined ? {} : { WORKER_TOKEN: token }) };
    this.#restarts = restarts;
    this.#onRestart = onRestart;
    this.#onEmpty = onEmpty;
    this.members = NAMES.map((name, i) => {
      const inPython = python !== undefined && i % 2 === 1;
      return { name, language: inPython ? 'Python' : 'JavaScript', python: inPython ? python : undefined };
    });
  }

  /** Starts all workers. Resolves when they have registered; rejects if one ends before it has, or takes too long. */
  start() {
    const early = this.members.map(async (member) => {
      const [code, signal] = await once(this.#startOne(member), 'exit');
      throw new Error(`worker ${member.name} ended before it had registered (${signal ?? code})`);
    });
    return Promise.race([this.allConnected(), ...early]);
  }

  /** Resolves when all workers are connected. */
  allConnected() {
    return new Promise((resolve, reject) => {
      const look = () => {
        const connected = new Set(this.#server.getWorkerInfo().map(({ id }) => id));
        if (!this.members.every(({ name }) => connected.has(name))) return;
        clearTimeout(timer);
        off();
        resolve();
      };
      const timer = setTimeout(() => {
        off();
        reject(new Error(`the workers have not registered within ${REGISTRATION_MS / 1000} s`));
      }, REGISTRATION_MS);
      timer.unref();
      const off = this.#server.onWorkerConnected(look);
      look();
    });
  }

  /** Ends a worker at once, whatever it is doing. */
  kill(name) {
    this.#children.get(name)?.kill('SIGKILL');
  }

  /** Has all workers leave. Resolves when they have. */
  async stop() {
    this.#leaving = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all(
      [...this.#children.values()].map((child) => {
        const end = once(child, 'exit');
        child.kill('SIGTERM');
        const timer = setTimeout(() => child.kill('SIGKILL'), LEAVE_MS);
        return end.finally(() => clearTimeout(timer));
      }),
    );
  }

  #startOne(member) {
    const { name, python } = member;
    const args = [this.#url, name];
    const stdio = ['ignore', 'ignore', 'inherit', 'ipc'];
    // One in JavaScript leaves when the channel to this process closes, one in Python when its stdin does.
    const child =
      python === undefined
        ? fork(JAVASCRIPT, args, { env: this.#env, stdio })
        : spawn(python.command, [python.script, ...args], {
            env: { ...this.#env, ...python.env },
            stdio: ['pipe', ...stdio.slice(1, 3)],
          });
    child.on('error', (error) => child.emit('exit', error.code, null));
    this.#children.set(name, child);
    child.once('exit', (code, signal) => {
      this.#children.delete(name);
      if (this.#leaving) return;
      if (this.#restarts && this.#server.state === 'running') this.#restart(member, signal ?? code);
      else if (this.#children.size === 0) this.#onEmpty();
    });
    return child;
  }

  #restart(member, how) {
    this.#onRestart(member.name, how);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (this.#server.state === 'running') this.#startOne(member);
    }, RESTART_MS);
    this.#timers.add(timer);
  }
}

module.exports = { Fleet };
