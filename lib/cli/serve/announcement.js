'use strict';

// What `serve` and `demo` print when they listen.

/**
 * @param {string} at host and port
 * @param {{ token?: object, apiKey?: object, adminKey?: object, isSecure?: boolean }} options the secrets as
 *   `readSecrets` returns them, of which those that were given are not printed, and whether the port is TLS
 */
function announcement(at, { token, apiKey, adminKey, isSecure = false } = {}) {
  const [webSocket, http] = isSecure ? ['wss', 'https'] : ['ws', 'http'];
  const lines = [
    `Workers ${webSocket}://${at}`,
    `OpenAI ${http}://${at}/v1`,
    `Status ${http}://${at}/status`,
    `Metrics ${http}://${at}/metrics`,
    bridgeCommand(`${webSocket}://${at}`, token),
  ];
  if (token?.isRandom) lines.push(`Token ${token.values[0]}`);
  if (apiKey?.isRandom) lines.push(`API key ${apiKey.values[0]}`);
  if (adminKey?.isRandom) lines.push(`Admin key ${adminKey.values[0]}`);
  return lines.join('\n');
}

/** To paste on a machine with a model. A token that was given is left to that machine's environment. */
function bridgeCommand(url, token) {
  const words = ['npx @hardlydifficult/worker-server bridge', `--server ${url}`];
  if (token?.values !== undefined) words.push(`--token ${token.isRandom ? token.values[0] : '"$WORKER_SERVER_TOKEN"'}`);
  words.push('--upstream http://127.0.0.1:11434/v1');
  return words.join(' ');
}

module.exports = { announcement };
