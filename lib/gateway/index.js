'use strict';

// The package export `./gateway`: OpenAI's HTTP interface to the workers of a server. Nothing here loads the native
// addon.

const { requireServer } = require('../http/handler-options.js');
const { Gateway } = require('./gateway.js');
const { METHODS, readOptions, settingsOf } = require('./options.js');

/** See `index.d.ts`. */
function openaiGateway(server, options) {
  requireServer(server, METHODS);
  const gateway = new Gateway(server, { ...readOptions(options), ...settingsOf(server) });
  return (req, res) => gateway.handle(req, res);
}

module.exports = { openaiGateway };
