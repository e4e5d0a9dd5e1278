'use strict';

// The addon itself.

const { createRequire } = require('module');
const path = require('path');
const { loadAddon } = require('./load-addon');
const { hostPlatform } = require('./platforms');

// A bundler must not try to follow these requires: which file it is, is only known at run time. In a bundle of ES modules
// there is no __filename, so the search then starts in the working directory.
const here = typeof __filename === 'string' ? __filename : path.join(process.cwd(), 'lib', 'native.js');

module.exports = loadAddon(hostPlatform(), createRequire(here), path.dirname(path.dirname(here)));
