'use strict';

// Why a request for a model waits: what the server says that each worker would do with it.

const { byId, element, fillList, isolated, setText } = require('./dom.js');
const { formatCount } = require('./format.js');

/** What the reasons mean. The server has them in the order in which they are judged. */
const REASONS = {
  free: 'would take it now',
  busy: 'busy',
  category: 'busy in its category',
  draining: 'draining',
  unhealthy: 'unhealthy',
  model: 'without this model',
  selector: 'not selected',
  'no-requests': 'too old to take requests',
  'other-worker': 'not the one that was asked for',
  closing: 'leaving',
};
const MOST_NAMES = 5;
const MOST_MODELS = 200;

class Explain {
  #store;
  #url;
  #models = '';

  constructor(store, url) {
    this.#store = store;
    this.#url = url;
    byId('explain').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#ask(byId('explain-model').value.trim());
    });
    byId('explain-model').addEventListener('focus', () => this.#offerModels());
  }

  /** The names that can be completed: those of the workers that are there. */
  #offerModels() {
    const models = new Set();
    for (const worker of this.#store.workers.values()) for (const model of worker.models) models.add(model);
    const offered = [...models].sort().slice(0, MOST_MODELS);
    const key = offered.join('\n');
    if (key === this.#models) return;
    this.#models = key;
    byId('models').replaceChildren(...offered.map((model) => element('option', { value: model })));
  }

  async #ask(model) {
    let explanation;
    try {
      const query = model === '' ? '' : `?model=${encodeURIComponent(model)}`;
      const answer = await fetch(this.#url + query, { cache: 'no-store' });
      if (!answer.ok) throw new Error(String(answer.status));
      explanation = await answer.json();
    } catch (error) {
      byId('explanation').replaceChildren(element('p', {}, `The server did not say (${error.message}).`));
      return;
    }
    this.#show(explanation);
  }

  #show({ text, workers }) {
    const byReason = new Map();
    for (const { id, reason } of workers) {
      if (!byReason.has(reason)) byReason.set(reason, []);
      byReason.get(reason).push(id);
    }
    const known = Object.keys(REASONS);
    const rows = [...byReason].sort(([a], [b]) => known.indexOf(a) - known.indexOf(b));
    const list = element('ul');
    fillList(list, rows, createReason, (item, [reason, ids]) => {
      item.dataset.reason = reason;
      setText(item.children[0], `${formatCount(ids.length, 'worker')} ${REASONS[reason] ?? reason}`);
      const names = ids.slice(0, MOST_NAMES).map((id) => this.#store.workers.get(id)?.name ?? id);
      setText(item.children[1], names.join(', ') + (ids.length > MOST_NAMES ? ', …' : ''));
    });
    byId('explanation').replaceChildren(rows.length === 0 ? element('p', {}, isolated(text)) : list);
  }
}

const createReason = () => element('li', {}, element('span'), isolated('', 'names'));

module.exports = { Explain };
