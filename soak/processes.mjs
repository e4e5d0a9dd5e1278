// The processes of a soak: each is asked things over IPC, and can be frozen or killed.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** Far longer than anything takes that can be asked for. */
const MAX_ANSWER_MS = 60_000;

/** Starts a script of this folder. `execPrefix` is a command that runs it elsewhere, such as in a network namespace. */
export class Child {
  #asked = new Map();
  #number = 0;
  /** Called with what it says without being asked. */
  onMessage = null;

  constructor(script, args, { execArgv = [], execPrefix = [] } = {}) {
    const options = { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv };
    if (execPrefix.length > 0) {
      options.execPath = execPrefix[0];
      options.execArgv = [...execPrefix.slice(1), process.execPath, ...execArgv];
    }
    this.script = script;
    this.process = fork(fileURLToPath(new URL(script, import.meta.url)), args, options);
    this.process.on('message', (message) => {
      const { number, result, error } = message;
      if (number === undefined) {
        this.onMessage?.(message);
        return;
      }
      const { resolve, reject } = this.#asked.get(number);
      this.#asked.delete(number);
      if (error === undefined) resolve(result);
      else reject(new Error(`${script}: ${error}`));
    });
    this.exit = once(this.process, 'exit').then(([code, signal]) => {
      for (const { reject } of this.#asked.values()) reject(new Error(`${script} ended (${code ?? signal})`));
      return { code, signal };
    });
  }

  ask(command) {
    const answer = new Promise((resolve, reject) => {
      this.#number += 1;
      this.#asked.set(this.#number, { resolve, reject });
      this.process.send({ number: this.#number, command }, (error) => error && reject(error));
      const overdue = () => reject(new Error(`${this.script} did not answer "${command}" in ${MAX_ANSWER_MS} ms`));
      setTimeout(overdue, MAX_ANSWER_MS).unref();
    });
    answer.catch(() => {});
    return answer;
  }

  pass(message) {
    if (this.process.connected) this.process.send(message, () => {});
  }

  freeze() {
    this.process.kill('SIGSTOP');
  }

  thaw() {
    this.process.kill('SIGCONT');
  }

  async kill() {
    this.process.kill('SIGKILL');
    await this.exit;
  }
}
