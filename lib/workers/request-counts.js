'use strict';

const { RELEASE, TRACK, applyStatusRule } = require('./status-rules.js');

/**
 * What a request that begins does to its worker, a caller's own or a record of the server's: its count, its
 * collections, and its status. `max` is the worker's `maxConcurrentRequests`; null for one that drains, whose status
 * stays.
 */
function beginRequest(worker, max, requestId, category) {
  worker.activeRequests += 1;
  worker.pendingRequests.add(requestId);
  if (category !== undefined) {
    worker.requestCategories.set(requestId, category);
    worker.categoryActiveRequests.set(category, countOf(worker, category) + 1);
  }
  if (max !== null) applyStatusRule(TRACK, worker, max);
}

/** The same for one that ends. Returns the category that it was tracked under. */
function endRequest(worker, max, requestId, incrementCompleted) {
  worker.activeRequests = Math.max(0, worker.activeRequests - 1);
  worker.pendingRequests.delete(requestId);
  const category = worker.requestCategories.get(requestId);
  if (category !== undefined) {
    worker.requestCategories.delete(requestId);
    worker.categoryActiveRequests.set(category, Math.max(0, countOf(worker, category) - 1));
  }
  if (incrementCompleted) worker.completedRequests += 1;
  applyStatusRule(RELEASE, worker, max);
  return category;
}

const countOf = (worker, category) => worker.categoryActiveRequests.get(category) ?? 0;

module.exports = { beginRequest, endRequest };
