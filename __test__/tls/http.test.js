'use strict';

// All that the tests of HTTP and of endpoints hold for plain connections holds for encrypted ones.

process.env.WORKER_SERVER_TLS = '1';

require('../http/bodies.test.js');
require('../http/connections.test.js');
require('../http/endpoints.test.js');
require('../http/frameworks.test.js');
require('../http/handlers.test.js');
require('../http/upgrades.test.js');
