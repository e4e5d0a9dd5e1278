'use strict';

// The format of a message on the broker: its sender, the sender's life (`start`), its sequence number, a signature, and
// the data, or a part of it where that is too long for one message.
//
//   version (1 byte) · flags (1) · [HMAC-SHA-256 (32)] · node (length, ASCII) · start (length, ASCII) · sequence (6) ·
//   part (2) · parts (2) · data
//
// The signature covers the channel and everything behind it.

const { createHmac, timingSafeEqual } = require('node:crypto');

const VERSION = 1;
const SIGNED = 1;
const MAC_BYTES = 32;
/** The most bytes of a message; longer ones are split. NATS takes 1 MiB by default. */
const MAX_MESSAGE_BYTES = 512 * 1024;
/** The fields in front of the data take less. */
const MAX_PART_BYTES = MAX_MESSAGE_BYTES - 256;
/** Parts that may be incomplete for one node, in bytes: the longest request there can be, twice. */
const MAX_INCOMPLETE_BYTES = 256 * 1024 * 1024;
const FIXED_BYTES = 10;

/** The reasons for which messages are dropped: the label `reason` of `cluster_dropped_total`. */
const DROPPED = Object.freeze({
  VERSION: 'version',
  MALFORMED: 'malformed',
  SIGNATURE: 'signature',
  REPLAY: 'replay',
  UNPROVEN: 'unproven',
});

/** Writes the messages of this node, and numbers and signs them. */
class Sealer {
  #head;
  #secret;
  #sequence = 0;

  constructor({ nodeId, start, secret }) {
    this.#secret = secret;
    this.#head = Buffer.concat([
      Buffer.of(nodeId.length),
      Buffer.from(nodeId),
      Buffer.of(start.length),
      Buffer.from(start),
    ]);
  }

  /** @returns {Buffer[]} the messages that carry the data, in order */
  seal(channel, data) {
    const parts = Math.max(1, Math.ceil(data.length / MAX_PART_BYTES));
    const sealed = [];
    for (let part = 0; part < parts; part += 1) {
      sealed.push(
        this.#sealPart(channel, data.subarray(part * MAX_PART_BYTES, (part + 1) * MAX_PART_BYTES), part, parts),
      );
    }
    return sealed;
  }

  #sealPart(channel, data, part, parts) {
    this.#sequence += 1;
    const bodyAt = this.#secret === undefined ? 2 : 2 + MAC_BYTES;
    const fixedAt = bodyAt + this.#head.length;
    const message = Buffer.allocUnsafe(fixedAt + FIXED_BYTES + data.length);
    message[0] = VERSION;
    message[1] = this.#secret === undefined ? 0 : SIGNED;
    this.#head.copy(message, bodyAt);
    message.writeUIntBE(this.#sequence, fixedAt, 6);
    message.writeUInt16BE(part, fixedAt + 6);
    message.writeUInt16BE(parts, fixedAt + 8);
    data.copy(message, fixedAt + FIXED_BYTES);
    if (this.#secret !== undefined) macOf(this.#secret, channel, message.subarray(bodyAt)).copy(message, 2);
    return message;
  }
}

function macOf(secret, channel, body) {
  return createHmac('sha256', secret).update(channel).update('\n').update(body).digest();
}

/**
 * Reads a message.
 *
 * @returns {{ dropped: string } | { nodeId: string, start: string, sequence: number, part: number, parts: number, data:
 *   Buffer }}
 */
function unseal(secret, channel, bytes) {
  const message = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (message.length < 2) return { dropped: DROPPED.MALFORMED };
  if (message[0] !== VERSION) return { dropped: DROPPED.VERSION };
  const isSigned = message[1] === SIGNED;
  // A signed message is from a fleet with a secret, and an unsigned one from a fleet without: they do not mix.
  if (isSigned !== (secret !== undefined)) return { dropped: DROPPED.SIGNATURE };
  const body = message.subarray(isSigned ? 2 + MAC_BYTES : 2);
  if (isSigned) {
    if (message.length < 2 + MAC_BYTES) return { dropped: DROPPED.MALFORMED };
    const isTrue = timingSafeEqual(macOf(secret, channel, body), message.subarray(2, 2 + MAC_BYTES));
    if (!isTrue) return { dropped: DROPPED.SIGNATURE };
  }
  const nodeEnd = 1 + body[0];
  const startEnd = nodeEnd + 1 + body[nodeEnd];
  // Where a length is missing this is NaN, and not within.
  if (!(startEnd + FIXED_BYTES <= body.length)) return { dropped: DROPPED.MALFORMED };
  const part = body.readUInt16BE(startEnd + 6);
  const parts = body.readUInt16BE(startEnd + 8);
  if (part >= parts) return { dropped: DROPPED.MALFORMED };
  return {
    nodeId: body.latin1Slice(1, nodeEnd),
    start: body.latin1Slice(nodeEnd + 1, startEnd),
    sequence: body.readUIntBE(startEnd, 6),
    part,
    parts,
    data: body.subarray(startEnd + FIXED_BYTES),
  };
}

/** Joins the parts of one sender's messages. When a part is missing, the parts before it are dropped. */
class Assembler {
  #parts = [];
  #bytes = 0;
  #channel = '';

  /** @returns {Buffer | null} the data of a message that is complete */
  add(channel, { part, parts, data }) {
    if (parts === 1) {
      this.#clear();
      return data;
    }
    if (part === 0) this.#clear();
    else if (part !== this.#parts.length || channel !== this.#channel) {
      this.#clear();
      return null;
    }
    this.#channel = channel;
    this.#parts.push(data);
    this.#bytes += data.length;
    if (this.#bytes > MAX_INCOMPLETE_BYTES) this.#clear();
    if (this.#parts.length < parts) return null;
    const whole = Buffer.concat(this.#parts);
    this.#clear();
    return whole;
  }

  #clear() {
    this.#parts = [];
    this.#bytes = 0;
  }
}

const LENGTH_BYTES = 4;

/**
 * Writes a packet: an object as JSON, and texts that are carried as they are, which need be neither quoted nor parsed
 * on the way.
 *
 * @param {object} head
 * @param {string[]} texts
 */
function packet(head, texts) {
  const json = JSON.stringify(texts.length === 0 ? head : { ...head, x: texts.map((text) => Buffer.byteLength(text)) });
  const jsonBytes = Buffer.byteLength(json);
  const total = texts.reduce((sum, text) => sum + Buffer.byteLength(text), LENGTH_BYTES + jsonBytes);
  const data = Buffer.allocUnsafe(total);
  data.writeUInt32BE(jsonBytes, 0);
  let at = LENGTH_BYTES + data.write(json, LENGTH_BYTES);
  for (const text of texts) at += data.write(text, at);
  return data;
}

/** What `packet` wrote, as `{ head, texts }`; `null` if it is nothing of the kind. */
function readPacket(data) {
  if (data.length < LENGTH_BYTES) return null;
  let at = LENGTH_BYTES + data.readUInt32BE(0);
  if (at > data.length) return null;
  try {
    const head = JSON.parse(data.toString('utf8', LENGTH_BYTES, at));
    if (typeof head !== 'object' || head === null) return null;
    const texts = [];
    for (const bytes of head.x ?? []) {
      texts.push(data.toString('utf8', at, at + bytes));
      at += bytes;
    }
    return { head, texts };
  } catch {
    return null;
  }
}

module.exports = { Assembler, DROPPED, MAX_MESSAGE_BYTES, Sealer, VERSION, packet, readPacket, unseal };
