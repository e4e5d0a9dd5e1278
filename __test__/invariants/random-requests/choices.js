'use strict';

const { randomFrom } = require('../../support/random.js');

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

module.exports = { Choices };
