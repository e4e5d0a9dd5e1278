'use strict';

/**
 * What a request that begins does to its worker, a caller's own or a record of the server's: its count, its collections, and by
 * `statusRules` (see `status-rules.js`) its status; they are null for a worker that drains, whose status stays.
 */
function beginRequest(worker, statusRules, requestId, category) {
  worker.activeRequests += 1;
  worker.pendingRequests.add(requestId);
  if (category !== undefined) {
    worker.requestCategories.set(requestId, category);
    worker.categoryActiveRequests.set(category, countOf(worker, category) + 1);
  }
  statusRules?.track.apply(worker);
}

/** The same for one that ends. Gives the category that it was tracked under. */
function endRequest(worker, statusRules, requestId, incrementCompleted) {
  worker.activeRequests = Math.max(0, worker.activeRequests - 1);
  worker.pendingRequests.delete(requestId);
  const category = worker.requestCategories.get(requestId);
  if (category !== undefined) {
    worker.requestCategories.delete(requestId);
    worker.categoryActiveRequests.set(category, Math.max(0, countOf(worker, category) - 1));
  }
  if (incrementCompleted) worker.completedRequests += 1;
  statusRules.release.apply(worker);
  return category;
}

const countOf = (worker, category) => worker.categoryActiveRequests.get(category) ?? 0;

module.exports = { beginRequest, endRequest };
