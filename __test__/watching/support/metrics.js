'use strict';

// Reads Prometheus text.

/** The samples of a text, by their series: `name{label="value"}` as it stands there, without the package's prefix. */
function samplesOf(text) {
  const samples = new Map();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const at = line.lastIndexOf(' ');
    samples.set(line.slice(0, at).replace(/^worker_server_/, ''), Number(line.slice(at + 1)));
  }
  return samples;
}

/** The value of a series of a server's metrics; undefined if there is none. */
const valueOf = (server, series) => samplesOf(server.metrics()).get(series);

/** The samples of one metric that are not 0, as `{ labels: value }`. */
function nonzero(server, name) {
  const found = {};
  for (const [series, value] of samplesOf(server.metrics())) {
    const [, metric, labels = ''] = /^(\w+)(?:\{(.*)\})?$/s.exec(series);
    if (metric === name && value !== 0) found[labels] = value;
  }
  return found;
}

module.exports = { nonzero, samplesOf, valueOf };
