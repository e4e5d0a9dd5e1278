'use strict';

// The statuses of workers, those first that take work.

const STATUSES = ['available', 'busy', 'draining', 'unhealthy'];

/** How many workers have each status. */
function countStatuses(workers) {
  const counts = Object.fromEntries(STATUSES.map((status) => [status, 0]));
  for (const { status } of workers) counts[status] += 1;
  return counts;
}

module.exports = { STATUSES, countStatuses };
