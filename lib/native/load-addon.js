'use strict';

// Where the addon is looked for, and what is said when it isn't there.

const path = require('path');
const { platforms } = require('./platforms.js');

const PACKAGE = '@hardlydifficult/worker-server';

/**
 * Loads the addon for a platform: in a checkout the file that `npm run build` made, in an installed package the
 * platform package that npm chose by its os, cpu and libc.
 *
 * @param {{suffix?: string, name: string}} host The platform, see hostPlatform.
 * @param {(id: string) => unknown} load How a file or package is loaded.
 * @param {string} root The folder of the package.
 * @throws An Error that says what was looked for, with what each attempt threw as its cause.
 */
function loadAddon(host, load, root) {
  if (!host.suffix) {
    throw new Error(
      `${PACKAGE} has no binary for ${host.name}. There are binaries for ` +
        `${platforms.map((p) => p.suffix).join(', ')}. On another platform it has to be built from source, with Rust: ` +
        'see docs/RELEASING.md in the repository.',
    );
  }
  const candidates = [path.join(root, `worker-server.${host.suffix}.node`), `${PACKAGE}-${host.suffix}`];
  const causes = [];
  for (const candidate of candidates) {
    try {
      return load(candidate);
    } catch (error) {
      causes.push(error);
    }
  }
  const attempts = candidates.map((candidate, i) => `  - ${candidate}: ${reason(candidate, causes[i])}`);
  throw new Error(
    `${PACKAGE} found no binary for ${host.name}. Looked for:\n${attempts.join('\n')}\n` +
      'What to do:\n' +
      `  - In a project that depends on it: ${PACKAGE}-${host.suffix} should be in node_modules.\n` +
      '    Install again with optional dependencies (no --omit=optional). If node_modules or the lock file came from\n' +
      '    another kind of machine, delete both first.\n' +
      '  - In a bundled program: mark the package as external, so that it is loaded from node_modules.\n' +
      '  - In a checkout: run `npm run build`, which needs Rust (https://rustup.rs).',
    { cause: new AggregateError(causes, `no binary for ${host.name}`) },
  );
}

function reason(candidate, error) {
  const message = String((error && error.message) || error);
  const missing = error && error.code === 'MODULE_NOT_FOUND' && message.includes(candidate);
  return missing ? 'not there' : message.split('\n')[0];
}

module.exports = { loadAddon };
