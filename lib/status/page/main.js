'use strict';

// Starts the page: one store, what shows it, and the stream that fills it.

const { Charts } = require('./charts.js');
const { Connection } = require('./connection.js');
const { Details } = require('./details.js');
const { byId, setText } = require('./dom.js');
const { Explain } = require('./explain.js');
const { formatClock } = require('./format.js');
const { Lists } = require('./lists.js');
const { Numbers } = require('./numbers.js');
const { Store } = require('./store.js');
const { Workers } = require('./workers.js');

// Where the page is, behind whatever proxy, its other paths are.
const base = location.pathname.replace(/\/+$/, '');

const store = new Store();
const details = new Details(store, `${base}/actions`);
const views = [
  new Numbers(store),
  new Charts(store),
  new Lists(store),
  new Workers(store, (id) => details.open(id)),
  details,
];
new Explain(store, `${base}/explain`);

let page;
let frame = 0;

function render() {
  frame = 0;
  for (const view of views) view.render();
}

function onMessage(message) {
  store.apply(message);
  page ??= store.page;
  // The server is another version, of which this page may understand nothing.
  if (store.page !== page) location.reload();
  else if (frame === 0) frame = requestAnimationFrame(render);
}

function onState(state) {
  const said = {
    connecting: 'Connecting …',
    live: 'Live',
    lost: page === undefined ? 'No connection' : `No connection. As of ${formatClock(store.now())}`,
    paused: 'Paused',
  }[state];
  if (document.body.dataset.connection === state) return;
  document.body.dataset.connection = state;
  setText(byId('connection'), said);
}

new Connection(`${base}/events`, onMessage, onState);
