'use strict';

// What requests leave behind: nothing.

const { startProgram } = require('../support/program.js');

const COUNT = 50_000;
/** Less than the smallest thing that a request could leave, and more than what V8 learns meanwhile. */
const BYTES_EACH = 16;

test('50,000 requests later the heap is where it was', async () => {
  const { stdout, stderr } = await startProgram('requests/programs/many-requests.js', String(COUNT)).exit;
  expect(stderr).toBe('');
  const { grown, waiting, activeRequests } = JSON.parse(stdout);
  expect({ waiting, activeRequests }).toEqual({ waiting: 0, activeRequests: 0 });
  expect(grown).toBeLessThan(COUNT * BYTES_EACH);
}, 60_000);
