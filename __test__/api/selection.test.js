'use strict';

// Which worker is chosen, and how many slots are free.

const { startServer } = require('../support/server.js');
const { capabilitiesOf, connectWorker } = require('../support/worker.js');

/** A server with workers given as `{ id: [models, max, concurrencyLimits?] }`, registered in this order. */
async function fleet(workers, options) {
  const { server, log } = await startServer(options);
  const clients = {};
  for (const [id, [models, max, concurrencyLimits]] of Object.entries(workers)) {
    clients[id] = await connectWorker(server, id, { capabilities: capabilitiesOf(models, max, { concurrencyLimits }) });
  }
  let n = 0;
  const load = (id, count, category) => {
    for (let i = 0; i < count; i += 1) server.trackRequest(id, `${id}-${(n += 1)}`, category);
  };
  const pick = (model, category) => server.getAvailableWorker(model, category)?.id ?? null;
  return { server, log, clients, load, pick };
}

test('without workers there is none, and no slot', async () => {
  const { server } = await startServer();
  expect(server.getAvailableWorker('m')).toBeNull();
  expect(server.getAnyAvailableWorker()).toBeNull();
  expect(server.getAvailableSlotCount('m')).toBe(0);
  expect([server.getWorkerCount(), server.getAvailableWorkerCount()]).toEqual([0, 0]);
  expect(server.getWorkerInfo()).toEqual([]);
});

test('before start and after stop the answers are those of an empty server', async () => {
  const { server } = await fleet({ a: [['m'], 1] });
  await server.stop();
  expect(server.getAvailableWorker('m')).toBeNull();
  expect(server.getAnyAvailableWorker()).toBeNull();
  expect(server.getAvailableSlotCount('m')).toBe(0);
  expect(server.getWorkerCount()).toBe(0);
  expect(server.getWorkerInfo()).toEqual([]);
});

test.each([
  ['equals it', 'llama-3', 'llama-3', true],
  ['contains it', 'llama-3-70b-instruct', '3-70b', true],
  ['is contained in it', 'llama', 'llama-3-70b', true],
  ['only overlaps with it', 'llama-3', '3-70b', false],
  ['differs in case', 'Llama', 'llama', false],
  ['is another', 'llama', 'gpt', false],
  ['is whatever, for the empty name', 'llama', '', true],
  ['is empty, for any name', '', 'gpt', true],
  ['has the same characters beyond ASCII', 'модель-😀', '😀', true],
  ['has the same surrogate only in part', 'a😀', 'a😁', false],
])('a worker supports a model if its modelId %s', async (_, modelId, name, supported) => {
  const { server, pick } = await fleet({ w: [[modelId], 2] });
  expect(pick(name)).toBe(supported ? 'w' : null);
  expect(server.getAvailableSlotCount(name)).toBe(supported ? 2 : 0);
});

test('a name with half a surrogate pair matches nothing, nor what it is shown as', async () => {
  const { server, load, pick } = await fleet({ w: [['\ufffd', ''], 2, { '\ufffd': 0 }] });
  expect(pick('\ud800')).toBeNull();
  expect(server.getAvailableSlotCount('\ud800')).toBe(0);
  expect([pick('m', '\ufffd'), pick('m', '\ud800')]).toEqual([null, 'w']);
  expect(server.getAvailableSlotCount('m', '\ud800')).toBe(2);
  load('w', 1, '\ud800');
  expect([...server.getWorkerInfo()[0].categoryActiveRequests]).toEqual([['\ud800', 1]]);
});

test('any one of the models of a worker will do, and several count once', async () => {
  const { server, pick } = await fleet({ w: [['a-1', 'a-2', 'b'], 3] });
  expect([pick('a-1'), pick('b'), pick('c')]).toEqual(['w', 'w', null]);
  expect(server.getAvailableSlotCount('a')).toBe(3);
});

test('a worker without models is for no one, but it is any', async () => {
  const { server, pick } = await fleet({ w: [[], 3] });
  expect(pick('')).toBeNull();
  expect(server.getAvailableSlotCount('')).toBe(0);
  expect(server.getAnyAvailableWorker().id).toBe('w');
});

test('the least loaded by share is chosen', async () => {
  const { load, pick } = await fleet({ small: [['m'], 2], big: [['m'], 10] });
  load('small', 1);
  load('big', 4);
  expect(pick('m')).toBe('big');
  load('big', 2);
  expect(pick('m')).toBe('small');
});

test('ties go to the earliest registered, by share and not by count', async () => {
  const { load, pick } = await fleet({ a: [['m'], 3], b: [['m'], 6], c: [['m'], 3] });
  expect(pick('m')).toBe('a');
  load('a', 1);
  load('b', 2);
  load('c', 1);
  expect(pick('m')).toBe('a');
});

test('round after round the choice spreads', async () => {
  const { server, pick } = await fleet({ a: [['m'], 2], b: [['m'], 2], c: [['m'], 2] });
  const picks = [];
  for (let i = 0; i < 7; i += 1) {
    const id = pick('m');
    picks.push(id);
    if (id !== null) server.trackRequest(id, `r${i}`);
  }
  expect(picks).toEqual(['a', 'b', 'c', 'a', 'b', 'c', null]);
});

test('a full worker is passed over', async () => {
  const { load, pick, server } = await fleet({ a: [['m'], 1], b: [['m'], 4] });
  load('a', 1);
  load('b', 3);
  expect(pick('m')).toBe('b');
  load('b', 1);
  expect(pick('m')).toBeNull();
  expect(server.getAvailableSlotCount('m')).toBe(0);
});

test('a worker with no slots at all is never chosen, but it is available', async () => {
  const { pick, server } = await fleet({ a: [['m'], 0] });
  expect(pick('m')).toBeNull();
  expect(server.getAnyAvailableWorker().id).toBe('a');
  expect(server.getAvailableWorkerCount()).toBe(1);
});

test('a fractional maximum is compared as it is', async () => {
  const { load, pick, server } = await fleet({ a: [['m'], 1.5] });
  load('a', 1);
  expect(pick('m')).toBe('a');
  expect(server.getAvailableSlotCount('m')).toBe(0.5);
  load('a', 1);
  expect(pick('m')).toBeNull();
});

test('the first available or busy worker is any worker', async () => {
  const { load, server, clients, log } = await fleet({ a: [['m'], 1], b: [['m'], 1] });
  load('a', 1);
  expect(server.getAnyAvailableWorker()).toMatchObject({ id: 'a', status: 'busy' });
  await clients.a.close();
  await log.line('Worker disconnected');
  expect(server.getAnyAvailableWorker().id).toBe('b');
});

test('the count of available workers leaves the busy ones out', async () => {
  const { load, server } = await fleet({ a: [['m'], 1], b: [['m'], 1], c: [['m'], 2] });
  load('a', 1);
  load('c', 1);
  expect([server.getWorkerCount(), server.getAvailableWorkerCount()]).toEqual([3, 2]);
});

test('workers are listed in the order of their registration', async () => {
  const { server } = await fleet({ z: [['m'], 1], a: [['m'], 1], 10: [['m'], 1] });
  // An object's integer keys come first.
  expect(server.getWorkerInfo().map(({ id }) => id)).toEqual(['10', 'z', 'a']);
});

describe('categories', () => {
  test('a worker whose category is full is passed over for it, and for nothing else', async () => {
    const { load, pick } = await fleet({ a: [['m'], 4, { chat: 1 }], b: [['m'], 4, { chat: 2 }] });
    load('a', 1, 'chat');
    load('b', 1, 'chat');
    expect(pick('m', 'chat')).toBe('b');
    expect(pick('m', 'embed')).toBe('a');
    expect(pick('m')).toBe('a');
    load('b', 1, 'chat');
    expect(pick('m', 'chat')).toBeNull();
  });

  test('load is by all requests, not by those of the category', async () => {
    const { load, pick } = await fleet({ a: [['m'], 4, { chat: 4 }], b: [['m'], 4, { chat: 4 }] });
    load('a', 2, 'embed');
    load('b', 1, 'chat');
    expect(pick('m', 'chat')).toBe('b');
  });

  test('a category without a limit is as free as the worker', async () => {
    const { server, load, pick } = await fleet({ a: [['m'], 2, { chat: 1 }], b: [['m'], 3] });
    load('a', 1, 'other');
    expect(pick('m', 'other')).toBe('b');
    expect(server.getAvailableSlotCount('m', 'other')).toBe(4);
  });

  test('a limit of zero or below is never free', async () => {
    const { server, pick } = await fleet({ a: [['m'], 2, { chat: 0 }], b: [['m'], 2, { chat: -3 }] });
    expect(pick('m', 'chat')).toBeNull();
    expect(server.getAvailableSlotCount('m', 'chat')).toBe(0);
    expect(server.getAvailableSlotCount('m')).toBe(4);
  });

  test('slots are the lesser of the worker and its category, summed over workers', async () => {
    const { server, load } = await fleet({
      a: [['m'], 4, { chat: 2 }],
      b: [['m'], 1, { chat: 5 }],
      c: [['other'], 9, { chat: 9 }],
      d: [['m'], 3],
    });
    expect(server.getAvailableSlotCount('m', 'chat')).toBe(2 + 1 + 3);
    expect(server.getAvailableSlotCount('m')).toBe(4 + 1 + 3);
    load('a', 1, 'chat');
    load('a', 2);
    expect(server.getAvailableSlotCount('m', 'chat')).toBe(1 + 1 + 3);
    load('b', 1);
    expect(server.getAvailableSlotCount('m', 'chat')).toBe(1 + 3);
  });

  test('a category with more requests than its limit counts as no slot, not as less', async () => {
    const { server, load } = await fleet({ a: [['m'], 10, { chat: 1 }], b: [['m'], 10, { chat: 3 }] });
    load('a', 3, 'chat');
    expect(server.getAvailableSlotCount('m', 'chat')).toBe(3);
  });

  test('a released request frees its category', async () => {
    const { server, pick } = await fleet({ a: [['m'], 4, { chat: 1 }] });
    server.trackRequest('a', 'r', 'chat');
    expect(pick('m', 'chat')).toBeNull();
    server.releaseRequest('r');
    expect(pick('m', 'chat')).toBe('a');
  });

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', ''])(
    '%p is a category like any other',
    async (name) => {
      const { server, load, pick } = await fleet({ a: [['m'], 4] });
      load('a', 1, name);
      expect(pick('m', name)).toBe('a');
      expect(server.getAvailableSlotCount('m', name)).toBe(3);
      expect([...server.getWorkerInfo()[0].categoryActiveRequests]).toEqual([[name, 1]]);
    },
  );
});

test('a worker that left is not chosen', async () => {
  const { server, log, clients, pick } = await fleet({ a: [['m'], 1], b: [['m'], 1] });
  await clients.a.die();
  await log.line('Worker disconnected');
  expect(pick('m')).toBe('b');
  expect(server.getAvailableSlotCount('m')).toBe(1);
});

test('against a plain scan, two hundred workers under changing loads are chosen the same way', async () => {
  const { server } = await startServer();
  let seed = 12345;
  const random = (below) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return Math.floor((seed / 2147483648) * below);
  };
  const models = ['llama-3-8b', 'llama-3-70b', 'llama', 'gpt-oss', 'gpt-oss-120b', 'qwen'];
  await Promise.all(
    Array.from({ length: 200 }, (_, i) =>
      connectWorker(server, `w${i}`, {
        capabilities: capabilitiesOf([models[random(6)], models[random(6)]], 1 + random(5), {
          concurrencyLimits: random(2) ? { chat: random(4) } : undefined,
        }),
      }),
    ),
  );
  const free = (info, category) => {
    const { maxConcurrentRequests: max, concurrencyLimits: limits } = info.capabilities;
    const own = Math.max(0, max - info.activeRequests);
    if (category === undefined || limits?.[category] === undefined) return own;
    return Math.min(own, Math.max(0, limits[category] - (info.categoryActiveRequests.get(category) ?? 0)));
  };
  const requests = [];
  for (let step = 0; step < 600; step += 1) {
    const model = models[random(6)];
    const category = [undefined, 'chat', 'embed'][random(3)];
    const candidates = server.getWorkerInfo().filter((info) => {
      const fits = info.capabilities.models.some(({ modelId: id }) => id.includes(model) || model.includes(id));
      return fits && info.status === 'available';
    });
    const slots = candidates.reduce((sum, info) => sum + free(info, category), 0);
    expect(server.getAvailableSlotCount(model, category)).toBe(slots);
    let best = null;
    for (const info of candidates) {
      if (free(info, category) <= 0) continue;
      const load = (one) => one.activeRequests / one.capabilities.maxConcurrentRequests;
      if (best === null || load(info) < load(best)) best = info;
    }
    const chosen = server.getAvailableWorker(model, category);
    expect(chosen?.id).toBe(best?.id);
    if (chosen !== null && random(4) > 0) {
      requests.push(`r${step}`);
      server.trackRequest(chosen.id, `r${step}`, category);
    } else if (requests.length > 0) {
      server.releaseRequest(requests.splice(random(requests.length), 1)[0]);
    }
  }
});
