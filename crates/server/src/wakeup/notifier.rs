//! When the application's thread is woken.
//!
//! Waking a thread takes a system call, and being woken for each socket takes it many turns. So a wake that is due on a
//! thread of the runtime waits until that thread has nothing left to do, or until it has waited for long: whatever else
//! came in meanwhile is handed over with it. How long, and whether the thread rests afterwards, the [`Pacer`] says.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::pacer::Pacer;

thread_local! {
    /// Whether this thread calls [`Notifier::on_idle`].
    static TELLS_WHEN_IDLE: Cell<bool> = const { Cell::new(false) };
}

/// Wakes the application's thread.
pub struct Notifier {
    wake: Box<dyn Fn() + Send + Sync>,
    is_due: AtomicBool,
    due_since: Mutex<Option<Instant>>,
    pacer: Arc<Pacer>,
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Notifier").field("is_due", &self.is_due).finish_non_exhaustive()
    }
}

impl Notifier {
    /// One that calls `wake`, on any thread.
    pub fn new(pacer: Arc<Pacer>, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self { wake: Box::new(wake), is_due: AtomicBool::new(false), due_since: Mutex::default(), pacer }
    }

    /// This thread will call [`Notifier::on_idle`] whenever it has nothing left to do.
    pub fn enlist_thread() {
        TELLS_WHEN_IDLE.set(true);
    }

    /// The application's thread must be woken.
    pub fn notify_soon(&self) {
        if TELLS_WHEN_IDLE.get() {
            *self.due_since.lock() = Some(Instant::now());
            self.is_due.store(true, Ordering::SeqCst);
        } else {
            (self.wake)();
        }
    }

    /// A thread of the runtime has nothing left to do. It may have to rest.
    pub fn on_idle(&self) {
        if self.notify_if_due()
            && let Some(since) = self.due_since.lock().take()
        {
            self.pacer.rest_after_wake(since);
        }
    }

    /// A task has done a part of its work and goes on.
    pub fn on_progress(&self) {
        let is_late = || self.due_since.lock().is_some_and(|since| since.elapsed() > self.pacer.wake_delay());
        if self.is_due.load(Ordering::SeqCst) && is_late() {
            self.notify_if_due();
        }
    }

    fn notify_if_due(&self) -> bool {
        let is_due = self.is_due.swap(false, Ordering::SeqCst);
        if is_due {
            (self.wake)();
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;

    fn counted() -> (Notifier, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        let wake = move || {
            counter.fetch_add(1, Ordering::SeqCst);
        };
        (Notifier::new(Arc::new(Pacer::new(1)), wake), count)
    }

    #[test]
    fn any_other_thread_wakes_at_once() {
        let (notifier, count) = counted();
        notifier.notify_soon();
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_thread_of_the_runtime_wakes_once_when_it_has_nothing_left_to_do_or_when_that_takes_long() {
        let (notifier, count) = counted();
        thread::scope(|scope| {
            scope.spawn(|| {
                Notifier::enlist_thread();
                notifier.on_idle();
                notifier.notify_soon();
                assert_eq!(count.load(Ordering::SeqCst), 0);
                notifier.on_idle();
                notifier.on_idle();
                assert_eq!(count.load(Ordering::SeqCst), 1);
                notifier.notify_soon();
                while count.load(Ordering::SeqCst) == 1 {
                    notifier.on_progress();
                }
                notifier.on_idle();
                assert_eq!(count.load(Ordering::SeqCst), 2);
            });
        });
    }
}
