//! The worker that a key prefers: rendezvous hashing (highest random weight), the same in every process and every
//! version.
//!
//! The weight of a worker for a key is `mix(fnv(id) ^ rotate_left(fnv(key), 32))`, where `fnv` is 64-bit FNV-1a over
//! the UTF-8 of a string (WTF-8, if it holds half a surrogate pair) and `mix` is the finaliser of `SplitMix64`. The
//! greatest weight is preferred. A worker that joins or leaves moves the keys that it has the greatest weight for, and
//! no others.

/// The key of an affinity, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affinity(u64);

impl Affinity {
    /// The affinity of a key.
    pub fn of(key: &[u8]) -> Self {
        Self(fnv_1a(key))
    }

    /// How much the key prefers the worker with an id.
    pub fn weight(self, worker_id: &str) -> u64 {
        self.weight_of(WorkerHash::of(worker_id))
    }

    /// How much the key prefers a worker.
    pub fn weight_of(self, worker: WorkerHash) -> u64 {
        mix(worker.0 ^ self.0.rotate_left(32))
    }
}

/// The id of a worker, hashed: once for each worker, since every choice by affinity looks at all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerHash(u64);

impl WorkerHash {
    /// The hash of an id.
    pub fn of(worker_id: &str) -> Self {
        Self(fnv_1a(worker_id.as_bytes()))
    }
}

/// A worker that a key may prefer.
#[derive(Clone, Copy, Debug)]
pub struct Preferred<K> {
    /// Who.
    pub worker: K,
    /// From [`Affinity::weight`].
    pub weight: u64,
    /// Its active requests.
    pub active: f64,
    /// Its `maxConcurrentRequests`.
    pub capacity: f64,
}

/// How many requests all that match have, and how many they take.
#[derive(Clone, Copy, Debug, Default)]
pub struct Total {
    /// The sum of active requests.
    pub active: f64,
    /// The sum of capacities.
    pub capacity: f64,
}

impl Total {
    /// Whether a worker may get one more although it is preferred:
    /// `active ≤ 1.25 × capacity × Σactive/Σcapacity + 1`.
    pub fn bounds(self, active: f64, capacity: f64) -> bool {
        active <= 1.25 * capacity * (self.active / self.capacity) + 1.0
    }
}

/// Of workers with a free slot the one that a key gets: the most preferred one within the load bound; if none is, the
/// most preferred one. Of equal weights the first.
pub fn choose<K: Copy>(free: impl Iterator<Item = Preferred<K>>, total: Total) -> Option<K> {
    let mut best: Option<(bool, u64, K)> = None;
    for worker in free {
        let rank = (total.bounds(worker.active, worker.capacity), worker.weight);
        if best.is_none_or(|(is_within, weight, _)| rank > (is_within, weight)) {
            best = Some((rank.0, rank.1, worker.worker));
        }
    }
    best.map(|(_, _, worker)| worker)
}

fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn ids(count: usize) -> Vec<String> {
        (1..=count).map(|number| format!("worker-{number}")).collect()
    }

    fn preferred<'a>(key: &str, ids: &'a [String]) -> &'a str {
        let affinity = Affinity::of(key.as_bytes());
        ids.iter().max_by_key(|id| affinity.weight(id)).expect("there are workers")
    }

    /// "rendezvous hashing of the key …, the same in every process": these numbers stand in no release for others.
    #[test]
    fn weights_are_the_same_in_every_process_and_version() {
        assert_eq!(fnv_1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv_1a(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf, "SplitMix64's first number from the seed 0");
        assert_eq!(Affinity::of(b"session-1").weight("worker-1"), 0xfe50_594e_f9f3_128c);
    }

    #[test]
    fn keys_are_spread_evenly() {
        for count in [2, 3, 10, 50] {
            let ids = ids(count);
            let mut shares: HashMap<&str, f64> = HashMap::new();
            let keys = 2_000 * count;
            for key in 0..keys {
                *shares.entry(preferred(&format!("session-{key}"), &ids)).or_default() += 1.0;
            }
            assert_eq!(shares.len(), count);
            for (id, share) in shares {
                assert!((share / 2_000.0 - 1.0).abs() < 0.12, "{id} of {count} has {share} of {keys}");
            }
        }
    }

    /// "A worker that joins or leaves moves only its share of keys."
    #[test]
    fn a_worker_that_joins_or_leaves_moves_its_share_of_keys_and_no_other() {
        let (all, keys) = (ids(10), 20_000);
        let without = &all[..9];
        let mut moved = 0;
        for key in 0..keys {
            let key = format!("tenant/{key}");
            let (before, after) = (preferred(&key, without), preferred(&key, &all));
            if before != after {
                assert_eq!(after, "worker-10", "a key moves to the one that joined, and from it when it leaves");
                moved += 1;
            }
        }
        assert!((f64::from(moved) / f64::from(keys) - 0.1).abs() < 0.012, "{moved} of {keys}");
    }

    /// "The preferred one is taken if it has a free slot and, before this request, `active ≤ 1.25 × capacity ×
    /// Σactive/Σcapacity + 1` over them; else the next in hash order; if none is within, the first with a free slot."
    #[test]
    fn the_preferred_worker_is_passed_over_while_it_is_above_the_load_bound() {
        let worker = |worker: char, weight: u64, active: f64| Preferred { worker, weight, active, capacity: 8.0 };
        let choose = |active: [f64; 3]| {
            let total = Total { active: active.iter().sum(), capacity: 24.0 };
            let workers = [worker('c', 1, active[2]), worker('a', 3, active[0]), worker('b', 2, active[1])];
            super::choose(workers.into_iter(), total)
        };
        assert_eq!(choose([0.0, 0.0, 0.0]), Some('a'));
        assert_eq!(choose([1.0, 0.0, 0.0]), Some('a'));
        // 3 > 1.25 × 8 × 3/24 + 1 = 2.25
        assert_eq!(choose([3.0, 0.0, 0.0]), Some('b'));
        // 4 > 1.25 × 8 × 7/24 + 1 = 3.9, and 3 is not.
        assert_eq!(choose([4.0, 3.0, 0.0]), Some('b'));
        assert_eq!(choose([8.0, 8.0, 0.0]), Some('c'));
        // Only the two above the bound have a free slot.
        let total = Total { active: 10.0, capacity: 40.0 };
        assert_eq!(super::choose([worker('b', 2, 5.0), worker('a', 3, 5.0)].into_iter(), total), Some('a'));
        assert_eq!(super::choose(std::iter::empty::<Preferred<char>>(), Total::default()), None);
    }
}
