'use strict';

// What the soak says of its rounds, and how it names what is left.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { once } = require('node:events');
const { sockets } = require('../../soak/leftovers.js');

const root = path.join(__dirname, '../..');

/** What is said of rounds after which this many sockets were open. */
function judge(...counts) {
  const sizes = JSON.stringify(counts.map((socket) => ({ descriptors: { socket, file: 3 } })));
  const code = `import { judgeDescriptors } from './soak/verdict.mjs'; console.log(JSON.stringify(judgeDescriptors(${sizes})));`;
  return JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', code], { cwd: root }));
}

test.each([
  ['all alike', [4, 4, 4], []],
  ['one alone', [4], []],
  [
    'one in the middle with a socket more',
    [4, 4, 5, 4],
    ['round 3 leaves 5 descriptors of kind socket, another one 4'],
  ],
  ['the first with a socket more', [5, 4, 4], ['round 1 leaves 5 descriptors of kind socket, another one 4']],
  ['the second with a socket more', [4, 5, 4], ['round 2 leaves 5 descriptors of kind socket, another one 4']],
  ['the last with a socket more', [4, 4, 5], ['round 3 leaves 5 descriptors of kind socket, another one 4']],
])('every round is judged: %s', (_, counts, expected) => {
  expect(judge(...counts)).toEqual(expected);
});

(fs.existsSync('/proc/self/net/tcp') ? test : test.skip).each(['127.0.0.1', '::1'])(
  'a socket that is left is named by its peer and its state: %s',
  async (host) => {
    const server = net.createServer().listen(0, host);
    // A machine without IPv6 has nothing to show.
    await once(server, 'listening').catch(() => {});
    if (!server.listening) return;
    const accepted = once(server, 'connection');
    const client = net.connect(server.address().port, host);
    const [socket] = await accepted;
    const shown = host.includes(':') ? '[0000:0000:0000:0000:0000:0000:0000:0001]' : host;
    const line = `${shown}:${socket.remotePort} at ${shown}:${socket.localPort} (ESTABLISHED, 0 bytes unsent, 0 unread)`;
    expect(sockets()).toContain(line);
    client.destroy();
    socket.destroy();
    server.close();
    await once(server, 'close');
    expect(sockets()).not.toContain(line);
  },
);
