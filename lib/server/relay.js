'use strict';

const net = require('node:net');

const { showPeer } = require('./peer-socket.js');

const NO_OP = () => {};

/**
 * The other way for connections to come to Node, where they can't as descriptors: the native side connects to a
 * loopback port for each of them and passes the bytes on.
 */
class Relay {
  #server;
  #deliver = (socket) => socket.destroy();
  #onError;

  /** Windows has no descriptors that could be given. The variable lets the tests of other platforms have the same. */
  static isNeeded() {
    return process.platform === 'win32' || process.env.WORKER_SERVER_RELAY === '1';
  }

  static async listen() {
    const relay = new Relay();
    await new Promise((resolve, reject) => {
      relay.#onError = reject;
      relay.#server.listen(0, '127.0.0.1', resolve);
    });
    // A connection that can't be accepted, as for want of descriptors, is its peer's loss alone.
    relay.#server.on('error', NO_OP);
    return relay;
  }

  constructor() {
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#deliver(socket));
    // Too many open files, say. Without a listener it would be an uncaught exception.
    this.#server.on('error', (error) => this.#onError(error));
  }

  get port() {
    return this.#server.address().port;
  }

  /**
   * @param accept called with each socket, which shows the real addresses
   * @param endsOf returns whose connection is relayed from a loopback port, if one is: see `showPeer`
   * @param onError called with what goes wrong when a socket is accepted
   */
  deliver(accept, endsOf, onError) {
    this.#onError = onError;
    this.#deliver = (socket) => {
      const ends = endsOf(socket.remotePort);
      if (ends === null) {
        // Not the native side, but someone else on this machine.
        socket.destroy();
        return;
      }
      const [text, certificates] = ends;
      showPeer(socket, JSON.parse(text), certificates);
      accept(socket);
    };
  }

  close() {
    this.#server.close();
  }
}

module.exports = { Relay };
