'use strict';

// The page in a browser: what it shows against what happened, and how it is used.

const { WorkerServer } = require('../../index.js');
const { statusPage } = require('../../lib/status/index.js');
const { onCleanup } = require('../support/cleanup.js');
const { connectRequestWorker } = require('../support/request-worker.js');
const { capabilitiesOf, connectWorker } = require('../support/worker.js');
const { describeInBrowser, isLive, openPage } = require('./support/browser.js');
const { startStatus } = require('./support/status.js');

/** Waits until an element says what it should. */
const says = (page, selector, text) => page.locator(selector, { hasText: text }).first().waitFor();
const names = (page) => page.locator('#workers td.name button').allTextContents();
const focused = (page) => page.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim());

async function pressUntilFocused(page, key, wanted) {
  for (let i = 0; i < 40; i += 1) {
    await page.keyboard.press(key);
    if ((await focused(page)) === wanted) return;
  }
  throw new Error(`${key} never got to ${wanted}`);
}

describeInBrowser('the status page in a browser', () => {
  test('shows the numbers, the workers and what waits', async () => {
    const { port, server } = await startStatus();
    await connectRequestWorker(server, 'w1', { workerName: 'alpha', models: ['llama', 'qwen'], slots: 4 });
    await connectRequestWorker(server, 'w2', { workerName: 'beta', slots: 1 });
    server.trackRequest('w1', 'r1');
    server.trackRequest('w2', 'r2');
    const waits = [1, 2].map(() => server.request('x', { model: 'nowhere' }));
    const page = await openPage(port);
    await says(page, '#workers-number', /^2$/);
    await says(page, '#workers-detail', /^1 available$/);
    await says(page, '#busy-number', /^2$/);
    await says(page, '#busy-detail', 'of 5');
    await says(page, '#waiting-number', /^2$/);
    await says(page, '#oldest-number', /\d (ms|s)$/);
    await says(page, '#waiting li', 'nowhere');
    expect(await page.locator('#waiting .count').textContent()).toBe('2');
    const rows = page.locator('#workers tbody tr');
    expect(await rows.count()).toBe(2);
    expect(await rows.nth(0).locator('td').allTextContents()).toEqual([
      'alphaw1',
      'available',
      '1 of 4',
      'llama, qwen',
      expect.stringMatching(/^\d+ s$/),
      expect.any(String),
      expect.stringMatching(/^\d+ s$/),
    ]);
    expect(await rows.nth(1).locator('td.status').textContent()).toBe('busy');
    expect(await page.title()).toBe('2 of 5 busy, 2 waiting · worker-server');
    expect(await page.locator('#server').textContent()).toMatch(/^running, up \d+ s$/);
    expect(page.complaints).toEqual([]);
    const ends = Promise.allSettled(waits);
    await server.stop();
    await ends;
  });

  test('changes as the server does', async () => {
    const { port, server } = await startStatus();
    const page = await openPage(port);
    await says(page, '#workers .nothing', `No worker is connected. They connect to ws://127.0.0.1:${port}`);
    const worker = await connectWorker(server, 'w1', { workerName: 'alpha', capabilities: capabilitiesOf(['m'], 1) });
    await says(page, '#workers td.name button', 'alpha');
    server.trackRequest('w1', 'r');
    await says(page, '#workers td.status', 'busy');
    server.setWorkerStatus('w1', 'draining');
    await says(page, '#workers td.status', 'draining');
    await worker.die();
    await says(page, '#losses li', '1006 connection lost');
    await says(page, '#losses li strong', 'with 1 request');
    expect(await page.locator('#losses .name').textContent()).toBe('alpha');
    await says(page, '#workers-number', /^0$/);
    expect(page.complaints).toEqual([]);
  });

  test('requests are shown with where they are, and throughput and latency when an interval is over', async () => {
    const { port, server } = await startStatus();
    const worker = await connectRequestWorker(server, 'w1', { workerName: 'alpha', slots: 1 });
    const page = await openPage(port);
    const first = server.request('x', { model: 'm', requestId: 'first' });
    const second = server.request('x', { requestId: 'second' });
    const request = await worker.nextRequest();
    await says(page, '#requests td.request', 'second');
    expect(await page.locator('#requests td:not(.age)').allTextContents()).toEqual([
      ...['m', 'alpha', 'first'],
      ...['any model', 'waits', 'second'],
    ]);
    worker.answer(request, 'result');
    await first;
    worker.answer(await worker.nextRequest(), 'error', { error: { message: 'no' } });
    await second.catch(() => {});
    await says(page, '#requests .nothing', 'No request is under way.');
    const throughput = page.locator('#throughput svg');
    await page.waitForFunction(() =>
      document.querySelector('#throughput svg').getAttribute('aria-label').includes('1 failed'),
    );
    expect(await throughput.getAttribute('aria-label')).toMatch(/^Requests that ended .* 0\.4 at most, 1 failed$/);
    expect(await page.locator('#throughput path.failed').getAttribute('d')).toMatch(/^M/);
    expect(await page.locator('#latency path.p50').getAttribute('d')).toMatch(/^M/);
    await says(page, '#latency .now', /\d (ms|s)$/);
  });

  test('a name is text, whatever is in it', async () => {
    const { port, server } = await startStatus();
    const name = `<img src=x onerror="alert('x')"><script>alert(1)</script>\u202e\n`;
    const worker = await connectRequestWorker(server, name, { workerName: name, models: [name] });
    server.trackRequest(name, name, name);
    const waiting = server.request('x', { model: '<img src=y>', requestId: name.repeat(2) });
    const page = await openPage(port);
    expect(await names(page)).toEqual([name]);
    await says(page, '#waiting bdi', '<img src=y>');
    await says(page, '#requests td.request', '<img src=x');
    await page.locator('#workers td.name button').click();
    expect(await page.locator('#details-title').textContent()).toBe(name);
    await page.keyboard.press('Escape');
    await page.fill('#explain-model', name);
    await page.keyboard.press('Enter');
    await says(page, '#explanation li', '1 worker');
    await worker.die();
    await says(page, '#losses .name', '<img src=x');
    expect(await page.locator('img, script:not(body > script), iframe').count()).toBe(0);
    expect(page.complaints).toEqual([]);
    const end = waiting.catch(() => {});
    await server.stop();
    await end;
  });

  test('is filtered by words and by status, and sorted by its columns', async () => {
    const { port, server } = await startStatus();
    for (const [id, models, slots] of [
      ['w10', ['llama'], 4],
      ['w2', ['qwen'], 2],
      ['w1', ['llama'], 1],
    ]) {
      await connectWorker(server, id, { workerName: `box ${id}`, capabilities: capabilitiesOf(models, slots) });
    }
    server.trackRequest('w1', 'r1');
    server.trackRequest('w2', 'r2');
    const page = await openPage(port);
    expect(await names(page)).toEqual(['box w1', 'box w2', 'box w10']);
    await page.getByRole('button', { name: 'Load' }).click();
    expect(await names(page)).toEqual(['box w1', 'box w2', 'box w10']);
    expect(await page.getByRole('columnheader', { name: 'Load' }).getAttribute('aria-sort')).toBe('descending');
    await page.getByRole('button', { name: 'Load' }).click();
    expect(await names(page)).toEqual(['box w10', 'box w2', 'box w1']);
    expect(await page.getByRole('columnheader', { name: 'Load' }).getAttribute('aria-sort')).toBe('ascending');
    await page.fill('#filter', 'LLAMA box');
    expect(await names(page)).toEqual(['box w10', 'box w1']);
    await page.getByRole('button', { name: /^busy/ }).click();
    expect(await names(page)).toEqual(['box w1']);
    await page.fill('#filter', 'qwen');
    expect(await names(page)).toEqual([]);
    await says(page, '#workers .nothing', 'No worker is like that.');
  });

  test('says who would take a request for a model that is typed in', async () => {
    const { port, server } = await startStatus();
    await connectRequestWorker(server, 'w1', { workerName: 'alpha', models: ['llama'], slots: 1 });
    await connectRequestWorker(server, 'w2', { workerName: 'beta', models: ['qwen'] });
    server.trackRequest('w1', 'r');
    const page = await openPage(port);
    await page.fill('#explain-model', 'llama');
    await page.getByRole('button', { name: 'Explain' }).click();
    await says(page, '#explanation li', 'alpha');
    expect(await page.locator('#explanation li').allTextContents()).toEqual([
      '1 worker busyalpha',
      '1 worker without this modelbeta',
    ]);
  });

  test('can be used by the keyboard alone', async () => {
    const { port, server } = await startStatus();
    for (let i = 1; i <= 60; i += 1) await connectWorker(server, `w${i}`, { workerName: `box ${i}` });
    const page = await openPage(port);
    await says(page, '#workers-number', /^60$/);
    await page.keyboard.press('Tab');
    expect(await focused(page)).toBe('Skip to the workers');
    await pressUntilFocused(page, 'Tab', 'filter');
    await pressUntilFocused(page, 'Tab', 'box 1');
    await page.keyboard.press('ArrowDown');
    expect(await focused(page)).toBe('box 2');
    await page.keyboard.press('End');
    expect(await focused(page)).toBe('box 60');
    await page.keyboard.press('ArrowDown');
    expect(await focused(page)).toBe('box 60');
    await page.keyboard.press('PageUp');
    await page.keyboard.press('ArrowUp');
    const where = await focused(page);
    expect(where).toMatch(/^box [1-5]\d$/);
    await page.keyboard.press('Enter');
    expect(await page.locator('#details-title').textContent()).toBe(where);
    expect(await page.locator('#details').evaluate((dialog) => dialog.open)).toBe(true);
    await page.keyboard.press('Escape');
    expect(await page.locator('#details').evaluate((dialog) => dialog.open)).toBe(false);
    expect(await focused(page)).toBe(where);
    await page.keyboard.press('Home');
    expect(await focused(page)).toBe('box 1');
    // What is focused stays, wherever one scrolls.
    await page.locator('#workers .scroll').evaluate((scroll) => scroll.scrollTo(0, scroll.scrollHeight));
    await says(page, '#workers td.name button', 'box 60');
    expect(await focused(page)).toBe('box 1');
    // All that has the focus shows it.
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    expect(outline).toBe('solid');
  });

  test('drains, resumes and disconnects a worker, where that is on', async () => {
    const authenticate = ({ headers }) =>
      headers.authorization === `Basic ${Buffer.from('ann:sesame').toString('base64')}`;
    const { port, server } = await startStatus({ authenticate, actions: true });
    const worker = await connectWorker(server, 'w1', { workerName: 'alpha' });
    const page = await openPage(port, { httpCredentials: { username: 'ann', password: 'sesame' } });
    await page.locator('#workers td.name button').click();
    await page.getByRole('button', { name: 'Drain', exact: true }).click();
    await says(page, '#details-answer', 'It finishes what it has, and gets nothing new.');
    expect(server.getWorkerInfo()[0].status).toBe('draining');
    await page.getByRole('button', { name: 'Resume' }).click();
    await says(page, '#details-drain', 'Drain');
    expect(server.getWorkerInfo()[0].status).toBe('available');
    await page.getByRole('button', { name: 'Disconnect' }).click();
    expect(server.getWorkerCount()).toBe(1);
    await page.getByRole('button', { name: 'Press again to disconnect' }).click();
    expect(await worker.closed).toMatchObject({ code: 1000 });
    await says(page, '#details-answer', 'The worker has left.');
    await page.getByRole('button', { name: 'Close' }).click();
    expect(page.complaints).toEqual([]);
  });

  test('shows no actions where they are off', async () => {
    const { port, server } = await startStatus();
    await connectWorker(server, 'w1', { workerName: 'alpha' });
    const page = await openPage(port);
    await page.locator('#workers td.name button').click();
    await says(page, '#details-facts', 'available');
    expect(await page.locator('#details-actions').isVisible()).toBe(false);
  });

  test('says that the connection is lost, and goes on when the server is there again', async () => {
    const { port, server } = await startStatus();
    await connectWorker(server, 'w1', { workerName: 'before' });
    const page = await openPage(port);
    await says(page, '#workers td.name button', 'before');
    await server.stop();
    await says(page, '#connection', /^No connection\. As of /);
    // What was known is still to be read.
    expect(await names(page)).toEqual(['before']);
    const next = new WorkerServer({ port });
    onCleanup(() => next.stop());
    next.addHttpHandler(statusPage(next));
    await next.start();
    await isLive(page);
    next.syncs = new Map();
    await connectWorker(next, 'w2', { workerName: 'after' });
    await says(page, '#workers td.name button', 'after');
    expect(await names(page)).toEqual(['after']);
  });

  test('comes back by itself where it was refused, too', async () => {
    let isIn = true;
    const { port } = await startStatus({ authenticate: () => isIn });
    const page = await openPage(port);
    isIn = false;
    await page.evaluate(() => window.dispatchEvent(new Event('pagehide')));
    await page.evaluate(() => window.dispatchEvent(new Event('pageshow')));
    await says(page, '#connection', /^No connection/);
    isIn = true;
    await isLive(page);
  });
});
