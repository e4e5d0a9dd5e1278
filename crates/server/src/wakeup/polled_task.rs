//! The task of a connection, which the application's thread may poll as well.
//!
//! The runtime polls a task when its socket has become readable, of which the runtime learns by waiting. The
//! application's thread, while it looks for messages instead of sleeping, does not wait for that: it polls the tasks of
//! the peers that it talks to, and has them try to read (Linux does the same with network cards, and calls it busy
//! polling). A message then crosses no thread on its way in.
//!
//! The task is the same, whoever polls it, and is polled by one thread at a time. It is always the runtime's waker that
//! it leaves with what it waits for, so the runtime goes on with it whether or not the application looks again.

use std::cell::Cell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

thread_local! {
    /// Sockets are read without being known to be readable.
    static READS_UNASKED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread reads sockets of which the runtime does not know whether they are readable.
pub fn reads_unasked() -> bool {
    READS_UNASKED.get()
}

/// What was read just now is all that had come: until it is polled again, the task that this thread polls reads nothing
/// unasked, which would find nothing.
pub fn stop_reading_unasked() {
    READS_UNASKED.set(false);
}

/// A connection's task.
pub struct PolledTask {
    state: Mutex<State>,
}

struct State {
    /// `None` when it has ended.
    future: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// The runtime's.
    waker: Waker,
}

impl fmt::Debug for PolledTask {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("PolledTask").finish_non_exhaustive()
    }
}

impl PolledTask {
    /// A task that has not begun.
    pub fn new(future: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { future: Some(Box::pin(future)), waker: Waker::noop().clone() }) })
    }

    /// Polls it for the runtime.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        let State { future, waker } = &mut *state;
        waker.clone_from(cx.waker());
        let Some(polled) = future else { return Poll::Ready(()) };
        let progress = polled.as_mut().poll(cx);
        if progress.is_ready() {
            *future = None;
        }
        progress
    }

    /// Polls it on the application's thread, in the runtime's context, unless the runtime does so just now.
    pub fn poll_unasked(&self) {
        let Some(mut state) = self.state.try_lock() else { return };
        let State { future, waker } = &mut *state;
        let Some(polled) = future else { return };
        READS_UNASKED.set(true);
        // A panic ends this connection, as it does in the runtime.
        let progress = panic::catch_unwind(AssertUnwindSafe(|| polled.as_mut().poll(&mut Context::from_waker(waker))));
        READS_UNASKED.set(false);
        if !matches!(progress, Ok(Poll::Pending)) {
            *future = None;
            waker.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;
    use std::net;
    use std::task::ready;

    use tokio::io::ReadBuf;
    use tokio::net::TcpListener;

    use super::*;
    use crate::stream::Stream;

    /// A task that reads from a connection until that ends, what it has read, and the connection's other end.
    async fn reading_task() -> (Arc<PolledTask>, Arc<Mutex<Vec<u8>>>, net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let end = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut reader, writer) = Stream::from(listener.accept().await.unwrap().0).into_split();
        let all = Arc::new(Mutex::new(Vec::new()));
        let read = Arc::clone(&all);
        let task = PolledTask::new(poll_fn(move |cx| {
            let _keeps_open = &writer;
            loop {
                let mut memory = [0; 64];
                let mut buffer = ReadBuf::new(&mut memory);
                if ready!(reader.poll_read(cx, &mut buffer)).is_err() || buffer.filled().is_empty() {
                    return Poll::Ready(());
                }
                read.lock().extend_from_slice(buffer.filled());
            }
        }));
        (task, all, end)
    }

    async fn poll_once(task: &PolledTask) -> Poll<()> {
        poll_fn(|cx| Poll::Ready(task.poll(cx))).await
    }

    #[tokio::test]
    async fn the_application_reads_what_the_runtime_has_not_noticed() {
        let (task, read, mut end) = reading_task().await;
        assert!(poll_once(&task).await.is_pending());
        // From here on the runtime has no turn.
        for expected in [&b"a"[..], b"aa", b"aaa"] {
            end.write_all(b"a").unwrap();
            while *read.lock() != expected {
                task.poll_unasked();
            }
        }
        assert!(!reads_unasked());
    }

    #[tokio::test]
    async fn it_reads_on_only_while_more_may_have_come() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut end = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut reader, _writer) = Stream::from(listener.accept().await.unwrap().0).into_split();
        let reads = Arc::new(Mutex::new(Vec::new()));
        let made = Arc::clone(&reads);
        let task = PolledTask::new(poll_fn(move |cx| {
            loop {
                let mut memory = [0; 4];
                let is_unasked = reads_unasked();
                let read = reader.poll_read(cx, &mut ReadBuf::new(&mut memory));
                made.lock().push(is_unasked);
                let _ = ready!(read);
            }
        }));
        assert!(poll_once(&task).await.is_pending());
        reads.lock().clear();
        end.write_all(b"123456").unwrap();
        for _ in 0..2 {
            task.poll_unasked();
        }
        // The first four bytes, the others, and nothing, of which the runtime is asked; then nothing.
        assert_eq!(*reads.lock(), [true, true, false, true]);
    }

    #[tokio::test]
    async fn the_runtime_goes_on_with_a_task_that_the_application_has_polled() {
        let (task, read, mut end) = reading_task().await;
        let polled = Arc::clone(&task);
        let running = tokio::spawn(poll_fn(move |cx| polled.poll(cx)));
        tokio::task::yield_now().await;
        for round in 1..=3 {
            task.poll_unasked();
            end.write_all(b"a").unwrap();
            while read.lock().len() < round {
                tokio::task::yield_now().await;
            }
        }
        drop(end);
        running.await.unwrap();
        task.poll_unasked();
        assert!(poll_once(&task).await.is_ready());
    }

    #[tokio::test]
    async fn a_task_that_ends_or_panics_on_the_applications_thread_ends_in_the_runtime() {
        for panics in [false, true] {
            let (held, is_dropped) = tokio::sync::oneshot::channel::<()>();
            let mut is_first = true;
            let task = PolledTask::new(poll_fn(move |_| {
                let _held = &held;
                if std::mem::take(&mut is_first) {
                    return Poll::Pending;
                }
                assert!(!panics, "on purpose");
                Poll::Ready(())
            }));
            let polled = Arc::clone(&task);
            let running = tokio::spawn(poll_fn(move |cx| polled.poll(cx)));
            tokio::task::yield_now().await;
            task.poll_unasked();
            assert!(is_dropped.await.is_err(), "what it held is dropped at once");
            running.await.unwrap();
        }
    }
}
