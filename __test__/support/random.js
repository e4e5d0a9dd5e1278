'use strict';

/** Numbers from 0 to below 1, the same ones for the same seed (the generator mulberry32). */
function randomFrom(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The same choices for the same seed. */
class Choices {
  constructor(seed) {
    this.random = randomFrom(seed);
  }

  chance(probability) {
    return this.random() < probability;
  }

  below(count) {
    return Math.floor(this.random() * count);
  }

  pick(list) {
    return list[this.below(list.length)];
  }
}

module.exports = { Choices, randomFrom };
