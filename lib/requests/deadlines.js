'use strict';

const { performance } = require('node:perf_hooks');
const { clearTimeout, setTimeout } = require('node:timers');

/** The longest time that a timer of Node's can wait. */
const MAX_DELAY_MS = 2 ** 31 - 1;

const now = performance.now.bind(performance);

/**
 * When something is due, for any number of items, with one timer: a binary heap, earliest first. An item keeps its place in
 * it, so that one that no longer waits is taken out at once and nothing remembers it.
 *
 * An item is an object with the members `dueAt` (ms, as `now` has them) and `place` (-1 while it is not in the heap).
 */
class Deadlines {
  #heap = [];
  #onDue;
  #timer = null;
  #timerAt = Infinity;
  #fire = () => this.#onTimer();

  /** @param {(items: object[]) => void} onDue Called with the items that are due, earliest first; they are no longer in the heap. */
  constructor(onDue) {
    this.#onDue = onDue;
  }

  /** Has the item called at `at`, instead of when it was to be. Infinity: never. */
  set(item, at) {
    if (item.place >= 0 && item.dueAt === at) return;
    this.delete(item);
    if (at === Infinity) return;
    item.dueAt = at;
    item.place = this.#heap.length;
    this.#heap.push(item);
    this.#siftUp(item.place);
    if (at < this.#timerAt) this.#arm(at);
  }

  /** The item no longer waits. */
  delete(item) {
    const { place } = item;
    if (place < 0) return;
    item.place = -1;
    const last = this.#heap.pop();
    if (last === item) return;
    this.#put(place, last);
    this.#siftUp(place);
    this.#siftDown(last.place);
  }

  /** Nothing waits any more. */
  clear() {
    for (const item of this.#heap) item.place = -1;
    this.#heap = [];
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#timerAt = Infinity;
  }

  #arm(at) {
    clearTimeout(this.#timer);
    this.#timerAt = at;
    // Timers of Node's know whole milliseconds, and one that comes too early would come twice.
    this.#timer = setTimeout(this.#fire, Math.min(Math.max(1, Math.ceil(at - now())), MAX_DELAY_MS));
  }

  #onTimer() {
    this.#timer = null;
    this.#timerAt = Infinity;
    const time = now();
    const due = [];
    while (this.#heap.length > 0 && this.#heap[0].dueAt <= time) {
      const [item] = this.#heap;
      this.delete(item);
      due.push(item);
    }
    if (due.length > 0) this.#onDue(due);
    if (this.#heap.length > 0 && this.#heap[0].dueAt < this.#timerAt) this.#arm(this.#heap[0].dueAt);
  }

  #put(place, item) {
    this.#heap[place] = item;
    item.place = place;
  }

  #siftUp(from) {
    const heap = this.#heap;
    const item = heap[from];
    let place = from;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (heap[parent].dueAt <= item.dueAt) break;
      this.#put(place, heap[parent]);
      place = parent;
    }
    this.#put(place, item);
  }

  #siftDown(from) {
    const heap = this.#heap;
    const item = heap[from];
    let place = from;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1].dueAt < heap[child].dueAt) child += 1;
      if (heap[child].dueAt >= item.dueAt) break;
      this.#put(place, heap[child]);
      place = child;
    }
    this.#put(place, item);
  }
}

module.exports = { Deadlines, now };
