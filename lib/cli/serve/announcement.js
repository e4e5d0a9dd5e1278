'use strict';

// What `serve` and `demo` print when they listen.

/**
 * @param {string} at host and port
 * @param {{ token?: object, apiKey?: object, adminKey?: object }} secrets as `readSecrets` returns them; those that were
 *   given are not printed
 */
function announcement(at, { token, apiKey, adminKey } = {}) {
  const lines = [
    `Workers ws://${at}`,
    `OpenAI http://${at}/v1`,
    `Status http://${at}/status`,
    `Metrics http://${at}/metrics`,
    bridgeCommand(at, token),
  ];
  if (token?.isRandom) lines.push(`Token ${token.values[0]}`);
  if (apiKey?.isRandom) lines.push(`API key ${apiKey.values[0]}`);
  if (adminKey?.isRandom) lines.push(`Admin key ${adminKey.values[0]}`);
  return lines.join('\n');
}

/** To paste on a machine with a model. A token that was given is left to that machine's environment. */
function bridgeCommand(at, token) {
  const words = ['npx @hardlydifficult/worker-server bridge', `--server ws://${at}`];
  if (token?.values !== undefined) words.push(`--token ${token.isRandom ? token.values[0] : '"$WORKER_SERVER_TOKEN"'}`);
  words.push('--upstream http://127.0.0.1:11434/v1');
  return words.join(' ');
}

module.exports = { announcement };
