'use strict';

// Help, variables and wrong use.

const { version } = require('../../package.json');
const { runCommand } = require('./support/command.js');

const COMMANDS = ['serve', 'bridge', 'status', 'drain', 'demo'];
const SERVER = ['--server', 'ws://127.0.0.1:9'];
const UPSTREAM = ['--upstream', 'http://127.0.0.1:9/v1'];

test.each([[['--help']], [['-h']], ...COMMANDS.map((name) => [[name, '--help']])])('%j says how', async (args) => {
  const { code, stdout, stderr } = await runCommand(...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^Usage: worker-server /);
  for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(120);
});

test.each([[['--version']], [['bridge', '--version']]])('%j says which', async (args) => {
  expect(await runCommand(...args)).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: '' });
});

test('the help of each command has all its flags', async () => {
  for (const name of COMMANDS) {
    const { flags, help } = require(`../../lib/cli/commands/${name}.js`);
    for (const flag of Object.keys(flags)) expect(help).toContain(`--${flag}`);
  }
});

test.each([
  [[], /a command is missing/],
  [['sevre'], /unknown command 'sevre'/],
  [['--prot'], /'--prot'/],
  [['serve', '--prot', '1'], /'--prot'/],
  [['serve', '--port'], /'--port <value>'/],
  [['serve', '--port', 'http'], /--port must be a whole number from 0 to 65535/],
  [['serve', '--port', '65536'], /--port must be/],
  [['serve', '--port', '-1'], /--port/],
  [['serve', '--token', ''], /--token must not be empty/],
  [['serve', '--admin-key', 'sesame\nsesame'], /--admin-key must be printable ASCII/],
  [['serve', '--insecure=yes'], /--insecure/],
  [['serve', '--tls-cert', 'a'], /--tls-key/],
  [['serve', '--cluster', 'amqp://sesame@host'], /--cluster must be a nats: or redis: URL/],
  [['serve', 'somewhere'], /unexpected argument 'somewhere'/],
  [['bridge', ...UPSTREAM], /--server .*is missing/],
  [['bridge', ...SERVER], /--upstream .*is missing/],
  [['bridge', '--server', 'http://sesame@host', ...UPSTREAM], /--server must be a ws: or wss: URL/],
  [['bridge', '--server', 'sesame', ...UPSTREAM], /--server must be/],
  [['bridge', ...SERVER, '--upstream', 'ftp://sesame@host'], /--upstream must be a http: or https: URL/],
  [['bridge', ...SERVER, '--upstream', 'http://sesame:sesame@host/v1'], /--upstream must be/],
  [['bridge', ...SERVER, '--upstream', 'http://host/v1?key=sesame'], /--upstream must be/],
  [['bridge', ...SERVER, ...UPSTREAM, '--concurrency', '0'], /--concurrency must be a whole number from 1/],
  [['bridge', ...SERVER, ...UPSTREAM, '--concurrency', '1.5'], /--concurrency must be/],
  [['bridge', ...SERVER, ...UPSTREAM, '--refresh-ms', 'NaN'], /--refresh-ms must be a number of milliseconds/],
  [['bridge', ...SERVER, ...UPSTREAM, '--models', 'a,,b'], /--models must be names with commas/],
  [['bridge', ...SERVER, ...UPSTREAM, '--upstream-key', 'sesame\u20ac'], /--upstream-key must be/],
  [['status'], /URL is missing/],
  [['status', 'sesame'], /URL must be/],
  [['status', 'http://u:sesame@host'], /URL must be without credentials: use --key/],
  [['status', 'http://host', 'http://other'], /unexpected argument/],
  [['drain', 'http://host'], /WORKER is missing/],
  [['drain', 'http://host', ''], /WORKER must not be empty/],
  [['demo', '--port', 'x'], /--port must be/],
])('%j is wrong use: exit 2, and one line that names it', async (args, line) => {
  const { code, stdout, stderr } = await runCommand(...args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(line);
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  expect(stderr).not.toContain('sesame');
});

test.each([
  ['serve', { WORKER_SERVER_PORT: 'sesame' }, /WORKER_SERVER_PORT must be a whole number/],
  ['serve', { WORKER_SERVER_INSECURE: 'sesame' }, /WORKER_SERVER_INSECURE must be true or false/],
  ['bridge', { WORKER_SERVER_SERVER: 'sesame' }, /WORKER_SERVER_SERVER must be/],
  ['bridge', { WORKER_SERVER_SERVER: 'ws://host', WORKER_SERVER_UPSTREAM: '' }, /--upstream .*WORKER_SERVER_UPSTREAM/],
])('%s with the variables %j names the variable', async (name, env, line) => {
  const { code, stderr } = await runCommand(name, { env });
  expect(code).toBe(2);
  expect(stderr).toMatch(line);
  expect(stderr).not.toContain('sesame');
});

test('a flag wins over its variable', async () => {
  const env = { WORKER_SERVER_SERVER: 'nonsense', WORKER_SERVER_UPSTREAM: 'nonsense' };
  const { code, stderr } = await runCommand('bridge', ...SERVER, { env });
  expect(code).toBe(2);
  expect(stderr).toMatch(/WORKER_SERVER_UPSTREAM must be/);
});

test('bridge, status and drain load no native code', () => {
  const { execFileSync } = require('child_process');
  const path = require('path');
  const program = `
    for (const name of ['bridge', 'status', 'drain']) require(process.argv[1] + '/commands/' + name + '.js');
    const native = Object.keys(require.cache).filter((file) => /\\.node$|lib.native|lib.server|index\\.js$/.test(file));
    console.log(JSON.stringify(native.map((file) => require('path').relative(process.argv[1], file))));`;
  const cli = path.join(__dirname, '../../lib/cli');
  const loaded = JSON.parse(execFileSync(process.execPath, ['-e', program, cli], { encoding: 'utf8' }));
  expect(loaded.filter((file) => !file.includes('node_modules'))).toEqual(['../worker/index.js']);
});
