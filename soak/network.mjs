// A network of its own for some of the workers, which can be unplugged: then their machines have vanished, without a FIN or a
// reset. It takes Linux and the right to make network namespaces (root, mostly).

import { spawnSync } from 'node:child_process';

function ip(...args) {
  const { status, stderr, error } = spawnSync('ip', args, { encoding: 'utf8' });
  if (error) throw error;
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr.trim()}`);
}

export class Network {
  #name = `soak${process.pid}`;
  #near = `sk${process.pid}a`;
  #far = `sk${process.pid}b`;
  /** The address by which the server is reached from inside. Of the range that is reserved for benchmarks (RFC 2544). */
  #prefix = `198.18.${(process.pid >> 6) & 255}.${(process.pid & 63) << 2}`;

  /** A network, or the reason why there can't be one. */
  static create() {
    const network = new Network();
    try {
      network.#setUp();
      return { network };
    } catch (error) {
      network.remove();
      return { reason: error.message };
    }
  }

  address(host) {
    const parts = this.#prefix.split('.');
    return [...parts.slice(0, 3), Number(parts[3]) + host].join('.');
  }

  get host() {
    return this.address(1);
  }

  /** Runs a command inside. */
  get execPrefix() {
    return ['ip', 'netns', 'exec', this.#name];
  }

  #setUp() {
    ip('netns', 'add', this.#name);
    ip('link', 'add', this.#near, 'type', 'veth', 'peer', 'name', this.#far);
    ip('link', 'set', this.#far, 'netns', this.#name);
    ip('addr', 'add', `${this.address(1)}/30`, 'dev', this.#near);
    ip('link', 'set', this.#near, 'up');
    ip('netns', 'exec', this.#name, 'ip', 'addr', 'add', `${this.address(2)}/30`, 'dev', this.#far);
    ip('netns', 'exec', this.#name, 'ip', 'link', 'set', this.#far, 'up');
  }

  /** At the far end: here the way there stays, so that what is sent goes nowhere, and nobody says so. */
  unplug() {
    ip('netns', 'exec', this.#name, 'ip', 'link', 'set', this.#far, 'down');
  }

  plug() {
    ip('netns', 'exec', this.#name, 'ip', 'link', 'set', this.#far, 'up');
  }

  remove() {
    for (const args of [
      ['link', 'del', this.#near],
      ['netns', 'del', this.#name],
    ])
      spawnSync('ip', args, { stdio: 'ignore' });
  }
}
