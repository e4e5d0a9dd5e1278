'use strict';

// A thousand workers, fifty changes a second: the page stays fluent, and what it has is what changed.

const { startFleet } = require('../support/fleet.js');
const { randomFrom } = require('../support/random.js');
const { onCleanup } = require('../support/cleanup.js');
const { describeInBrowser, launch, openPage } = require('./support/browser.js');
const { nextWith, openEvents, startStatus } = require('./support/status.js');

const WORKERS = 1_000;
const CHANGES_A_SECOND = 50;
const LONGEST_TASK_MS = 50;
/** How long is watched. */
const WATCHED_MS = 8_000;

async function startThousand() {
  const started = await startStatus();
  await startFleet(started.port, { count: WORKERS, heartbeatMs: 15_000 });
  return started;
}

/** How many times a second workers get a request, or lose it. */
function keepChanging(server) {
  const random = randomFrom(1);
  const tracked = new Set();
  const timer = setInterval(() => {
    for (let i = 0; i < CHANGES_A_SECOND / 10; i += 1) {
      const id = `fleet-${Math.floor(random() * WORKERS)}`;
      if (tracked.delete(id)) server.releaseRequest(id);
      else {
        server.trackRequest(id, id);
        tracked.add(id);
      }
    }
  }, 100);
  onCleanup(() => clearInterval(timer));
}

/**
 * The processor time of each task of the pages' main threads, in ms: what the machine does beside them does not count.
 */
function tasksIn(trace) {
  const { traceEvents } = JSON.parse(trace.toString());
  const keyOf = ({ pid, tid }) => `${pid} ${tid}`;
  const mainThreads = new Set(
    traceEvents
      .filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain')
      .map((event) => keyOf(event)),
  );
  return traceEvents
    .filter((event) => /(?:^|::)RunTask$/.test(event.name) && event.ph === 'X' && mainThreads.has(keyOf(event)))
    .map(({ tdur = 0 }) => tdur / 1_000);
}

describeInBrowser('the status page of a thousand workers', () => {
  test('has no task beyond 50 ms once it is there, while it is sorted, filtered and scrolled', async () => {
    const { port, server } = await startThousand();
    const page = await openPage(port);
    await page.locator('#workers-number', { hasText: /^1,000$/ }).waitFor();
    keepChanging(server);
    await (await launch()).startTracing(page, { categories: ['toplevel', 'disabled-by-default-devtools.timeline'] });
    await page.getByRole('button', { name: 'Load' }).click();
    const until = performance.now() + WATCHED_MS;
    const filter = page.locator('#filter');
    while (performance.now() < until) {
      await filter.pressSequentially('fleet-9');
      await page.waitForTimeout(500);
      await filter.fill('');
      await page.mouse.move(400, 600);
      for (let i = 0; i < 10; i += 1) {
        await page.mouse.wheel(0, 700);
        await page.waitForTimeout(50);
      }
      await page.getByRole('button', { name: 'Name', exact: true }).click();
    }
    const tasks = tasksIn(await (await launch()).stopTracing());
    expect(tasks.length).toBeGreaterThan(100);
    expect(Math.max(...tasks)).toBeLessThanOrEqual(LONGEST_TASK_MS);
    // Rows that can't be seen are not there.
    expect(await page.locator('#workers tbody tr').count()).toBeLessThan(60);
    expect(await page.locator('#workers table').getAttribute('aria-rowcount')).toBe(String(WORKERS + 1));
    expect(page.complaints).toEqual([]);
  }, 60_000);
});

test('an update holds the workers that changed, and no others', async () => {
  const { port, server } = await startThousand();
  const stream = await openEvents(port);
  expect((await stream.next()).workers).toHaveLength(WORKERS);
  for (let i = 0; i < CHANGES_A_SECOND; i += 1) server.trackRequest(`fleet-${i}`, `r${i}`);
  const { workers } = await nextWith(stream, 'workers');
  const active = workers.filter((worker) => worker.active !== undefined).map(({ id }) => id);
  expect(active.sort()).toEqual(Array.from({ length: CHANGES_A_SECOND }, (_, i) => `fleet-${i}`).sort());
  expect(workers.length).toBeLessThan(WORKERS / 2);
  // The others had a heartbeat.
  const others = workers.filter((worker) => worker.active === undefined);
  for (const worker of others) expect(Object.keys(worker)).toEqual(['id', 'heartbeatAgeMs']);
}, 60_000);
