'use strict';

// What has to be asked on the program's thread before a connection: the token and the capabilities, where the
// application gave functions for them. A program that is busy computing doesn't hold up a reconnect: then what it said
// last counts.

/** How long the program's thread has to show that it is free, in ms. */
const SHOW_UP_MS = 500;
/** How long the functions may take, in ms. */
const ANSWER_MS = 30_000;

class Questions {
  #config;
  #post;
  #redactor;
  #nextId = 1;
  #last = null;
  /** The question that is being asked: `{ id, onReceived, onAnswer }`. */
  #open = null;

  constructor(config, post, redactor) {
    this.#config = config;
    this.#post = post;
    this.#redactor = redactor;
  }

  /**
   * @param {boolean} wanted.capabilities whether the capabilities are needed
   * @param {boolean} wanted.insist whether only a new answer will do
   * @returns {Promise<{ token?: string, capabilities?: { text: string, maxConcurrentRequests: number } }>}
   */
  async ask(signal, { capabilities, insist }) {
    const { asksToken, asksCapabilities } = this.#config;
    const given = { token: this.#config.token, capabilities: this.#config.capabilities };
    const asked = { token: asksToken, capabilities: asksCapabilities && capabilities };
    if (!asked.token && !asked.capabilities) return given;
    const answer = await this.#askProgram(signal, asked, insist ? null : this.#last);
    return { token: asked.token ? answer.token : given.token, capabilities: answer.capabilities ?? given.capabilities };
  }

  #askProgram(signal, asked, fallback) {
    const id = this.#nextId++;
    let timer;
    let stop;
    const answered = new Promise((resolve, reject) => {
      stop = () => reject(signal.reason);
      signal.addEventListener('abort', stop);
      if (fallback !== null) timer = setTimeout(() => resolve(fallback), SHOW_UP_MS);
      const onReceived = () => {
        clearTimeout(timer);
        const late = new Error(`options.authToken or options.capabilities took longer than ${ANSWER_MS / 1000} s`);
        timer = setTimeout(() => (fallback === null ? reject(late) : resolve(fallback)), ANSWER_MS);
      };
      const onAnswer = (answer) => (answer.error === undefined ? resolve(answer) : reject(new Error(answer.error)));
      this.#open = { id, onReceived, onAnswer };
    });
    this.#post({ type: 'asked', id, ...asked });
    return answered.finally(() => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    });
  }

  /**
   * The program's word: that it has received the question, or the answer. One that comes too late is what it said last.
   */
  answer(message) {
    const open = this.#open?.id === message.id ? this.#open : null;
    if (message.received) {
      open?.onReceived();
      return;
    }
    if (message.error === undefined) {
      this.#redactor.add(message.token);
      this.#last = { token: message.token, capabilities: message.capabilities ?? this.#last?.capabilities };
    }
    open?.onAnswer(message.error === undefined ? this.#last : message);
  }
}

module.exports = { Questions };
