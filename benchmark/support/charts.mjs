// Bar charts as SVG, written by hand: ratios to the peer, which is the line at 1. They are readable on light and on dark pages.

import { FIGURES } from './measure.mjs';
import { amount } from './table.mjs';

const WIDTH = 860;
const LABEL = 330;
const VALUES = 190;
const BAR = 14;
const LINE = 15;
const GAP = 14;
const TOP = 64;
/** Letters of a label's line. */
const LETTERS = 46;

const STYLE = `
  text { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; }
  .note, .tick { fill: #59636e; }
  .grid { stroke: #d1d9e0; }
  .peer { stroke: #bc4c00; stroke-width: 2; }
  .peer-name { fill: #bc4c00; }
  .a { fill: #0969da; }
  .b { fill: #54aeff; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .note, .tick { fill: #9198a1; }
    .grid { stroke: #3d444d; }
    .peer { stroke: #f0883e; }
    .peer-name { fill: #f0883e; }
    .a { fill: #4493f8; }
    .b { fill: #1f5fbf; }
  }`;

const CHARTS = [
  { file: 'throughput.svg', title: 'Throughput', note: 'times the peer; longer is better', figures: ['rate'] },
  { file: 'cpu.svg', title: 'CPU for each message', note: 'times the peer; shorter is better', figures: ['cpu', 'js'] },
  { file: 'latency.svg', title: 'Latency', note: 'times the peer; shorter is better', figures: ['p50', 'p99'] },
  { file: 'memory.svg', title: 'Memory', note: 'times the peer; shorter is better', figures: ['peak', 'memory'] },
];

/** The peers that are not this package itself. Rows beside these, and of no group, are in the charts. */
const OTHERS = new Set(['standin', 'http']);

const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** A label in lines that fit, broken after a comma where there is one. */
function wrapped(label) {
  if (label.length <= LETTERS) return [label];
  const comma = label.lastIndexOf(', ', LETTERS);
  const at = comma > 0 ? comma + 1 : label.lastIndexOf(' ', LETTERS);
  return [label.slice(0, at), ...wrapped(label.slice(at + 1))];
}

/** A step that makes between four and eight lines. */
function gridStep(max) {
  const rough = max / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
}

function chart({ title, note, figures }, results) {
  const groups = results
    .map((row) => ({
      title: row.title,
      bars: row.figures.filter(({ name, ratio }) => figures.includes(name) && ratio !== undefined),
    }))
    .filter(({ bars }) => bars.length > 0);
  const longest = Math.max(1, ...groups.flatMap(({ bars }) => bars.map(({ ratio }) => ratio)));
  const plot = WIDTH - LABEL - VALUES;
  const x = (ratio) => LABEL + (ratio / longest) * plot;
  const step = gridStep(longest);
  const parts = [];
  let y = TOP;
  for (const { title: label, bars } of groups) {
    const texts = wrapped(label);
    const height = Math.max(bars.length * BAR, texts.length * LINE);
    const first = y + (bars.length * BAR - texts.length * LINE) / 2 + LINE - 4;
    for (const [index, text] of texts.entries()) {
      parts.push(`<text x="${LABEL - 10}" y="${first + index * LINE}" text-anchor="end">${escape(text)}</text>`);
    }
    const next = y + height + GAP;
    for (const { name, ratio, ours, peer } of bars) {
      const width = Math.max(1, x(ratio) - LABEL);
      const tone = figures.indexOf(name) === 0 ? 'a' : 'b';
      const kind = FIGURES[name];
      const values = `${ratio.toFixed(2)}×  ${amount(ours.median, kind)} : ${amount(peer.median, kind)}`;
      parts.push(
        `<rect class="${tone}" x="${LABEL}" y="${y}" width="${width.toFixed(1)}" height="${BAR - 2}" rx="2"/>`,
      );
      const at = Math.max(x(ratio), x(1)) + 6;
      parts.push(`<text class="note" x="${at.toFixed(1)}" y="${y + BAR - 4}">${escape(values)}</text>`);
      y += BAR;
    }
    y = next;
  }
  const bottom = y;
  const grid = [];
  for (let at = 0; at <= longest + step / 1e6; at += step) {
    const line = x(at).toFixed(1);
    grid.push(`<line class="grid" x1="${line}" x2="${line}" y1="${TOP - 8}" y2="${bottom}"/>`);
    grid.push(
      `<text class="tick" x="${line}" y="${bottom + 16}" text-anchor="middle">${Number(at.toPrecision(3))}</text>`,
    );
  }
  const peer = `<line class="peer" x1="${x(1).toFixed(1)}" x2="${x(1).toFixed(1)}" y1="${TOP - 8}" y2="${bottom}"/>`;
  const peerName = `<text class="peer-name" x="${x(1).toFixed(1)}" y="${TOP - 12}" text-anchor="middle">peer</text>`;
  let legendX = 20;
  const legend = figures.map((name, index) => {
    const text = FIGURES[name].title;
    const piece = `<rect class="${'ab'[index]}" x="${legendX}" y="36" width="10" height="10" rx="2"/><text class="note" x="${legendX + 15}" y="45">${text}</text>`;
    legendX += 40 + text.length * 7;
    return piece;
  });
  const height = bottom + 28;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escape(title)}, ${escape(note)}</title>`,
    `<style>${STYLE}\n</style>`,
    `<text class="title" x="20" y="24">${escape(title)} <tspan class="note" font-weight="400" font-size="12">${escape(note)}</tspan></text>`,
    ...(figures.length > 1 ? legend : []),
    ...grid,
    ...parts,
    peer,
    peerName,
    '</svg>',
    '',
  ].join('\n');
}

/** Every chart that `results` have figures for, as pairs of a file name and its text. */
export function charts(results) {
  const shown = results.filter(({ group, peer }) => group === undefined && OTHERS.has(peer));
  return CHARTS.filter(({ figures }) =>
    shown.some((row) => row.figures.some(({ name }) => figures.includes(name))),
  ).map((description) => [description.file, chart(description, shown)]);
}
