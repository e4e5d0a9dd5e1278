//! What waits in the event queue: lanes that are served in turn.
//!
//! Were there one line, a newcomer would wait behind all that others have heaped up before. So each peer has a lane of
//! its own. The lanes that have something stand in a ring; a lane's turn ends after a few entries, and then the next
//! one is served. Within a lane the order is that of coming.

use std::collections::{HashMap, VecDeque};

use rustc_hash::FxBuildHasher;
use slab::Slab;

use super::entry::{Charge, Entry};

/// A lane's turn ends when what was taken from it counts as this much,
const SHARE_COUNT: usize = 64;
/// or has this many bytes. The last entry may exceed that: it is the least that a turn takes.
const SHARE_BYTES: usize = 64 << 10;

/// Entries in lanes.
pub struct FairQueue<E> {
    /// The entries of all lanes, each lane a chain of them.
    entries: Slab<Waiting<E>>,
    /// Both ends of each lane that has something.
    ends: HashMap<u64, Lane, FxBuildHasher>,
    /// The same lanes, in the order in which they are served.
    ring: VecDeque<u64>,
    /// What the first of them has given in its turn.
    share: Share,
    /// How many came.
    came: u64,
}

struct Waiting<E> {
    entry: E,
    /// How many came before it, in all lanes.
    number: u64,
    /// The one behind it in its lane.
    next: Option<usize>,
}

#[derive(Clone, Copy)]
struct Lane {
    first: usize,
    last: usize,
}

#[derive(Default)]
struct Share {
    count: usize,
    bytes: usize,
}

impl<E> Default for FairQueue<E> {
    /// No lanes, and no buffers.
    fn default() -> Self {
        Self { entries: Slab::new(), ends: HashMap::default(), ring: VecDeque::new(), share: Share::default(), came: 0 }
    }
}

impl<E: Entry> FairQueue<E> {
    /// How many entries wait.
    pub fn waiting(&self) -> usize {
        self.entries.len()
    }

    /// All that waits, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.entries.iter().map(|(_, waiting)| &waiting.entry)
    }

    /// The lanes that have something.
    pub fn lanes(&self) -> Vec<u64> {
        self.ring.iter().copied().collect()
    }

    /// Puts an entry at the end of its lane.
    pub fn push(&mut self, entry: E) {
        let id = entry.lane();
        let place = self.entries.insert(Waiting { entry, number: self.came, next: None });
        self.came += 1;
        if let Some(lane) = self.ends.get_mut(&id) {
            self.entries[lane.last].next = Some(place);
            lane.last = place;
        } else {
            self.ends.insert(id, Lane { first: place, last: place });
            self.ring.push_back(id);
        }
    }

    /// Takes out the next entry, with what it is charged.
    pub fn pop(&mut self) -> Option<(E, Option<E::Charge>)> {
        loop {
            let id = *self.ring.front()?;
            let first = self.ends.get(&id)?.first;
            // Not all lanes can be held: what came first of all is at the head of its lane, and waits for nothing.
            if self.share.is_over() || self.is_held(first) {
                self.ring.rotate_left(1);
                self.share = Share::default();
                continue;
            }
            let Waiting { entry, next, .. } = self.entries.remove(first);
            let charge = entry.charge();
            if let (Some(next), Some(lane)) = (next, self.ends.get_mut(&id)) {
                lane.first = next;
                self.share.count += entry.count();
                self.share.bytes += charge.as_ref().map_or(0, Charge::bytes);
            } else {
                self.ends.remove(&id);
                self.ring.pop_front();
                self.share = Share::default();
            }
            return Some((entry, charge));
        }
    }

    /// Whether an entry at the head of its lane has to wait for what came before it in another one.
    fn is_held(&self, place: usize) -> bool {
        let waiting = &self.entries[place];
        let Some(lane) = waiting.entry.after().and_then(|id| self.ends.get(&id)) else { return false };
        self.entries[lane.first].number < waiting.number
    }
}

impl Share {
    fn is_over(&self) -> bool {
        self.count >= SHARE_COUNT || self.bytes >= SHARE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry of a lane, with its number in it.
    #[derive(Clone, Copy)]
    struct Item {
        lane: u64,
        number: usize,
        bytes: usize,
        after: Option<u64>,
    }

    struct Bytes(usize);

    impl Charge for Bytes {
        fn bytes(&self) -> usize {
            self.0
        }

        fn debit(&self) {}

        fn credit(&self) {}
    }

    impl Entry for Item {
        type Charge = Bytes;

        fn lane(&self) -> u64 {
            self.lane
        }

        fn after(&self) -> Option<u64> {
            self.after
        }

        fn charge(&self) -> Option<Bytes> {
            Some(Bytes(self.bytes))
        }

        fn count(&self) -> usize {
            1
        }

        fn is_last(&self) -> bool {
            false
        }

        fn may_be_left_out(&self, _: usize) -> bool {
            false
        }
    }

    fn item(lane: u64, number: usize) -> Item {
        Item { lane, number, bytes: 1, after: None }
    }

    /// Takes out `count` entries: the lane and the number of each.
    fn pop(fair_queue: &mut FairQueue<Item>, count: usize) -> Vec<(u64, usize)> {
        std::iter::from_fn(|| fair_queue.pop()).map(|(item, _)| (item.lane, item.number)).take(count).collect()
    }

    /// Takes out the rest; the lane of each, without repetitions.
    fn turns(fair_queue: &mut FairQueue<Item>) -> Vec<u64> {
        let mut turns: Vec<_> = pop(fair_queue, usize::MAX).into_iter().map(|(lane, _)| lane).collect();
        turns.dedup();
        turns
    }

    #[test]
    fn i2_one_lanes_entries_stay_in_order() {
        let mut fair_queue = FairQueue::default();
        let mut seen = [0; 3];
        for number in 0..1_000 {
            (0..3).for_each(|lane| fair_queue.push(item(lane, number)));
            // Two go for three that come.
            for (lane, number) in pop(&mut fair_queue, 2) {
                let seen = &mut seen[usize::try_from(lane).unwrap_or_default()];
                assert_eq!(number, *seen);
                *seen += 1;
            }
        }
        for (lane, number) in pop(&mut fair_queue, usize::MAX) {
            let seen = &mut seen[usize::try_from(lane).unwrap_or_default()];
            assert_eq!(number, *seen);
            *seen += 1;
        }
        assert_eq!((seen, fair_queue.waiting()), ([1_000; 3], 0));
    }

    #[test]
    fn i7_a_lane_that_is_full_keeps_another_waiting_for_one_turn() {
        let mut fair_queue = FairQueue::default();
        (0..10_000).for_each(|number| fair_queue.push(item(1, number)));
        (0..10_000).for_each(|number| fair_queue.push(item(2, number)));
        pop(&mut fair_queue, 5 * SHARE_COUNT);
        fair_queue.push(item(3, 0));
        let place = pop(&mut fair_queue, usize::MAX).into_iter().position(|taken| taken == (3, 0));
        assert!(place.is_some_and(|place| place <= 2 * SHARE_COUNT), "{place:?}");
    }

    #[test]
    fn i7_a_share_ends_by_bytes_too_and_has_one_entry_at_least() {
        let mut fair_queue = FairQueue::default();
        for number in 0..4 {
            fair_queue.push(Item { bytes: SHARE_BYTES / 2, ..item(1, number) });
            fair_queue.push(Item { bytes: 10 * SHARE_BYTES, ..item(2, number) });
        }
        assert_eq!(turns(&mut fair_queue), [1, 2, 1, 2]);
    }

    #[test]
    fn a_turn_goes_on_where_it_was_interrupted() {
        let mut fair_queue = FairQueue::default();
        (0..2 * SHARE_COUNT).for_each(|number| fair_queue.push(item(1, number)));
        (0..2 * SHARE_COUNT).for_each(|number| fair_queue.push(item(2, number)));
        let taken: Vec<_> = (0..4 * SHARE_COUNT).flat_map(|_| pop(&mut fair_queue, 1)).collect();
        let lane_at = |share: usize| taken[share * SHARE_COUNT].0;
        assert_eq!([0, 1, 2, 3].map(lane_at), [1, 2, 1, 2]);
    }

    #[test]
    fn what_comes_after_another_lane_waits_for_all_that_came_before_it_there_and_for_no_more() {
        let mut fair_queue = FairQueue::default();
        (0..1_000).for_each(|number| fair_queue.push(item(1, number)));
        fair_queue.push(Item { after: Some(1), ..item(2, 0) });
        fair_queue.push(item(2, 1));
        (1_000..2_000).for_each(|number| fair_queue.push(item(1, number)));
        let taken = pop(&mut fair_queue, usize::MAX);
        let place = |wanted| taken.iter().position(|&taken| taken == wanted);
        assert!(place((2, 0)) > place((1, 999)));
        assert!(place((2, 0)) < place((1, 999 + 2 * SHARE_COUNT)));
        assert_eq!(place((2, 1)), place((2, 0)).map(|place| place + 1));
    }

    #[test]
    fn lanes_that_wait_for_each_other_all_come_to_their_turn() {
        let mut fair_queue = FairQueue::default();
        fair_queue.push(Item { after: Some(2), ..item(1, 0) });
        fair_queue.push(Item { after: Some(1), ..item(2, 0) });
        fair_queue.push(Item { after: Some(2), ..item(1, 1) });
        fair_queue.push(Item { after: Some(2), ..item(2, 1) });
        assert_eq!(pop(&mut fair_queue, usize::MAX), [(1, 0), (2, 0), (2, 1), (1, 1)]);
    }
}
