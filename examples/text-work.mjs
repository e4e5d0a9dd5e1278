// What the workers of the quickstart do: count a text, find its most telling terms, and pick three sentences that
// stand for it. Plain functions, without any network: replace this file to have workers that do something else.

const STOP_WORDS = new Set(
  `a about after all also an and any are as at be because been before but by can could do does each else for from get
  has have had he her his how i if in into is it its just let may more most must never new no not now of on once one
  only or other our out over same she should so some such than that the their them then there these they this those
  through to two under up us use used uses using was way we well were what when where which while who why will with
  without would you your const return true false null void function import export require undefined string number
  boolean`.split(/\s+/),
);

/** The words of a text, in lower case, in order. */
export function wordsOf(text) {
  return (text.match(/[\p{L}\p{N}][\p{L}\p{M}\p{N}'’_]*/gu) ?? []).map((word) => word.toLowerCase());
}

/** The words that can tell something of a text: no stop words, no numbers, nothing of one or two letters. */
function termsOf(words) {
  return words.filter((word) => word.length > 2 && !STOP_WORDS.has(word) && !/^\d/.test(word));
}

function countEach(items) {
  const counts = new Map();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}

/**
 * What tf-idf needs to know of the whole batch: how many texts there are, and in how many of them each term occurs.
 * Terms that occur in one text only are left out, since they need no telling.
 */
export function corpusOf(texts) {
  const occursIn = countEach(texts.flatMap((text) => [...new Set(termsOf(wordsOf(text)))]));
  return { documents: texts.length, occursIn: Object.fromEntries([...occursIn].filter(([, count]) => count > 1)) };
}

/** The weight of each term of a text: how often it occurs here, times how rare it is in the batch. */
function weigh(words, corpus) {
  const occursIn = new Map(Object.entries(corpus.occursIn));
  const weights = new Map();
  for (const [term, count] of countEach(termsOf(words))) {
    const rarity = Math.log((1 + corpus.documents) / (1 + (occursIn.get(term) ?? 1))) + 1;
    weights.set(term, (count / words.length) * rarity);
  }
  return weights;
}

/** The prose of a Markdown text: no code blocks, tables, headings or markup. Line by line, since texts can be large. */
function proseOfDocument(text) {
  let fence = null;
  const lines = text.split('\n').map((line) => {
    const mark = /^\s*(```|~~~)/.exec(line)?.[1];
    if (mark && (fence === null || fence === mark)) {
      fence = fence === null ? mark : null;
      return '';
    }
    if (fence !== null || /^\s*(\||#|>|={3,}|-{3,}|<!--|\[[^\]]{1,200}\]:)/.test(line)) return '';
    return line
      .replace(/^\s*([-*+]|\d{1,4}\.)\s+/, '\n')
      .replace(/!?\[([^[\]]{1,200})\]\([^()]{0,400}\)/g, '$1')
      .replace(/\*\*|__|`/g, '');
  });
  return lines.join('\n');
}

/** The prose of a source file: its comments, without tags. Comments on neighbouring lines are one text. */
function proseOfSource(text) {
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
    return inTags ? '' : body.replace(/\{@\w+ ([^{}]*)\}/g, '$1');
  });
  return lines.join('\n');
}

function sentencesOf(prose) {
  const segmenter = new Intl.Segmenter('en', { granularity: 'sentence' });
  return prose
    .split(/\n\s*\n/)
    .flatMap((paragraph) => [...segmenter.segment(paragraph.replace(/\s+/g, ' ').trim())])
    .map(({ segment }) => segment.trim())
    .filter((sentence) => sentence !== '');
}

/** The sentences that carry the most weight for their length, in the order of the text. */
function extract(sentences, weights, howMany) {
  const scored = sentences.map((sentence, position) => {
    const words = wordsOf(sentence);
    const weight = termsOf(words).reduce((sum, term) => sum + (weights.get(term) ?? 0), 0);
    // A fragment is no sentence, and a text usually says first what it is about.
    const score = words.length < 5 ? 0 : weight / Math.sqrt(words.length) / (1 + position / 20);
    return { sentence, position, score };
  });
  return scored
    .sort((a, b) => b.score - a.score || a.position - b.position)
    .slice(0, howMany)
    .sort((a, b) => a.position - b.position)
    .map(({ sentence }) => sentence);
}

/**
 * Works on one text.
 *
 * @param {string} text The text.
 * @param {'prose' | 'code'} kind What it is written in: of code, sentences are taken from the comments.
 * @param {{documents: number, occursIn: Record<string, number>}} corpus What corpusOf gave for the batch.
 */
export function analyse(text, kind, corpus) {
  const words = wordsOf(text);
  const weights = weigh(words, corpus);
  const sentences = sentencesOf(kind === 'code' ? proseOfSource(text) : proseOfDocument(text));
  return {
    lines: text === '' ? 0 : text.replace(/\n$/, '').split('\n').length,
    words: words.length,
    characters: [...text].length,
    terms: [...weights]
      .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
      .slice(0, 4)
      .map(([term]) => term),
    extract: extract(sentences, weights, 3),
  };
}
