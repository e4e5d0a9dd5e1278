'use strict';

/**
 * A logger that keeps its lines, as `{ level, message, context }` in order, and lets a test wait for one.
 * `context` is absent from a line that was logged without one.
 */
function recordingLogger() {
  const lines = [];
  const waiting = new Set();
  const logger = { lines };
  for (const level of ['debug', 'info', 'warn', 'error']) {
    logger[level] = (message, context) => {
      const line = context === undefined ? { level, message } : { level, message, context };
      lines.push(line);
      for (const check of [...waiting]) check(line);
    };
  }
  /** The contexts of all lines with this message. */
  logger.contexts = (message) => lines.filter((line) => line.message === message).map(({ context }) => context);
  /** All lines with this message. */
  logger.all = (message) => lines.filter((line) => line.message === message);
  /**
   * Resolves with the first line with this message and for which `test` of its context holds, also one that is there
   * already. Instead of a message there may be a function of the line.
   */
  logger.line = (message, test = () => true) => {
    const fits = typeof message === 'function' ? message : (line) => line.message === message && test(line.context);
    const found = lines.find(fits);
    if (found) return Promise.resolve(found);
    return new Promise((resolve) => {
      const check = (line) => {
        if (!fits(line)) return;
        waiting.delete(check);
        resolve(line);
      };
      waiting.add(check);
    });
  };
  /** Resolves when `test` holds, which is tried now and at each line. */
  logger.until = (test) => {
    if (test()) return Promise.resolve();
    return new Promise((resolve) => {
      const check = () => {
        if (!test()) return;
        waiting.delete(check);
        resolve();
      };
      waiting.add(check);
    });
  };
  return logger;
}

module.exports = { recordingLogger };
