'use strict';

const { once } = require('events');
const { request } = require('../support/http.js');
const { connectRequestWorker } = require('../support/request-worker.js');
const { startServer, until } = require('../support/server.js');
const { proseOf } = require('../../lib/cli/demo/prose.js');
const { Show } = require('../../lib/cli/demo/show.js');
const { summaryOf } = require('../../lib/cli/demo/summary.js');
const { runCommand, startCommand } = require('./support/command.js');

test('demo: four workers that stream, one that is killed comes back, and all of them leave with it', async () => {
  const demo = startCommand('demo', '--port', '0');
  const [, port] = await demo.stdout(/^Workers ws:\/\/127\.0\.0\.1:(\d+)$/m);
  await demo.stdout(/^4 workers: ada \(JavaScript\), ben \(JavaScript\), cleo \(JavaScript\), dan \(JavaScript\)$/m);
  const [shown] = await demo.stdout(/[^]*^Ctrl-C ends it\.$/m);
  expect(shown).toMatch(/^README\.md: \d+ tokens from \w+/m);
  expect(shown).toMatch(/^Worker \w+ was killed on the way\. Requests it had: [1-9]/m);
  expect(shown).toContain('Lost: nothing.');
  expect(shown).not.toMatch(/^(Token|API key|Admin key) /m);
  const at = { port: Number(port) };
  const ask = (body) =>
    request(at.port, {
      path: '/v1/chat/completions',
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const messages = [{ role: 'user', content: 'One two three.' }];
  const { choices } = JSON.parse((await ask({ model: 'echo-1', messages })).text);
  expect(choices[0].message.content).toBe('One two three.');
  const events = (await ask({ model: 'summary-1', messages, stream: true })).text.match(/^data: .*$/gm);
  expect(events.at(-1)).toBe('data: [DONE]');
  const deltas = events.slice(0, -1).map((event) => JSON.parse(event.slice(6)).choices[0].delta.content ?? '');
  expect(deltas).toEqual(['One ', 'two ', 'three.', '']);
  expect((await ask({ model: 'echo-1', messages: [] })).status).toBe(400);

  const { stdout } = await runCommand('status', `http://127.0.0.1:${port}`, '--json');
  expect(
    JSON.parse(stdout)
      .workers.map(({ id }) => id)
      .sort(),
  ).toEqual(['ada', 'ben', 'cleo', 'dan']);
  const workerPids = childrenOf(demo.child.pid);
  if (workerPids !== undefined) {
    expect(workerPids).toHaveLength(4);
    process.kill(workerPids[0], 'SIGKILL');
    await demo.stdout(/ has ended \(SIGKILL\) and is started again/);
  }
  demo.child.kill('SIGINT');
  expect(await demo.exit).toMatchObject({ code: 0, signal: null });
});

/** The ids of a process's children, where the system says them. */
function childrenOf(pid) {
  const fs = require('fs');
  try {
    return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
  } catch {
    return undefined;
  }
}

test('a port that is given and taken is exit 1', async () => {
  const other = require('net').createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { code, stderr } = await runCommand('demo', '--port', String(other.address().port));
  other.close();
  expect(code).toBe(1);
  expect(stderr).toMatch(/^worker-server demo: port \d+ of 127\.0\.0\.1 is taken/);
});

test('a signal in the middle of the show drains: exit 0, and no worker is left behind', async () => {
  const demo = startCommand('demo', '--port', '0');
  await demo.stdout(/ tokens from /);
  demo.child.kill('SIGTERM');
  // Its output ends only when the workers, which share it, have ended as well.
  expect(await demo.exit).toMatchObject({ code: 0, signal: null, stderr: '' });
});

test('a result that a killed worker had sent before counts: only what moves is said to move', async () => {
  const { server } = await startServer();
  const victim = await connectRequestWorker(server, 'victim', { models: ['summary-1'] });
  const document = (name) => ({ name, text: 'One two.', words: 2 });
  const killed = new Promise((resolve) => {
    const show = new Show({
      server,
      documents: [document('first'), document('second')],
      // It has both then, answers one, and is gone.
      kill: async () => {
        const [first] = [await victim.nextRequest(), await victim.nextRequest()];
        victim.answer(first, 'result', { data: 'done' });
        victim.ws.close();
      },
      display: { changed() {}, killed: (name, jobs) => resolve([name, jobs.map((job) => job.name), show]) },
      signal: new AbortController().signal,
    });
    show.run();
  });
  const [name, moving, show] = await killed;
  expect([name, moving]).toEqual(['victim', ['second']]);
  const other = await connectRequestWorker(server, 'other', { models: ['summary-1'] });
  other.answer(await other.nextRequest(), 'result', { data: 'done' });
  await until(() => show.jobs.every(({ done }) => done));
  expect(show.victim.moved.map((job) => job.name)).toEqual(['second']);
});

test('the summary has the sentences with the words that come most often, in their order', () => {
  const text = 'Nothing here. Workers stream tokens. A fox ran. Servers let workers stream. Bye.';
  expect(summaryOf(text)).toBe('Workers stream tokens. Servers let workers stream.');
  expect(summaryOf('')).toBe('');
  expect(summaryOf('no end')).toBe('no end');
  expect(summaryOf('Version 1.0.12 has it')).toBe('Version 1.0.12 has it');
});

test('of a document the prose is summarised: no headings, tables, code and markup, a paragraph a line', () => {
  const text = [
    '# A heading',
    'The **first** lantern\nwas lit at [dusk](x.md).',
    '```\nconst lantern = lit();\n```',
    '| lantern | lantern |',
    '- one item\n- another `item`',
  ].join('\n\n');
  expect(proseOf(text, false)).toBe('The first lantern was lit at dusk.\none item\nanother item');
});

test('of a program the comments are summarised, without their tags', () => {
  const text =
    '// Opens the gate\n// for every visitor.\nopen(gate);\n/**\n * Closes the {@link gate} at night.\n * @param gate Which.\n */\n';
  expect(proseOf(text, true)).toBe('Opens the gate for every visitor.\nCloses the gate at night.');
});

test('a large text of nothing but markup ends', () => {
  for (const line of ['/* \n', '```\n', '<!-- ', '[a](', '**', '# ', '. ']) {
    for (const isSource of [true, false]) summaryOf(proseOf(line.repeat(100_000), isSource));
  }
});
