//! The wake-up protocol of the event queue, in every interleaving of its threads.
//!
//! [loom](https://docs.rs/loom) runs each scenario once for every order in which its threads may meet. The code is the
//! shipped one: `entry.rs`, `event_queue.rs` and `fair_queue.rs` of `crates/server/src/events` are compiled here a second time, over loom's lock and atomics. A
//! wake that is lost leaves the application waiting for ever, which loom reports as a deadlock.
//!
//! `npm run loom` shows how many interleavings there were.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::sync::atomic::{AtomicUsize as Counter, Ordering};

use loom::model::Builder;
use loom::sync::{Arc, Condvar, Mutex as LoomMutex};
use loom::thread;

use self::entry::{Charge, Entry};
use self::event_queue::EventQueue;
use self::sync::AtomicUsize;

#[path = "../crates/server/src/events/entry.rs"]
#[allow(dead_code, reason = "the scenarios need only a part of it")]
mod entry;

#[path = "../crates/server/src/events/fair_queue.rs"]
#[allow(dead_code, reason = "the scenarios need only a part of it")]
mod fair_queue;

#[path = "../crates/server/src/events/event_queue.rs"]
#[allow(dead_code, reason = "the scenarios need only a part of it")]
mod event_queue;

/// What the queue is built on in `crates/server/src/events/sync.rs`, by loom.
mod sync {
    pub use loom::sync::MutexGuard;
    pub use loom::sync::atomic::{AtomicUsize, Ordering};

    /// loom's lock, whose `lock` is that of `parking_lot`.
    pub struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}

/// Bytes that an entry of the scenarios costs: enough to end a lane's turn.
const COST: usize = 64 << 10;

/// A peer's account.
struct Account(AtomicUsize);

struct AccountCharge(Arc<Account>);

impl Charge for AccountCharge {
    fn bytes(&self) -> usize {
        COST
    }

    fn debit(&self) {
        self.0.0.fetch_add(COST, Ordering::SeqCst);
    }

    fn credit(&self) {
        let before = self.0.0.fetch_sub(COST, Ordering::SeqCst);
        assert!(before >= COST, "nothing is credited that was not charged");
    }
}

enum Note {
    /// The `number`th of a pusher.
    Message { pusher: usize, number: usize, account: Option<Arc<Account>> },
    /// The last entry.
    Last,
}

impl Entry for Note {
    type Charge = AccountCharge;

    /// Each pusher has a lane of its own, as each connection has.
    fn lane(&self) -> u64 {
        match self {
            Self::Message { pusher, .. } => *pusher as u64 + 1,
            Self::Last => 0,
        }
    }

    fn after(&self) -> Option<u64> {
        None
    }

    fn charge(&self) -> Option<AccountCharge> {
        match self {
            Self::Message { account, .. } => account.clone().map(AccountCharge),
            Self::Last => None,
        }
    }

    fn count(&self) -> usize {
        1
    }

    fn is_last(&self) -> bool {
        matches!(self, Self::Last)
    }

    fn may_be_left_out(&self, _: usize) -> bool {
        false
    }
}

/// The application's thread: it sleeps until it is woken.
#[derive(Default)]
struct Bell {
    wakes: LoomMutex<usize>,
    rings: Condvar,
}

impl Bell {
    fn wake(&self) {
        *self.wakes.lock().unwrap() += 1;
        self.rings.notify_one();
    }

    fn sleep(&self) {
        let mut wakes = self.wakes.lock().unwrap();
        while *wakes == 0 {
            wakes = self.rings.wait(wakes).unwrap();
        }
        *wakes -= 1;
    }
}

struct Scene {
    queue: Arc<EventQueue<Note>>,
    bell: Arc<Bell>,
    /// What its messages cost, if they cost anything: that takes more steps, and many more orders of them.
    account: Option<Arc<Account>>,
}

impl Scene {
    fn new(is_charged: bool) -> Self {
        let bell = Arc::new(Bell::default());
        let waker = Arc::clone(&bell);
        let queue = Arc::new(EventQueue::new(move || waker.wake()));
        Self { queue, bell, account: is_charged.then(|| Arc::new(Account(AtomicUsize::new(0)))) }
    }

    /// A thread that pushes `count` messages.
    fn pusher(&self, pusher: usize, messages: usize) -> thread::JoinHandle<()> {
        let (queue, account) = (Arc::clone(&self.queue), self.account.clone());
        thread::spawn(move || {
            for number in 0..messages {
                queue.push(Note::Message { pusher, number, account: account.clone() });
            }
        })
    }

    /// Every charge was credited, neither more nor less.
    fn assert_settled(&self) {
        assert!(self.queue.drain(1, usize::MAX, false).is_empty(), "nothing is left");
        let owed = self.account.as_ref().map_or(0, |account| account.0.load(Ordering::SeqCst));
        assert_eq!((owed, self.queue.unhandled()), (0, 0));
    }
}

/// What the application has seen of each of two pushers, in order.
#[derive(Default)]
struct Seen([usize; 2]);

impl Seen {
    fn count(&self) -> usize {
        self.0.iter().sum()
    }

    /// Notes an entry; true for the last one.
    fn note(&mut self, note: &Note) -> bool {
        match note {
            Note::Message { pusher, number, .. } => {
                assert_eq!(*number, self.0[*pusher], "the messages of one pusher come in order");
                self.0[*pusher] += 1;
                false
            }
            Note::Last => true,
        }
    }
}

/// Explores a scenario. `preemptions` bounds how often a thread is interrupted, where all orders would be too many.
fn explore(name: &str, preemptions: Option<usize>, scenario: impl Fn() + Sync + Send + 'static) {
    let runs = std::sync::Arc::new(Counter::new(0));
    let counted = std::sync::Arc::clone(&runs);
    let mut builder = Builder::new();
    builder.preemption_bound = preemptions;
    let start = std::time::Instant::now();
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        scenario();
    });
    println!("{name}: {} interleavings in {:.1?}", runs.load(Ordering::Relaxed), start.elapsed());
}

/// Two pushers, and an application that drains `at_most` at a time and only when it was woken.
fn two_pushers(messages: usize, at_most: usize, is_charged: bool) {
    let scene = Scene::new(is_charged);
    let pushers = [scene.pusher(0, messages), scene.pusher(1, messages)];
    let mut seen = Seen::default();
    let (mut slept, mut found_empty) = (0, 0);
    while seen.count() < 2 * messages {
        scene.bell.sleep();
        slept += 1;
        loop {
            let notes = scene.queue.drain(at_most, usize::MAX, false);
            if notes.is_empty() {
                found_empty += 1;
                break;
            }
            for note in &notes {
                assert!(!seen.note(note));
            }
        }
    }
    for pusher in pushers {
        pusher.join().unwrap();
    }
    assert_eq!(
        (slept, *scene.bell.wakes.lock().unwrap()),
        (found_empty, 0),
        "one wake for each time it was found empty"
    );
    scene.assert_settled();
}

#[test]
fn no_event_of_two_connections_is_left_without_a_wake() {
    explore("two pushers of one", None, || two_pushers(1, 8, false));
}

#[test]
fn charges_are_credited_exactly_once_they_are_handled() {
    explore("two pushers of one, charged", Some(3), || two_pushers(1, 8, true));
}

#[test]
fn no_wake_is_lost_while_a_burst_is_drained_one_by_one() {
    explore("two pushers of two, charged", Some(3), || two_pushers(2, 1, true));
}

#[test]
fn an_application_that_comes_again_by_itself_misses_nothing_and_is_woken_afterwards() {
    explore("an application that returns", None, || {
        let scene = Scene::new(true);
        let pusher = scene.pusher(0, 3);
        let mut seen = Seen::default();
        while seen.count() < 3 {
            scene.bell.sleep();
            // After it finds the queue empty it looks once more, unasked, before it sleeps.
            for returns in [true, false] {
                loop {
                    let notes = scene.queue.drain(8, usize::MAX, returns);
                    if notes.is_empty() {
                        break;
                    }
                    for note in &notes {
                        assert!(!seen.note(note));
                    }
                }
            }
        }
        pusher.join().unwrap();
        scene.assert_settled();
    });
}

#[test]
fn a_queue_that_is_closed_while_others_push_drops_and_credits_all_but_its_last() {
    explore("closing during a push", None, || closing_during_a_push(1, false));
    explore("closing during two pushes, charged", Some(3), || closing_during_a_push(2, true));
}

fn closing_during_a_push(messages: usize, is_charged: bool) {
    let scene = Scene::new(is_charged);
    let pusher = scene.pusher(0, messages);
    let queue = Arc::clone(&scene.queue);
    let closer = thread::spawn(move || {
        queue.close();
        queue.push(Note::Last);
    });
    let mut seen = Seen::default();
    let mut ended = false;
    while !ended {
        scene.bell.sleep();
        loop {
            let notes = scene.queue.drain(8, usize::MAX, false);
            if notes.is_empty() {
                break;
            }
            for note in &notes {
                assert!(!ended, "nothing comes after the last");
                ended = seen.note(note);
            }
        }
    }
    pusher.join().unwrap();
    closer.join().unwrap();
    scene.assert_settled();
}
