// What an application writes when it has no `request()`: it selects a worker, sends, tracks, keeps a promise for each
// id, and releases. What finds no worker waits in the order of the calls.

import { randomUUID } from 'node:crypto';

export class Dispatcher {
  #server;
  /** By request id. */
  #pending = new Map();
  #waiting = [];

  constructor(server) {
    this.#server = server;
    server.onWorkerMessage('result', (_worker, { requestId, text }) => this.#onEnd(requestId, text));
    server.onWorkerMessage('chunk', (_worker, { requestId, data }) => this.#pending.get(requestId)?.onChunk(data));
  }

  /** How many wait for a worker. */
  get waiting() {
    return this.#waiting.length;
  }

  request(payload, { model }) {
    return new Promise((resolve, reject) => {
      this.#submit({ payload, model, resolve, reject });
    });
  }

  /** The chunks of the answer, as they come. */
  async *stream(payload, { model }) {
    const chunks = [];
    let hasEnded = false;
    let wake;
    const onChunk = (chunk) => {
      chunks.push(chunk);
      wake?.();
    };
    const resolve = () => {
      hasEnded = true;
      wake?.();
    };
    this.#submit({ payload, model, onChunk, resolve });
    for (;;) {
      // Taken together: a `shift` for each moves all the others.
      yield* chunks.splice(0);
      if (hasEnded && chunks.length === 0) return;
      if (chunks.length === 0) {
        await new Promise((next) => {
          wake = next;
        });
      }
    }
  }

  #submit(request) {
    const worker = this.#server.getAvailableWorker(request.model);
    if (worker === null) {
      this.#waiting.push(request);
      return;
    }
    const requestId = randomUUID();
    if (!this.#server.send(worker.id, { type: 'work', requestId, ...request.payload })) {
      this.#waiting.push(request);
      return;
    }
    this.#pending.set(requestId, request);
    this.#server.trackRequest(worker.id, requestId);
  }

  #onEnd(requestId, value) {
    const request = this.#pending.get(requestId);
    if (request === undefined) return;
    this.#pending.delete(requestId);
    this.#server.releaseRequest(requestId, { incrementCompleted: true });
    request.resolve(value);
    if (this.#waiting.length > 0) this.#submit(this.#waiting.shift());
  }
}

/** The calls that rows compare: `request()` and `stream()` of this package, or the dispatcher's. */
export function dispatching(server, implementation) {
  return implementation === 'native' ? server : new Dispatcher(server);
}
