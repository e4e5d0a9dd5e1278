'use strict';

const { setImmediate } = require('node:timers');

const { startTimer } = require('../time/timers.js');
const { describeError } = require('../workers/handlers.js');
const { RefusalKind } = require('../native/abi.js');
const { toConnectionInfo } = require('./connection-info.js');
const { readPeerCertificate } = require('./peer-certificate.js');

const { NotAuthentic: NOT_AUTHENTIC, Late: LATE, IdInUse: ID_IN_USE } = RefusalKind;

/**
 * The application's part in who may come in: it judges registrations whose token and fields are right, and who has to
 * give way where two workers have one id. Registrations that it judges wait at the native side, and each goes on by
 * itself.
 */
class Door {
  #native;
  #authenticate;
  #timeoutMs;
  #onConflict;
  #limitedLogger;
  #diagnostics;
  /** Registrations that are being judged, or were approved and have not joined yet, by connection. */
  #pending = new Map();

  /**
   * @param options of the server: `authenticate`, `onConflict` and `limits`
   * @param limitedLogger for lines that any peer can cause
   */
  constructor({ native, options: { authenticate, onConflict, limits }, limitedLogger, diagnostics }) {
    this.#native = native;
    this.#authenticate = authenticate;
    this.#timeoutMs = limits.authTimeoutMs;
    this.#onConflict = onConflict;
    this.#limitedLogger = limitedLogger;
    this.#diagnostics = diagnostics;
  }

  /** Whether the application judges each registration. */
  get judges() {
    return this.#authenticate !== undefined;
  }

  /** Has the application judge a registration. If it approves, `take` is called when it is the registration's turn. */
  judge(peer, message) {
    const info = this.#native.connectionInfo(peer);
    // It is gone, and its end about to be reported.
    if (info === null) return;
    const controller = new AbortController();
    const entry = { peer, message, credentials: credentialsOf(info, message), controller, stopTimer: undefined };
    this.#pending.set(peer, entry);
    entry.stopTimer = startTimer(this.#timeoutMs, () => {
      // What came while this thread was busy has its turn first: the answer may be among it.
      setImmediate(() => this.#timeOut(entry));
    });
    this.#ask(entry);
  }

  async #ask(entry) {
    const { peer, credentials, controller } = entry;
    const { workerId } = credentials;
    let decision;
    try {
      decision = readDecision(await this.#authenticate.call(undefined, credentials, controller.signal));
    } catch (thrown) {
      const isPending = this.#end(entry);
      // A hook that was aborted may reject because of that.
      if (isPending || !isAbort(thrown, controller.signal)) {
        this.#limitedLogger.error('Error in authenticate', { workerId, error: describeError(thrown) });
        this.#diagnostics.threw(thrown, 'authenticate');
      }
      if (isPending) this.#native.refuse(peer, NOT_AUTHENTIC);
      return;
    }
    if (decision.ok) {
      this.#approve(entry, decision.context);
    } else if (this.#end(entry)) {
      const { reason } = decision;
      const context = reason === undefined ? { workerId } : { workerId, reason };
      this.#limitedLogger.warn('Worker registration rejected: not authenticated', context);
      this.#native.refuse(peer, NOT_AUTHENTIC);
    }
  }

  #approve(entry, auth) {
    if (this.#pending.get(entry.peer) !== entry) return;
    entry.stopTimer();
    entry.auth = auth;
    entry.isApproved = true;
    this.#native.approve(entry.peer);
  }

  #timeOut(entry) {
    if (entry.isApproved || !this.#end(entry)) return;
    const { peer, controller, credentials } = entry;
    this.#limitedLogger.warn('Worker registration rejected: authentication timed out', {
      workerId: credentials.workerId,
    });
    this.#native.refuse(peer, LATE);
    controller.abort(new DOMException('The registration was not judged in time', 'TimeoutError'));
  }

  /** Nothing that is said of a registration counts from now on. False if that was so already. */
  #end(entry) {
    if (this.#pending.get(entry.peer) !== entry) return false;
    this.#pending.delete(entry.peer);
    entry.stopTimer();
    return true;
  }

  /**
   * It is the turn of a registration that was approved: what came with it, `{ message, credentials, auth }`, if it
   * still counts.
   */
  take(peer) {
    const entry = this.#pending.get(peer);
    this.#pending.delete(peer);
    return entry;
  }

  /** A connection is gone. */
  onClosed(peer) {
    const entry = this.#pending.get(peer);
    if (entry !== undefined && this.#end(entry) && !entry.isApproved) entry.controller.abort();
  }

  /** The server stops. */
  clear() {
    for (const entry of [...this.#pending.values()]) {
      if (this.#end(entry) && !entry.isApproved) entry.controller.abort();
    }
  }

  /**
   * Whether a registration has to give way to the worker that has its id; then it is refused.
   *
   * @param rivalOf returns the record, up to date, of the worker that the registration would displace from another
   *   connection, if that one can be reached
   * @param credentials if the application has judged them
   */
  givesWay(peer, message, rivalOf, credentials) {
    if (this.#onConflict === 'replace') return false;
    const rival = rivalOf();
    if (rival === undefined || message.resume?.sessionId === rival.sessionId) return false;
    if (this.#onConflict !== 'reject' && this.#wants(peer, message, rival, credentials)) return false;
    this.#limitedLogger.warn('Worker registration rejected: id in use', { workerId: message.workerId });
    this.#native.refuse(peer, ID_IN_USE);
    return true;
  }

  /** Whether the application has a worker displaced. */
  #wants(peer, message, rival, credentials) {
    const complain = (thrown) => {
      const context = { workerId: message.workerId, error: describeError(thrown) };
      this.#limitedLogger.error('Error in onConflict', context);
      this.#diagnostics.threw(thrown, 'onConflict', rival.toInfo());
    };
    try {
      const given = credentials ?? credentialsOf(this.#native.connectionInfo(peer), message);
      const answer = this.#onConflict.call(undefined, rival.toInfo(), given);
      // A promise is no answer, and nobody else looks at it.
      if (typeof answer?.then === 'function') answer.then(undefined, complain);
      return answer === true;
    } catch (thrown) {
      complain(thrown);
      return false;
    }
  }
}

/** What the application judges. */
function credentialsOf(info, { workerId, workerName, capabilities, authToken }) {
  const { url, headers, remoteAddress } = toConnectionInfo(info);
  const token = typeof authToken === 'string' ? authToken : bearerTokenOf(info, authToken);
  return {
    workerId,
    workerName: workerName ?? workerId,
    capabilities,
    ...(token !== undefined && { authToken: token }),
    url,
    headers,
    remoteAddress,
    ...(info.peerCertificate && { peerCertificate: readPeerCertificate(info.peerCertificate) }),
  };
}

/** The token of the upgrade counts only where the registration has none. */
function bearerTokenOf({ bearerToken }, authToken) {
  return authToken === undefined || authToken === null ? (bearerToken ?? undefined) : undefined;
}

function readDecision(decision) {
  if (decision === true) return { ok: true };
  if (typeof decision !== 'object' || decision === null) return { ok: false };
  const { ok, reason, context } = decision;
  return { ok: ok === true, reason: typeof reason === 'string' ? reason : undefined, context };
}

/** Whether a hook that was aborted has thrown only because of that. */
function isAbort(thrown, { aborted, reason }) {
  try {
    return aborted && (thrown === reason || thrown?.name === 'AbortError');
  } catch {
    // Anything may be thrown, also what throws when it is looked at.
    return false;
  }
}

module.exports = { Door };
