'use strict';

// Keys and certificates for tests, made by openssl.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { execFileSync, spawnSync } = require('node:child_process');
const { onCleanup } = require('./cleanup.js');

/** `test`, or `test.skip` where openssl isn't installed. */
const testWithOpenssl = spawnSync('openssl', ['version']).status === 0 ? test : test.skip;

/** A key and a certificate that it has signed itself, as PEM, for `server.test` and 127.0.0.1. `certFile` is its path. */
function selfSigned() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'worker-server-tls-'));
  onCleanup(() => fs.rmSync(folder, { recursive: true }));
  const [keyFile, certFile] = ['key.pem', 'cert.pem'].map((name) => path.join(folder, name));
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile];
  const subject = ['-subj', '/CN=server.test', '-addext', 'subjectAltName=DNS:server.test,IP:127.0.0.1'];
  execFileSync('openssl', ['req', '-x509', ...key, '-out', certFile, '-days', '2', ...subject], { stdio: 'pipe' });
  return { key: fs.readFileSync(keyFile), cert: fs.readFileSync(certFile), certFile };
}

module.exports = { selfSigned, testWithOpenssl };
