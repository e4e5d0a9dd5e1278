'use strict';

// The limits of a request head, as Node's HTTP server has them. They hold for the heads that follow the first on a
// connection; the native side reads the first.

/** The largest number that Node takes for each of these: it counts in 32-bit integers, and refuses what is none. */
const MAX_INTEGER = 2 ** 31 - 1;

/** The options of `http.createServer`. */
function httpOptions({ maxHeadBytes, headTimeoutMs }) {
  const options = { maxHeaderSize: Math.min(maxHeadBytes, MAX_INTEGER) };
  // To Node 0 is no timeout.
  if (headTimeoutMs > MAX_INTEGER) return { ...options, headersTimeout: 0 };
  return {
    ...options,
    headersTimeout: headTimeoutMs,
    // How often it looks; its default would let short timeouts wait for half a minute.
    connectionsCheckingInterval: Math.min(30_000, Math.max(100, Math.ceil(headTimeoutMs / 2))),
    // Node's default, which must not be shorter than headersTimeout.
    requestTimeout: Math.max(300_000, headTimeoutMs),
  };
}

/** The limit for whose sake Node ends a connection with this error, if it is one. */
function exceededLimit(error, isReadingBody) {
  if (error.code === 'HPE_HEADER_OVERFLOW') return 'maxHeadBytes';
  // A body that takes too long has the same code, and is no matter of this package's.
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && !isReadingBody) return 'headTimeoutMs';
  return undefined;
}

module.exports = { exceededLimit, httpOptions };
