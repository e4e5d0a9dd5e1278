'use strict';

// Starts a connection, in a thread of its own or on this one, and carries messages both ways, in order.

const fs = require('node:fs');
const path = require('node:path');
const { Worker: Thread } = require('node:worker_threads');

/**
 * @param config plain data
 * @param {boolean} isolate whether the connection gets a thread of its own
 * @param receive called with each message of the connection, the last of which is `ended`
 * @param crashed called with an Error if the thread is gone before that
 * @returns {{ post: (message: object) => void, stop: () => Promise<void> }}
 */
function startConnection(config, isolate, receive, crashed) {
  return isolate ? startInThread(config, receive, crashed) : startHere(config, receive);
}

function startInThread(config, receive, crashed) {
  const file = path.join(__dirname, 'connection', 'thread.js');
  if (!fs.existsSync(file)) {
    throw new Error(
      "The worker's connection thread was not found: mark the package as external for your bundler, or use isolate: false",
    );
  }
  const thread = new Thread(file, { workerData: config, stdin: false });
  let stopping = false;
  thread.on('message', receive);
  thread.on('error', (error) => {
    if (!stopping) crashed(error);
  });
  thread.on('exit', () => {
    if (!stopping) crashed(new Error("The worker's connection thread has ended unexpectedly"));
  });
  return {
    post: (message) => thread.postMessage(message),
    stop: async () => {
      stopping = true;
      await thread.terminate();
    },
  };
}

function startHere(config, receive) {
  // Loaded only here: with a thread of its own, this thread needs nothing of the connection.
  const { Connection } = require('./connection/connection.js');
  const connection = new Connection(config, inOrder(receive));
  connection.run();
  return { post: inOrder((message) => connection.receive(message)), stop: async () => {} };
}

/** Delivers messages one after the other and never within the call that posts them, as between threads. */
function inOrder(deliver) {
  let queue = [];
  const deliverAll = () => {
    const messages = queue;
    queue = [];
    for (const message of messages) deliver(message);
  };
  return (message) => {
    if (queue.push(message) === 1) queueMicrotask(deliverAll);
  };
}

module.exports = { startConnection };
