'use strict';

// A table of any length, of which there are only the rows that can be seen: what isn't there costs nothing.

const { element, setAttribute, setHidden, setText } = require('./dom.js');

/** Rows beyond the edges, so that a turn of the wheel finds them. */
const OVERSCAN = 6;

class VirtualTable {
  #scroll;
  #table;
  #body;
  #nothing;
  #key;
  #createRow;
  #updateRow;
  /** The rows in order. */
  #rows = [];
  /** The elements that there are, by key. */
  #elements = new Map();
  #rowHeight = 0;
  #headHeight = 0;
  #viewHeight = 0;
  #frame = 0;
  /** A row that stays however far it is scrolled away: the focus is in it. */
  keptKey = null;

  /**
   * @param {HTMLElement} scroll With a `table` for the rows and a `.nothing` for what to say if there are none.
   * @param {object} parts
   * @param {string} parts.key The member of a row that identifies it.
   * @param {{ name: string, className: string }[]} parts.columns
   * @param {(row: object) => HTMLElement} parts.createRow
   * @param {(element: HTMLElement, row: object) => void} parts.updateRow Called for each row that can be seen, at each
   *   change.
   */
  constructor(scroll, { key, columns, createRow, updateRow }) {
    this.#scroll = scroll;
    this.#table = scroll.querySelector('table');
    this.#nothing = scroll.querySelector('.nothing');
    this.#key = key;
    this.#createRow = createRow;
    this.#updateRow = updateRow;
    const cells = columns.map(({ name, className }) =>
      element('th', { role: 'columnheader', scope: 'col', class: className }, name),
    );
    this.head = element('tr', { role: 'row', 'aria-rowindex': '1' }, ...cells);
    this.#body = element('tbody', { role: 'rowgroup' });
    this.#table.append(element('thead', { role: 'rowgroup' }, this.head), this.#body);
    scroll.addEventListener('scroll', () => this.#schedule(), { passive: true });
    new ResizeObserver(() => {
      this.#rowHeight = 0;
      this.#schedule();
    }).observe(scroll);
  }

  get rows() {
    return this.#rows;
  }

  /** @param {string} nothing What to say if there are no rows. */
  setRows(rows, nothing) {
    this.#rows = rows;
    setText(this.#nothing, nothing);
    setHidden(this.#nothing, rows.length > 0);
    setHidden(this.#table, rows.length === 0);
    setAttribute(this.#table, 'aria-rowcount', String(rows.length + 1));
    this.render();
  }

  /** The element of a row, which is scrolled into view first. */
  reveal(index) {
    const top = index * this.#rowHeight;
    const height = this.#viewHeight - this.#headHeight;
    if (top < this.#scroll.scrollTop) this.#scroll.scrollTop = top;
    else if (top + this.#rowHeight > this.#scroll.scrollTop + height) {
      this.#scroll.scrollTop = top + this.#rowHeight - height;
    }
    this.render();
    return this.#elements.get(this.#rows[index][this.#key]);
  }

  /** How many rows can be seen at once. */
  get pageSize() {
    return Math.max(1, Math.floor((this.#viewHeight - this.#headHeight) / (this.#rowHeight || 1)) - 1);
  }

  #schedule() {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.render();
    });
  }

  /** Brings what can be seen up to date. */
  render() {
    if (this.#rows.length === 0) {
      for (const [, row] of this.#elements) row.remove();
      this.#elements.clear();
      return;
    }
    if (this.#rowHeight === 0) this.#measure();
    const { scrollTop } = this.#scroll;
    const first = Math.max(0, Math.floor(scrollTop / this.#rowHeight) - OVERSCAN);
    const end = Math.min(this.#rows.length, Math.ceil((scrollTop + this.#viewHeight) / this.#rowHeight) + OVERSCAN);
    const shown = [];
    for (let i = first; i < end; i += 1) shown.push(i);
    const kept = this.keptKey === null ? -1 : this.#rows.findIndex((row) => row[this.#key] === this.keptKey);
    if (kept >= 0 && kept < first) shown.unshift(kept);
    else if (kept >= end) shown.push(kept);
    this.#body.style.height = `${this.#rows.length * this.#rowHeight}px`;
    this.#place(shown);
  }

  #measure() {
    this.#rowHeight = parseFloat(getComputedStyle(this.#scroll).getPropertyValue('--row-height'));
    this.#viewHeight = this.#scroll.clientHeight;
    this.#headHeight = this.head.offsetHeight;
  }

  /** @param {number[]} shown The places of the rows that there are to be. */
  #place(shown) {
    const wanted = new Set(shown.map((i) => this.#rows[i][this.#key]));
    for (const [key, row] of this.#elements) {
      if (wanted.has(key)) continue;
      row.remove();
      this.#elements.delete(key);
    }
    let previous = null;
    for (const i of shown) {
      const row = this.#rows[i];
      let shownRow = this.#elements.get(row[this.#key]);
      if (shownRow === undefined) {
        shownRow = this.#createRow(row);
        this.#elements.set(row[this.#key], shownRow);
      }
      // In the order in which they are read aloud. Moving an element takes the focus from it, so those in place stay.
      const next = previous === null ? this.#body.firstElementChild : previous.nextElementSibling;
      if (shownRow !== next) this.#insert(shownRow, next);
      const transform = `translateY(${i * this.#rowHeight}px)`;
      if (shownRow.style.transform !== transform) shownRow.style.transform = transform;
      setAttribute(shownRow, 'aria-rowindex', String(i + 2));
      this.#updateRow(shownRow, row);
      previous = shownRow;
    }
  }

  #insert(row, next) {
    const focused = row.contains(document.activeElement) ? document.activeElement : null;
    this.#body.insertBefore(row, next);
    focused?.focus({ preventScroll: true });
  }
}

module.exports = { VirtualTable };
