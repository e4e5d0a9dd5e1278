'use strict';

const { WorkerPool, WorkerStatus } = require('../support/package.js');
const { makeWorker } = require('../support/standalone.js');

function poolOf(...workers) {
  const pool = new WorkerPool();
  for (const worker of workers) pool.add(worker);
  return pool;
}

describe('getAvailableWorker', () => {
  test.each(['llama-3', 'llama', 'llama-3-70b', ''])('finds a worker of the model llama-3 by the name "%s"', (name) => {
    const worker = makeWorker('a');
    expect(poolOf(worker).getAvailableWorker(name)).toBe(worker);
  });

  test.each(['gpt', 'llama-4', 'LLAMA-3'])('finds no worker of the model llama-3 by the name "%s"', (name) => {
    expect(poolOf(makeWorker('a')).getAvailableWorker(name)).toBeNull();
  });

  test('a name with half a surrogate pair is not what it is shown as', () => {
    const worker = makeWorker('a', { models: ['\ufffd'], limits: { '\ufffd': 0 } });
    const pool = poolOf(worker);
    expect(pool.getAvailableWorker('\ud800')).toBeNull();
    expect(pool.getAvailableSlotCount('\ud800')).toBe(0);
    expect(pool.getAvailableWorker('\ufffd', '\ufffd')).toBeNull();
    expect(pool.getAvailableWorker('\ufffd', '\ud800')).toBe(worker);
  });

  test('returns null if the pool is empty', () => {
    expect(new WorkerPool().getAvailableWorker('llama-3')).toBeNull();
  });

  test('returns the worker with the lowest share of active requests', () => {
    const small = makeWorker('small', { max: 2, activeRequests: 1 });
    const big = makeWorker('big', { max: 10, activeRequests: 4 });
    const pool = poolOf(small, big);
    expect(pool.getAvailableWorker('llama-3')).toBe(big);
    big.activeRequests = 6;
    expect(pool.getAvailableWorker('llama-3')).toBe(small);
  });

  test('returns the earliest added of equally loaded workers', () => {
    const first = makeWorker('z', { max: 2, activeRequests: 1 });
    const second = makeWorker('a', { max: 4, activeRequests: 2 });
    expect(poolOf(first, second).getAvailableWorker('llama-3')).toBe(first);
  });

  test.each(['busy', 'draining', 'unhealthy'])('passes over a worker that is %s', (status) => {
    expect(poolOf(makeWorker('a', { status })).getAvailableWorker('llama-3')).toBeNull();
  });

  test('passes over a worker at its maximum even if its status says available', () => {
    expect(poolOf(makeWorker('a', { max: 1, activeRequests: 1 })).getAvailableWorker('llama-3')).toBeNull();
  });

  test('passes over a worker whose limit for the category is reached, for that category only', () => {
    const worker = makeWorker('a', { max: 9, limits: { chat: 1 }, categoryActiveRequests: new Map([['chat', 1]]) });
    const pool = poolOf(worker);
    expect(pool.getAvailableWorker('llama-3', 'chat')).toBeNull();
    expect(pool.getAvailableWorker('llama-3', 'embed')).toBe(worker);
    expect(pool.getAvailableWorker('llama-3')).toBe(worker);
  });

  test('notices workers that come and go between two calls', () => {
    const [first, second] = [makeWorker('a'), makeWorker('b')];
    const pool = poolOf(first);
    expect(pool.getAvailableWorker('llama-3')).toBe(first);
    first.activeRequests = 1;
    pool.add(second);
    expect(pool.getAvailableWorker('llama-3')).toBe(second);
    pool.remove('b');
    expect(pool.getAvailableWorker('llama-3')).toBe(first);
    pool.remove('a');
    expect(pool.getAvailableWorker('llama-3')).toBeNull();
  });

  test('remembers nothing that is wrong after a thousand different names', () => {
    const worker = makeWorker('a', { models: ['model-7'] });
    const pool = poolOf(worker);
    for (let round = 0; round < 2; round += 1) {
      for (let number = 0; number < 1000; number += 1) {
        const expected = `model-${number}`.startsWith('model-7') ? worker : null;
        expect(pool.getAvailableWorker(`model-${number}`)).toBe(expected);
      }
    }
  });
});

describe('getAvailableSlotCount', () => {
  test('sums the free slots of available workers that support the model', () => {
    const pool = poolOf(
      makeWorker('a', { max: 3, activeRequests: 1 }),
      makeWorker('b', { max: 5 }),
      makeWorker('busy', { max: 7, status: 'busy' }),
      makeWorker('other', { max: 7, models: ['gpt'] }),
    );
    expect(pool.getAvailableSlotCount('llama-3')).toBe(7);
  });

  test('caps each worker by its limit for the category', () => {
    const pool = poolOf(makeWorker('a', { max: 5, limits: { chat: 2 } }), makeWorker('b', { max: 3 }));
    expect(pool.getAvailableSlotCount('llama-3', 'chat')).toBe(5);
    expect(pool.getAvailableSlotCount('llama-3', 'embed')).toBe(8);
    expect(pool.getAvailableSlotCount('llama-3')).toBe(8);
  });

  test('counts a worker with more requests than its limit as 0, not less', () => {
    const pool = poolOf(makeWorker('over', { max: 1, activeRequests: 3 }), makeWorker('idle', { max: 2 }));
    expect(pool.getAvailableSlotCount('llama-3')).toBe(2);
  });

  test('is 0, and not -0, where nobody supports the model', () => {
    expect(poolOf(makeWorker('a')).getAvailableSlotCount('gpt')).toBe(0);
    expect(new WorkerPool().getAvailableSlotCount('gpt')).toBe(0);
  });
});

describe('getAnyAvailableWorker', () => {
  test('returns the first worker that is available or busy', () => {
    const workers = ['draining', 'unhealthy', 'busy', 'available'].map((status) => makeWorker(status, { status }));
    const pool = poolOf(...workers);
    expect(pool.getAnyAvailableWorker()).toBe(workers[2]);
    workers[2].status = WorkerStatus.Draining;
    expect(pool.getAnyAvailableWorker()).toBe(workers[3]);
    workers[3].status = WorkerStatus.Unhealthy;
    expect(pool.getAnyAvailableWorker()).toBeNull();
  });
});

describe('the collection', () => {
  test('hands back the very objects that were added, in order of addition', () => {
    const workers = ['z', 'a', 'm'].map((id) => makeWorker(id));
    const pool = poolOf(...workers);
    expect([...pool.values()]).toEqual(workers);
    [...pool.values()].forEach((worker, index) => expect(worker).toBe(workers[index]));
    expect(pool.get('a')).toBe(workers[1]);
    expect(pool.has('a')).toBe(true);
    expect(pool.remove('a')).toBe(workers[1]);
    expect(pool.has('a')).toBe(false);
    expect(pool.get('a')).toBeUndefined();
    expect(pool.remove('a')).toBeUndefined();
    expect([...pool.values()].map(({ id }) => id)).toEqual(['z', 'm']);
  });

  test('puts a worker of an id that is there in the place of the old one', () => {
    const pool = poolOf(makeWorker('a'), makeWorker('b'));
    const again = makeWorker('a');
    pool.add(again);
    expect([...pool.values()].map(({ id }) => id)).toEqual(['a', 'b']);
    expect(pool.get('a')).toBe(again);
    expect(pool.getAvailableWorker('llama-3')).toBe(again);
    expect(pool.getCount()).toBe(2);
  });

  test('goes by the capabilities of the worker that replaced another', () => {
    const pool = poolOf(makeWorker('a', { models: ['gpt'], max: 1 }));
    pool.add(makeWorker('a', { models: ['llama-3'], max: 5 }));
    expect(pool.getAvailableWorker('gpt')).toBeNull();
    expect(pool.getAvailableSlotCount('llama-3')).toBe(5);
  });

  test('counts all workers, and those whose status is available', () => {
    const pool = poolOf(
      ...['available', 'busy', 'draining', 'unhealthy'].map((status) => makeWorker(status, { status })),
    );
    expect(pool.getCount()).toBe(4);
    expect(pool.getAvailableCount()).toBe(1);
  });

  test('can be walked with for...of more than once', () => {
    const pool = poolOf(makeWorker('a'));
    for (let round = 0; round < 2; round += 1) {
      const ids = [];
      for (const worker of pool.values()) ids.push(worker.id);
      expect(ids).toEqual(['a']);
    }
  });

  test('lists a WorkerInfo of each worker, without its socket', () => {
    const worker = makeWorker('a');
    const [info] = poolOf(worker, makeWorker('b')).getWorkerInfoList();
    expect(info).not.toHaveProperty('websocket');
    expect(info.pendingRequestIds).toBe(worker.pendingRequests);
    expect(info.id).toBe('a');
  });
});
