'use strict';

// What the demo prints when it is over: the summaries, a table, and what became of the killed worker's requests.

const { printable } = require('../printable.js');
const { count, cut } = require('./display.js');

const COLUMNS = [
  ['document', ({ name }) => cut(printable(name), 44)],
  ['words', ({ words }) => String(words), true],
  ['tokens', ({ tokens, error }) => (error === undefined ? String(tokens) : '-'), true],
  ['worker', ({ workers }) => workers.at(-1) ?? '-'],
  ['sent', ({ workers }) => String(workers.length), true],
];

/**
 * @param {import('./show.js').Job[]} jobs
 * @param {number} leftOut how many documents couldn't be read
 * @param {{ name: string, moved: object[] } | null} victim
 * @param {number} width of the terminal, in columns
 */
function report(jobs, leftOut, victim, width) {
  const summaries = jobs.filter(({ summary, error }) => summary !== '' && error === undefined);
  const blocks = summaries.map(({ name, summary }) =>
    [printable(name), ...wrap(printable(summary), width - 3)].join('\n  '),
  );
  return [...blocks, table(jobs), outcome(jobs, leftOut, victim)].join('\n\n');
}

function table(jobs) {
  const rows = [COLUMNS.map(([title]) => title), ...jobs.map((job) => COLUMNS.map(([, cell]) => cell(job)))];
  const widths = COLUMNS.map((_, i) => Math.max(...rows.map((row) => [...row[i]].length)));
  const pad = (cell, i) => {
    const fill = ' '.repeat(widths[i] - [...cell].length);
    return COLUMNS[i][2] ? fill + cell : cell + fill;
  };
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n');
}

function outcome(jobs, leftOut, victim) {
  const failed = jobs.filter(({ error }) => error !== undefined);
  const waited = jobs.filter((job) => job.waited).length;
  const lines = [`${jobs.length - failed.length} of ${jobs.length + leftOut} files have their result.`];
  if (leftOut > 0) lines.push(`${leftOut} left out: see the messages above.`);
  if (waited > 0) lines.push(`${count(waited, 'request')} waited for a free slot.`);
  if (victim !== null) {
    const moved = victim.moved.map((job) => `${printable(job.name)} (to ${job.workers.at(-1)})`).join(', ');
    lines.push(
      `Worker ${victim.name} was killed on the way. Requests it had: ${victim.moved.length}. ` +
        `They were sent again to other workers: ${moved}.`,
    );
  }
  for (const { name, error } of failed) lines.push(`${printable(name)}: ${printable(error)}`);
  lines.push(`Lost: ${failed.length === 0 ? 'nothing' : count(failed.length, 'request')}.`);
  return lines.join('\n');
}

function wrap(text, width) {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line === '') lines[lines.length - 1] = word;
    else if ([...line, ...word].length + 1 <= width) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}

module.exports = { report };
