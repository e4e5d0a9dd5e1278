'use strict';

// What a test opened and must end, however it went: each helper registers how to undo what it did, and after each test
// all of it is undone.

const undo = [];
let ended = 0;

/** Runs `fn` after the test; what was opened last is closed first. */
function onCleanup(fn) {
  undo.push(fn);
}

/** Undoes all, and then throws what was thrown first. For programs: in tests it is called after each. */
async function cleanUp() {
  ended += 1;
  const thrown = [];
  for (const fn of undo.splice(0).reverse()) {
    try {
      await fn();
    } catch (error) {
      thrown.push(error);
    }
  }
  // What is left open otherwise would be in the way of every test that comes later.
  if (thrown.length > 0) throw thrown[0];
}

/** How many tests have ended, or run out of time. */
const endedTests = () => ended;

if (typeof afterEach === 'function') afterEach(cleanUp);

module.exports = { onCleanup, cleanUp, endedTests };
