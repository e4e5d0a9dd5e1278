'use strict';

const { clearTimeout, setTimeout } = require('node:timers');
const { MAX_DELAY_MS, now } = require('../time/clock.js');

/** How many empty places are always left alone. */
const MAX_EMPTY = 64;

/**
 * When something is due, for any number of items, with one timer: a binary heap, earliest first.
 *
 * An item is an object with the member `place`, which is -1 while it is not in the heap. Nearly all are taken out long
 * before they are due: what they leave is an empty place, which costs nothing to make, and once there are more of those
 * than items the heap is made anew.
 */
class Deadlines {
  /** When each place is due (ms, as `now` has them), and the item there; `null` if it no longer waits. */
  #times = [];
  #items = [];
  #empty = 0;
  #onDue;
  #timer = null;
  #timerAt = Infinity;
  #fire = () => this.#onTimer();

  /**
   * @param {(items: object[]) => void} onDue Called with the items that are due, earliest first; they are no longer in
   * the heap.
   */
  constructor(onDue) {
    this.#onDue = onDue;
  }

  /** Has the item called at `at`, instead of when it was to be. Infinity: never. */
  set(item, at) {
    if (item.place >= 0 && this.#times[item.place] === at) return;
    this.delete(item);
    if (at === Infinity) return;
    const place = this.#items.length;
    this.#items.push(item);
    this.#times.push(at);
    item.place = place;
    this.#siftUp(place);
    if (at < this.#timerAt) this.#arm(at);
  }

  /** The item no longer waits. */
  delete(item) {
    if (item.place < 0) return;
    this.#items[item.place] = null;
    item.place = -1;
    this.#empty += 1;
    if (this.#empty > MAX_EMPTY && this.#empty * 2 > this.#items.length) this.#compact();
  }

  /** Nothing waits any more. */
  clear() {
    for (const item of this.#items) if (item !== null) item.place = -1;
    this.#times = [];
    this.#items = [];
    this.#empty = 0;
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
    // Empty places at the top go whenever they were due: the timer is for none of them.
    while (this.#items.length > 0 && (this.#times[0] <= time || this.#items[0] === null)) {
      const item = this.#takeFirst();
      if (item === null) continue;
      item.place = -1;
      due.push(item);
    }
    if (due.length > 0) this.#onDue(due);
    if (this.#items.length > 0 && this.#times[0] < this.#timerAt) this.#arm(this.#times[0]);
  }

  /** Takes the place at the top out of the heap. */
  #takeFirst() {
    const [first] = this.#items;
    const item = this.#items.pop();
    const at = this.#times.pop();
    if (this.#items.length > 0) {
      this.#put(0, item, at);
      this.#siftDown(0);
    }
    if (first === null) this.#empty -= 1;
    return first;
  }

  /** Makes the heap anew, without its empty places. */
  #compact() {
    let count = 0;
    for (let place = 0; place < this.#items.length; place += 1) {
      if (this.#items[place] === null) continue;
      this.#put(count, this.#items[place], this.#times[place]);
      count += 1;
    }
    this.#items.length = count;
    this.#times.length = count;
    this.#empty = 0;
    for (let place = (count >> 1) - 1; place >= 0; place -= 1) this.#siftDown(place);
  }

  #put(place, item, at) {
    this.#items[place] = item;
    this.#times[place] = at;
    if (item !== null) item.place = place;
  }

  #siftUp(from) {
    const [item, at] = [this.#items[from], this.#times[from]];
    let place = from;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (this.#times[parent] <= at) break;
      this.#put(place, this.#items[parent], this.#times[parent]);
      place = parent;
    }
    if (place !== from) this.#put(place, item, at);
  }

  #siftDown(from) {
    const times = this.#times;
    const [item, at] = [this.#items[from], times[from]];
    let place = from;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= times.length) break;
      if (child + 1 < times.length && times[child + 1] < times[child]) child += 1;
      if (times[child] >= at) break;
      this.#put(place, this.#items[child], times[child]);
      place = child;
    }
    if (place !== from) this.#put(place, item, at);
  }
}

module.exports = { Deadlines };
