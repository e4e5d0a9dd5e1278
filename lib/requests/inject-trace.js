'use strict';

const { describeError } = require('../workers/handlers.js');

/**
 * Asks the application's option `injectTrace` what the request's worker is to know of the trace that the caller is in.
 * It is called in the caller's async context. What it throws is logged, and the request goes without.
 *
 * @returns {string | undefined} the member `trace` as JSON text; `undefined` if there is nothing to say
 */
function injectTrace(inject, request, { logger, diagnostics }) {
  const { requestId } = request;
  const complain = (thrown) => {
    diagnostics.threw(thrown, 'injectTrace');
    logger.error('Error in injectTrace', { requestId, error: describeError(thrown) });
  };
  try {
    const carrier = {};
    const result = inject(carrier);
    if (typeof result?.then === 'function') result.then(undefined, complain);
    const entries = Object.entries(carrier).filter(([, value]) => typeof value === 'string');
    return entries.length > 0 ? JSON.stringify(Object.fromEntries(entries)) : undefined;
  } catch (thrown) {
    complain(thrown);
    return undefined;
  }
}

module.exports = { injectTrace };
