'use strict';

const { AsyncLocalStorage, AsyncResource } = require('node:async_hooks');

const TYPE = 'WORKER_SERVER_EVENT';
/** Else V8 would have to watch the end of each of them. */
const MANUAL = Object.freeze({ requireManualDestroy: true });

const { runInAsyncScope, emitDestroy } = AsyncResource.prototype;

/**
 * Runs `handle` in a context of its own, which begins as the present one: what `enterWith` changes there is over
 * afterwards.
 */
function inOwnContext(handle) {
  const resource = new AsyncResource(TYPE, MANUAL);
  try {
    return runInAsyncScope.call(resource, handle);
  } finally {
    emitDestroy.call(resource);
  }
}

/** A resource that calls `onWrite` when something is stored in it. */
function watched(resource, onWrite) {
  return new Proxy(resource, {
    set(target, key, value) {
      onWrite();
      return Reflect.set(target, key, value);
    },
  });
}

let known;

/**
 * Whether this Node keeps the stores of a context in its resource, where a write can be seen (as up to Node 22). If
 * not, a resource remembers the context in which it was made, and each scope begins with that one.
 */
function storesAreInResources() {
  if (known === undefined) {
    known = false;
    const storage = new AsyncLocalStorage();
    const resource = watched(new AsyncResource(TYPE, MANUAL), () => {
      known = true;
    });
    runInAsyncScope.call(resource, () => storage.enterWith(true));
    // Else Node would go on following each promise for it.
    storage.disable();
  }
  return known;
}

/**
 * The async context in which events are handled: for each of them the one in which this object was made. What one puts
 * into an `AsyncLocalStorage` by `enterWith` is there for what follows from that event, and for no other event.
 *
 * A scope for each event would be a tenth of what a message costs. So where the stores are in resources, events share
 * one until somebody has stored something in it.
 */
class EventContext {
  #origin = new AsyncResource(TYPE, MANUAL);
  /** Made new once it is spoiled. */
  #scope = null;
  #isSpoiled = !storesAreInResources();
  #spoil = () => {
    this.#isSpoiled = true;
  };

  /** Whether the next event needs a context of its own: a step of `repeat` returns then. */
  get isSpoiled() {
    return this.#isSpoiled;
  }

  /**
   * Calls `step` as long as it returns true, each time in a context of its own. One step may handle several events: see
   * `isSpoiled`.
   */
  repeat(step) {
    if (!storesAreInResources()) {
      while (runInAsyncScope.call(this.#origin, step));
      return;
    }
    let goesOn = true;
    while (goesOn) goesOn = this.#runInScope(step);
  }

  /** Runs `handle`, a part of an event that is an event to the application, in a context of its own. */
  runApart(handle) {
    return runInAsyncScope.call(this.#origin, () => inOwnContext(handle));
  }

  #runInScope(steps) {
    this.#scope ??= watched(
      runInAsyncScope.call(this.#origin, () => new AsyncResource(TYPE, MANUAL)),
      this.#spoil,
    );
    try {
      return runInAsyncScope.call(this.#scope, steps);
    } finally {
      if (this.#isSpoiled) this.#leaveScope();
    }
  }

  /** No more events come. */
  close() {
    this.#leaveScope();
    emitDestroy.call(this.#origin);
  }

  #leaveScope() {
    if (this.#scope !== null) emitDestroy.call(this.#scope);
    this.#scope = null;
    this.#isSpoiled = false;
  }
}

module.exports = { EventContext, inOwnContext };
