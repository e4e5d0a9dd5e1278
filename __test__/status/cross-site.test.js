'use strict';

// What a page of another site can do to a status page that the same browser reaches: nothing. In a real browser, which decides
// what such a page may send and read.

const http = require('node:http');
const { once } = require('node:events');
const { onCleanup } = require('../support/cleanup.js');
const { connectWorker } = require('../support/worker.js');
const { REBOUND, describeInBrowser, launch } = require('./support/browser.js');
const { startStatus, statusOf } = require('./support/status.js');

/** A page of another site, as an attacker has it. */
async function openOtherSite() {
  const site = http.createServer((_req, res) => res.setHeader('Content-Type', 'text/html').end('<!doctype html>'));
  site.listen(0, '127.0.0.1');
  onCleanup(() => site.close());
  await once(site, 'listening');
  const context = await (await launch()).newContext();
  onCleanup(() => context.close());
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${site.address().port}/`);
  return page;
}

/** In the browser: what becomes of a request. */
const tryFetch = ([url, options]) =>
  fetch(url, options).then(
    async (response) => `${response.type} ${response.status} ${await response.text()}`,
    (error) => error.name,
  );

describeInBrowser('a page of another site', () => {
  test('cannot read the state, nor the stream', async () => {
    const { port } = await startStatus();
    const page = await openOtherSite();
    for (const path of ['/status.json', '/status/explain', '/status']) {
      expect(await page.evaluate(tryFetch, [`http://127.0.0.1:${port}${path}`, {}])).toBe('TypeError');
    }
    const became = await page.evaluate((url) => {
      const events = new EventSource(url);
      return new Promise((resolve) => {
        events.onerror = () => resolve('error');
        events.onmessage = () => resolve('message');
      });
    }, `http://127.0.0.1:${port}/status/events`);
    expect(became).toBe('error');
  });

  test.each([
    ['as a form would', { mode: 'no-cors', headers: { 'Content-Type': 'text/plain' } }, 'opaque 0 '],
    ['as a form would, with cookies', { mode: 'no-cors', credentials: 'include' }, 'opaque 0 '],
    ['as JSON', { headers: { 'Content-Type': 'application/json' } }, 'TypeError'],
  ])('cannot disconnect a worker by a post %s', async (_, options, became) => {
    const { port, server } = await startStatus({ authenticate: () => true, actions: true });
    await connectWorker(server, 'w');
    const page = await openOtherSite();
    const body = JSON.stringify({ action: 'disconnect', workerId: 'w' });
    const url = `http://127.0.0.1:${port}/status/actions`;
    expect(await page.evaluate(tryFetch, [url, { method: 'POST', body, ...options }])).toBe(became);
    expect((await statusOf(port)).workers.map(({ id }) => id)).toEqual(['w']);
  });

  test('cannot have it in a frame', async () => {
    const { port } = await startStatus();
    const page = await openOtherSite();
    const url = `http://127.0.0.1:${port}/status`;
    await page.evaluate((src) => {
      const frame = document.createElement('iframe');
      document.body.append(frame);
      return new Promise((resolve) => {
        frame.onload = resolve;
        frame.src = src;
      });
    }, url);
    const [frame] = page.frames().slice(1);
    expect(frame.url()).toBe('chrome-error://chromewebdata/');
  });

  test('gets nothing by having its own name resolve to this machine', async () => {
    const { port } = await startStatus();
    const context = await (await launch()).newContext();
    onCleanup(() => context.close());
    const page = await context.newPage();
    for (const path of ['/status', '/status.json', '/status/events']) {
      const response = await page.goto(`http://${REBOUND}:${port}${path}`);
      expect(response.status()).toBe(403);
      expect(await response.json()).toEqual({ error: 'Only for this machine' });
    }
  });
});
