'use strict';

// What may be thrown that can hardly be described.

function revoked(target) {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

const throwing = (object, name) =>
  Object.defineProperty(object, name, {
    get() {
      throw new Error(`${String(name)} was looked at`);
    },
  });

/** Each with a name, made anew for each throw. */
const THROWN = [
  ['a clone of an AbortError, whose message can not be read', () => Object.create(DOMException.prototype)],
  ['a revoked proxy', () => revoked({})],
  ['a revoked proxy of a function', () => revoked(() => {})],
  ['an error whose message throws', () => throwing(new Error(), 'message')],
  [
    'an error whose message throws what can not be described',
    () =>
      Object.defineProperty(new Error(), 'message', {
        get: () => {
          throw revoked({});
        },
      }),
  ],
  ['an error whose message is a symbol', () => Object.assign(new Error(), { message: Symbol('message') })],
  [
    'an error whose message is an object without a prototype',
    () => Object.assign(new Error(), { message: Object.create(null) }),
  ],
  ['an object without a prototype', () => Object.create(null)],
  [
    'an object that can not become a text',
    () => ({
      toString: () => {
        throw new Error('no text');
      },
    }),
  ],
  [
    'an object that can not be inspected either',
    () => ({
      toString: null,
      valueOf: null,
      [Symbol.for('nodejs.util.inspect.custom')]: () => {
        throw new Error('no look');
      },
    }),
  ],
  ['an object whose tag throws', () => throwing(Object.create(null), Symbol.toStringTag)],
  ['a thenable whose then throws', () => throwing({}, 'then')],
  ['a symbol', () => Symbol('thrown')],
  ['a bigint', () => 1n],
  ['undefined', () => undefined],
  ['null', () => null],
];

module.exports = { THROWN, revoked, throwing };
