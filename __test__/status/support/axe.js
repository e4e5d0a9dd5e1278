'use strict';

// axe-core, which looks for what keeps people from using a page.

const fs = require('node:fs');

const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds wrong, as `rule: element`. */
async function findingsOf(page) {
  // Not as a script of the page: its policy has none.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${target} ${failureSummary}`),
  );
}

module.exports = { findingsOf };
