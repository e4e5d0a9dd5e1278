'use strict';

// The certificate and its key, from their files: at the start, and again at SIGHUP.

const { readFileSync } = require('node:fs');
const { Failure, UsageError } = require('../errors.js');

/**
 * @param {Record<string, any>} values what the command was given
 * @returns {undefined | (() => { cert: Buffer, key: Buffer })} reads both files; undefined: no TLS
 */
function tlsReader({ tlsCert, tlsKey }) {
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert === undefined) throw new UsageError('--tls-key needs --tls-cert as well');
  if (tlsKey === undefined) throw new UsageError('--tls-cert needs --tls-key as well');
  return () => ({ cert: readFile(tlsCert, '--tls-cert'), key: readFile(tlsKey, '--tls-key') });
}

function readFile(file, flag) {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new Failure(`${flag}: ${file} can't be read (${error.code ?? error.message})`, { cause: error });
  }
}

/** What the server says of material that it can't use, with the names of the flags. */
function inFlags(error) {
  return error.message.replace(/^options\.tls\.(cert|key) /, '--tls-$1: the file ');
}

/**
 * Has the server go by the files as they are by then at each SIGHUP; if they can't be used, it goes on with what it
 * has.
 */
function reloadAtHangup(server, readTls) {
  process.on('SIGHUP', () => {
    try {
      server.setSecureContext(readTls());
    } catch (error) {
      console.error(`warn: the certificate stays as it is: ${inFlags(error)}`);
    }
  });
}

module.exports = { inFlags, reloadAtHangup, tlsReader };
