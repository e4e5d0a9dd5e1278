// Workers with certificates, and without, come to the recipe that binds ids to certificates.

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import tls from 'node:tls';
import { once } from 'node:events';
import { finish, hangUp, load, note, refusedFor, register } from './recipe-support.mjs';

const { ca, first, second, worker, stranger } = JSON.parse(process.env.MATERIAL);
const file = (name, text) => {
  const where = path.join(process.env.FOLDER, name);
  writeFileSync(where, text);
  return where;
};
const use = ({ cert, key }) => {
  process.env.TLS_CERT = file('cert.pem', cert);
  process.env.TLS_KEY = file('key.pem', key);
};
process.env.TLS_CA = file('ca.pem', ca);
use(first);

const server = await load();
const attempt = async (name, id, pair) => {
  const { ws, isOpen, success } = await register(server, id, { tls: { ca, ...pair } });
  note(name, success ? server.getWorkerInfo()[0].auth : isOpen ? refusedFor() : 'no connection');
  ws.terminate();
};
await attempt('its own id', 'gpu-1', worker);
await attempt('another id', 'gpu-2', worker);
await attempt('of another authority', 'gpu-1', stranger);
await attempt('without one', 'gpu-1', {});

/** The name in the server's certificate. */
async function shown() {
  const socket = tls.connect({ port: server.port, host: 'localhost', ca, ...worker });
  await once(socket, 'secureConnect');
  const { CN } = socket.getPeerCertificate().subject;
  socket.destroy();
  return CN;
}
note('before SIGHUP', await shown());
use(second);
await hangUp();
note('after SIGHUP', await shown());
use({ cert: first.cert.slice(0, 200), key: first.key });
let complaint;
console.error = (message) => (complaint = message);
await hangUp();
note('after SIGHUP with half a file', [await shown(), complaint]);
await finish(server);
