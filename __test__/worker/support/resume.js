'use strict';

// What the tests of resuming share: a handler that a test feeds, and a server that resumes what the test names.

const { startDifficultServer } = require('./difficult-server.js');
const { connectedWorker, deferred } = require('./workers.js');

/** A handler that yields what a test pushes, and returns the value pushed with `end`. */
function pushed() {
  const values = [];
  let wake = deferred();
  const push = (value, end = false) => {
    values.push({ value, end });
    wake.resolve();
    wake = deferred();
  };
  async function* handler() {
    for (;;) {
      while (values.length === 0) await wake.promise;
      const { value, end } = values.shift();
      if (end) return value;
      yield value;
    }
  }
  return { handler, push };
}

/**
 * What the server says to a resume: an entry for each request that is named, by `nextSeqs`; the others are dropped.
 */
function resumeWith(server, nextSeqs) {
  server.behaviour.ack = ({ resume }) => {
    if (resume === undefined) return server.ackOf();
    const wanted = resume.requests.filter(({ requestId }) => requestId in nextSeqs);
    return server.ackOf({
      resumed: wanted.map(({ requestId, attempt }) => ({ requestId, attempt, nextSeq: nextSeqs[requestId] })),
      dropped: resume.requests.filter(({ requestId }) => !(requestId in nextSeqs)).map(({ requestId }) => requestId),
    });
  };
}

/** A server, and a worker that is connected to it. */
async function startWorker(isolate, options, serverOptions) {
  const server = await startDifficultServer(serverOptions);
  return { server, ...(await connectedWorker(server, { isolate, ...options })) };
}

module.exports = { pushed, resumeWith, startWorker };
