'use strict';

const { MAX_METRIC_NOTES, METRIC_NOTE_FIELDS, MetricNoteKind, metricLabels } = require('../native/abi.js');
const native = require('../native/addon.js');
const { EventLoopLag } = require('./event-loop-lag.js');

const places = (names) => Object.freeze(Object.fromEntries(names.map((name, place) => [name, place])));

/** The values of labels, by their names: they cross as their places. */
const OUTCOMES = places(metricLabels.outcomes);
const REASONS = places(metricLabels.attemptReasons);
const LIMITS = places(metricLabels.limits);
const DROPS = places(metricLabels.clusterDrops);

/** Models whose labels are remembered. Beyond, all are forgotten and asked for again. */
const MAX_MODELS = 1_024;

/**
 * What a `WorkerServer` counts, from its construction on. The counters are the native side's. What only this side sees
 * is noted in an array, which crosses when it is full or somebody asks: counting takes no call.
 */
class ServerMetrics {
  /** What servers that are started count in. */
  native = new native.NativeMetrics();
  #notes = new Float64Array(MAX_METRIC_NOTES * METRIC_NOTE_FIELDS);
  #count = 0;
  #labels = new Map();
  #lag = new EventLoopLag();

  // ---- Requests ----

  /**
   * A request was sent to a worker.
   *
   * @param {string | undefined} model The one that it asks for.
   * @param {string} reason One of the label `reason`: the first time, or why it was sent again.
   * @param {number} waitedMs Since the call. It counts the first time.
   */
  sent(model, reason, waitedMs) {
    this.#note(MetricNoteKind.Sent, model, REASONS[reason], reason === 'first' ? waitedMs : NaN);
  }

  /** The first chunk of a stream has come, `afterMs` after the call. */
  firstChunk(model, afterMs) {
    this.#note(MetricNoteKind.FirstChunk, model, 0, afterMs);
  }

  /**
   * A request has ended.
   *
   * @param {string} outcome One of the label `outcome`.
   * @param {number} tookMs Since the call; NaN if it was not taken in.
   */
  ended(model, outcome, tookMs) {
    this.#note(MetricNoteKind.Ended, model, OUTCOMES[outcome], tookMs);
  }

  /** A worker has said something about no attempt that it has. */
  staleAnswer() {
    this.#note(MetricNoteKind.Stale, undefined, 0, NaN);
  }

  // ---- What else happens on this side ----

  /** A limit held: `limit` is its name in the option `limits`. */
  limitHit(limit) {
    this.#note(MetricNoteKind.LimitHit, undefined, LIMITS[limit], NaN);
  }

  /**
   * A message of another node was dropped.
   *
   * @param {string} reason One of the label `reason` of `cluster_dropped_total`.
   */
  clusterDropped(reason) {
    this.#note(MetricNoteKind.ClusterDropped, undefined, DROPS[reason], NaN);
  }

  /** A worker of another node of the fleet offers these models: they may be labels, as those of this server's workers. */
  learnModels(modelIds) {
    this.native.learnModels(modelIds);
    this.forgetLabels();
  }

  /** A worker has registered, or offers something else: models may have become labels. */
  forgetLabels() {
    if (this.#labels.size > 0) this.#labels.clear();
  }

  // ---- What is shown ----

  /**
   * @param {RunningServer | null} running
   * @returns {string} Prometheus text
   */
  text(running) {
    this.#cross();
    return running === null ? this.native.text() : running.metricsText(this.#lag.read());
  }

  /** The server is stopped: nothing is measured any more. */
  stop() {
    this.#lag.stop();
  }

  #note(kind, model, which, ms) {
    if (this.#count === MAX_METRIC_NOTES) this.#cross();
    const notes = this.#notes;
    let at = this.#count * METRIC_NOTE_FIELDS;
    notes[at++] = kind;
    notes[at++] = model === undefined ? 0 : this.#labelOf(model);
    notes[at++] = which;
    notes[at] = ms;
    this.#count += 1;
  }

  #labelOf(model) {
    const known = this.#labels.get(model);
    if (known !== undefined) return known;
    if (this.#labels.size >= MAX_MODELS) this.#labels.clear();
    const label = this.native.modelLabel(model);
    this.#labels.set(model, label);
    return label;
  }

  #cross() {
    if (this.#count === 0) return;
    this.native.take(this.#notes, this.#count);
    this.#count = 0;
  }
}

module.exports = { ServerMetrics };
