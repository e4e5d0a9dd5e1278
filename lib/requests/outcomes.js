'use strict';

// What becomes of a request that asks for a slot: `SubmitOutcome` in `src/abi.rs` says what each means.

const { SubmitOutcome } = require('../native/abi.js');

module.exports = Object.freeze({
  TAKEN: SubmitOutcome.Taken,
  WAITS: SubmitOutcome.Waits,
  OWED: SubmitOutcome.Owed,
  NO_WORKER: SubmitOutcome.NoWorker,
  FULL: SubmitOutcome.Full,
  NEVER_WAITS: SubmitOutcome.NeverWaits,
  FORGOTTEN: SubmitOutcome.Forgotten,
});
