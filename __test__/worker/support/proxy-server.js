'use strict';

// An HTTP proxy that knows CONNECT, and resolves every name to this machine: so a worker can be sent through it
// although all is on loopback.

const http = require('node:http');
const net = require('node:net');
const { once } = require('node:events');
const { onCleanup } = require('../../support/cleanup.js');

/**
 * @param {string} [credentials] `user:password`, without which it answers 407
 * @param {string} [answer] what it answers instead of opening a tunnel
 * @returns the proxy's `url`, and the `requests` that came, `{ target, authorization }` each
 */
async function startProxyServer({ credentials, answer } = {}) {
  const requests = [];
  const sockets = new Set();
  const proxy = http.createServer();
  proxy.on('connection', (socket) => sockets.add(socket));
  proxy.on('connect', (request, socket, head) => {
    requests.push({ target: request.url, authorization: request.headers['proxy-authorization'] });
    socket.on('error', () => {});
    const expected = credentials && `Basic ${Buffer.from(credentials).toString('base64')}`;
    if (answer !== undefined) socket.end(answer);
    else if (expected !== undefined && request.headers['proxy-authorization'] !== expected)
      socket.end('HTTP/1.1 407 No\r\n\r\n');
    else tunnel(socket, head, Number(request.url.split(':').at(-1)), sockets);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  onCleanup(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => proxy.close(resolve));
  });
  return { host: `127.0.0.1:${proxy.address().port}`, url: `http://127.0.0.1:${proxy.address().port}`, requests };
}

function tunnel(near, head, port, sockets) {
  const far = net.connect(port, '127.0.0.1', () => {
    near.write('HTTP/1.1 200 Connection established\r\n\r\n');
    far.write(head);
    far.pipe(near).pipe(far);
  });
  sockets.add(far);
  far.on('error', () => near.destroy());
  near.on('close', () => far.destroy());
}

module.exports = { startProxyServer };
