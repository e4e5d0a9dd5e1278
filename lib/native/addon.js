'use strict';

// The addon itself.

const { createRequire } = require('module');
const path = require('path');
const { loadAddon } = require('./load-addon.js');
const { hostPlatform } = require('./platforms.js');

// A bundler must not try to follow these requires: which file it is, is only known at run time. In a bundle of ES
// modules there is no __filename, so the search then starts in the working directory.
const here = typeof __filename === 'string' ? __filename : path.join(process.cwd(), 'lib', 'native', 'addon.js');

module.exports = loadAddon(hostPlatform(), createRequire(here), path.resolve(path.dirname(here), '..', '..'));
