'use strict';

// What others named (workers, models) goes to a terminal, which must not take it for commands.

// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** A text without what moves a terminal's cursor or turns its writing around. */
const printable = (text) => String(text).replace(CONTROL, '\ufffd');

/** A URL without its credentials, its query and its fragment. */
const withoutSecrets = (url) => `${url.protocol}//${url.host}${url.pathname === '/' ? '' : url.pathname}`;

module.exports = { printable, withoutSecrets };
