'use strict';

// The few numbers that matter.

const { byId, element, setAttribute, setText } = require('./dom.js');
const { formatAge, formatCount, formatDuration, formatNumber } = require('./format.js');
const { STATUSES, countStatuses } = require('./statuses.js');

const shareOf = (part, whole) => `${whole === 0 ? 0 : Math.min(100, (100 * part) / whole)}%`;

class Numbers {
  #store;
  #fleet = element('span', { class: 'meter' });
  #busy = element('span', { class: 'meter' });
  #parts = STATUSES.map((status) => element('span', { 'data-status': status }));
  #load = element('span', { 'data-status': 'busy' });

  constructor(store) {
    this.#store = store;
    this.#fleet.append(...this.#parts);
    this.#busy.append(this.#load);
    byId('workers-number').after(this.#fleet);
    byId('busy-number').after(this.#busy);
    for (const meter of [this.#fleet, this.#busy]) setAttribute(meter, 'aria-hidden', 'true');
  }

  render() {
    const { state, version, startedAt, workers, queue } = this.#store;
    setText(byId('version'), version);
    setText(byId('server'), `${state}, up ${formatAge(this.#store.now() - startedAt)}`);
    setAttribute(byId('server'), 'data-state', state);
    this.#renderWorkers(workers);
    const [busy, slots] = this.#renderSlots(workers);
    const { size, oldestMs, byModel } = queue;
    setText(byId('waiting-number'), formatNumber(size));
    setText(
      byId('waiting-detail'),
      size === 0 ? 'nothing waits' : `for ${formatCount(Object.keys(byModel).length, 'model')}`,
    );
    setText(byId('oldest-number'), size === 0 ? '–' : formatDuration(oldestMs));
    setText(byId('oldest-detail'), size === 0 ? 'none' : 'for a free slot');
    for (const id of ['waiting-number', 'oldest-number']) setAttribute(byId(id), 'data-waits', String(size > 0));
    document.title = `${formatNumber(busy)} of ${formatNumber(slots)} busy, ${formatNumber(size)} waiting · worker-server`;
  }

  #renderWorkers(workers) {
    const counts = countStatuses(workers.values());
    setText(byId('workers-number'), formatNumber(workers.size));
    STATUSES.forEach((status, i) => {
      this.#parts[i].style.width = shareOf(counts[status], workers.size);
    });
    const said = [`${formatNumber(counts.available)} available`];
    if (counts.unhealthy > 0) said.push(`${formatNumber(counts.unhealthy)} unhealthy`);
    setText(byId('workers-detail'), workers.size === 0 ? 'none is connected' : said.join(' · '));
  }

  #renderSlots(workers) {
    let busy = 0;
    let slots = 0;
    for (const worker of workers.values()) {
      busy += worker.active;
      slots += worker.slots;
    }
    setText(byId('busy-number'), formatNumber(busy));
    setText(byId('busy-detail'), `of ${formatNumber(slots)}`);
    this.#load.style.width = shareOf(busy, slots);
    return [busy, slots];
  }
}

module.exports = { Numbers };
