'use strict';

// What the example workers can do without a model: the sentences of a text that say most of it.
// examples/summary_worker.py does the same in Python.

const SENTENCES = 2;
const SHORTEST_WORD = 4;

const wordsOf = (text) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];

/** Where a sentence ends there is white space, or the line's end: `1.0.12` is no end. */
const sentencesOf = (text) => text.match(/[^\s.!?].*?(?:[.!?]+(?=\s|$)|$)/gm) ?? [];

/** The sentences whose words are the most frequent ones of the text, in their order. */
function summaryOf(text) {
  const counts = new Map();
  for (const word of wordsOf(text)) {
    if (word.length >= SHORTEST_WORD) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const score = (sentence) => {
    const words = wordsOf(sentence);
    return words.reduce((sum, word) => sum + (counts.get(word) ?? 0), 0) / Math.sqrt(words.length || 1);
  };
  const best = sentencesOf(text)
    .map((sentence, place) => ({ sentence: sentence.trim(), place, score: score(sentence) }))
    .sort((a, b) => b.score - a.score || a.place - b.place)
    .slice(0, SENTENCES);
  return best
    .sort((a, b) => a.place - b.place)
    .map(({ sentence }) => sentence)
    .join(' ');
}

/** What a worker streams, one by one: the words, each with the white space behind it. */
const tokensOf = (text) => text.match(/\S+\s*/g) ?? [];

module.exports = { summaryOf, tokensOf };
