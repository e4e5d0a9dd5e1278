'use strict';

// The page for every eye and size: axe-core finds nothing, and nothing is cut off at 320 pixels.

const fs = require('node:fs');
const path = require('node:path');
const { root } = require('../support/exports.js');
const { randomFrom } = require('../support/random.js');
const { startScene } = require('./support/scene.js');
const { connectRequestWorker } = require('../support/request-worker.js');
const { connectWorker } = require('../support/worker.js');
const { describeInBrowser, openPage } = require('./support/browser.js');
const { findingsOf } = require('./support/axe.js');
const { startStatus } = require('./support/status.js');

/** A server that has something of everything to show. */
async function startBusy() {
  const started = await startStatus({ authenticate: () => true, actions: true });
  const { server } = started;
  const lost = await connectWorker(server, 'lost', { workerName: 'a lost one' });
  server.trackRequest('lost', 'r');
  for (const [id, slots] of [
    ['free', 3],
    ['busy', 1],
    ['draining', 2],
  ]) {
    await connectRequestWorker(server, id, { workerName: `${id} worker in Frankfurt`, slots, limits: { long: 1 } });
  }
  server.trackRequest('busy', 'r1', 'long');
  server.setWorkerStatus('draining', 'draining');
  const waiting = server.request('x', { model: 'a model that nobody has' }).catch(() => {});
  const running = server.request('x', { model: 'm' }).catch(() => {});
  await lost.die();
  return { ...started, ends: Promise.all([waiting, running]) };
}

describeInBrowser('the look of the status page', () => {
  test.each([
    ['light', 1440, 900],
    ['dark', 1440, 900],
    ['light', 900, 700],
    ['light', 320, 640],
    ['dark', 320, 640],
  ])('axe finds nothing: %s, %d × %d', async (colorScheme, width, height) => {
    const { port, server, ends } = await startBusy();
    const page = await openPage(port, { colorScheme, viewport: { width, height } });
    await page.locator('#losses strong').waitFor();
    await page.fill('#explain-model', 'm');
    await page.keyboard.press('Enter');
    await page.locator('#explanation li').first().waitFor();
    expect(await findingsOf(page)).toEqual([]);
    await page.locator('#workers td.name button').first().click();
    await page.getByRole('button', { name: 'Disconnect' }).waitFor();
    expect(await findingsOf(page)).toEqual([]);
    expect(page.complaints).toEqual([]);
    await server.stop();
    await ends;
  });

  test('an empty server, one that is not to be reached, and no findings either', async () => {
    const { port, server } = await startStatus();
    const page = await openPage(port);
    expect(await findingsOf(page)).toEqual([]);
    await server.stop();
    await page.locator('#connection', { hasText: 'No connection' }).waitFor();
    expect(await findingsOf(page)).toEqual([]);
  });

  test.each([320, 375, 768, 1100, 1920])('at %d pixels nothing is wider than the page', async (width) => {
    const { port, server, ends } = await startBusy();
    const page = await openPage(port, { viewport: { width, height: 700 } });
    await page.locator('#losses strong').waitFor();
    const [scrolled, seen] = await page.evaluate(() => {
      const { scrollWidth, clientWidth } = document.documentElement;
      return [scrollWidth, clientWidth];
    });
    expect(scrolled).toBeLessThanOrEqual(seen);
    await server.stop();
    await ends;
  });

  test('dark and light are what the system asks for', async () => {
    const { port } = await startStatus();
    const grounds = [];
    for (const colorScheme of ['light', 'dark']) {
      const page = await openPage(port, { colorScheme });
      grounds.push(await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor));
    }
    const [light, dark] = grounds.map((ground) => ground.match(/\d+/g).reduce((sum, part) => sum + Number(part), 0));
    expect(light).toBeGreaterThan(600);
    expect(dark).toBeLessThan(150);
  });
});

// Pictures for the documents. They are made when they are asked for, since each machine draws letters in its own way.
if (process.env.WORKER_SERVER_SCREENSHOTS !== undefined) {
  describeInBrowser('pictures of the status page', () => {
    test('are in docs/images', async () => {
      const { port, server } = await startScene(randomFrom(1));
      const images = path.join(root, 'docs/images');
      fs.mkdirSync(images, { recursive: true });
      const take = (page, name) => page.screenshot({ path: path.join(images, `status-${name}.png`) });
      for (const colorScheme of ['light', 'dark']) {
        const page = await openPage(port, { colorScheme, viewport: { width: 1440, height: 900 } });
        await page.locator('#losses strong').first().waitFor();
        await page.fill('#explain-model', 'qwen-2.5-32b');
        await page.keyboard.press('Enter');
        await page.locator('#explanation li').first().waitFor();
        await take(page, colorScheme);
      }
      const phone = await openPage(port, {
        colorScheme: 'dark',
        viewport: { width: 360, height: 780 },
        deviceScaleFactor: 2,
      });
      await phone.locator('#losses strong').first().waitFor();
      await take(phone, 'phone');
      await server.stop();
    }, 120_000);
  });
}
