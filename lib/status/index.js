'use strict';

// The package export `./status`: a page that shows what a server does. Nothing here loads the native addon.

const { requireServer } = require('../http/handler-options.js');
const { METHODS, readOptions, settingsOf } = require('./options.js');
const { StatusHandler } = require('./status-handler.js');

/** See `index.d.ts`. */
function statusPage(server, options) {
  requireServer(server, METHODS);
  const handler = new StatusHandler(server, readOptions(options), settingsOf(server));
  return (req, res) => handler.handle(req, res);
}

module.exports = { statusPage };
