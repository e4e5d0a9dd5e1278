'use strict';

const { anyText, port, secret, url } = require('../arguments.js');
const { Failure } = require('../errors.js');
const { announcement } = require('../serve/announcement.js');
const { PROTOCOLS, connectCluster } = require('../serve/cluster.js');
const { readSecrets } = require('../serve/secrets.js');
const { inFlags, reloadAtHangup, tlsReader } = require('../serve/tls-files.js');

const DEFAULT_PORT = 19100;
const LOOPBACK = '127.0.0.1';

const flags = {
  port: { read: port },
  host: { read: anyText },
  token: { read: secret },
  'token-file': { read: anyText },
  'api-key': { read: secret, multiple: true },
  'api-key-file': { read: anyText },
  'admin-key': { read: secret },
  'tls-cert': { read: anyText },
  'tls-key': { read: anyText },
  cluster: { read: url(PROTOCOLS, { bare: false }) },
  insecure: {},
};

const help = `Usage: worker-server serve [flag]…

A server for workers, with an OpenAI-compatible gateway, a status page and metrics on one port.

  --port N              default ${DEFAULT_PORT}; 0: any free one
  --host HOST           where to listen; default: all interfaces
  --token TOKEN         what workers have to send
  --token-file FILE     the same from a file; several, one a line, are all accepted
  --api-key KEY         what clients of the gateway have to send; may be repeated
  --api-key-file FILE   the same from a file, one a line
  --admin-key KEY       for the status page and the metrics: as Bearer, or as the password of Basic
  --tls-cert FILE       certificate chain in PEM: everything on the port is TLS then; needs --tls-key
  --tls-key FILE        its key, not encrypted; at SIGHUP both are read again
  --cluster URL         several servers are one fleet over this broker: nats://HOST:PORT or redis://HOST:PORT
  --insecure            does without token and keys that aren't given; listens on ${LOOPBACK} unless --host is given

Keys and token that aren't given are made at random and printed. Those that are given are never printed.
Each flag is also a variable: --api-key is WORKER_SERVER_API_KEY. Give secrets that way, or by files: other users of the
machine can see a command line. SIGTERM and SIGINT drain: requests under way are finished, and no more are taken.`;

async function run(values, { fromFlag }) {
  const readTls = tlsReader(values);
  const { insecure = false } = values;
  const token = readSecrets(values, fromFlag, 'token', insecure);
  const apiKey = readSecrets(values, fromFlag, 'apiKey', insecure);
  const adminKey = readSecrets(values, fromFlag, 'adminKey', insecure);
  const host = values.host ?? (insecure ? LOOPBACK : undefined);

  const tls = readTls?.();
  const adapter = values.cluster === undefined ? undefined : await connectCluster(values.cluster);

  // Last, so that wrong use is said even where the native part can't be loaded.
  const { reachableAt, startServer } = require('../serve/start-server.js');
  const server = await startServer({
    port: values.port ?? DEFAULT_PORT,
    host,
    tokens: token.values,
    apiKeys: apiKey.values,
    adminKey: adminKey.values?.[0],
    more: { tls, ...(adapter && { cluster: { adapter } }) },
  }).catch((error) => {
    throw error instanceof TypeError ? new Failure(inFlags(error), { cause: error }) : error;
  });
  if (readTls !== undefined) reloadAtHangup(server, readTls);
  console.log(announcement(reachableAt(server, host), { token, apiKey, adminKey, isSecure: readTls !== undefined }));
}

module.exports = { DEFAULT_PORT, LOOPBACK, flags, help, run };
