'use strict';

const { fork } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');

/** A node in a process of its own. */
class NodeProcess {
  constructor(nodeId, natsPort, times) {
    this.times = times;
    this.nodeId = nodeId;
    this.natsPort = natsPort;
  }

  async start(port = 0) {
    const env = {
      ...process.env,
      NODE_ID: this.nodeId,
      NATS_PORT: this.natsPort,
      PORT: port,
      HEARTBEAT_MS: this.times.heartbeatMs,
      TIMEOUT_MS: this.times.timeoutMs,
    };
    this.child = fork(path.join(__dirname, '../programs/node.js'), { env });
    this.exited = once(this.child, 'exit');
    const [{ port: listening }] = await once(this.child, 'message');
    this.port = listening;
  }

  /** @param question 'info', or for callers of its own 'keep' and 'end' */
  async ask(question, options) {
    const answer = once(this.child, 'message');
    this.child.send({ question, options });
    return (await answer)[0];
  }

  info() {
    return this.ask('info');
  }

  kill(signal) {
    this.child.kill(signal);
  }

  async close() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGKILL');
    await this.exited;
  }
}

module.exports = { NodeProcess };
