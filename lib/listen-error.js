'use strict';

const { getSystemErrorMap } = require('node:util');

/** The error that Node's own `listen` gives, made from the native side's, whose `code` is a name or a system's number. */
function listenError(error, address, port) {
  const known = [...getSystemErrorMap()].find(([errno, [name]]) => name === error.code || String(-errno) === error.code);
  if (known === undefined) return error;
  const [errno, [code, text]] = known;
  return Object.assign(new Error(`listen ${code}: ${text} ${address}:${port}`), {
    code,
    errno,
    syscall: 'listen',
    address,
    port,
  });
}

module.exports = { listenError };
