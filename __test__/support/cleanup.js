'use strict';

// What a test opened and afterEach must end, however the test went: each helper registers how to undo what it did.

const undo = [];

/** Runs `fn` in the next `cleanUp`; what was opened last is closed first. */
function onCleanup(fn) {
  undo.push(fn);
}

/** To be called in afterEach. */
async function cleanUp() {
  for (const fn of undo.splice(0).reverse()) await fn();
}

module.exports = { onCleanup, cleanUp };
