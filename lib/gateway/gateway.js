'use strict';

const { publishError } = require('../workers/diagnostics.js');
const { describeError } = require('../workers/handlers.js');
const { BodyReader } = require('./body.js');
const {
  GatewayError,
  fromAbort,
  fromPayloadError,
  fromRequestError,
  fromStatus,
  internalError,
} = require('./errors.js');
const { EventStream } = require('./events.js');
const { Exchange } = require('./exchange.js');
const { ApiKeys, bearerOf } = require('./keys.js');
const { hasModel, listModels } = require('./models.js');
const { routeOf } = require('./routes.js');

/** What may stand in a header as it is. */
const PRINTABLE = /^[\x21-\x7e]+$/;

/** Takes the HTTP requests of OpenAI's clients, and has workers answer them. */
class Gateway {
  #server;
  #options;
  #limitedLogger;
  #keys;
  #bodies;

  /** @param options As `readOptions` and `settingsOf` return them. */
  constructor(server, options) {
    this.#server = server;
    this.#options = options;
    this.#limitedLogger = options.limitedLogger;
    this.#keys = new ApiKeys(options.apiKeys ?? []);
    this.#bodies = new BodyReader(options.maxBodyBytes);
  }

  /** False if the request is none of the gateway's; else a promise of true, when it is answered. */
  handle(req, res) {
    const route = routeOf(req.url, this.#options.prefix);
    return route === null ? false : this.#serve(req, res, route);
  }

  async #serve(req, res, route) {
    const exchange = new Exchange(req, res, this.#options);
    try {
      await this.#answer(exchange, route);
    } catch (error) {
      if (!exchange.isGone) exchange.sendError(this.#toAnswer(error));
    } finally {
      exchange.close();
    }
    return true;
  }

  async #answer(exchange, route) {
    const { req } = exchange;
    if (req.method !== route.method) {
      const message = `${route.path} takes ${route.method} only`;
      const headers = { Allow: route.method };
      throw new GatewayError(405, 'invalid_request_error', 'method_not_allowed', message, { headers });
    }
    const fairKey = await this.#authenticate(req);
    switch (route.kind) {
      case 'models':
        exchange.sendJson(200, { object: 'list', data: listModels(this.#server) });
        return;
      case 'model':
        exchange.sendJson(200, this.#model(route.id));
        return;
      case 'work':
        await this.#work(exchange, route, fairKey);
    }
  }

  /**
   * Whose request it is, if keys or `authenticate` say so: a `fairKey`, or undefined.
   *
   * @throws {GatewayError} if the client is not let in
   */
  async #authenticate(req) {
    const { apiKeys, authenticate } = this.#options;
    let fairKey;
    if (apiKeys !== undefined) {
      fairKey = this.#keys.check(bearerOf(req));
      if (fairKey === null) throw unauthorized();
    }
    if (authenticate === undefined) return fairKey;
    let verdict;
    try {
      verdict = await authenticate(req);
    } catch (thrown) {
      publishError(this.#server, thrown, 'authenticate');
      this.#limitedLogger.error('Error in authenticate', this.#describe(thrown, req));
    }
    if (typeof verdict === 'string' && verdict !== '') return verdict;
    if (verdict !== true) throw unauthorized();
    return fairKey;
  }

  #model(id) {
    const found = listModels(this.#server).find((model) => model.id === id);
    if (found === undefined) throw modelNotFound(id);
    return found;
  }

  async #work(exchange, route, fairKey) {
    const body = await this.#bodies.read(exchange.req, exchange.signal);
    const options = await this.#requestOptions(exchange, body, fairKey);
    this.#requireModel(options);
    const payload = { path: route.path, body };
    try {
      if (body.stream === true) await this.#relay(this.#server.stream(payload, options), exchange, route);
      else exchange.sendJson(200, await this.#server.request(payload, options));
    } catch (error) {
      throw this.#endOf(error, exchange);
    }
  }

  /**
   * @returns {Promise<import('../../index.js').RequestOptions>} the defaults, and over them what the application's hook
   * returns
   */
  async #requestOptions(exchange, body, fairKey) {
    const options = { model: body.model, modelMatch: 'exact', requestId: exchange.requestId, fairKey };
    const { requestOptions } = this.#options;
    if (requestOptions !== undefined) {
      try {
        Object.assign(options, await definedOf(requestOptions(exchange.req, body)));
      } catch (thrown) {
        publishError(this.#server, thrown, 'gateway options');
        this.#limitedLogger.error('Error in gateway options', this.#describe(thrown, exchange.req));
        throw fromStatus(thrown) ?? internalError();
      }
    }
    const { requestId, signal } = options;
    if (typeof requestId === 'string' && PRINTABLE.test(requestId)) exchange.requestId = requestId;
    if (signal !== undefined) {
      // What is no signal the server refuses, by its name.
      if (typeof signal?.aborted !== 'boolean') return options;
      exchange.join(signal);
    }
    return { ...options, signal: exchange.signal };
  }

  #requireModel(options) {
    // One that leaves is left by its workers too, and then says so itself.
    if (this.#server.state !== 'running' || typeof options.model !== 'string') return;
    if (!hasModel(this.#server, options)) throw modelNotFound(options.model);
  }

  /** Passes on the chunks of a stream as they come; without any, its result is the answer. */
  async #relay(stream, exchange, route) {
    const events = new EventStream(exchange, route);
    try {
      let count = 0;
      for await (const chunk of stream) {
        count += 1;
        await events.send(chunk);
      }
      if (count === 0) {
        const result = await stream.result;
        if (!events.hasBegun) {
          exchange.sendJson(200, result);
          return;
        }
        // It is too late for another kind of answer.
        await events.send(result);
      }
      events.end();
    } catch (error) {
      if (!events.hasBegun) throw error;
      if (!exchange.isGone) events.fail(this.#toAnswer(this.#endOf(error, exchange)));
    } finally {
      events.close();
    }
  }

  /** What a request ended with, as an answer if there is one for it. */
  #endOf(error, exchange) {
    const answer = fromRequestError(error) ?? fromPayloadError(error);
    if (answer !== null) return answer;
    if (exchange.signal.aborted && error === exchange.signal.reason) return fromAbort(error);
    if (error instanceof TypeError && error.message.startsWith('options')) {
      this.#limitedLogger.error('Error in gateway options', this.#describe(error, exchange.req));
      return internalError();
    }
    return error;
  }

  #toAnswer(error) {
    if (error instanceof GatewayError) return error;
    this.#limitedLogger.error('Error in gateway', { error: describeError(error) });
    return internalError();
  }

  /** What a line says of what the application threw. */
  #describe(thrown, req) {
    return { error: this.#keys.redact(describeError(thrown), bearerOf(req)) };
  }
}

/** The members of what the hook returned that have a value; of nothing none. */
async function definedOf(promise) {
  const given = await promise;
  if (given === undefined || given === null) return {};
  if (typeof given !== 'object') throw new TypeError('What options returns must be an object');
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function unauthorized() {
  const headers = { 'WWW-Authenticate': 'Bearer' };
  return new GatewayError(401, 'invalid_request_error', 'invalid_api_key', 'The API key is missing or wrong', {
    headers,
  });
}

function modelNotFound(id) {
  const message = `The model ${JSON.stringify(id)} is served by no worker`;
  return new GatewayError(404, 'invalid_request_error', 'model_not_found', message);
}

module.exports = { Gateway };
