//! Labels whose values are known beforehand, and counters that have a number for each of them.

use std::sync::atomic::{AtomicU64, Ordering};

/// A label with few values.
pub trait Label: Copy + Sized + 'static {
    /// All values, in the order of their places.
    const ALL: &'static [Self];

    /// The value, as it is shown.
    fn as_str(self) -> &'static str;

    /// Its place among all.
    fn place(self) -> usize;

    /// What every value is called, in the order of their places.
    fn names() -> Vec<&'static str> {
        Self::ALL.iter().map(|value| value.as_str()).collect()
    }
}

macro_rules! label {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $value:ident: $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$what])* $value,)*
        }

        impl Label for $name {
            const ALL: &'static [Self] = &[$(Self::$value,)*];

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)*
                }
            }

            fn place(self) -> usize {
                self as usize
            }
        }
    };
}

label! {
    /// How a request ended.
    Outcome {
        /// With a result.
        Completed: "completed",
        /// `WORKER_ERROR`.
        Error: "error",
        /// `TIMEOUT`.
        Timeout: "timeout",
        /// `QUEUE_TIMEOUT`.
        QueueTimeout: "queue_timeout",
        /// `QUEUE_FULL`.
        QueueFull: "queue_full",
        /// `NO_WORKER`.
        NoWorker: "no_worker",
        /// `WORKER_LOST`.
        Lost: "lost",
        /// Its caller let go of it.
        Cancelled: "cancelled",
        /// `STREAM_OVERFLOW`.
        Overflow: "overflow",
        /// `DUPLICATE_ID`.
        Duplicate: "duplicate",
        /// `SERVER_STOPPING`.
        Stopping: "stopping",
    }
}

label! {
    /// Why a request was sent.
    AttemptReason {
        /// It had not been sent before.
        First: "first",
        /// A worker has rejected it.
        Rejected: "rejected",
        /// Its worker was lost.
        Lost: "lost",
        /// Its worker has reported an error that allows a further attempt.
        Retryable: "retryable",
    }
}

label! {
    /// What became of an upgrade that was to be a worker's connection.
    UpgradeResult {
        /// It is one.
        Accepted: "accepted",
        /// It was answered with an HTTP status.
        Refused: "refused",
    }
}

label! {
    /// Which way a message goes, as the server sees it.
    Direction {
        /// From a worker.
        In: "in",
        /// To a worker.
        Out: "out",
    }
}

label! {
    /// Why a message of another node was dropped.
    ClusterDrop {
        /// It is of another version of the protocol.
        Version: "version",
        /// It can't be read.
        Malformed: "malformed",
        /// Its signature is wrong, or there is none, or there should be none.
        Signature: "signature",
        /// It has been here before.
        Replay: "replay",
        /// Its sender has not proved that it is there now.
        Unproven: "unproven",
    }
}

label! {
    /// A member of the option `limits`.
    LimitName {
        /// A message was too large.
        MaxMessageBytes: "maxMessageBytes",
        /// A request head took too long.
        HeadTimeoutMs: "headTimeoutMs",
        /// A request head was too large.
        MaxHeadBytes: "maxHeadBytes",
        /// A connection did not register in time.
        RegistrationTimeoutMs: "registrationTimeoutMs",
        /// A connection was refused, there being too many.
        MaxConnections: "maxConnections",
        /// The same, there being too many that have not registered.
        MaxUnregistered: "maxUnregistered",
        /// Too much waits for a worker; once until there is room.
        MaxQueuedBytes: "maxQueuedBytes",
        /// A peer takes nothing.
        StallTimeoutMs: "stallTimeoutMs",
        /// A connection is not read, having too much unhandled.
        MaxUnhandledBytes: "maxUnhandledBytes",
        /// The same, all of them having too much.
        MaxUnhandledBytesTotal: "maxUnhandledBytesTotal",
        /// `stop` has cut what was left.
        StopGraceMs: "stopGraceMs",
        /// A worker did not confirm a cancellation.
        CancelGraceMs: "cancelGraceMs",
        /// A request was lost, its worker not having come back in time.
        ResumeGraceMs: "resumeGraceMs",
        /// A stream had more to read than it may.
        MaxStreamBytes: "maxStreamBytes",
        /// The application took too long to decide about a worker.
        AuthTimeoutMs: "authTimeoutMs",
        /// An address has sent too many wrong tokens.
        MaxAuthFailures: "maxAuthFailures",
    }
}

/// Close codes that are counted by themselves: those of RFC 6455, section 7.4.1, and this package's. All others count
/// as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(usize);

/// The codes, and what they are called. Behind them is what all others are called.
const CODES: [(u16, &str); 18] = [
    (1000, "1000"),
    (1001, "1001"),
    (1002, "1002"),
    (1003, "1003"),
    (1005, "1005"),
    (1006, "1006"),
    (1007, "1007"),
    (1008, "1008"),
    (1009, "1009"),
    (1010, "1010"),
    (1011, "1011"),
    (1015, "1015"),
    (4001, "4001"),
    (4002, "4002"),
    (4003, "4003"),
    (4004, "4004"),
    (4008, "4008"),
    (4009, "4009"),
];

const ALL_CODES: [CloseCode; CODES.len() + 1] = {
    let mut all = [CloseCode(0); CODES.len() + 1];
    let mut place = 0;
    while place < all.len() {
        all[place] = CloseCode(place);
        place += 1;
    }
    all
};

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(CODES.iter().position(|&(known, _)| known == code).unwrap_or(CODES.len()))
    }
}

impl Label for CloseCode {
    const ALL: &'static [Self] = &ALL_CODES;

    fn as_str(self) -> &'static str {
        CODES.get(self.0).map_or("other", |&(_, text)| text)
    }

    fn place(self) -> usize {
        self.0
    }
}

/// A counter for each value of a label.
#[derive(Debug)]
pub struct Counters<L> {
    counts: Box<[AtomicU64]>,
    label: std::marker::PhantomData<L>,
}

impl<L: Label> Default for Counters<L> {
    fn default() -> Self {
        Self { counts: L::ALL.iter().map(|_| AtomicU64::new(0)).collect(), label: std::marker::PhantomData }
    }
}

impl<L: Label> Counters<L> {
    /// Adds `count` to the counter of a value.
    pub fn add(&self, value: L, count: u64) {
        if cfg!(feature = "uncounted") {
            return;
        }
        self.counts[value.place()].fetch_add(count, Ordering::Relaxed);
    }

    /// Every value with its count.
    pub fn iter(&self) -> impl Iterator<Item = (L, u64)> {
        L::ALL.iter().map(|&value| (value, self.counts[value.place()].load(Ordering::Relaxed)))
    }

    /// How many there were in all.
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_of_the_rfc_and_of_this_package_are_counted_by_themselves_and_all_others_as_one() {
        for code in [1000, 1006, 4001, 4009] {
            assert_eq!(CloseCode::from(code).as_str(), code.to_string());
        }
        for code in [0, 999, 1004, 1012, 3000, 4000, 4999, u16::MAX] {
            assert_eq!(CloseCode::from(code).as_str(), "other");
        }
        assert_eq!(CloseCode::ALL.len(), CODES.len() + 1);
    }

    #[test]
    fn places_are_those_in_the_list_of_all() {
        fn check<L: Label + std::fmt::Debug + PartialEq>() {
            for (place, value) in L::ALL.iter().enumerate() {
                assert_eq!(value.place(), place);
            }
            let mut names = L::names();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), L::ALL.len(), "two values are called the same");
        }
        check::<Outcome>();
        check::<AttemptReason>();
        check::<UpgradeResult>();
        check::<Direction>();
        check::<ClusterDrop>();
        check::<LimitName>();
        check::<CloseCode>();
    }

    #[test]
    fn each_value_has_a_count_of_its_own() {
        let counters = Counters::<Direction>::default();
        counters.add(Direction::Out, 2);
        counters.add(Direction::Out, 1);
        let counts: Vec<_> = counters.iter().collect();
        assert_eq!(counts, [(Direction::In, 0), (Direction::Out, 3)]);
        assert_eq!(counters.total(), 3);
    }
}
