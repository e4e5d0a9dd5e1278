'use strict';

// The nodes of a fleet: in `<path>.json` and on the page, with real servers that hear each other.

const { EventEmitter } = require('node:events');
const { memoryAdapter } = require('../../lib/cluster/index.js');
const { statusPage } = require('../../lib/status/index.js');
const { startFleet, startNode, untilWorkers } = require('../support/cluster.js');
const { connectRequestWorker } = require('../support/request-worker.js');
const { until } = require('../support/server.js');
const { connectWorker } = require('../support/worker.js');
const { findingsOf } = require('./support/axe.js');
const { describeInBrowser, openPage } = require('./support/browser.js');
const { startStatus, statusOf } = require('./support/status.js');

/** A fleet with the status page on its first node. */
async function startWatched(ids) {
  const servers = await startFleet(ids);
  servers[0].addHttpHandler(statusPage(servers[0]));
  return servers;
}

test("`nodes` is the list of getClusterInfo(), and a request that another node's worker has is running", async () => {
  const [a, b] = await startWatched(['a', 'b']);
  const worker = await connectRequestWorker(b, 'of-b', { slots: 1 });
  await untilWorkers([a, b], 1);
  const requests = ['r1', 'r2'].map((requestId) => a.request('x', { requestId }));
  const taken = await worker.nextRequest();
  await until(() => a.getClusterInfo().nodes.every(({ busy, nodeId }) => busy === (nodeId === 'b' ? 1 : 0)));
  const status = await statusOf(a.port);
  expect(status.nodes).toEqual([
    { nodeId: 'a', self: true, workers: 0, slots: 0, busy: 0, waiting: 1, lastSeenMs: 0 },
    { nodeId: 'b', self: false, workers: 1, slots: 1, busy: 1, waiting: 0, lastSeenMs: expect.any(Number) },
  ]);
  expect(status.workers).toEqual([]);
  expect(status.requests.map(({ requestId, workerId, state }) => [requestId, workerId, state])).toEqual([
    [taken.requestId, 'of-b', 'running'],
    [taken.requestId === 'r1' ? 'r2' : 'r1', null, 'waiting'],
  ]);
  worker.answer(taken, 'result');
  worker.answer(await worker.nextRequest(), 'result');
  await Promise.all(requests);
});

describeInBrowser('the nodes on the status page', () => {
  const rowsOf = (page) => page.locator('#nodes-list li').allInnerTexts();

  test('are shown with what they do, and come and go as the nodes do', async () => {
    const [a, b] = await startWatched(['node-a', 'node-b']);
    const page = await openPage(a.port);
    const row = (text) => page.locator('#nodes-list li', { hasText: text });
    await row('node-b').waitFor();
    expect((await rowsOf(page))[0].split('\n')).toEqual(['node-a', 'this one', '0 workers, 0 of 0 busy, 0 waiting']);
    expect((await rowsOf(page))[1]).toMatch(/^node-b\n\d+ s ago\n0 workers, 0 of 0 busy, 0 waiting$/);
    const worker = await connectRequestWorker(b, 'of-b', { slots: 3 });
    await untilWorkers([a, b], 1);
    const promise = a.request('x', {});
    const taken = await worker.nextRequest();
    await row('1 worker, 1 of 3 busy, 0 waiting').waitFor();
    worker.answer(taken, 'result');
    await promise;
    await row('1 worker, 0 of 3 busy, 0 waiting').waitFor();
    await b.stop();
    await row('node-b').waitFor({ state: 'detached' });
    expect(await rowsOf(page)).toHaveLength(1);
    expect(page.complaints).toEqual([]);
  });

  test('are not there on a server on its own', async () => {
    const { port } = await startStatus();
    const page = await openPage(port);
    expect(await page.locator('#nodes').isVisible()).toBe(false);
  });

  test('forty of them are read in their own list, at every size, in the light and in the dark', async () => {
    const bus = new EventEmitter();
    bus.setMaxListeners(0);
    const ids = Array.from({ length: 40 }, (_, n) => `rack-${String(n).padStart(2, '0')}`);
    const nodes = [];
    for (const id of ids) {
      nodes.push(await startNode(memoryAdapter(bus), id, { cluster: { heartbeatMs: 1_000, timeoutMs: 30_000 } }));
    }
    const [{ server, port }] = nodes;
    server.addHttpHandler(statusPage(server));
    await until(() => server.getClusterInfo().nodes.length === ids.length);
    for (let n = 0; n < 5; n += 1) {
      const lost = await connectWorker(server, `lost-${n}`);
      server.trackRequest(`lost-${n}`, 'r');
      await lost.die();
    }
    const requests = Array.from({ length: 30 }, () => server.request('x', { model: 'nobody has it' }).catch(() => {}));
    for (const [colorScheme, width, height] of [
      ['light', 1440, 900],
      ['dark', 1280, 720],
      ['light', 900, 700],
      ['light', 320, 640],
      ['dark', 320, 640],
    ]) {
      const page = await openPage(port, { colorScheme, viewport: { width, height } });
      await page.locator('#nodes-list li').nth(39).waitFor();
      await page.locator('#losses strong').first().waitFor();
      expect((await rowsOf(page)).map((text) => text.split('\n')[0])).toEqual(ids);
      const { panels, scrolled, seen } = await page.evaluate(layout);
      expect(scrolled).toBeLessThanOrEqual(seen);
      for (const { id, height: panelHeight, isWithin } of panels) {
        expect([width, id, isWithin]).toEqual([width, id, true]);
        expect(panelHeight).toBeGreaterThan(100);
      }
      // The last one can be reached.
      const last = page.locator('#nodes-list li').last();
      await last.scrollIntoViewIfNeeded();
      expect(await last.evaluate(isOnTop)).toBe(true);
      expect(await findingsOf(page)).toEqual([]);
      expect(page.complaints).toEqual([]);
      await page.context().close();
    }
    await server.stop();
    await Promise.all(requests);
  }, 60_000);
});

/** In the browser: the panels beside the table, and whether what is in each ends where it does. */
function layout() {
  const { scrollWidth: scrolled, clientWidth: seen } = document.documentElement;
  const panels = [...document.querySelectorAll('.side > .panel:not([hidden])')].map((panel) => {
    const box = panel.getBoundingClientRect();
    const isWithin = [...panel.children].every((child) => child.getBoundingClientRect().bottom <= box.bottom + 1);
    return { id: panel.getAttribute('aria-labelledby'), height: box.height, isWithin };
  });
  return { panels, scrolled, seen };
}

/** In the browser: whether an element is seen at its middle. */
function isOnTop(element) {
  const { left, top, width, height } = element.getBoundingClientRect();
  return element.contains(document.elementFromPoint(left + width / 2, top + height / 2));
}
