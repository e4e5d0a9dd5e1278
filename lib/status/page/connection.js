'use strict';

// The stream of the server's changes, which is opened again whenever it was lost.

/** The server says something each second: after such a silence the connection is dead, whatever the browser thinks. */
const SILENCE_MS = 6_000;
/** How long is waited where the browser gives up: the server refused, or something before it did. */
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 10_000;
/** A page that nobody sees asks for nothing after a while. */
const HIDDEN_MS = 60_000;

class Connection {
  #url;
  #onMessage;
  #onState;
  #source = null;
  #retryMs = FIRST_RETRY_MS;
  #retryTimer;
  #silenceTimer;
  #hiddenTimer;

  /**
   * @param {(message: object) => void} onMessage
   * @param {(state: 'connecting' | 'live' | 'lost' | 'paused') => void} onState
   */
  constructor(url, onMessage, onState) {
    this.#url = url;
    this.#onMessage = onMessage;
    this.#onState = onState;
    document.addEventListener('visibilitychange', () => this.#onVisibility());
    // Without it the browser keeps the stream of a page that one has left.
    window.addEventListener('pagehide', () => this.#close());
    window.addEventListener('pageshow', () => this.#open());
    this.#open();
  }

  #open() {
    if (this.#source !== null) return;
    clearTimeout(this.#retryTimer);
    const source = new EventSource(this.#url);
    this.#source = source;
    source.onmessage = ({ data }) => {
      this.#retryMs = FIRST_RETRY_MS;
      this.#watchSilence();
      this.#onMessage(JSON.parse(data));
      this.#onState('live');
    };
    source.onerror = () => {
      this.#onState('lost');
      // Else the browser tries again by itself.
      if (source.readyState === EventSource.CLOSED) this.#retry();
    };
    this.#watchSilence();
  }

  #close() {
    this.#source?.close();
    this.#source = null;
    clearTimeout(this.#silenceTimer);
    clearTimeout(this.#retryTimer);
  }

  #retry() {
    this.#close();
    this.#retryTimer = setTimeout(() => this.#open(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, MAX_RETRY_MS);
  }

  #watchSilence() {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => {
      this.#onState('lost');
      this.#retry();
    }, SILENCE_MS);
  }

  #onVisibility() {
    clearTimeout(this.#hiddenTimer);
    if (document.hidden) {
      this.#hiddenTimer = setTimeout(() => {
        this.#close();
        this.#onState('paused');
      }, HIDDEN_MS);
    } else if (this.#source === null) {
      this.#onState('connecting');
      this.#open();
    }
  }
}

module.exports = { Connection };
