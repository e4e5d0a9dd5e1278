'use strict';

// The page in a real browser: Chromium, as the system has it. Where there is none, its tests are skipped, and say so.

const fs = require('node:fs');
const { chromium } = require('playwright-core');
const { onCleanup } = require('../../support/cleanup.js');

const PLACES = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];
const executablePath = PLACES.find((file) => file !== undefined && fs.existsSync(file));

/** `describe`, or what skips it where there is no browser. */
function describeInBrowser(name, fn) {
  if (executablePath !== undefined) {
    describe(name, fn);
    return;
  }
  console.warn(`skipped, since Chromium is not installed (CHROMIUM can name it): ${name}`);
  describe.skip(name, fn);
}

/** A name that resolves to this machine, in this browser: what a page elsewhere can have its own name do. */
const REBOUND = 'rebound.example';
const ARGS = ['--no-sandbox', '--disable-gpu', `--host-resolver-rules=MAP ${REBOUND} 127.0.0.1`];

let browser;

/** One browser for all tests of a file. */
async function launch() {
  browser ??= await chromium.launch({ executablePath, args: ARGS });
  return browser;
}

if (typeof afterAll === 'function') afterAll(() => browser?.close());

/**
 * A page of its own, with the status page in it, once it is live. `page.complaints` has what it wrote to the console
 * and what it threw: a violation of its policy, say.
 *
 * @param {object} [options] Of the browser's context.
 */
async function openPage(port, options = {}, path = '/status') {
  const context = await (await launch()).newContext({ viewport: { width: 1280, height: 800 }, ...options });
  onCleanup(() => context.close());
  const page = await context.newPage();
  page.complaints = [];
  page.on('console', (message) => page.complaints.push(message.text()));
  page.on('pageerror', (error) => page.complaints.push(error.stack));
  page.on('dialog', (dialog) => {
    page.complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  await page.goto(`http://127.0.0.1:${port}${path}`);
  await isLive(page);
  return page;
}

const isLive = (page) => page.locator('#connection', { hasText: /^Live$/ }).waitFor();

module.exports = { REBOUND, describeInBrowser, isLive, launch, openPage };
