'use strict';

// Which requests are the gateway's, and what each asks for.

/** What the events of a stream look like: whether each is named by its type, and whether `[DONE]` ends them. */
const WORK = {
  '/chat/completions': { namesEvents: false, endsWithDone: true },
  '/completions': { namesEvents: false, endsWithDone: true },
  '/embeddings': { namesEvents: false, endsWithDone: false },
  '/responses': { namesEvents: true, endsWithDone: false },
};
const MODELS = '/models';

const decode = (text) => {
  try {
    return decodeURIComponent(text);
  } catch {
    // No model's name is written like this.
    return text;
  }
};

/** The path of a request target, without its query. The target may be in absolute form (RFC 9112, section 3.2.2). */
function pathOf(target) {
  const [path] = target.replace(/^[a-z][a-z\d+.-]*:\/\/[^/?]*/i, '').split('?');
  return path;
}

/**
 * The route of a request, or null if it is none of the gateway's.
 *
 * @returns {{kind: 'models' | 'model' | 'work', method: string, path: string} | null} With `model` also its `id`; with
 *   `work` also how its events look. `path` is what follows the prefix.
 */
function routeOf(target, prefix) {
  const whole = pathOf(target);
  if (!whole.startsWith(`${prefix}/`)) return null;
  const path = whole.slice(prefix.length);
  if (Object.hasOwn(WORK, path)) return { kind: 'work', method: 'POST', path, ...WORK[path] };
  if (path === MODELS) return { kind: 'models', method: 'GET', path };
  // The ids of many models have a slash in them, which clients may have left as it is.
  const id = path.startsWith(`${MODELS}/`) ? decode(path.slice(MODELS.length + 1)) : '';
  return id === '' ? null : { kind: 'model', method: 'GET', path, id };
}

module.exports = { routeOf };
