'use strict';

// Hosts that forbid JavaScript to see memory which V8 has not allocated pass copies of it without a word.

const { startProgram } = require('../support/program.js');

async function linesWith(env) {
  const { stdout, stderr, code } = await startProgram('invariants/programs/main-behaviours.js', { env }).exit;
  expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
  const [memory, ...lines] = stdout.trim().split('\n');
  return { memory, lines };
}

test('where memory is copied a server does for its workers what it does elsewhere', async () => {
  const copied = await linesWith({ WORKER_SERVER_COPIED_MEMORY: '1' });
  expect(copied.memory).toBe('memory is copied');
  const shared = await linesWith({ WORKER_SERVER_COPIED_MEMORY: '' });
  expect(shared.memory).toBe('memory is shared');
  expect(copied.lines).toEqual(shared.lines);
  expect(copied.lines).toMatchObject({ length: 12 });
  expect(copied.lines[2]).toBe('selected ["a","available",0,0,[],[]] ["a","available",0,0,[],[]]');
});
