'use strict';

// What the example workers can do without a model: the sentences of a text that say most of it.

const SENTENCES = 2;
const SHORTEST_WORD = 4;

const wordsOf = (text) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];

/** The sentences whose words are the most frequent ones of the text, in their order. */
function summaryOf(text) {
  const sentences = (text.match(/[^.!?\n]+[.!?]*/g) ?? []).map((sentence) => sentence.trim()).filter(Boolean);
  const counts = new Map();
  for (const word of wordsOf(text)) {
    if (word.length >= SHORTEST_WORD) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const score = (sentence) => {
    const words = wordsOf(sentence);
    return words.reduce((sum, word) => sum + (counts.get(word) ?? 0), 0) / Math.sqrt(words.length || 1);
  };
  const best = sentences
    .map((sentence, place) => ({ sentence, place, score: score(sentence) }))
    .sort((a, b) => b.score - a.score || a.place - b.place)
    .slice(0, SENTENCES);
  return best
    .sort((a, b) => a.place - b.place)
    .map(({ sentence }) => sentence)
    .join(' ');
}

module.exports = { summaryOf };
