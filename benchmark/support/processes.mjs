// The two processes of a run, a server and a load generator, as objects one can talk to.

import { fork, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const LOAD = path.join(root, 'target', 'release', process.platform === 'win32' ? 'load.exe' : 'load');
/** A side that says nothing for this time hangs. */
const SILENCE_MS = 60_000;

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`);
}

/** Builds the load generator, and the addon if a source is newer. A pack (scripts/bench-pack.mjs) has both, and no sources. */
export function build() {
  if (!existsSync(path.join(root, 'Cargo.toml'))) return;
  run('cargo', ['build', '--release', '--quiet', '--package', 'load']);
  run(process.execPath, ['scripts/build.mjs', '--if-stale']);
  if (!existsSync(LOAD)) throw new Error(`${LOAD} is missing: is CARGO_TARGET_DIR set?`);
}

/** What came, in order, for one who waits for it by name. */
class Inbox {
  #waiting = new Map();
  #arrived = new Map();
  #error;

  put(message) {
    const { event } = message;
    const waiting = this.#waiting.get(event);
    if (waiting === undefined) {
      this.#arrived.set(event, [...(this.#arrived.get(event) ?? []), message]);
      return;
    }
    this.#waiting.delete(event);
    waiting.resolve(message);
  }

  fail(error) {
    this.#error = error;
    for (const { reject } of this.#waiting.values()) reject(error);
  }

  take(event, silenceMs = SILENCE_MS) {
    const arrived = this.#arrived.get(event)?.shift();
    if (arrived !== undefined) return Promise.resolve(arrived);
    if (this.#error !== undefined) return Promise.reject(this.#error);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`nothing heard of "${event}" for ${silenceMs / 1000} s`)),
        silenceMs,
      );
      const settle = (how) => (value) => {
        clearTimeout(timer);
        how(value);
      };
      this.#waiting.set(event, { resolve: settle(resolve), reject: settle(reject) });
    });
  }
}

/** A server process: see server.cjs. */
export class Server {
  constructor({ file, name, implementation, params, execArgv = [], confinement }) {
    const args = [file, name, implementation, JSON.stringify(params)];
    const [execPath, ...before] = [...(confinement?.command ?? []), process.execPath];
    const options = { execPath, execArgv: [...before, '--expose-gc', ...execArgv] };
    this.child = fork(path.join(root, 'benchmark', 'server.cjs'), args, options);
    this.inbox = new Inbox();
    this.child.on('message', (message) => this.inbox.put(message));
    this.child.on('exit', (code, signal) =>
      this.inbox.fail(new Error(`the ${implementation} server ended: ${signal ?? code}`)),
    );
  }

  async listening() {
    return (await this.inbox.take('listening')).port;
  }

  async begin() {
    this.child.send({ command: 'begin' });
    await this.inbox.take('begun');
  }

  end() {
    this.child.send({ command: 'end' });
    return this.inbox.take('ended');
  }

  /** Has the scenario's server side do something of its own. */
  async tell(what, argument) {
    this.child.send({ command: 'tell', what, argument });
    return (await this.inbox.take('told')).result;
  }

  quit() {
    return ended(this.child);
  }
}

/** A load generator: see load/src/main.rs. */
export class Load {
  constructor(config) {
    this.child = spawn(LOAD, [JSON.stringify(config)], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.inbox = new Inbox();
    createInterface({ input: this.child.stdout }).on('line', (line) => this.inbox.put(JSON.parse(line)));
    this.child.on('error', (error) => this.inbox.fail(error));
    this.child.on('exit', (code, signal) => this.inbox.fail(new Error(`the load generator ended: ${signal ?? code}`)));
    // It may end before it has read everything; its exit says so.
    this.child.stdin.on('error', () => {});
  }

  ready() {
    return this.inbox.take('ready');
  }

  say(line) {
    this.child.stdin.write(`${line}\n`);
  }

  done() {
    return this.inbox.take('done');
  }

  report() {
    this.say('report');
    return this.inbox.take('report');
  }

  quit() {
    return ended(this.child);
  }
}

/** Fresh processes are cheap, and a polite goodbye to 10,000 sockets is not what is measured. */
async function ended(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}
