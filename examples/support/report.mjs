// What the quickstart prints when it is done.

/** File names and texts come from outside: nothing in them may steer the terminal. */
export function printable(text) {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?');
}

function shorten(text, width) {
  const characters = [...text];
  return characters.length <= width ? text : `${characters.slice(0, width - 1).join('')}…`;
}

function pad(text, width, right) {
  const fill = ' '.repeat(Math.max(0, width - [...text].length));
  return right ? fill + text : text + fill;
}

/** Rows of strings as a table; columns whose name begins with '#' hold numbers. */
export function table(columns, rows) {
  const widths = columns.map((name, i) =>
    Math.max(name.replace('#', '').length, ...rows.map((row) => [...row[i]].length)),
  );
  const line = (cells) =>
    cells
      .map((cell, i) => pad(cell, widths[i], columns[i].startsWith('#')))
      .join('  ')
      .trimEnd();
  return [
    line(columns.map((name) => name.replace('#', ''))),
    widths.map((width) => '─'.repeat(width)).join('  '),
    ...rows.map(line),
  ].join('\n');
}

/** The three sentences of each file, then one row a file. */
export function report(jobs, width) {
  const blocks = jobs
    .filter((job) => job.result?.extract.length > 0)
    .map((job) =>
      [printable(job.name), ...job.result.extract.map((text) => `  · ${shorten(printable(text), width - 4)}`)].join(
        '\n',
      ),
    );
  const rows = jobs.map((job) => [
    shorten(printable(job.name), 40),
    job.kind,
    job.result ? String(job.result.lines) : '-',
    job.result ? String(job.result.words) : '-',
    job.result ? job.result.terms.join(', ') : `no result: ${shorten(printable(job.error), 60)}`,
    job.workers.at(-1) ?? '-',
    String(job.workers.length),
  ]);
  return [...blocks, table(['file', 'kind', '#lines', '#words', 'most telling terms', 'worker', '#sent'], rows)].join(
    '\n\n',
  );
}
