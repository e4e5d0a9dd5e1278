'use strict';

// A worker's connection to its server, kept up for as long as the worker runs: connecting, registering, what becomes of
// each loss, and the end. It lives in a thread of its own, or on the program's thread, and speaks with the program by
// messages alone.
//
// To the program: state, request, abort, message, asked (a question), updated, flow, log, ended.
// From it: answer, send, chunk, progress, returned, update, drain, close.

const { Attempts } = require('./attempts.js');
const { backoffDelayMs } = require('./backoff.js');
const { CLOSE, judgeClose } = require('./close-verdict.js');
const { Draining } = require('./draining.js');
const { CHUNK_OVERHEAD_BYTES, Flow } = require('./flow.js');
const { openSocket } = require('./open-socket.js');
const { Questions } = require('./questions.js');
const { Redactor } = require('./redactor.js');
const { ServerMessages } = require('./server-messages.js');
const { Session } = require('./session.js');
const { pause } = require('../../time/timers.js');
const { Updates } = require('./updates.js');

/** How many tokens in a row may be refused before a further one is not tried. */
const MAX_FURTHER_TOKENS = 2;

class Connection {
  #config;
  #post;
  #attempts;
  #updates;
  #questions;
  #flow;
  #draining;
  #messages;
  #redactor;
  #session = null;
  /** Where the session that could be resumed was. */
  #resumableSessionId = '';
  /** Aborts when the worker leaves: ends whatever is waited for. */
  #leave = new AbortController();
  #warned = false;
  /** Tries in a row that didn't end in a registration. */
  #failures = 0;
  /** Waits in a row since the last registration. */
  #waits = 0;
  /** `{ token, error }`: the token that was refused last, and what to reject with if there is no other. */
  #refused = null;
  #refusals = 0;

  /**
   * @param config plain data: see `connectionConfig` in worker.js. `shared` is an Int32Array whose only member counts
   *   the registrations, negative while there is none.
   * @param post sends a message to the program
   */
  constructor(config, post) {
    this.#config = config;
    this.#post = post;
    this.#redactor = new Redactor(config.secrets);
    this.#flow = new Flow(post, () => this.#session?.waitingBytes ?? 0);
    this.#updates = new Updates(config.capabilities, this.#log, (id, error) =>
      post({ type: 'updated', id, error: this.#redactor.redact(error) }),
    );
    this.#questions = new Questions(config, post, this.#redactor);
    this.#attempts = new Attempts({
      post,
      limit: () => this.#updates.maxConcurrentRequests,
      onChange: () => this.#draining.check(),
      running: config.running,
    });
    this.#draining = new Draining({
      timeoutMs: config.drainTimeoutMs,
      attempts: this.#attempts,
      session: () => this.#session,
      abort: () => this.#attempts.abortAll('DRAIN_TIMEOUT', 'The worker is shutting down'),
      leave: () => this.#close(),
    });
    this.#messages = new ServerMessages({
      attempts: this.#attempts,
      updates: this.#updates,
      draining: this.#draining,
      post,
      log: this.#log,
    });
  }

  /** Runs until the worker has left, then says `ended`. */
  async run() {
    let error;
    try {
      error = await this.#stayConnected();
    } catch (thrown) {
      error = thrown;
    }
    this.#draining.stop();
    this.#attempts.close();
    this.#updates.disconnected();
    this.#post({ type: 'ended', error: error && this.#plainError(error) });
  }

  receive(message) {
    switch (message.type) {
      case 'answer':
        return this.#questions.answer(message);
      case 'send':
        return this.#send(message);
      case 'chunk':
        this.#flow.took(message.bytes + CHUNK_OVERHEAD_BYTES);
        return this.#attempts.chunk(message.ticket, message.data, message.bytes);
      case 'progress':
        return this.#attempts.progress(message.ticket, message.data);
      case 'returned':
        return this.#attempts.returned(message.ticket, message.end, message.data);
      case 'update':
        return this.#updates.ask(message);
      case 'drain':
        return this.#draining.start(message.reason);
      case 'close':
        return this.#close();
      default:
        return undefined;
    }
  }

  /** Resolves with the error that trying again can't help, or with nothing. */
  async #stayConnected() {
    while (!this.#leave.signal.aborted) {
      const end = await this.#connect();
      if (this.#leave.signal.aborted) return undefined;
      const next = this.#judge(end);
      if ('over' in next) return next.over;
      this.#draining.check();
      const { delayMs, error } = next;
      this.#post({
        type: 'state',
        state: 'connecting',
        attempt: this.#waits + 1,
        delayMs,
        error: this.#plainError(error),
      });
      if (delayMs > 0) await pause(delayMs, this.#leave.signal);
    }
    return undefined;
  }

  /** One connection, from the first question to the end of its socket. */
  async #connect() {
    let token;
    try {
      const wanted = { capabilities: !this.#updates.replaced, insist: this.#refused !== null };
      const facts = await this.#questions.ask(this.#leave.signal, wanted);
      token = facts.token;
      if (this.#refused !== null && token === this.#refused.token) return { over: this.#refused.error };
      this.#updates.asked(facts.capabilities);
      let session;
      await openSocket(this.#config, token, this.#leave.signal, (ws) => {
        session = this.#register(ws, token);
      });
      const end = await session.ended;
      // The frame that a server means by this is the largest one. Sent once more, it would end the next connection too.
      if (end.code === CLOSE.MESSAGE_TOO_BIG) this.#attempts.tooBig(end.largest);
      return { ...end, token, drawnDelayMs: session.drawnDelayMs };
    } catch (error) {
      return { registered: false, code: 1006, reason: '', error, token };
    } finally {
      this.#disconnected();
    }
  }

  #register(ws, token) {
    const { workerId, workerName } = this.#config;
    const sessionId = this.#resumableSessionId;
    const resume = sessionId === '' ? undefined : { sessionId, requests: this.#attempts.claims() };
    const capabilities = this.#updates.startRegistration();
    const session = new Session(
      ws,
      { workerId, workerName, capabilities, token, resume },
      {
        registered: (ack) => this.#registered(session, ack),
        message: (message, text) => this.#messages.receive(session, message, text),
        flushed: () => this.#flow.changed(),
        active: () => this.#attempts.active(),
        malformed: (what, context) => this.#messages.malformed(what, context),
      },
    );
    this.#session = session;
    return session;
  }

  #registered(session, ack) {
    this.#failures = 0;
    this.#waits = 0;
    this.#refused = null;
    this.#refusals = 0;
    const { request, resume } = session.features;
    this.#resumableSessionId = resume ? session.id : '';
    const { shared } = this.#config;
    Atomics.store(shared, 0, Math.abs(Atomics.load(shared, 0)) + 1);
    this.#log('debug', 'Worker registered', { workerId: this.#config.workerId, url: this.#config.urlForLogs });
    if (!request && !this.#warned) {
      this.#warned = true;
      this.#log('warn', 'The server sends no requests to handlers: it does not offer the feature "request"', {});
    }
    this.#post({ type: 'state', state: 'connected' });
    // Before what is resumed, so that a draining worker gets nothing new while it catches up.
    this.#draining.registered();
    this.#attempts.connected(session, { resumable: resume, resumed: ack.resumed });
    this.#flow.changed();
    this.#updates.registered(session);
    this.#draining.check();
  }

  #disconnected() {
    this.#session = null;
    const { shared } = this.#config;
    if (Atomics.load(shared, 0) > 0) Atomics.store(shared, 0, -Atomics.load(shared, 0));
    this.#attempts.disconnected();
    this.#updates.disconnected();
    this.#flow.changed();
  }

  /** What becomes of a worker whose connection has ended: `{ over: error | undefined }`, or when to try again. */
  #judge(end) {
    if ('over' in end) return end;
    const { kind, code, reason } = judgeClose(end.code, end.reason, end.refusal);
    if (kind === 'let-go') return { over: undefined };
    const rejection = {
      rejected: true,
      code,
      reason,
      message: `The server rejected this worker: ${code} ${end.refusal ?? reason}`,
    };
    if (kind === 'rejected') return { over: rejection };
    if (kind === 'token-refused') {
      this.#refusals += 1;
      if (!this.#config.asksToken || this.#refusals > MAX_FURTHER_TOKENS) return { over: rejection };
      this.#refused = { token: end.token, error: rejection };
    }
    return this.#tryAgain(end, kind === 'token-refused' ? rejection : lossOf(end, code, reason));
  }

  #tryAgain({ registered, drawnDelayMs, error: cause }, error) {
    if (!registered) this.#failures += 1;
    const { maxAttempts } = this.#config.reconnect;
    if (registered ? maxAttempts === 0 : this.#failures >= maxAttempts) return { over: error };
    this.#waits += 1;
    let delayMs = backoffDelayMs(this.#waits, this.#config.reconnect);
    if (drawnDelayMs !== undefined) delayMs = drawnDelayMs;
    else if (error.rejected) delayMs = 0;
    else if (cause?.retryAfterMs !== undefined) delayMs += cause.retryAfterMs;
    this.#log('warn', registered ? 'Worker connection lost' : 'Worker could not connect', {
      error: error.message,
      delayMs,
    });
    return { delayMs, error };
  }

  #send({ text, registration }) {
    // What was meant for an earlier connection is not kept for this one.
    if (this.#session?.registered && registration === Atomics.load(this.#config.shared, 0)) this.#session.push(text);
  }

  #close() {
    if (this.#leave.signal.aborted) return;
    const session = this.#session;
    if (session === null) this.#leave.abort(new Error('The worker is closing'));
    else {
      // The loop waits for the socket's end, and sees then that the worker has left.
      this.#leave.abort();
      session.close();
    }
  }

  #log = (level, message, context) => {
    this.#post({ type: 'log', level, message, context: this.#redactor.redactAll(context) });
  };

  /** An error as data that crosses threads. */
  #plainError({ rejected, name, message, code, reason, statusCode }) {
    const plain = { rejected, name, message: this.#redactor.redact(message), code, statusCode };
    if (rejected) plain.reason = this.#redactor.redact(reason);
    return plain;
  }
}

/** What to say of a connection that was lost, or never came about. */
function lossOf({ error, refusal }, code, reason) {
  if (error !== undefined) return error;
  if (refusal !== undefined) return new Error(`The server refused the registration: ${refusal}`);
  const closed = reason === '' ? `${code}` : `${code} ${reason}`;
  return Object.assign(
    new Error(code === 1006 ? 'The connection was lost' : `The server closed the connection: ${closed}`),
    { code },
  );
}

module.exports = { Connection };
