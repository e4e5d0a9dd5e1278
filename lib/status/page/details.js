'use strict';

// All that is known of one worker, and what can be done with it.

const { byId, element, fillList, isolated, setHidden, setText } = require('./dom.js');
const { formatAge, formatDuration, formatNumber, formatTime } = require('./format.js');

const MOST_REQUESTS = 50;
/** How long the second press may be waited for that disconnects. */
const CONFIRM_MS = 5_000;

class Details {
  #store;
  #url;
  #dialog = byId('details');
  #id = null;
  #confirmTimer;

  constructor(store, url) {
    this.#store = store;
    this.#url = url;
    byId('details-close').addEventListener('click', () => this.#dialog.close());
    this.#dialog.addEventListener('close', () => this.#onClose());
    // A press beside it.
    this.#dialog.addEventListener('click', ({ target }) => {
      if (target === this.#dialog) this.#dialog.close();
    });
    byId('details-drain').addEventListener('click', () =>
      this.#act(this.#worker.status === 'draining' ? 'resume' : 'drain'),
    );
    byId('details-disconnect').addEventListener('click', () => this.#onDisconnect());
  }

  get #worker() {
    return this.#store.workers.get(this.#id);
  }

  open(id) {
    this.#id = id;
    this.#answer('');
    this.render();
    this.#dialog.showModal();
  }

  render() {
    if (this.#id === null) return;
    const worker = this.#worker;
    const isThere = worker !== undefined;
    setHidden(byId('details-actions'), !isThere || !this.#store.actions);
    if (!isThere) {
      this.#answer('The worker has left.');
      return;
    }
    setText(byId('details-title'), worker.name);
    fillList(byId('details-facts'), this.#factsOf(worker), createFact, (item, [name, text]) => {
      setText(item.children[0], name);
      setText(item.children[1].firstChild, text);
    });
    setText(byId('details-models'), worker.models.join(', ') || 'none');
    this.#renderRequests();
    setText(byId('details-drain'), worker.status === 'draining' ? 'Resume' : 'Drain');
  }

  #factsOf(worker) {
    const now = this.#store.now();
    const loads = Object.entries(worker.categories).map(([category, { active, limit }]) => [
      `Load in ${category}`,
      limit === null ? formatNumber(active) : `${formatNumber(active)} of ${formatNumber(limit)}`,
    ]);
    return [
      ['Id', worker.id],
      ['Status', worker.status],
      ['Load', `${formatNumber(worker.active)} of ${formatNumber(worker.slots)}`],
      ...loads,
      ['Address', worker.address ?? 'unknown'],
      ['Last sign of life', `${formatAge(now - worker.heartbeatAt)} ago`],
      ['Connected', `${formatAge(now - worker.connectedTime)} ago, ${formatTime(worker.connectedTime)}`],
    ];
  }

  #renderRequests() {
    const requests = [...this.#store.requests.values()].filter(({ workerId }) => workerId === this.#id);
    const rows = requests.length === 0 ? [null] : requests.slice(0, MOST_REQUESTS);
    fillList(
      byId('details-requests'),
      rows,
      () => element('li', {}, element('span'), isolated('')),
      (item, request) => {
        const age = request === null ? '' : formatDuration(this.#store.now() - request.startedAt);
        setText(item.children[0], age);
        setText(item.children[1], request === null ? 'none of the oldest' : request.requestId);
      },
    );
  }

  #onDisconnect() {
    const button = byId('details-disconnect');
    if (this.#confirmTimer !== undefined) {
      this.#forgetConfirmation();
      this.#act('disconnect');
      return;
    }
    setText(button, 'Press again to disconnect');
    this.#confirmTimer = setTimeout(() => this.#forgetConfirmation(), CONFIRM_MS);
  }

  #forgetConfirmation() {
    clearTimeout(this.#confirmTimer);
    this.#confirmTimer = undefined;
    setText(byId('details-disconnect'), 'Disconnect');
  }

  #onClose() {
    this.#id = null;
    this.#forgetConfirmation();
  }

  #answer(text) {
    setText(byId('details-answer'), text);
  }

  async #act(action) {
    const id = this.#id;
    let said;
    try {
      const headers = { 'Content-Type': 'application/json' };
      const body = JSON.stringify({ action, workerId: id });
      const answer = await fetch(this.#url, { method: 'POST', headers, body });
      const { error } = await answer.json();
      said = answer.ok ? SAID[action] : `The server refused: ${error}.`;
    } catch {
      said = 'The server did not answer.';
    }
    if (this.#id === id) this.#answer(said);
  }
}

const SAID = {
  drain: 'It finishes what it has, and gets nothing new.',
  resume: 'It gets requests again, unless it drains by itself.',
  disconnect: 'It is disconnected.',
};

const createFact = () => element('div', {}, element('dt'), element('dd', {}, isolated('')));

module.exports = { Details };
