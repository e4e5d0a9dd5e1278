'use strict';

const { now } = require('../time/clock.js');
const { RequestField } = require('../native/abi.js');
const { MEMORY_IS_SHARED } = require('../native/shared-memory.js');
const { FORGOTTEN, TAKEN, WAITS } = require('../requests/outcomes.js');

const { Ticket: TICKET, Arrival: ARRIVAL, Position: POSITION, LimitPlace: LIMIT_PLACE } = RequestField;
/** Demands whose numbers are remembered. Beyond, all are forgotten and asked for again. */
const MAX_DEMANDS = 1_024;

/** The native queue of requests and the slots of workers, for `lib/requests/`. */
class RequestSlots {
  #native;
  #findRecord;
  #fields;
  #failsWithoutWorker;
  #fleet = null;
  /** Whether there may be workers that take nothing but plain objects. */
  #tellsObjects;
  /** The native numbers of demands, by the demand's text; of those for a model and nothing else, by the model. */
  #demands = new Map();
  #byModel = new Map();

  /**
   * @param findRecord returns the record of the worker whose row the native side has written last
   */
  constructor(native, findRecord, { failsWithoutWorker, tellsObjects }) {
    this.#native = native;
    this.#findRecord = findRecord;
    this.#failsWithoutWorker = failsWithoutWorker;
    this.#tellsObjects = tellsObjects;
    const fields = native.requestFields();
    this.#fields = MEMORY_IS_SHARED
      ? () => fields
      : () => {
          native.copyRequestFields(fields);
          return fields;
        };
  }

  /** From now on the workers of other nodes count as well. */
  joinFleet(fleet) {
    this.#fleet = fleet;
  }

  /**
   * Asks for a slot for a request, and notes on it what it got.
   *
   * @param mayWait If not, it neither waits nor fails where there is no worker for it.
   */
  submit(request, mayWait = true) {
    const { options } = request;
    // What is left of its time decides whether it may wait; when it counts one class higher, all of it does.
    const queueMs = mayWait && request.queueLeftMs > 0 ? options.queueTimeoutMs : 0;
    for (;;) {
      const demand = this.#demandOf(request);
      const more = this.#more(request, mayWait);
      const outcome = this.#native.submit(demand, options.priority, request.payloadBytes, queueMs, more);
      if (outcome === FORGOTTEN) {
        this.#forgetDemands();
        continue;
      }
      if (outcome === TAKEN) this.give(request);
      else if (outcome === WAITS) this.#enter(request);
      return outcome;
    }
  }

  /** What a request says beyond the ordinary; `null` if that is nothing. */
  #more(request, mayWait) {
    const { fairKey, affinity, queueTimeoutMs } = request.options;
    const { triedOn, rejectedBy, lastRecord, arrival } = request;
    const isPlain = fairKey === undefined && affinity === undefined && arrival === undefined && rejectedBy === null;
    const failsWithoutWorker = mayWait && this.#failsWithoutWorker && this.#fleet?.couldMeet(request) !== true;
    if (isPlain && !failsWithoutWorker) return null;
    const avoid = [];
    if (triedOn !== null) for (const workerId of triedOn.keys()) avoid.push({ workerId, untilMs: 0 });
    if (rejectedBy !== null) {
      const time = now();
      for (const [workerId, { until }] of rejectedBy) avoid.push({ workerId, untilMs: Math.max(0, until - time) });
    }
    // Who had it last stands last.
    const isLast = ({ workerId }) => workerId === lastRecord?.id;
    avoid.sort((one, other) => isLast(one) - isLast(other));
    return {
      fairKey,
      affinity,
      avoid: avoid.length > 0 ? avoid : undefined,
      queuedMs: queueTimeoutMs === Infinity ? undefined : Math.max(0, queueTimeoutMs - request.queueLeftMs),
      comesBack: arrival,
      failsWithoutWorker,
    };
  }

  #enter(request) {
    const fields = this.#fields();
    // A small whole number: see below.
    request.ticket = fields[TICKET] | 0;
    request.arrival = fields[ARRIVAL];
  }

  /** The place in the queue of the request that began to wait last. */
  get position() {
    return this.#fields()[POSITION];
  }

  /** The native side has just given a slot to a request: whose it is. */
  give(request) {
    const fields = this.#fields();
    request.arrival = fields[ARRIVAL];
    // A small whole number: the double would be an object of its own.
    request.limitPlace = fields[LIMIT_PLACE] | 0;
    // Its counts are brought up to date by what the request does there, and not from the row, which has it already.
    request.record = this.#findRecord();
  }

  /** Assigns one free slot to a request that waits, and returns its ticket; `null` if there is none. */
  dispatchNext() {
    return this.#native.dispatch() ? this.#fields()[TICKET] | 0 : null;
  }

  /**
   * The worker of the slot could not be sent to: the slot is free again, and the worker full until its outbox has room.
   */
  giveBack(request) {
    this.#native.giveBack(request.record.key, request.limitPlace, request.arrival);
    request.record = null;
  }

  withdraw(request) {
    this.withdrawTicket(request.ticket);
  }

  withdrawTicket(ticket) {
    this.#native.withdraw(ticket);
  }

  // ---- Requests that wait at other nodes ----

  /** Asks for a slot for requests that wait elsewhere. `place`: where they stand among those that wait here. */
  submitWant({ key, priority }, place) {
    for (;;) {
      const outcome = this.#native.submitWant(this.#intern(key), priority, place);
      if (outcome !== FORGOTTEN) return outcome;
      this.#forgetDemands();
    }
  }

  /** The number in the queue of what began to wait last. */
  lastTicket() {
    return this.#fields()[TICKET] | 0;
  }

  /** The slot that the native side has just given away. */
  granted() {
    const fields = this.#fields();
    return { record: this.#findRecord(), limitPlace: fields[LIMIT_PLACE] | 0, arrival: fields[ARRIVAL] };
  }

  /** A request gets a slot that was kept. */
  giveKept(request, { record, limitPlace, arrival }) {
    request.record = record;
    request.limitPlace = limitPlace;
    request.arrival = arrival;
  }

  nextWakeMs() {
    return this.#native.nextWakeMs();
  }

  hasWorkerFor(request) {
    return !this.#ask(
      () => this.#demandOf(request),
      (demand) => this.#native.hasNoWorker(demand),
    );
  }

  explainRequest(request) {
    return this.#ask(
      () => this.#demandOf(request),
      (demand) => this.#native.explain(demand),
    ).text;
  }

  /** @param options Those of a request that say what it asks of a worker */
  explain(options) {
    return this.explainDemand(demandText(options.model, options, true));
  }

  /** @param demandAsText What is asked of a worker */
  explainDemand(demandAsText) {
    const { text, ids, reasons } = this.#ask(
      () => this.#intern(demandAsText),
      (demand) => this.#native.explain(demand),
    );
    return { text, workers: ids.map((id, at) => ({ id, takes: reasons[at] === 'free', reason: reasons[at] })) };
  }

  retryAfterMs() {
    return this.#native.retryAfterMs();
  }

  info() {
    const { size, bytes, oldestMs, models, counts } = this.#native.queueInfo();
    const byModel = Object.create(null);
    models.forEach((model, at) => {
      byModel[model] = counts[at];
    });
    return { size, bytes, oldestMs, byModel };
  }

  // ---- Demands ----

  /**
   * What the native side answers about a demand. It forgets demands that nobody waits with, and then answers `null`.
   */
  #ask(getDemand, ask) {
    for (;;) {
      const answer = ask(getDemand());
      if (answer !== null) return answer;
      this.#forgetDemands();
    }
  }

  #demandOf(request) {
    const { options, model } = request;
    const isObject = !this.#tellsObjects || request.isObject;
    if (!asksForModelAlone(options) || !isObject) return this.#intern(demandText(model, options, isObject));
    const known = this.#byModel.get(model);
    if (known !== undefined) return known;
    const demand = this.#intern(demandText(model, options, true));
    this.#byModel.set(model, demand);
    return demand;
  }

  /** What a request asks of a worker, as text. */
  demandTextOf({ model, options, isObject }) {
    return demandText(model, options, !this.#tellsObjects || isObject);
  }

  #intern(text) {
    const known = this.#demands.get(text);
    if (known !== undefined) return known;
    if (this.#demands.size >= MAX_DEMANDS) this.#forgetDemands();
    const demand = this.#native.intern(text);
    this.#demands.set(text, demand);
    return demand;
  }

  #forgetDemands() {
    this.#demands.clear();
    this.#byModel.clear();
  }
}

const asksForModelAlone = ({ isDefaultMatch, category, workerId, where }) =>
  isDefaultMatch && category === undefined && workerId === undefined && where === undefined;

/** What a request asks of a worker, as the native side reads it. */
function demandText(model, { modelMatch, category, workerId, where }, isObject) {
  const members = [`"exact":${modelMatch === 'exact'}`, `"objects":${isObject}`];
  if (model !== undefined) members.push(`"model":${JSON.stringify(model)}`);
  if (category !== undefined) members.push(`"category":${JSON.stringify(category)}`);
  if (workerId !== undefined) members.push(`"workerId":${JSON.stringify(workerId)}`);
  if (where !== undefined) members.push(`"where":${where}`);
  return `{${members.join(',')}}`;
}

module.exports = { RequestSlots, demandText };
