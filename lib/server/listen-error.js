'use strict';

const { getSystemErrorMap } = require('node:util');

/**
 * The error that Node's own `listen(port, host)` reports, made from the native side's, whose `code` is a name or a
 * system's number. Of another error there is nothing to be made, and it is returned as it is.
 */
function listenError(error, host, port) {
  const known = [...getSystemErrorMap()].find(
    ([errno, [name]]) => name === error.code || String(-errno) === error.code,
  );
  if (known === undefined) return error;
  const [errno, [code, text]] = known;
  // Where all interfaces can't be bound for IPv6, Node tries those of IPv4 and reports on these. That a port is taken
  // it learns later.
  const address = host ?? (code === 'EADDRINUSE' ? '::' : '0.0.0.0');
  // A port that the system was to choose is not named.
  const where = port === 0 ? address : `${address}:${port}`;
  return Object.assign(new Error(`listen ${code}: ${text} ${where}`), {
    code,
    errno,
    syscall: 'listen',
    address,
    ...(port !== 0 && { port }),
  });
}

module.exports = { listenError };
