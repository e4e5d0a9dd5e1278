'use strict';

const { describeError } = require('../workers/handlers.js');

/**
 * Calls one of the callbacks in a request's options, unless its caller has had its end. What it throws is logged, within
 * limits: workers report progress as often as they like.
 */
function callBack({ limitedLogger, diagnostics }, request, name, args) {
  const callback = request.options[name];
  if (callback === undefined || request.isSettled) return;
  const complain = (thrown) => {
    const { requestId, record } = request;
    diagnostics.threw(thrown, 'request callback', record?.toInfo());
    limitedLogger.error('Error in request callback', { requestId, callback: name, error: describeError(thrown) });
  };
  try {
    const result = callback(...args);
    if (typeof result?.then === 'function') result.then(undefined, complain);
  } catch (thrown) {
    complain(thrown);
  }
}

module.exports = { callBack };
