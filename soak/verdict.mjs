// What the measurements of a soak must show.

/** By design a callback begins no second message once its time is up (gauges.js). */
const MAX_LATE = 1;
/**
 * How long this thread may run without a turn of the loop because messages come: 1 ms by design, a few times that where
 * callbacks meet in a turn. The bound is far above, since the ledger's own work and collections of garbage count too.
 */
const MAX_HELD_MS = 100;

const MIB = 1024 * 1024;

export const total = (descriptors) => Object.values(descriptors).reduce((sum, count) => sum + count, 0);

export const mib = (bytes) => `${(bytes / MIB).toFixed(1)} MiB`;

const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];

/**
 * The memory after each round is flat. The first round is left out: caches, compiled code and the allocator's arenas come
 * with it. What remains is compared as the median of the later half with that of the earlier half, since a leak grows with
 * every round, and noise does not. The tolerances are what the allocators of C and V8 keep to themselves; a leak of
 * 100 bytes a session or a message goes beyond them within a minute or two.
 */
export function judgeSizes(sizes) {
  const settled = sizes.slice(1);
  if (settled.length < 2) return [];
  const half = settled.length >> 1;
  const [earlier, later] = [settled.slice(0, half), settled.slice(-half)];
  const of = (name) => [earlier, later].map((part) => median(part.map((size) => size[name])));
  const found = [];
  const [rss, laterRss] = of('rss');
  if (laterRss > rss * 1.1 + 12 * MIB) found.push(`resident memory grows: ${mib(rss)}, later ${mib(laterRss)}`);
  const [heap, laterHeap] = of('heapUsed');
  if (laterHeap > heap * 1.1 + 2 * MIB) found.push(`the heap grows: ${mib(heap)}, later ${mib(laterHeap)}`);
  return found;
}

/**
 * Descriptors are exact: when nobody is connected there are those of the server and of Node itself. So each round has no more of
 * a kind than any other; the first is not compared with, but judged as well, since Node opens nothing in it that it closes later.
 */
export function judgeDescriptors(sizes) {
  const found = [];
  const kinds = new Set(sizes.flatMap(({ descriptors }) => Object.keys(descriptors)));
  for (const kind of kinds) {
    const counts = sizes.map(({ descriptors }) => descriptors[kind] ?? 0);
    const least = Math.min(...(counts.length > 1 ? counts.slice(1) : counts));
    counts.forEach((count, index) => {
      if (count > least)
        found.push(`round ${index + 1} leaves ${count} descriptors of kind ${kind}, another one ${least}`);
    });
  }
  return found;
}

export function judgeDelivery({ late, heldMs }) {
  const found = [];
  if (late > MAX_LATE) found.push(`${late} messages began in one callback after its time was up`);
  if (heldMs > MAX_HELD_MS)
    found.push(`messages kept the thread for ${heldMs.toFixed(1)} ms without a turn of the event loop`);
  return found;
}
