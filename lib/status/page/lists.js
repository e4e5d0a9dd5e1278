'use strict';

// What waits, what was lost, which requests are old, and the nodes of a cluster.

const { byId, element, fillList, isolated, setAttribute, setHidden, setText } = require('./dom.js');
const { formatAge, formatCount, formatDuration, formatNumber, formatTime } = require('./format.js');
const { VirtualTable } = require('./virtual-table.js');

const MOST_MODELS = 8;

/** What close codes mean that come without a reason (RFC 6455, section 7.4.1). */
const MEANINGS = {
  1000: 'left',
  1001: 'going away',
  1002: 'protocol error',
  1003: 'unsupported data',
  1005: 'left without a code',
  1006: 'connection lost',
  1007: 'invalid text',
  1008: 'policy',
  1009: 'message too large',
  1011: 'internal error',
  1012: 'restarting',
  1013: 'try again later',
};

class Lists {
  #store;
  #requests;

  constructor(store) {
    this.#store = store;
    this.#requests = new VirtualTable(byId('requests'), {
      key: 'requestId',
      columns: [
        { name: 'Age', className: 'age' },
        { name: 'Model', className: 'model' },
        { name: 'Worker', className: 'where' },
        { name: 'Id', className: 'request' },
      ],
      createRow: () => createRequest(),
      updateRow: (row, request) => this.#updateRequest(row, request),
    });
  }

  render() {
    this.#renderWaiting();
    this.#renderLosses();
    this.#renderNodes();
    this.#requests.setRows([...this.#store.requests.values()], 'No request is under way.');
  }

  #renderWaiting() {
    const models = Object.entries(this.#store.queue.byModel).sort(([, a], [, b]) => b - a);
    const rows = models.slice(0, MOST_MODELS).map(([model, count]) => ({ model, count, isModel: true }));
    const rest = models.slice(MOST_MODELS).reduce((sum, [, count]) => sum + count, 0);
    if (rest > 0) rows.push({ model: `${formatNumber(models.length - MOST_MODELS)} more`, count: rest });
    const most = Math.max(1, ...rows.map(({ count }) => count));
    fillList(byId('waiting'), rows.length === 0 ? [null] : rows, createWaiting, (item, row) => {
      setAttribute(item, 'class', row === null ? 'quiet' : '');
      if (row === null) {
        setText(item.children[0], 'Nothing waits for a free slot.');
        setText(item.children[1], '');
        item.children[2].style.width = '0';
        return;
      }
      setText(item.children[0], row.isModel && row.model === '*' ? 'any model' : row.model);
      setText(item.children[1], formatNumber(row.count));
      item.children[2].style.width = `${(100 * row.count) / most}%`;
    });
  }

  #renderLosses() {
    const { losses } = this.#store;
    fillList(byId('losses'), losses.length === 0 ? [null] : losses, createLoss, (item, loss) => {
      setAttribute(item, 'class', loss === null ? 'quiet' : '');
      const [name, requests, reason, when] = item.children;
      if (loss === null) {
        setText(name, 'None was lost.');
        for (const part of [requests, reason, when]) setText(part, '');
        return;
      }
      const at = Date.parse(loss.at);
      setText(name, loss.workerName);
      setAttribute(name, 'title', loss.workerId);
      setText(requests, loss.requests === 0 ? '' : `with ${formatCount(loss.requests, 'request')}`);
      setText(reason, `${loss.code} ${loss.reason || (MEANINGS[loss.code] ?? '')}`);
      setText(when, `${formatAge(this.#store.now() - at)} ago`);
      setAttribute(when, 'title', formatTime(at));
    });
  }

  #updateRequest(row, { requestId, model, workerId, attempt, startedAt, state }) {
    const [age, modelCell, where, request] = row.children;
    setText(age, formatDuration(this.#store.now() - startedAt));
    setText(modelCell.firstChild, model ?? 'any model');
    const worker = state === 'waiting' ? 'waits' : (this.#store.workers.get(workerId)?.name ?? workerId);
    setText(where.firstChild, worker);
    setText(where.lastChild, attempt > 1 ? ` attempt ${attempt}` : '');
    setAttribute(where, 'data-state', state);
    setText(request.firstChild, requestId);
  }

  #renderNodes() {
    const { nodes } = this.#store;
    setHidden(byId('nodes'), nodes === null);
    fillList(byId('nodes-list'), nodes ?? [], createNode, (item, node) => {
      setText(item.children[0], node.nodeId);
      setText(item.children[1], node.self ? 'this one' : `${formatAge(node.lastSeenMs)} ago`);
      const workers = formatCount(node.workers, 'worker');
      const slots = `${formatNumber(node.busy)} of ${formatNumber(node.slots)} busy`;
      setText(item.children[2], `${workers}, ${slots}, ${formatNumber(node.waiting)} waiting`);
    });
  }
}

const createWaiting = () =>
  element(
    'li',
    {},
    isolated(''),
    element('span', { class: 'count' }),
    element('span', { class: 'share', 'aria-hidden': 'true' }),
  );

const createLoss = () =>
  element(
    'li',
    {},
    isolated('', 'name'),
    element('strong'),
    isolated('', 'reason'),
    element('span', { class: 'when' }),
  );

const createNode = () =>
  element('li', {}, isolated('', 'name'), element('span', { class: 'when' }), element('span', { class: 'does' }));

function createRequest() {
  const cell = (className, ...children) => element('td', { role: 'cell', class: className }, ...children);
  return element(
    'tr',
    { role: 'row' },
    cell('age'),
    cell('model', isolated('')),
    cell('where', isolated(''), element('span')),
    cell('request', isolated('')),
  );
}

module.exports = { Lists };
