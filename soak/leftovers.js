'use strict';

// The TCP sockets that this process holds, so that a soak can name those that it finds left.

const fs = require('node:fs');

/** By the number in /proc/net/tcp. */
const STATES = [
  '',
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT1',
  'FIN_WAIT2',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'CLOSING',
];

/** The inodes of all sockets that are open here, TCP or not. */
function inodes() {
  const found = new Set();
  for (const name of fs.readdirSync('/proc/self/fd')) {
    try {
      const [, inode] = /^socket:\[(\d+)\]$/.exec(fs.readlinkSync(`/proc/self/fd/${name}`)) ?? [];
      if (inode !== undefined) found.add(inode);
    } catch {
      // Closed meanwhile.
    }
  }
  return found;
}

/** `0100007F:1F90` as `127.0.0.1:8080`. The kernel writes an address in words of four bytes, each in the machine's own order. */
function address(hex) {
  const [words, port] = hex.split(':');
  const bytes = words.match(/.{8}/g).flatMap((word) => word.match(/../g).reverse());
  const isMapped = bytes.length === 16 && bytes.slice(0, 12).join('') === '00000000000000000000FFFF';
  const isV4 = bytes.length === 4 || isMapped;
  const host = isV4
    ? bytes
        .slice(-4)
        .map((byte) => parseInt(byte, 16))
        .join('.')
    : `[${bytes.join('').toLowerCase().match(/.{4}/g).join(':')}]`;
  return `${host}:${parseInt(port, 16)}`;
}

/** Each TCP socket of this process as `peer (state, what waits in it)`; none where there is no /proc. */
function sockets() {
  if (!fs.existsSync('/proc/net/tcp')) return [];
  const own = inodes();
  const rows = ['tcp', 'tcp6'].flatMap((name) => {
    try {
      return fs.readFileSync(`/proc/self/net/${name}`, 'latin1').trim().split('\n').slice(1);
    } catch {
      return [];
    }
  });
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => own.has(inode) && STATES[parseInt(state, 16)] !== 'LISTEN')
    .map(([, local, remote, state, queues]) => {
      const [unsent, unread] = queues.split(':').map((hex) => parseInt(hex, 16));
      return `${address(remote)} at ${address(local)} (${STATES[parseInt(state, 16)]}, ${unsent} bytes unsent, ${unread} unread)`;
    });
}

module.exports = { sockets };
