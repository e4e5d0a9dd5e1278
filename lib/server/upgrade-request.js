'use strict';

// What a request that asks for an upgrade asks for, read as the native side reads it
// (`crates/server/src/accept/request_head.rs`).

/** The path of a request target, without its query. The target may be in absolute form (RFC 9112, section 3.2.2). */
function pathOf(target) {
  const origin = /^[a-z][a-z\d+.-]*:\/\/[^/?]*/i.exec(target)?.[0];
  const [path] = target.slice(origin?.length ?? 0).split('?');
  return path === '' && origin !== undefined ? '/' : path;
}

/** Whether `websocket` is among the protocols that a request asks to be upgraded to. */
function asksForWebSocket(req) {
  const upgrades = req.headers.upgrade?.split(',') ?? [];
  return upgrades.some((protocol) => protocol.trim().toLowerCase() === 'websocket');
}

/** Whether a request has a body. */
function hasBody({ headers }) {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0;
}

/** The bytes of a request's head; `valueOf` may change the values of its header fields. */
function headOf(req, valueOf = (name, value) => value) {
  const { method, url, httpVersion, rawHeaders } = req;
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let i = 0; i < rawHeaders.length; i += 2)
    lines.push(`${rawHeaders[i]}: ${valueOf(rawHeaders[i], rawHeaders[i + 1])}`);
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

/** The same, without asking for an upgrade. In the place of the option that asks is one that says nothing. */
function headWithoutUpgrade(req) {
  const withoutUpgrade = (value) => value.replace(/(?<=^|,)(\s*)upgrade(?=\s*(?:,|$))/gi, '$1-');
  return headOf(req, (name, value) => (name.toLowerCase() === 'connection' ? withoutUpgrade(value) : value));
}

module.exports = { asksForWebSocket, hasBody, headOf, headWithoutUpgrade, pathOf };
