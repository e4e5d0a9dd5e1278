'use strict';

// The models that the workers offer, as OpenAI's clients read them.

const { SETTINGS } = require('../server/settings.js');

const OWNER = 'worker-server';

const SERVING = new Set(['available', 'busy']);

/** The workers of a server and, where it is one of several, those of the other nodes. */
const workersOf = (server) => [...server.getWorkerInfo(), ...(server[SETTINGS]?.remoteWorkers?.() ?? [])];

/** The models of available and busy workers, once each, by their ids. */
function listModels(server) {
  const since = new Map();
  for (const { status, capabilities, connectedAt } of workersOf(server)) {
    if (!SERVING.has(status)) continue;
    for (const { modelId } of capabilities.models) {
      if (!since.has(modelId)) since.set(modelId, Math.floor(connectedAt.getTime() / 1000));
    }
  }
  return [...since.keys()].sort().map((id) => ({ id, object: 'model', created: since.get(id), owned_by: OWNER }));
}

/** Whether any registered worker has a model, whatever the worker's status. */
function hasModel(server, { model, modelMatch }) {
  const fits =
    modelMatch === 'loose'
      ? ({ modelId }) => modelId.includes(model) || model.includes(modelId)
      : ({ modelId }) => modelId === model;
  return workersOf(server).some(({ capabilities }) => capabilities.models.some(fits));
}

module.exports = { hasModel, listModels };
