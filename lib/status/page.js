'use strict';

// The page as it is sent: one document of the files in `page/`, with nothing from elsewhere.

const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

const FOLDER = path.join(__dirname, 'page');
const MAIN = './main.js';

const read = (name) => fs.readFileSync(path.join(FOLDER, name), 'utf8');
const sha256 = (text) => createHash('sha256').update(text).digest('base64');
const namesOf = (extension) =>
  fs
    .readdirSync(FOLDER)
    .filter((name) => name.endsWith(extension))
    .sort();

/** The modules of the page in one script, in which `require` finds them as Node does. */
function scriptOf(names) {
  const modules = names.map((name) => `'./${name}': (require, module) => {\n${read(name)}\n}`);
  return `(() => {
const modules = {\n${modules.join(',\n')}\n};
const loaded = {};
function require(name) {
  if (loaded[name] === undefined) {
    loaded[name] = { exports: {} };
    modules[name](require, loaded[name]);
  }
  return loaded[name].exports;
}
require('${MAIN}');
})();
`;
}

let page;

/**
 * @returns {{ html: string, policy: string, hash: string }} With the `Content-Security-Policy` that lets its own script
 *   and style run, and nothing else; `hash` distinguishes pages of different versions.
 */
function loadPage() {
  page ??= assemble();
  return page;
}

function assemble() {
  const style = namesOf('.css').map(read).join('\n');
  const script = scriptOf(namesOf('.js'));
  const html = read('page.html')
    .replace('<style></style>', () => `<style>${style}</style>`)
    .replace('<script></script>', () => `<script>${script}</script>`);
  const policy = [
    "default-src 'none'",
    `script-src 'sha256-${sha256(script)}'`,
    `style-src 'sha256-${sha256(style)}'`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
  return { html, policy, hash: sha256(html) };
}

module.exports = { loadPage };
