'use strict';

// What is to be seen while the demo runs: live bars on a terminal, else a line for each thing that happens.

const { printable } = require('../printable.js');

const FRAME_MS = 100;
const BAR_WIDTH = 20;
const RED = '\u001b[31m';
const GREEN = '\u001b[32m';
const PLAIN = '\u001b[39m';
const CLEAR_LINE = '\u001b[2K';

/**
 * @typedef {object} Display
 * @property {(job: object) => void} changed a job was sent, has another token, or is done
 * @property {(worker: string, jobs: object[]) => void} killed
 * @property {(worker: string) => void} connected
 * @property {(line: string) => void} note something else to show
 * @property {() => void} end
 */

/**
 * @param {object} show what is shown
 * @param {object[]} show.members the fleet's
 * @param {() => object[]} show.jobs
 * @param {NodeJS.WriteStream} out
 * @param {boolean} live false: plain lines, on a terminal too
 * @returns {Display}
 */
function createDisplay({ members, jobs }, out, live) {
  const isTerminal = out.isTTY === true && process.env.TERM !== 'dumb';
  return live && isTerminal ? new Bars(members, jobs, out) : new Lines(out);
}

/** A line for each job that is done. */
class Lines {
  #out;

  constructor(out) {
    this.#out = out;
  }

  changed(job) {
    if (!job.done) return;
    const name = printable(job.name);
    if (job.error !== undefined) this.note(`${name}: no summary: ${printable(job.error)}`);
    else this.note(`${name}: ${count(job.tokens, 'token')} from ${job.workers.at(-1)}${again(job)}`);
  }

  killed(worker, jobs) {
    this.note(`${killedLine(worker, jobs)}`);
  }

  connected() {}

  note(line) {
    this.#out.write(`${line}\n`);
  }

  end() {}
}

/** A bar for each worker, with what it is streaming, and one for all, drawn anew ten times a second. */
class Bars {
  #members;
  #jobs;
  #out;
  #timer;
  #drawn = 0;
  #killed = new Map();
  #notes = [];
  #startedAt = performance.now();
  #hasColours;

  constructor(members, jobs, out) {
    this.#members = members;
    this.#jobs = jobs;
    this.#out = out;
    this.#hasColours = out.hasColors();
    this.#timer = setInterval(() => this.#draw(), FRAME_MS);
    this.#timer.unref();
    this.#draw();
  }

  changed() {}

  killed(worker, jobs) {
    this.#killed.set(worker, jobs.length);
    this.#draw();
  }

  connected(worker) {
    this.#killed.delete(worker);
  }

  /** Lines go above the bars. */
  note(line) {
    this.#notes.push(line);
    this.#draw();
  }

  end() {
    clearInterval(this.#timer);
    this.#draw();
  }

  /** In one piece, so that no half of a frame is to be seen. */
  #draw() {
    const width = Math.max(40, this.#out.columns ?? 80) - 1;
    const bars = [...this.#members.map((member) => this.#workerLine(member, width)), this.#totalLine(width)];
    const up = this.#drawn > 0 ? `\u001b[${this.#drawn}A` : '';
    const lines = [...this.#notes.map((text) => ({ text })), ...bars];
    this.#out.write(`${up}${lines.map((line) => `${CLEAR_LINE}${this.#coloured(line)}\n`).join('')}`);
    this.#drawn = bars.length;
    this.#notes = [];
  }

  #coloured({ text, colour }) {
    return colour !== undefined && this.#hasColours ? `${colour}${text}${PLAIN}` : text;
  }

  #workerLine({ name, language }, width) {
    const head = ` ${name.padEnd(5)} ${language.padEnd(10)} `;
    if (this.#killed.has(name)) {
      const moved = count(this.#killed.get(name), 'request');
      return { text: `${head}${'✗'.repeat(BAR_WIDTH)} killed, ${moved} moved to others`.slice(0, width), colour: RED };
    }
    const running = this.#jobs().filter((job) => !job.done && job.workers.at(-1) === name);
    const tokens = running.reduce((sum, job) => sum + job.tokens, 0);
    const total = running.reduce((sum, job) => sum + (job.total ?? 0), 0);
    const names = running.map((job) => printable(job.name)).join(', ');
    return { text: cut(`${head}${bar(tokens, total)} ${names}`, width), colour: GREEN };
  }

  #totalLine(width) {
    const jobs = this.#jobs();
    const done = jobs.filter((job) => job.done).length;
    const waiting = jobs.filter((job) => job.workers.length === 0).length;
    const tokens = jobs.reduce((sum, job) => sum + job.tokens, 0);
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const rate = Math.round(tokens / Math.max(seconds, 0.1));
    const text = `${done}/${count(jobs.length, 'document')}, ${waiting} waiting, ${rate} tokens/s`;
    return { text: cut(` ${'all'.padEnd(16)} ${bar(done, jobs.length)} ${text}`, width) };
  }
}

function bar(part, whole) {
  const filled = whole > 0 ? Math.round((Math.min(part, whole) / whole) * BAR_WIDTH) : 0;
  return '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
}

const count = (number, noun) => `${number} ${noun}${number === 1 ? '' : 's'}`;
const again = ({ workers }) => (workers.length > 1 ? `, sent ${workers.length} times` : '');
const cut = (text, width) => {
  const characters = [...text];
  return characters.length <= width ? text : `${characters.slice(0, width - 1).join('')}…`;
};

function killedLine(worker, jobs) {
  const names = jobs.map((job) => printable(job.name)).join(', ');
  return `${worker} was killed while it had ${count(jobs.length, 'request')}: ${names}. They move to other workers.`;
}

module.exports = { count, createDisplay, cut };
