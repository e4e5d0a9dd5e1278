'use strict';

// One attack, in a process of its own.

const obey = require('./obey');
const { attacks: onAnyPort } = require('./attacks');
const { attacks: onTls } = require('./tls-attacks');

const attacks = { ...onAnyPort, ...onTls };

let attack;

obey({
  /** Resolves when it is under way. */
  async begin({ name, port, size }) {
    attack = await attacks[name](port, size);
  },
  progress: () => attack.progress(),
  stop: () => attack.stop(),
});
