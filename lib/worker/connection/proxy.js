'use strict';

// Which proxy a connection goes through, and the tunnel through it (HTTP CONNECT).

const http = require('node:http');
const { BlockList, isIP } = require('node:net');

const DEFAULT_PORTS = { 'ws:': 80, 'wss:': 443, 'http:': 80 };

/**
 * The proxy for a URL, as plain data, or null.
 *
 * @param {URL} url the server's
 * @param {string | false | undefined} option the application's choice; undefined: the environment's
 * @throws {TypeError} that names where the proxy comes from, and never its value, which may hold a password
 */
function chooseProxy(url, option, env = process.env) {
  const host = bareHost(url.hostname);
  if (option !== undefined && option !== false) {
    const proxy = parseProxy(option, 'options.proxy');
    return isLoopback(host) ? null : proxy;
  }
  if (option === false || isLoopback(host) || isExempt(host, portOf(url), variable(env, 'NO_PROXY')?.value))
    return null;
  const chosen = variable(env, url.protocol === 'wss:' ? 'HTTPS_PROXY' : 'HTTP_PROXY') ?? variable(env, 'ALL_PROXY');
  return chosen ? parseProxy(chosen.value, chosen.name) : null;
}

/** A variable in either case, the lower one first, as curl and others read them. An empty one counts as none. */
function variable(env, name) {
  for (const spelling of [name.toLowerCase(), name]) {
    if (env[spelling]) return { name: spelling, value: env[spelling] };
  }
  return undefined;
}

function parseProxy(text, name) {
  const expected = `${name} must be an http: URL, such as http://user:password@proxy:3128`;
  if (typeof text !== 'string' || text === '') throw new TypeError(expected);
  let url;
  try {
    url = new URL(text.includes('://') ? text : `http://${text}`);
  } catch {
    throw new TypeError(expected);
  }
  if (url.protocol !== 'http:' || url.hostname === '') throw new TypeError(expected);
  const credentials = url.username || url.password ? `${decode(url.username)}:${decode(url.password)}` : null;
  return { host: bareHost(url.hostname), port: portOf(url), credentials };
}

/** A percent sign that encodes nothing stands for itself. */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const bareHost = (hostname) => hostname.replace(/^\[|\]$/g, '').toLowerCase();
const portOf = (url) => Number(url.port) || DEFAULT_PORTS[url.protocol];

/** Whether a host is this machine itself. 0.0.0.0 and :: connect to it as well. */
function isLoopback(host) {
  if (host === 'localhost' || host === 'localhost.' || /\.localhost\.?$/.test(host)) return true;
  if (isIP(host) === 4) return host.startsWith('127.') || host === '0.0.0.0';
  return host === '::1' || host === '::' || /^::ffff:7f[0-9a-f]{2}:/.test(host);
}

/**
 * Whether NO_PROXY names a host: `*`, names with what is below them, addresses and networks, each with or without a
 * port.
 */
function isExempt(host, port, list = '') {
  return list.split(/[\s,]+/).some((entry) => entry !== '' && matches(entry.toLowerCase(), host, port));
}

function matches(entry, host, port) {
  if (entry === '*') return true;
  const [, name, onlyPort] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(entry) ?? [undefined, entry];
  if (onlyPort !== undefined && Number(onlyPort) !== port) return false;
  const bare = bareHost(name).replace(/^\*?\./, '');
  if (bare.includes('/')) return isIP(host) !== 0 && inNetwork(host, bare);
  return bare !== '' && (host === bare || (isIP(host) === 0 && host.endsWith(`.${bare}`)));
}

function inNetwork(host, network) {
  const [address, bits] = network.split('/');
  const family = (ip) => (isIP(ip) === 6 ? 'ipv6' : 'ipv4');
  try {
    const list = new BlockList();
    list.addSubnet(address, Number(bits), family(address));
    return list.check(host, family(host));
  } catch {
    return false;
  }
}

/**
 * Opens a tunnel to a host through a proxy.
 *
 * @returns {Promise<import('node:net').Socket>} the tunnel's near end
 */
function openTunnel(proxy, host, port, signal) {
  return new Promise((resolve, reject) => {
    const target = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
    const headers = { Host: target };
    if (proxy.credentials !== null)
      headers['Proxy-Authorization'] = `Basic ${Buffer.from(proxy.credentials).toString('base64')}`;
    const request = http.request({
      host: proxy.host,
      port: proxy.port,
      method: 'CONNECT',
      path: target,
      headers,
      agent: false,
      signal,
    });
    request.on('connect', (response, socket, head) => {
      if (response.statusCode < 200 || response.statusCode > 299) {
        socket.destroy();
        reject(new Error(`The proxy answered CONNECT with ${response.statusCode}`));
        return;
      }
      socket.setNoDelay(true);
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    // An answer to CONNECT comes as 'connect' whatever its status; anything else is no HTTP proxy.
    request.on('error', (error) =>
      reject(
        Object.assign(new Error(`Could not reach the proxy: ${error.message || error.code}`), { code: error.code }),
      ),
    );
    request.end();
  });
}

module.exports = { chooseProxy, openTunnel };
