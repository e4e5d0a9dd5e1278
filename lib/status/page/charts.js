'use strict';

// Throughput and latency of the last minutes, drawn when an interval is over.

const { byId, element, setAttribute, setText } = require('./dom.js');
const { formatClock, formatDuration, formatRate } = require('./format.js');

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 119;
const HEIGHT = 40;
/** The rest of it is for the scale's number. */
const DRAWN = 33;
/** The intervals that are drawn: all but the one that isn't over. */
const SHOWN = 119;

function svg(name, attributes = {}) {
  const created = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) created.setAttribute(attribute, value);
  return created;
}

const round = (value) => Math.round(value * 100) / 100;
const maximum = (values) => values.reduce((most, value) => Math.max(most, value), 0);

/** A drawing in a figure, with what it shows in words, and the values under the pointer. */
class Chart {
  #figure;
  #picture;
  #now;
  #layers;
  #top = element('span', { class: 'top', 'aria-hidden': 'true' });
  #readout = element('span', { class: 'readout', 'aria-hidden': 'true' });
  #cursor = svg('line', { class: 'cursor', y1: 0, y2: HEIGHT, visibility: 'hidden' });
  #describe = () => '';
  #pointed = null;

  /** @param {Record<string, string>} layers By class name of what is drawn: what it is called in the key, or ''. */
  constructor(id, layers) {
    this.#figure = byId(id);
    this.#now = this.#figure.querySelector('.now');
    this.#picture = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' });
    this.#layers = Object.fromEntries(Object.keys(layers).map((name) => [name, svg('path', { class: name })]));
    this.#picture.append(...Object.values(this.#layers), this.#cursor);
    const key = Object.entries(layers)
      .filter(([, said]) => said !== '')
      .map(([name, said]) => element('span', { class: `key-${name}` }, said));
    this.#figure.querySelector('.key').append(...key);
    this.#figure.append(element('div', { class: 'plot' }, this.#picture, this.#top, this.#readout));
    this.#picture.addEventListener('pointermove', (event) => this.#onPointer(event));
    this.#picture.addEventListener('pointerleave', () => this.#point(null));
  }

  /**
   * @param {Record<string, string>} paths By layer.
   * @param {(place: number) => string} describe What stands at a place, in words.
   */
  draw({ paths, now, top, label, describe }) {
    for (const [name, path] of Object.entries(paths)) setAttribute(this.#layers[name], 'd', path);
    setText(this.#now, now);
    setText(this.#top, top);
    setAttribute(this.#picture, 'aria-label', label);
    this.#describe = describe;
    this.#point(this.#pointed);
  }

  #onPointer({ clientX }) {
    const { left, width } = this.#picture.getBoundingClientRect();
    this.#point(Math.min(SHOWN - 1, Math.max(0, Math.floor(((clientX - left) / width) * SHOWN))));
  }

  #point(place) {
    this.#pointed = place;
    setText(this.#readout, place === null ? '' : this.#describe(place));
    setAttribute(this.#cursor, 'visibility', place === null ? 'hidden' : 'visible');
    if (place === null) return;
    for (const end of ['x1', 'x2']) setAttribute(this.#cursor, end, String(place + 0.5));
  }
}

class Charts {
  #store;
  #throughput = new Chart('throughput', { completed: '', failed: 'failed' });
  #latency = new Chart('latency', { spread: '', p95: 'p95', p50: 'p50' });
  #drawn = '';

  constructor(store) {
    this.#store = store;
  }

  render() {
    const over = this.#store.history.slice(0, -1).slice(-SHOWN);
    const key = `${this.#store.history.at(-1)?.at} ${over.length}`;
    if (key === this.#drawn) return;
    this.#drawn = key;
    const intervalS = (Date.parse(this.#store.history.at(-1)?.at) - Date.parse(over.at(-1)?.at)) / 1_000 || 1;
    const offset = SHOWN - over.length;
    const entryAt = (place) => over[place - offset];
    const clockAt = (place) => formatClock(Date.parse(entryAt(place).at));
    this.#drawThroughput(over, offset, intervalS, entryAt, clockAt);
    this.#drawLatency(over, offset, entryAt, clockAt);
  }

  #drawThroughput(over, offset, intervalS, entryAt, clockAt) {
    const rateOf = ({ completed, failed }) => (completed + failed) / intervalS;
    const most = maximum(over.map(rateOf));
    const scale = most === 0 ? 0 : DRAWN / most;
    const bars = (from, to) =>
      over
        .map((entry, i) => {
          const [low, high] = [from(entry) / intervalS, to(entry) / intervalS];
          if (high === low) return '';
          const x = offset + i;
          return `M${x + 0.1} ${round(HEIGHT - low * scale)}V${round(HEIGHT - high * scale)}h.8V${round(HEIGHT - low * scale)}z`;
        })
        .join('');
    const failed = over.reduce((sum, entry) => sum + entry.failed, 0);
    const last = over.length === 0 ? 0 : rateOf(over.at(-1));
    this.#throughput.draw({
      paths: {
        completed: bars(
          ({ failed: f }) => f,
          (entry) => entry.completed + entry.failed,
        ),
        failed: bars(
          () => 0,
          (entry) => entry.failed,
        ),
      },
      now: `${formatRate(last)} /s`,
      top: most === 0 ? '' : `${formatRate(most)} /s`,
      label: `Requests that ended in the last minutes: ${formatRate(last)} a second now, ${formatRate(most)} at most, ${failed} failed`,
      describe: (place) => {
        const entry = entryAt(place);
        if (entry === undefined) return '';
        const said = `${clockAt(place)}  ${formatRate(entry.completed / intervalS)} /s`;
        return entry.failed === 0 ? said : `${said}, ${entry.failed} failed`;
      },
    });
  }

  #drawLatency(over, offset, entryAt, clockAt) {
    const most = maximum(over.map(({ p95Ms }) => p95Ms ?? 0));
    const y = (ms) => round(HEIGHT - (ms / (most || 1)) * (DRAWN - 1));
    const lines = { p50: '', p95: '', spread: '' };
    for (const run of runsOf(over)) {
      const points = (name) => run.map((i) => `${offset + i + 0.5} ${y(over[i][name])}`);
      // A single interval is a line too.
      const end = run.length === 1 ? 'h.01' : '';
      for (const [line, name] of [
        ['p50', 'p50Ms'],
        ['p95', 'p95Ms'],
      ])
        lines[line] += `M${points(name).join('L')}${end}`;
      lines.spread += `M${[...points('p95Ms'), ...points('p50Ms').reverse()].join('L')}z`;
    }
    const last = over.findLast(({ p50Ms }) => p50Ms !== null);
    const said = (entry) => `p50 ${formatDuration(entry.p50Ms)}, p95 ${formatDuration(entry.p95Ms)}`;
    this.#latency.draw({
      paths: lines,
      now: last === undefined ? '–' : formatDuration(last.p50Ms),
      top: most === 0 ? '' : formatDuration(most),
      label:
        last === undefined
          ? 'How long requests took: none has completed in the last minutes'
          : `How long requests took in the last minutes: ${said(last)} now, p95 ${formatDuration(most)} at most`,
      describe: (place) => {
        const entry = entryAt(place);
        if (entry === undefined) return '';
        return entry.p50Ms === null ? clockAt(place) : `${clockAt(place)}  ${said(entry)}`;
      },
    });
  }
}

/** The places of intervals with a latency, in runs without a gap. */
function runsOf(entries) {
  const runs = [];
  let isInRun = false;
  entries.forEach(({ p50Ms }, i) => {
    if (p50Ms === null) isInRun = false;
    else if (isInRun) runs.at(-1).push(i);
    else {
      runs.push([i]);
      isInRun = true;
    }
  });
  return runs;
}

module.exports = { Charts };
