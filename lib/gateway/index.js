'use strict';

// The package export `./gateway`: OpenAI's HTTP interface to the workers of a server. Nothing here loads the native
// addon.

const { Gateway } = require('./gateway.js');
const { readOptions, requireServer, settingsOf } = require('./options.js');

/** See `index.d.ts`. */
function openaiGateway(server, options) {
  requireServer(server);
  const gateway = new Gateway(server, { ...readOptions(options), ...settingsOf(server) });
  return (req, res) => gateway.handle(req, res);
}

module.exports = { openaiGateway };
