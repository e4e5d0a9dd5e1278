'use strict';

// The prose in a file, without what only machines read: a paragraph a line.

const path = require('node:path');

const SOURCES = new Set(
  '.c .cc .cpp .cs .css .go .h .hpp .java .js .json .jsx .kt .mjs .cjs .php .py .rb .rs .sh .sql .swift .toml .ts .tsx .yaml .yml'.split(
    ' ',
  ),
);

/** Whether a file is source code, by its name; everything else is a document. */
const isSource = (file) => SOURCES.has(path.extname(file).toLowerCase());

/** A text's paragraphs, a line each: those of a document, or of a program's comments. */
function proseOf(text, ofSource) {
  return (ofSource ? commentsOf(text) : withoutMarkup(text))
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.replace(/\s+/g, ' ').trim())
    .filter((paragraph) => paragraph !== '')
    .join('\n');
}

/** A Markdown text without code blocks, tables, headings and markup. Line by line, since texts can be large. */
function withoutMarkup(text) {
  let fence = null;
  const lines = text.split('\n').map((line) => {
    const mark = /^\s*(```|~~~)/.exec(line)?.[1];
    if (mark && (fence === null || fence === mark)) {
      fence = fence === null ? mark : null;
      return '';
    }
    if (fence !== null || /^\s*(\||#|>|={3,}|-{3,}|<|\[[^\]]{1,200}\]:)/.test(line)) return '';
    return line
      .replace(/^\s*([-*+]|\d{1,4}\.)\s+/, '\n\n')
      .replace(/!?\[([^[\]]{1,200})\]\([^()]{0,400}\)/g, '$1')
      .replace(/\*\*|__|`/g, '');
  });
  return lines.join('\n');
}

/** The comments of a program, without tags. Comments on neighbouring lines are one paragraph. */
function commentsOf(text) {
  let inBlock = false;
  let inTags = false;
  const lines = text.split('\n').map((line) => {
    const start = /^\s*(\/\*+|\/\/[/!]?|# )/.exec(line);
    if (!inBlock && !start) return '';
    if (!inBlock) inTags = false;
    let body = inBlock ? line.replace(/^\s*\*(?!\/)/, '') : line.slice(start[0].length);
    if (inBlock || start[1].startsWith('/*')) {
      const end = body.indexOf('*/');
      inBlock = end < 0;
      if (end >= 0) body = body.slice(0, end);
    }
    // What follows a tag of a documentation comment describes a parameter, not the program.
    inTags ||= /^\s*@\w/.test(body);
    return inTags ? '' : body.replace(/\{@\w+ ([^{}]*)\}/g, '$1').replace(/`/g, '');
  });
  return lines.join('\n');
}

module.exports = { isSource, proseOf };
