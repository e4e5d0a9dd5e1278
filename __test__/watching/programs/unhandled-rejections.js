'use strict';

// A request and a stream that are watched, rejected, and looked after by nobody.

const { tracingChannel } = require('node:diagnostics_channel');
const { WorkerServer } = require('../../support/package');

process.on('unhandledRejection', ({ requestId }) => console.log(`unhandled: ${requestId}`));
tracingChannel('worker-server:request').subscribe({ start() {} });

const server = new WorkerServer({ port: 0 });
server.stream({}, { requestId: 'of the stream' });
server.request({}, { requestId: 'of the request' });
