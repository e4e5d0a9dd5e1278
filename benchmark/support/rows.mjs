// What rows share: the size of their messages, and where a run's time comes from.

/** Of a message's JSON text. */
export const MESSAGE_BYTES = 200;

/** The model that all workers of the load generator have, where they have none of their own. */
export const MODEL = 'llama-3-70b';

/** What workers name that take requests of `request()`. */
export const FEATURES = { request: 'request', resume: 'resume' };

/** `message` with its `field` filled up with letters, so that its JSON text has `size` bytes. */
export function padded(message, field, size) {
  const missing = size - JSON.stringify(message).length;
  return { ...message, [field]: 'lorem ipsum '.repeat(missing / 12 + 1).slice(0, missing) };
}

/** The time from the first to the last message, as the side that has the last word on them counted it. */
export const seconds = {
  of: (side, counter) => (run) => (counter === undefined ? run[side] : run[side][counter]).seconds,
};
