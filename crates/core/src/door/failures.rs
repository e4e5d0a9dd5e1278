//! Who has failed to authenticate too often, by address. Time is an argument, in milliseconds of a clock that never
//! goes back.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

/// How long a failure counts, and how long an address is locked, in milliseconds.
pub const WINDOW_MS: u64 = 60_000;
/// As many addresses are remembered. Of more the one is forgotten whose last failure is the oldest, those that are
/// locked last.
pub const MAX_ADDRESSES: usize = 10_000;

/// Whose failures are counted together: an IPv4 address, or the network of an IPv6 address that one customer gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Source {
    V4(Ipv4Addr),
    /// The first 64 bits.
    V6(u64),
}

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            #[allow(clippy::cast_possible_truncation, reason = "64 bits are left")]
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// What is remembered of a source.
#[derive(Debug)]
struct Record {
    /// When it failed within the last minute; empty while it is locked.
    failures: VecDeque<u64>,
    /// The place in the order in which sources are forgotten.
    place: Place,
}

/// Whether it is locked, the time of its last failure, and whose it is.
type Place = (bool, u64, Source);

/// The failures of the last minute, of all addresses.
#[derive(Debug)]
pub struct Failures {
    max: usize,
    records: HashMap<Source, Record>,
    order: BTreeSet<Place>,
}

impl Failures {
    /// Nobody has failed yet. An address may fail `max` times in a minute, at least once; then it is locked for a
    /// minute.
    pub fn new(max: usize) -> Self {
        Self { max, records: HashMap::new(), order: BTreeSet::new() }
    }

    /// An address has failed. Returns whether it is locked from now on. What it does while it is locked changes
    /// nothing.
    pub fn note(&mut self, address: IpAddr, now_ms: u64) -> bool {
        self.forget_what_is_over(now_ms);
        let source = Source::of(address);
        let mut record = self.take(source);
        if record.place.0 {
            self.keep(source, record);
            return false;
        }
        while record.failures.front().is_some_and(|&failed| is_over(failed, now_ms)) {
            record.failures.pop_front();
        }
        record.failures.push_back(now_ms);
        let is_locked = record.failures.len() >= self.max;
        if is_locked {
            record.failures = VecDeque::new();
        }
        record.place = (is_locked, now_ms, source);
        self.keep(source, record);
        if self.records.len() > MAX_ADDRESSES
            && let Some(&(_, _, oldest)) = self.order.first()
        {
            self.take(oldest);
        }
        is_locked
    }

    /// How much longer an address is locked, in milliseconds; `None` if it isn't.
    pub fn locked_for(&self, address: IpAddr, now_ms: u64) -> Option<u64> {
        let &(is_locked, since, _) = &self.records.get(&Source::of(address))?.place;
        let left = (since + WINDOW_MS).checked_sub(now_ms).filter(|&left| left > 0);
        if is_locked { left } else { None }
    }

    /// Takes out what is remembered of a source.
    fn take(&mut self, source: Source) -> Record {
        let record = self.records.remove(&source);
        if let Some(record) = &record {
            self.order.remove(&record.place);
        }
        record.unwrap_or(Record { failures: VecDeque::new(), place: (false, 0, source) })
    }

    fn keep(&mut self, source: Source, record: Record) {
        self.order.insert(record.place);
        self.records.insert(source, record);
    }

    fn forget_what_is_over(&mut self, now_ms: u64) {
        for is_locked in [false, true] {
            while let Some(&(_, last, source)) =
                self.order.range((is_locked, 0, Source::V4(Ipv4Addr::UNSPECIFIED))..).next()
                && is_over(last, now_ms)
            {
                self.take(source);
            }
        }
    }
}

fn is_over(since: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(since) >= WINDOW_MS
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    const A: &str = "192.0.2.1";

    #[test]
    fn an_address_that_has_failed_as_often_as_it_may_is_locked_for_a_minute() {
        let mut failures = Failures::new(3);
        assert!(!failures.note(address(A), 1_000));
        assert!(!failures.note(address(A), 2_000));
        assert_eq!(failures.locked_for(address(A), 2_000), None);
        assert!(failures.note(address(A), 3_000));
        assert_eq!(failures.locked_for(address(A), 3_000), Some(60_000));
        assert_eq!(failures.locked_for(address(A), 62_999), Some(1));
        assert_eq!(failures.locked_for(address(A), 63_000), None);
    }

    #[test]
    fn only_the_failures_of_the_last_minute_count() {
        let mut failures = Failures::new(2);
        assert!(!failures.note(address(A), 0));
        assert!(!failures.note(address(A), 60_000), "the first is a minute ago");
        assert!(failures.note(address(A), 119_999));
    }

    #[test]
    fn what_comes_during_a_lock_neither_lengthens_it_nor_counts_after_it() {
        let mut failures = Failures::new(2);
        assert!(!failures.note(address(A), 0));
        assert!(failures.note(address(A), 0));
        assert!(!failures.note(address(A), 59_000), "one lock, one warning");
        assert_eq!(failures.locked_for(address(A), 59_000), Some(1_000));
        assert!(!failures.note(address(A), 60_000));
        assert_eq!(failures.locked_for(address(A), 60_000), None);
        assert!(failures.note(address(A), 60_001));
    }

    #[test]
    fn a_single_failure_may_be_one_too_many() {
        let mut failures = Failures::new(1);
        assert!(failures.note(address(A), 5));
        assert_eq!(failures.locked_for(address(A), 5), Some(60_000));
    }

    #[test]
    fn ipv6_is_counted_by_64_bits_and_ipv4_by_address() {
        let mut failures = Failures::new(2);
        assert!(!failures.note(address("2001:db8:1:2::1"), 0));
        assert!(failures.note(address("2001:db8:1:2:ffff::9"), 0));
        assert!(failures.locked_for(address("2001:db8:1:2:3:4:5:6"), 0).is_some());
        assert_eq!(failures.locked_for(address("2001:db8:1:3::1"), 0), None);
        assert!(!failures.note(address("::ffff:192.0.2.1"), 0));
        assert!(failures.note(address(A), 0));
        assert_eq!(failures.locked_for(address("192.0.2.2"), 0), None);
    }

    #[test]
    fn i5_at_most_so_many_addresses_are_remembered_and_locked_ones_longest() {
        let mut failures = Failures::new(2);
        let other = |number: u32| IpAddr::from(Ipv4Addr::from_bits(number));
        assert!(!failures.note(address(A), 0));
        assert!(failures.note(address(A), 0));
        (0..30_000).for_each(|number| assert!(!failures.note(other(number), 1)));
        assert_eq!(failures.records.len(), MAX_ADDRESSES);
        assert_eq!(failures.order.len(), MAX_ADDRESSES);
        assert!(failures.locked_for(address(A), 1).is_some());
        assert!(failures.note(other(29_999), 1), "the newest is remembered");
        assert!(!failures.note(other(0), 1), "the oldest is not");
        // Time forgets too.
        assert!(!failures.note(other(1), 200_000));
        assert_eq!((failures.records.len(), failures.order.len()), (1, 1));
    }

    /// The same without a bound, by looking through all that happened.
    #[derive(Default)]
    struct Naive {
        failures: Vec<(Source, u64)>,
        locks: Vec<(Source, u64)>,
    }

    impl Naive {
        fn locked_for(&self, source: Source, now: u64) -> Option<u64> {
            let lock = self.locks.iter().rev().find(|(locked, _)| *locked == source)?;
            (lock.1 + WINDOW_MS).checked_sub(now).filter(|&left| left > 0)
        }

        fn note(&mut self, source: Source, now: u64, max: usize) -> bool {
            if self.locked_for(source, now).is_some() {
                return false;
            }
            self.failures.push((source, now));
            let of_minute = |(failed, at): &&(Source, u64)| *failed == source && now - at < WINDOW_MS;
            let locks = self.failures.iter().filter(of_minute).count() >= max;
            if locks {
                self.failures.retain(|(failed, _)| *failed != source);
                self.locks.push((source, now));
            }
            locks
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_look_through_all_that_happened(
            max in 1_usize..5,
            steps in vec((0_u16..4, 0_u64..40_000), 1..120),
        ) {
            let (mut failures, mut naive, mut now) = (Failures::new(max), Naive::default(), 0);
            for (network, pause) in steps {
                now += pause;
                let address = IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, 1));
                let source = Source::of(address);
                prop_assert_eq!(failures.locked_for(address, now), naive.locked_for(source, now));
                prop_assert_eq!(failures.note(address, now), naive.note(source, now, max));
            }
        }
    }
}
