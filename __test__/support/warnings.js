'use strict';

// Warnings of the process, as tests see them.

const vm = require('node:vm');
const { onCleanup } = require('./cleanup.js');

/** The process itself: tests see a copy of it by Jest, which hears no event of Node's. */
const realProcess = vm.runInThisContext('process');

/** The warnings from here to the end of the test, as Node emits them: in a later tick than their cause. */
function emittedWarnings() {
  const warnings = [];
  const onWarning = (warning) => warnings.push(warning);
  realProcess.on('warning', onWarning);
  onCleanup(() => realProcess.off('warning', onWarning));
  return warnings;
}

/** What code under test passes to `process.emitWarning` until the end of the test, as `[code, message]`. */
function warningsOfTheCode() {
  const warnings = [];
  const emitWarning = jest
    .spyOn(process, 'emitWarning')
    .mockImplementation((message, options) => warnings.push([options?.code, message]));
  onCleanup(() => emitWarning.mockRestore());
  return warnings;
}

module.exports = { emittedWarnings, warningsOfTheCode };
