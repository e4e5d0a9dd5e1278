// Workers with all kinds of tokens come to the recipe with JWTs.

import http from 'node:http';
import { once } from 'node:events';
import { SignJWT, UnsecuredJWT, exportJWK, generateKeyPair } from 'jose';
import { finish, load, note, refusedFor, register } from './recipe-support.mjs';

const ISSUER = 'https://issuer.example';
const [{ publicKey, privateKey }, other] = [await generateKeyPair('EdDSA'), await generateKeyPair('EdDSA')];
const keys = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k1', alg: 'EdDSA' }] });
const issuer = http.createServer((req, res) => res.end(keys)).listen(0);
await once(issuer, 'listening');
process.env.JWKS_URL = `http://127.0.0.1:${issuer.address().port}/`;
process.env.ISSUER = ISSUER;

const claims = { tenant: 'blue' };
const token = ({ sub = 'gpu-1', iss = ISSUER, expires = '1h', key = privateKey, more = claims } = {}) =>
  new SignJWT(more)
    .setProtectedHeader({ alg: 'EdDSA', kid: 'k1' })
    .setSubject(sub)
    .setIssuer(iss)
    .setAudience('workers')
    .setExpirationTime(expires)
    .sign(key);

const server = await load();
const attempt = async (name, given, isKept = false) => {
  const { ws, success } = await register(server, 'gpu-1', { token: given });
  note(name, success ? server.getWorkerInfo()[0].auth : refusedFor());
  if (!isKept) ws.terminate();
};
await attempt('good', await token());
await attempt('for another id', await token({ sub: 'gpu-2' }));
await attempt('expired', await token({ expires: Math.floor(Date.now() / 1000) - 60 }));
await attempt('of another issuer', await token({ iss: 'https://evil.example' }));
await attempt('with another key', await token({ key: other.privateKey }));
const unsecured = new UnsecuredJWT(claims).setSubject('gpu-1').setIssuer(ISSUER).setAudience('workers');
await attempt('unsigned', unsecured.setExpirationTime('1h').encode());
await attempt('no token', undefined);
await attempt('of the same tenant again', await token(), true);
await attempt('of another tenant with the same id', await token({ more: { tenant: 'red' } }));
issuer.closeAllConnections();
issuer.close();
await finish(server);
