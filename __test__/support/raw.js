'use strict';

// Bare TCP and bare WebSocket frames: for what no well-behaved client sends.

const crypto = require('crypto');
const { once } = require('events');
const { onCleanup } = require('./cleanup');
const { CONNECTED, connect } = require('./transport.js');

/** A TCP connection of which everything that arrives is kept. */
class RawConnection {
  constructor(socket) {
    this.socket = socket;
    this.received = Buffer.alloc(0);
    this.ended = false;
    this.waiting = new Set();
    socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.#wake();
    });
    const end = () => {
      this.ended = true;
      this.#wake();
    };
    socket.on('end', end);
    socket.on('close', end);
    socket.on('error', () => {});
    onCleanup(() => socket.destroy());
  }

  #wake() {
    for (const wake of this.waiting) wake();
  }

  write(data) {
    this.socket.write(data);
  }

  /** Resolves with what `look` returns once that isn't undefined; rejects if the connection ends before. */
  until(look) {
    return new Promise((resolve, reject) => {
      const wake = () => {
        const found = look();
        if (found === undefined && !this.ended) return;
        this.waiting.delete(wake);
        if (found === undefined)
          reject(new Error(`the connection ended after ${JSON.stringify(this.received.toString('latin1'))}`));
        else resolve(found);
      };
      this.waiting.add(wake);
      wake();
    });
  }

  /** Resolves with all that was received as text once `pattern` is found in it. */
  text(pattern) {
    return this.until(() => {
      const text = this.received.toString('latin1');
      return pattern.test(text) ? text : undefined;
    });
  }

  /** Resolves with all that was received when the peer has ended the connection. */
  async end() {
    while (!this.ended) {
      await new Promise((resolve) => {
        const wake = () => {
          this.waiting.delete(wake);
          resolve();
        };
        this.waiting.add(wake);
      });
    }
    return this.received.toString('latin1');
  }
}

/** A bare TCP connection. */
async function rawConnect(port, host = '127.0.0.1') {
  const socket = connect({ port, host, allowHalfOpen: true });
  await once(socket, CONNECTED);
  return new RawConnection(socket);
}

/** The head of an upgrade request. `headers` replace or, if undefined, remove single ones. */
function upgradeHead(path = '/', headers = {}) {
  const all = {
    Host: 'localhost',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': crypto.randomBytes(16).toString('base64'),
    'Sec-WebSocket-Version': '13',
    ...headers,
  };
  const lines = Object.entries(all)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/** One frame as a client sends it. */
function frame(opcode, payload = '', { fin = true, rsv = 0, masked = true } = {}) {
  const data = Buffer.from(payload);
  const size = data.length < 126 ? 0 : data.length < 65536 ? 2 : 8;
  const head = Buffer.alloc(2 + size);
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  head[1] = (masked ? 0x80 : 0) | (size === 0 ? data.length : size === 2 ? 126 : 127);
  if (size === 2) head.writeUInt16BE(data.length, 2);
  if (size === 8) head.writeBigUInt64BE(BigInt(data.length), 2);
  if (!masked) return Buffer.concat([head, data]);
  const mask = crypto.randomBytes(4);
  for (let i = 0; i < data.length; i += 1) data[i] ^= mask[i & 3];
  return Buffer.concat([head, mask, data]);
}

/** A text frame of a value as JSON. */
function json(value) {
  return frame(TEXT, JSON.stringify(value));
}

/** A registration as a worker sends it. */
function registration(workerId, more = {}) {
  return {
    type: 'worker_registration',
    workerId,
    workerName: `name of ${workerId}`,
    capabilities: { models: [{ modelId: 'model' }], maxConcurrentRequests: 4 },
    ...more,
  };
}

/** The payload of a close frame. */
function closePayload(code, reason = '') {
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
  payload.writeUInt16BE(code);
  payload.write(reason, 2);
  return payload;
}

/** A WebSocket whose frames the test writes and reads one by one. */
class RawWebSocket extends RawConnection {
  /** Sends the upgrade, with `after` in the same packet, and resolves when the server has switched. */
  static async connect(port, { path = '/', headers, after = Buffer.alloc(0), host = '127.0.0.1' } = {}) {
    const socket = connect({ port, host });
    await once(socket, CONNECTED);
    const raw = new RawWebSocket(socket);
    raw.write(Buffer.concat([Buffer.from(upgradeHead(path, headers)), after]));
    raw.head = await raw.until(() => {
      const end = raw.received.indexOf('\r\n\r\n');
      if (end < 0) return undefined;
      const head = raw.received.subarray(0, end + 4).toString('latin1');
      raw.received = raw.received.subarray(end + 4);
      return head;
    });
    if (!raw.head.startsWith('HTTP/1.1 101')) throw new Error(raw.head);
    return raw;
  }

  /** Connects and registers; resolves when it is acknowledged. */
  static async register(port, workerId, options = {}) {
    const raw = await RawWebSocket.connect(port, options);
    raw.write(json(registration(workerId, options.registration)));
    raw.ack = JSON.parse((await raw.frame()).text);
    return raw;
  }

  /** The next frame of the server: `{ opcode, payload, text, code, reason }`. */
  frame() {
    return this.until(() => {
      const { received } = this;
      if (received.length < 2) return undefined;
      let length = received[1] & 0x7f;
      let at = 2;
      if (length === 126) {
        if (received.length < 4) return undefined;
        length = received.readUInt16BE(2);
        at = 4;
      } else if (length === 127) {
        if (received.length < 10) return undefined;
        length = Number(received.readBigUInt64BE(2));
        at = 10;
      }
      if (received.length < at + length) return undefined;
      const opcode = received[0] & 0x0f;
      const payload = received.subarray(at, at + length);
      this.received = received.subarray(at + length);
      const result = { opcode, payload, text: payload.toString() };
      if (opcode === CLOSE) {
        result.code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
        result.reason = payload.subarray(2).toString();
      }
      return result;
    });
  }

  /** The server's close frame, whatever comes before it. */
  async close() {
    for (;;) {
      const next = await this.frame();
      if (next.opcode === CLOSE) return next;
    }
  }
}

module.exports = {
  RawConnection,
  RawWebSocket,
  rawConnect,
  upgradeHead,
  frame,
  json,
  registration,
  closePayload,
  TEXT,
  BINARY,
  CLOSE,
  PING,
  PONG,
};
