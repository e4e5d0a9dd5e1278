'use strict';

// Folders that tests put files into.

const { mkdtempSync, rmSync } = require('fs');
const os = require('os');
const path = require('path');

/**
 * A new folder, removed when the file of tests that loads the caller's module has ended, or in a program at its exit:
 * later than the processes that tests start, which may write into it until they are gone.
 */
function folderForTests(name) {
  const folder = mkdtempSync(path.join(os.tmpdir(), `worker-server-${name}-`));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  if (typeof afterAll === 'function') afterAll(remove);
  else process.on('exit', remove);
  return folder;
}

module.exports = { folderForTests };
