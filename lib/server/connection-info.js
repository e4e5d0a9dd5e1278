'use strict';

/** What the native side knows of a connection, as `getConnectionInfo` returns it: a new object each time. */
function toConnectionInfo({ remoteAddress, remotePort, url, headers, encrypted, connectedAt }) {
  return {
    remoteAddress,
    remotePort,
    url,
    headers: readHeaders(headers),
    encrypted,
    connectedAt: new Date(connectedAt),
  };
}

/** `list` is a name, a value, and so on. A field `__proto__` becomes an own key. */
function readHeaders(list) {
  const fields = [];
  for (let i = 0; i < list.length; i += 2) fields.push([list[i], list[i + 1]]);
  return Object.freeze(Object.fromEntries(fields));
}

module.exports = { readHeaders, toConnectionInfo };
