//! The rest of the runtime's thread while the application serves the sockets, in every interleaving of the two.
//!
//! [loom](https://docs.rs/loom) runs the scenario once for every order in which the threads may meet. `crates/server/src/wakeup/rest.rs` is compiled
//! here a second time, over loom's atomics and locks.
//!
//! `npm run loom` shows how many interleavings there were.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::sync::Mutex as StdMutex;

use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;

use self::rest::Rest;

#[path = "../crates/server/src/wakeup/rest.rs"]
#[allow(dead_code, reason = "the scenario needs only a part of it")]
mod rest;

/// What the rest is built on in `crates/server/src/wakeup/sync.rs`, by loom.
mod sync {
    use std::time::Duration;

    pub use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    pub use loom::sync::{Condvar, MutexGuard};

    #[derive(Debug, Default)]
    pub struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }

    /// As long as nobody notifies: a rest that would end only because its time is over hangs here.
    pub fn wait_for(condvar: &Condvar, guard: MutexGuard<'_, ()>, _: Duration) {
        drop(condvar.wait(guard).unwrap());
    }
}

#[test]
fn a_rest_that_the_application_ends_is_over_at_once_however_the_threads_meet() {
    let runs: &'static StdMutex<[u32; 2]> = Box::leak(Box::default());
    Builder::new().check(move || {
        let rest = Arc::new(Rest::default());
        assert!(rest.begin());
        let runtime = {
            let rest = Arc::clone(&rest);
            thread::spawn(move || u32::from(rest.take()))
        };
        assert!(!rest.begin());
        rest.end();
        let rested = runtime.join().unwrap();
        assert!(!rest.is_on());
        runs.lock().unwrap()[rested as usize] += 1;
    });
    let runs = runs.lock().unwrap();
    println!("{} interleavings without a rest, {} with one", runs[0], runs[1]);
    assert!(runs[0] > 0 && runs[1] > 0);
}

#[test]
fn whoever_looks_after_the_end_of_a_rest_begins_one_that_is_taken() {
    Builder::new().check(|| {
        let rest = Arc::new(Rest::default());
        rest.begin();
        let application = {
            let rest = Arc::clone(&rest);
            thread::spawn(move || {
                rest.end();
                // True, so that the application has the runtime's thread take it.
                assert!(rest.begin());
                rest.end();
            })
        };
        while rest.take() {}
        application.join().unwrap();
        assert!(!rest.is_on());
    });
}
