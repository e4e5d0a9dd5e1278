'use strict';

// Which requests are the page's, and what each gets.

const { act } = require('./actions.js');
const { send, sendError, sendJson } = require('./answers.js');
const { Collector } = require('./collector.js');
const { Guard } = require('./guard.js');
const { loadPage } = require('./page.js');
const { Status } = require('./status.js');
const { Viewers } = require('./viewers.js');

const REFUSALS = {
  401: ['Not let in', { 'WWW-Authenticate': 'Basic realm="worker-server", charset="UTF-8"' }],
  403: ['Only for this machine', {}],
};

class StatusHandler {
  #server;
  #guard;
  #status;
  #viewers;
  #page;
  #routes;

  /**
   * @param options As `readOptions` returns them.
   * @param settings As `settingsOf` returns them.
   */
  constructor(server, { path, authenticate, actions }, { limitedLogger, startedAt }) {
    this.#server = server;
    this.#guard = new Guard(server, limitedLogger, authenticate);
    this.#status = new Status(server, new Collector(server), startedAt);
    this.#page = loadPage();
    this.#viewers = new Viewers(server, this.#status, { actions, page: this.#page.hash });
    this.#routes = new Map([
      [path === '' ? '/' : path, { GET: (_req, res) => this.#sendPage(res) }],
      [path === '' ? '/.json' : `${path}.json`, { GET: (_req, res) => sendJson(res, 200, this.#status.read()) }],
      [`${path}/events`, { GET: (req, res) => this.#viewers.add(req, res) }],
      [`${path}/explain`, { GET: (req, res) => this.#explain(req, res) }],
      [`${path}/actions`, actions ? { POST: (req, res) => act(server, req, res) } : null],
    ]);
  }

  /** False if the request is none of the page's; else a promise of true, when it is answered. */
  handle(req, res) {
    const route = this.#routes.get(targetOf(req.url)[0]);
    return route === undefined ? false : this.#serve(req, res, route);
  }

  async #serve(req, res, route) {
    const status = await this.#guard.judge(req);
    if (status !== 200) {
      sendError(res, status, ...REFUSALS[status]);
      return true;
    }
    if (route === null) {
      sendError(res, 404, 'Actions are off');
      return true;
    }
    const method = req.method === 'HEAD' ? 'GET' : req.method;
    if (Object.hasOwn(route, method)) await route[method](req, res);
    else sendError(res, 405, 'Method not allowed', { Allow: 'GET' in route ? 'GET, HEAD' : 'POST' });
    return true;
  }

  #sendPage(res) {
    const { html, policy } = this.#page;
    send(res, 200, 'text/html; charset=utf-8', html, { 'Content-Security-Policy': policy });
  }

  /** What each worker would do with a request for `?model=…&category=…`. */
  #explain(req, res) {
    const parameters = new URLSearchParams(targetOf(req.url)[1]);
    const demand = {};
    for (const name of ['model', 'category']) {
      const value = parameters.get(name);
      if (value !== null && value !== '') demand[name] = value;
    }
    sendJson(res, 200, this.#server.explain(demand));
  }
}

/** The path and the query of a request target, which may be in absolute form (RFC 9112, section 3.2.2). */
function targetOf(target) {
  const [, path, query] = /^(?:[a-z][a-z\d+.-]*:\/\/[^/?]*)?([^?]*)(?:\?(.*))?$/is.exec(target) ?? [];
  return [path === '' ? '/' : path, query ?? ''];
}

module.exports = { StatusHandler };
