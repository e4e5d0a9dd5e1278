'use strict';

// The entry of the thread in which a connection lives.

const { parentPort, workerData } = require('node:worker_threads');
const { Connection } = require('./connection.js');

const connection = new Connection(workerData, (message) => parentPort.postMessage(message));
parentPort.on('message', (message) => connection.receive(message));
connection.run();
