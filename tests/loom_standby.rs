//! What the application sends while a thread stands by to write it, in every interleaving of the two.
//!
//! [loom](https://docs.rs/loom) runs the scenario once for every order in which the threads may meet. `crates/server/src/wakeup/standby.rs` is compiled
//! here a second time, over loom's atomics.
//!
//! `npm run loom` shows how many interleavings there were.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::HashSet;
use std::sync::Mutex as StdMutex;

use loom::model::Builder;
use loom::sync::{Arc, Mutex};
use loom::thread;

use self::standby::Standby;

#[path = "../crates/server/src/wakeup/standby.rs"]
#[allow(dead_code, reason = "the scenario needs only a part of it")]
mod standby;

/// What the standby is built on in `crates/server/src/wakeup/sync.rs`, by loom.
mod sync {
    pub use loom::sync::atomic::{AtomicBool, AtomicU8, Ordering};
}

/// What was left to be written, and who wrote how much of it.
#[derive(Default)]
struct Writing {
    left: Mutex<u32>,
    written: Mutex<[u32; 2]>,
}

impl Writing {
    fn write_left(&self, thread: usize) {
        let left = std::mem::take(&mut *self.left.lock().unwrap());
        self.written.lock().unwrap()[thread] += left;
    }
}

/// The application's thread, as `Flusher::flush` does.
const APPLICATION: usize = 0;
/// The runtime's, as `Flusher::stand_by` does.
const RUNTIME: usize = 1;

fn send(standby: &Standby, writing: &Writing) {
    *writing.left.lock().unwrap() += 1;
    if !standby.is_there() || !standby.give() {
        writing.write_left(APPLICATION);
    }
}

fn stand_by(standby: &Standby, writing: &Writing) {
    // It may be that nothing comes: however long it waits, it ends.
    if standby.begin() {
        thread::yield_now();
        if standby.end() {
            writing.write_left(RUNTIME);
        }
    }
}

#[test]
fn all_that_is_sent_is_written_whether_or_not_the_thread_that_stands_by_is_still_there() {
    let outcomes: &'static StdMutex<HashSet<[u32; 2]>> = Box::leak(Box::default());
    let runs: &'static StdMutex<u32> = Box::leak(Box::default());
    Builder::new().check(move || {
        let (standby, writing) = (Arc::new(Standby::default()), Arc::new(Writing::default()));
        let runtime = {
            let (standby, writing) = (Arc::clone(&standby), Arc::clone(&writing));
            thread::spawn(move || (0..2).for_each(|_| stand_by(&standby, &writing)))
        };
        (0..2).for_each(|_| send(&standby, &writing));
        runtime.join().unwrap();
        assert!(!standby.is_there());
        assert_eq!(*writing.left.lock().unwrap(), 0, "something is left that nobody writes");
        outcomes.lock().unwrap().insert(*writing.written.lock().unwrap());
        *runs.lock().unwrap() += 1;
    });
    println!("{} interleavings", runs.lock().unwrap());
    let outcomes = outcomes.lock().unwrap();
    assert!(outcomes.contains(&[2, 0]) && outcomes.contains(&[0, 2]), "{outcomes:?}");
}

#[test]
fn one_thread_at_a_time_stands_by() {
    Builder::new().check(|| {
        let standby = Arc::new(Standby::default());
        let other = {
            let standby = Arc::clone(&standby);
            thread::spawn(move || standby.begin())
        };
        let here = standby.begin();
        assert!(here != other.join().unwrap());
    });
}
