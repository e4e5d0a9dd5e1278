'use strict';

// docs/REQUESTS.md: its examples run, and its tables name every option, error and reason.

const path = require('node:path');
const { once } = require('node:events');
const http = require('node:http');
const ts = require('typescript');
const { examplesIn, readDocument, runExample, startedServer } = require('../support/doc-examples.js');
const { readQueueOptions, readRequestOptions } = require('../../lib/requests/options.js');
const { WorkerRequestError } = require('../support/package.js');

const guide = readDocument('docs/REQUESTS.md');
const section = (title) => guide.split(`\n## ${title}\n`)[1].split('\n## ')[0];
const namedIn = (text) => [...text.matchAll(/^\| `([\w.-]+)[^`]*` \|/gm)].map(([, name]) => name);
const examples = examplesIn('docs/REQUESTS.md');

test.each(examples)('the example that begins with «%s» runs, and prints what it says', async (_, code) => {
  const lines = await runExample(code, await startedServer());
  const promised = [...code.matchAll(/console\.log\(.*\); \/\/ (.*)\n/g)].map(([, text]) => text);
  if (promised.length > 0) expect(lines).toEqual(promised);
});

test('the guide has every option of a request, and every callback', () => {
  const { settings, ...named } = readRequestOptions({}, { queueTimeoutMs: 0, modelMatch: 'loose' });
  const { isDefaultMatch: _, ...options } = { ...named, ...settings };
  expect(namedIn(section('Options, and when to use them')).sort()).toEqual(Object.keys(options).sort());
});

test('the guide has every option of the queue, with its default', () => {
  const written = section("The server's options");
  for (const [name, value] of Object.entries(readQueueOptions())) {
    const [, cell] = new RegExp(`^\\| \`queue\\.${name}\` \\| ([^|]*) \\|`, 'm').exec(written);
    if (name === 'maxPerKey') expect(cell).toBe('`maxSize`');
    else if (name === 'maxBytes') expect(cell).toBe(`${value / 2 ** 20} MiB`);
    else expect(cell).toBe(typeof value === 'number' ? value.toLocaleString('en-US') : `\`'${value}'\``);
  }
});

/** The members of a union of strings that is declared for requests. */
function membersOf(name) {
  const file = path.join(__dirname, '../../lib/requests/types.d.ts');
  const source = ts.createSourceFile(file, ts.sys.readFile(file), ts.ScriptTarget.Latest);
  return source.statements
    .find((statement) => statement.name?.text === name)
    .type.types.map(({ literal }) => literal.text);
}

test('the guide has every code of an error, every member of one, and every reason of explain', async () => {
  const [head, ...errors] = namedIn(section('Errors, and what to do'));
  expect(head).toBe('code');
  const members = ['started', 'attempts', 'workerId', 'requestId', 'data', 'retryAfterMs'];
  expect(errors).toEqual([...membersOf('WorkerRequestErrorCode'), ...members]);
  const named = namedIn(section("The server's options"));
  expect(named.slice(named.indexOf('reason') + 1)).toEqual(membersOf('ExplanationReason'));
});

describe('the HTTP handler of the guide', () => {
  const [, code] = examples.find(([, text]) => text.includes('addHttpHandler'));

  const ask = (server) => http.get({ port: server.port, path: '/ask', agent: false });

  test('answers with the result', async () => {
    const server = await startedServer();
    await runExample(code, server);
    const [response] = await once(ask(server), 'response');
    const [body] = await once(response.setEncoding('utf8'), 'data');
    expect([response.statusCode, JSON.parse(body)]).toEqual([200, { text: 'Good morning' }]);
  });

  test('says when to come again', async () => {
    const server = await startedServer();
    await runExample(code, server);
    server.request = () =>
      Promise.reject(Object.assign(new Error('full'), { code: 'QUEUE_FULL', retryAfterMs: 1_200 }));
    const [response] = await once(ask(server), 'response');
    expect([response.statusCode, response.headers['retry-after']]).toEqual([429, '2']);
  });

  test('ends the request when its client goes', async () => {
    const server = await startedServer();
    await runExample(code, server);
    server.setWorkerStatus('w1', 'draining'); // So the request waits.
    const client = ask(server);
    client.on('error', () => {});
    while (server.getQueueInfo().size === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    client.destroy();
    while (server.getQueueInfo().size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });
});

test('the error of a request that nobody can take is what the guide says', async () => {
  const error = await (
    await startedServer()
  )
    .request('x', { model: 'none', queueTimeoutMs: 0 })
    .catch((thrown) => thrown);
  expect(error).toBeInstanceOf(WorkerRequestError);
  expect(error).toMatchObject({ code: 'NO_WORKER', started: false, attempts: 0 });
  expect(error.message).toMatch(/1 worker\(s\): 1 does not serve "none"$/);
  expect(error.retryAfterMs).toBeGreaterThan(0);
});
