'use strict';

// I6: no panic crosses into Node, which would abort.

const fs = require('node:fs');
const path = require('node:path');
const { startProgram } = require('../support/program.js');

const BINDING = path.join(__dirname, '../../src');
/** An attribute, with what stands between it and the item that it is on, and the beginning of that item. */
const ITEM =
  /^[ \t]*#\[napi(?:\(([^)]*)\))?\]\s*((?:(?:#\[[^\]]*\]|\/\/[^\n]*)\s*)*)(pub (?:const |async |unsafe )*(?:fn|struct|enum|const|type)|impl)\b[^\n]*/gm;

/** Every item of the addon that JavaScript can call, and its attribute's arguments. */
function callables() {
  const found = [];
  let attributes = 0;
  for (const file of fs.readdirSync(BINDING, { recursive: true }).filter((name) => name.endsWith('.rs'))) {
    const source = fs.readFileSync(path.join(BINDING, file), 'utf8');
    attributes += source.match(/#\[napi\b/g)?.length ?? 0;
    for (const [text, options = '', , item] of source.matchAll(ITEM)) {
      attributes -= 1;
      if (item.endsWith('fn'))
        found.push({ where: `${file}: ${text.trim().split('\n').at(-1).trim()}`, options: options.split(/,\s*/) });
    }
  }
  return { found, notUnderstood: attributes };
}

test('I6 every function, method, getter and constructor of the addon catches panics', () => {
  const { found, notUnderstood } = callables();
  expect(notUnderstood).toBe(0);
  expect(found.length).toBeGreaterThan(40);
  expect(found.filter(({ options }) => !options.includes('catch_unwind')).map(({ where }) => where)).toEqual([]);
});

test('I6 a panic in the addon is an error in JavaScript, and the process goes on', async () => {
  // No thread can have a stack of that size, and tokio panics if it gets none.
  const { code, stdout, stderr } = await startProgram('invariants/programs/panics.js', {
    env: { RUST_MIN_STACK: String(2 ** 47) },
  }).exit;
  expect(stderr).toContain('panicked');
  expect({ code, stdout }).toEqual({
    code: 0,
    stdout: 'an error: true\nan error: true\nstill here, and the port is free\n',
  });
});
