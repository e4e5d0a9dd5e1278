'use strict';

// Where sockets can't be given to Node as descriptors (Windows), encrypted connections are relayed as plain ones are, and
// all that holds for requests and endpoints holds there, too.

process.env.WORKER_SERVER_TLS = '1';
process.env.WORKER_SERVER_RELAY = '1';

require('../http/bodies.test.js');
require('../http/connections.test.js');
require('../http/endpoints.test.js');
