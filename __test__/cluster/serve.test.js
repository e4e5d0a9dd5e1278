'use strict';

// `serve --cluster`, as processes over real brokers, and the example of docs/CLUSTER.md.

const fs = require('node:fs');
const path = require('node:path');
const { fileWith, runCommand, startServe } = require('../cli/support/command.js');
const { startBroker, testWithBroker } = require('../support/broker.js');
const { readDocument } = require('../support/doc-examples.js');
const { freePort } = require('../support/ports.js');
const { startProgram } = require('../support/program.js');
const { connectRequestWorker } = require('../support/request-worker.js');

const root = path.join(__dirname, '../..');

async function untilNodes(serve, count) {
  for (;;) {
    const { nodes } = await (await fetch(`${serve.http}/status.json`)).json();
    if (nodes.length === count) return nodes;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe.each(['nats', 'redis'])('over %s', (kind) => {
  const run = testWithBroker(kind);

  run('two servers in two commands are one fleet, whose models and workers the gateway of either offers', async () => {
    const broker = await startBroker(kind);
    const [one, two] = await Promise.all([1, 2].map(() => startServe('--insecure', '--cluster', broker.url)));
    await untilNodes(one, 2);
    const worker = await connectRequestWorker({ port: two.port }, 'w', { models: ['gpt'] });
    for (;;) {
      const { data } = await (await fetch(`${one.http}/v1/models`)).json();
      if (data.some(({ id }) => id === 'gpt')) break;
    }
    const answer = fetch(`${one.http}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt', messages: [] }),
    });
    const request = await worker.nextRequest();
    worker.answer(request, 'result', { data: { id: 'chat-1' } });
    expect(await (await answer).json()).toEqual({ id: 'chat-1' });
    const nodes = await untilNodes(one, 2);
    expect(nodes.filter(({ self }) => self)).toHaveLength(1);
    two.child.kill('SIGTERM');
    expect(await two.exit).toMatchObject({ code: 0 });
    await untilNodes(one, 1);
    one.child.kill('SIGTERM');
    expect(await one.exit).toMatchObject({ code: 0 });
  });
});

test.each(['nats', 'redis'])(
  'a broker that is not there is exit 1, with one line that holds no secret: %s',
  async (kind) => {
    const port = await freePort();
    const url = `${kind}://user:sesame@127.0.0.1:${port}`;
    const { code, stdout, stderr } = await runCommand('serve', '--insecure', '--port', '0', '--cluster', url);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(
      new RegExp(`^worker-server serve: --cluster: no connection to the broker at 127\\.0\\.0\\.1:${port}[^\\n]*\\n$`),
    );
    expect(stderr).not.toContain('sesame');
  },
);

testWithBroker('nats')('the program of docs/CLUSTER.md runs as it stands there', async () => {
  const broker = await startBroker('nats');
  const [, program] = /```js\n(.*?)```/s.exec(readDocument('docs/CLUSTER.md'));
  const resolved = program
    .replace("'@hardlydifficult/worker-server'", JSON.stringify(root))
    .replace("'@hardlydifficult/worker-server/cluster'", JSON.stringify(path.join(root, 'lib/cluster')))
    .replace("'@nats-io/transport-node'", JSON.stringify(require.resolve('@nats-io/transport-node')));
  const file = fileWith(resolved);
  expect(fs.existsSync(file)).toBe(true);
  const { exit } = startProgram(path.relative(path.join(__dirname, '..'), file), {
    env: { NATS_URL: broker.url, CLUSTER_SECRET: 'secret' },
  });
  const { code, stdout, stderr } = await exit;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/self: true/);
});
