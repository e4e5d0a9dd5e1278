'use strict';

// The table of workers: sorted by the head's buttons, filtered by text and status, walked through by the arrow keys.

const { byId, element, isolated, setAttribute, setText } = require('./dom.js');
const { formatAge, formatNumber } = require('./format.js');
const { STATUSES, countStatuses } = require('./statuses.js');
const { VirtualTable } = require('./virtual-table.js');
const { orderWorkers } = require('./worker-order.js');

const COLUMNS = [
  { name: 'Name', className: 'name' },
  { name: 'Status', className: 'status' },
  { name: 'Load', className: 'load' },
  { name: 'Models', className: 'models' },
  { name: 'Heartbeat', className: 'heartbeat' },
  { name: 'Address', className: 'address' },
  { name: 'Connected', className: 'connected' },
];
/** Columns that change by themselves, so that workers have to be ordered again. */
const LIVELY = new Set(['load', 'status', 'heartbeat']);

class Workers {
  #store;
  #open;
  #table;
  #wanted = { text: '', status: null, column: 'name', isDescending: false };
  #headButtons = new Map();
  #statusButtons = new Map();
  /** The worker whose button the Tab key finds, by id. */
  #current = null;

  /** @param {(id: string) => void} open Shows a worker's details. */
  constructor(store, open) {
    this.#store = store;
    this.#open = open;
    const scroll = byId('workers').querySelector('.scroll');
    this.#table = new VirtualTable(scroll, {
      key: 'id',
      columns: COLUMNS,
      createRow: (worker) => this.#createRow(worker),
      updateRow: (row, worker) => this.#updateRow(row, worker),
    });
    this.#createHead();
    this.#createStatusButtons();
    byId('filter').addEventListener('input', ({ target }) => this.#want({ text: target.value }));
    scroll.addEventListener('keydown', (event) => this.#onKey(event));
    scroll.addEventListener('focusin', ({ target }) => this.#onFocus(target.closest('tbody tr')));
    scroll.addEventListener('focusout', () => (this.#table.keptKey = null));
    scroll.addEventListener('click', ({ target }) => {
      const row = target.closest('tbody tr');
      if (row !== null) this.#open(row.dataset.id);
    });
  }

  render() {
    this.#renderStatuses();
    const rows = orderWorkers(this.#store.workers.values(), this.#wanted);
    if (!rows.some(({ id }) => id === this.#current)) this.#current = rows[0]?.id ?? null;
    this.#table.setRows(rows, this.#whyNothing());
  }

  #whyNothing() {
    if (this.#store.workers.size > 0) return 'No worker is like that.';
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    return `No worker is connected. They connect to ${scheme}://${location.host}`;
  }

  #want(change) {
    Object.assign(this.#wanted, change);
    this.render();
  }

  #createHead() {
    for (const cell of this.#table.head.children) {
      const button = element('button', { type: 'button' }, cell.textContent);
      const column = cell.className;
      cell.replaceChildren(button);
      button.addEventListener('click', () => {
        const isSame = this.#wanted.column === column;
        // What is busy, ill or silent is looked for first.
        const isDescending = isSame ? !this.#wanted.isDescending : LIVELY.has(column) && column !== 'status';
        this.#want({ column, isDescending });
        this.#showOrder();
      });
      this.#headButtons.set(column, cell);
    }
    this.#showOrder();
  }

  #showOrder() {
    const { column, isDescending } = this.#wanted;
    for (const [name, cell] of this.#headButtons) {
      if (name === column) setAttribute(cell, 'aria-sort', isDescending ? 'descending' : 'ascending');
      else cell.removeAttribute('aria-sort');
    }
  }

  #createStatusButtons() {
    for (const status of [null, ...STATUSES]) {
      const count = element('span', { class: 'count' });
      const dot = element('span', { class: 'dot', 'data-status': status ?? '', 'aria-hidden': 'true' });
      const button = element(
        'button',
        { type: 'button' },
        ...(status === null ? [] : [dot]),
        status ?? 'all',
        ' ',
        count,
      );
      button.addEventListener('click', () => this.#want({ status }));
      byId('statuses').append(button);
      this.#statusButtons.set(status, { button, count });
    }
  }

  #renderStatuses() {
    const counts = countStatuses(this.#store.workers.values());
    for (const [status, { button, count }] of this.#statusButtons) {
      setText(count, formatNumber(status === null ? this.#store.workers.size : counts[status]));
      setAttribute(button, 'aria-pressed', String(this.#wanted.status === status));
    }
  }

  #createRow({ id }) {
    const cell = (className, ...children) => element('td', { role: 'cell', class: className }, ...children);
    const fill = element('span', { class: 'fill' });
    const row = element(
      'tr',
      { role: 'row' },
      cell('name', element('button', { type: 'button', tabindex: '-1' }, isolated('')), isolated('', 'id')),
      cell('status', element('span', { class: 'dot', 'aria-hidden': 'true' }), element('span')),
      cell('load', element('span'), element('span', { class: 'meter', 'aria-hidden': 'true' }, fill)),
      cell('models', isolated('')),
      cell('heartbeat'),
      cell('address', isolated('')),
      cell('connected'),
    );
    row.dataset.id = id;
    row.parts = {
      button: row.querySelector('button'),
      name: row.querySelector('.name bdi'),
      id: row.querySelector('.id'),
      dot: row.querySelector('.dot'),
      status: row.querySelector('.dot + span'),
      load: row.querySelector('.load span'),
      fill,
      models: row.querySelector('.models bdi'),
      heartbeat: row.querySelector('.heartbeat'),
      address: row.querySelector('.address bdi'),
      connected: row.querySelector('.connected'),
    };
    return row;
  }

  #updateRow(row, worker) {
    const { id, name, status, active, slots, models, address } = worker;
    const { parts } = row;
    const now = this.#store.now();
    setText(parts.name, name);
    setText(parts.id, id === name ? '' : id);
    setAttribute(parts.dot, 'data-status', status);
    setText(parts.status, status);
    setText(parts.load, `${formatNumber(active)} of ${formatNumber(slots)}`);
    const width = `${slots === 0 ? 0 : Math.min(100, Math.round((100 * active) / slots))}%`;
    if (parts.fill.style.width !== width) parts.fill.style.width = width;
    setText(parts.models, models.join(', '));
    setText(parts.heartbeat, formatAge(now - worker.heartbeatAt));
    setText(parts.address, address ?? '');
    setText(parts.connected, formatAge(now - worker.connectedTime));
    setAttribute(parts.button, 'tabindex', id === this.#current ? '0' : '-1');
  }

  #onFocus(row) {
    if (row === null) return;
    this.#current = row.dataset.id;
    this.#table.keptKey = this.#current;
    this.#table.render();
  }

  #onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest('thead') !== null) return;
    const { rows, pageSize } = this.#table;
    const at = rows.findIndex(({ id }) => id === this.#current);
    const last = rows.length - 1;
    const next = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + pageSize,
      PageUp: at - pageSize,
      Home: 0,
      End: last,
    }[event.key];
    if (next === undefined || last < 0) return;
    event.preventDefault();
    this.#current = rows[Math.min(Math.max(next, 0), last)].id;
    this.#table.keptKey = this.#current;
    this.#table
      .reveal(rows.findIndex(({ id }) => id === this.#current))
      .querySelector('button')
      .focus({ preventScroll: true });
  }
}

module.exports = { Workers };
