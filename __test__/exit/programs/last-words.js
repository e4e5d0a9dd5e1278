'use strict';

// Sends to all its workers as it exits, from listeners of the exit that come before and after the package's own. Started with how it is to
// end: once told, it first sends 'in the turn', and exits in the same turn.

const listeners = [];
const say = (text) => listeners.forEach((send) => send(text));
process.on('exit', () => say('from a listener before'));

const { WorkerServer } = require('../../support/package');

process.on('exit', () => say('from a listener behind'));

const ends = {
  exit: () => process.exit(0),
  throw: () => {
    throw new Error('on purpose');
  },
  reject: () => Promise.reject(new Error('on purpose')),
  'exit with a stop under way': (server) => {
    server.stop();
    process.exit(0);
  },
  'exit among fakes': () => process.exit(0),
};

const [how] = process.argv.slice(2);
const server = new WorkerServer({ port: 0 });
server.onWorkerMessage('end', () => {
  // What ends the process by itself must not be caught by the package, as what a handler throws is.
  setTimeout(() => {
    if (how === 'exit among fakes') process.nextTick = () => {};
    listeners.push((text) => {
      for (const { id } of server.getWorkerInfo()) server.send(id, { type: text });
      server.broadcast({ type: `${text}, to all` });
    });
    say('in the turn');
    ends[how](server);
  });
});
server.start().then(() => console.log(`port ${server.port}`));
