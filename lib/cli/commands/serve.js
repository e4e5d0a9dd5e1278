'use strict';

const { anyText, port, secret, url } = require('../arguments.js');
const { UsageError } = require('../errors.js');
const { announcement } = require('../serve/announcement.js');
const { PROTOCOLS, connectCluster } = require('../serve/cluster.js');
const { readSecrets } = require('../serve/secrets.js');

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
  --cluster URL         several servers are one fleet over this broker: nats://HOST:PORT or redis://HOST:PORT
  --insecure            does without those of the three that aren't given, and listens on ${LOOPBACK} unless --host is given

Keys and token that aren't given are made at random and printed. Those that are given are never printed.
Each flag is also a variable: --api-key is WORKER_SERVER_API_KEY. Give secrets that way, or by files: a command line can be
seen by others on the machine. SIGTERM and SIGINT drain: no new requests, and the end when those under way have theirs.`;

async function run(values, { fromFlag }) {
  if (values.tlsCert !== undefined || values.tlsKey !== undefined)
    throw new UsageError('--tls-cert and --tls-key: this version has no TLS of its own; put a proxy in front');
  const { insecure = false } = values;
  const token = readSecrets(values, fromFlag, 'token', insecure);
  const apiKey = readSecrets(values, fromFlag, 'apiKey', insecure);
  const adminKey = readSecrets(values, fromFlag, 'adminKey', insecure);
  const host = values.host ?? (insecure ? LOOPBACK : undefined);

  const adapter = values.cluster === undefined ? undefined : await connectCluster(values.cluster);

  // Last, so that wrong use is said even where the native part can't be loaded.
  const { reachableAt, startServer } = require('../serve/start-server.js');
  const server = await startServer({
    port: values.port ?? DEFAULT_PORT,
    host,
    tokens: token.values,
    apiKeys: apiKey.values,
    adminKey: adminKey.values?.[0],
    more: adapter && { cluster: { adapter } },
  });
  console.log(announcement(reachableAt(server, host), { token, apiKey, adminKey }));
}

module.exports = { DEFAULT_PORT, LOOPBACK, flags, help, run };
