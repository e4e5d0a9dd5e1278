'use strict';

// One attack, in a process of its own.

const obey = require('./obey');
const { attacks } = require('./attacks');

let attack;

obey({
  /** Resolves when it is under way. */
  async begin({ name, port, size }) {
    attack = await attacks[name](port, size);
  },
  progress: () => attack.progress(),
  stop: () => attack.stop(),
});
