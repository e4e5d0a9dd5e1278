//! What the server's tests share: a stand-in for the application's thread, and clients.
#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

pub mod client;
pub mod tls;

use std::collections::HashMap;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc as tokio_mpsc, oneshot};
use tokio::time::{sleep, timeout};
use worker_server::Server;
use worker_server::accept::descriptor::Descriptor;
use worker_server::events::Event;
use worker_server::membership::Features;
use worker_server::peer::{Peer, PeerId};
use worker_server::tls::secure_context::SecureContext;
use worker_server_core::config::ServerConfig;
use worker_server_core::log::Level;
use worker_server_core::worker::WorkerKey;

/// How long anything may take before a test gives up.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// A message type that no handler of the stand-in takes.
pub const UNTAKEN: &str = r#"{"type":"untaken"}"#;

/// What a worker that takes requests has in its registration, and in the ack.
pub const FEATURES: &str = r#","features":["request"]"#;

/// What the application's thread was told, in order. `worker` is the id of the worker that it came from, if any.
#[derive(Debug)]
pub enum Seen {
    /// A registration waits to be judged; the test calls [`Server::approve`] or [`Server::refuse`].
    Asked { peer: PeerId },
    /// A worker was registered; `count` is how many there were when this was told.
    Connected { id: String, session: String, count: usize },
    /// A worker was displaced by a registration; `count` is how many were left.
    Replaced { id: String, count: usize },
    /// A message.
    Message { worker: Option<String>, text: String },
    /// The end of a connection; `count` is how many workers were left.
    Gone { worker: Option<String>, code: u16, reason: String, count: usize },
    /// A connection that is not a worker's.
    Connection { socket: Descriptor, head: Vec<u8> },
    /// A log line.
    Log { level: Level, message: &'static str, context: Value },
    /// A slot has become free that somebody waits for.
    Slots,
    /// All that was in a lane came before this.
    Barrier { number: u64 },
    /// The end of the server.
    Stopped,
}

type Job = Box<dyn FnOnce(&Server) + Send>;

enum Signal {
    Wake,
    Run(Job),
    Quit,
}

/// A running server with its application.
pub struct App {
    pub server: Arc<Server>,
    seen: tokio_mpsc::UnboundedReceiver<Seen>,
    signals: mpsc::Sender<Signal>,
    thread: Option<JoinHandle<()>>,
}

/// While this lives the application's thread is busy.
pub struct Hold(Option<mpsc::Sender<()>>);

impl Hold {
    pub fn release(mut self) {
        self.0.take();
    }
}

impl App {
    pub fn start(config: ServerConfig) -> Self {
        Self::start_with(config, None)
    }

    /// The same; with a context all connections are encrypted.
    pub fn start_with(config: ServerConfig, secure_context: Option<SecureContext>) -> Self {
        let (signals, inbox) = mpsc::channel();
        let waker = signals.clone();
        let wake = move || {
            // The application may be gone already.
            waker.send(Signal::Wake).ok();
        };
        let judges = config.door.authenticates;
        let server = Arc::new(Server::start_with(config, secure_context, wake).expect("the server starts"));
        let (tell, seen) = tokio_mpsc::unbounded_channel();
        let application = Application { server: Arc::clone(&server), tell, workers: HashMap::new(), judges };
        let thread = thread::spawn(move || application.run(&inbox));
        Self { server, seen, signals, thread: Some(thread) }
    }

    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Runs something on the application's thread.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce(&Server) -> T + Send + 'static) -> T {
        let (answer, result) = oneshot::channel();
        let job: Job = Box::new(move |server| {
            answer.send(job(server)).ok();
        });
        self.signals.send(Signal::Run(job)).expect("the application runs");
        soon(result).await.expect("the application answers")
    }

    /// Keeps the application's thread busy.
    pub async fn hold(&self) -> Hold {
        let (release, end) = mpsc::channel::<()>();
        let (begin, busy) = oneshot::channel();
        let job: Job = Box::new(move |_| {
            begin.send(()).ok();
            end.recv().ok();
        });
        self.signals.send(Signal::Run(job)).expect("the application runs");
        soon(busy).await.expect("the application is held");
        Hold(Some(release))
    }

    /// The next thing that was seen, log lines included.
    pub async fn next(&mut self) -> Seen {
        soon(self.seen.recv()).await.expect("the application runs")
    }

    /// The next thing that was seen and is no log line.
    pub async fn event(&mut self) -> Seen {
        loop {
            match self.next().await {
                Seen::Log { .. } => {}
                seen => return seen,
            }
        }
    }

    /// The context of the next log line that says `wanted`, skipping all else.
    pub async fn log(&mut self, wanted: &str) -> Value {
        loop {
            if let Seen::Log { message, context, .. } = self.next().await
                && message == wanted
            {
                return context;
            }
        }
    }

    /// The next message, skipping all else.
    pub async fn message(&mut self) -> (Option<String>, String) {
        loop {
            if let Seen::Message { worker, text } = self.next().await {
                return (worker, text);
            }
        }
    }

    /// The next end of a connection, skipping all else.
    pub async fn gone(&mut self) -> (Option<String>, u16, String) {
        loop {
            if let Seen::Gone { worker, code, reason, .. } = self.next().await {
                return (worker, code, reason);
            }
        }
    }

    /// The next connection that is not a worker's, skipping all else.
    pub async fn connection(&mut self) -> (Descriptor, Vec<u8>) {
        loop {
            if let Seen::Connection { socket, head } = self.next().await {
                return (socket, head);
            }
        }
    }

    /// Waits for the end of the server, skipping all else.
    pub async fn stopped(&mut self) {
        while !matches!(self.next().await, Seen::Stopped) {}
    }

    /// What was seen of all that has happened up to now, and not yet asked for.
    pub async fn all(&mut self) -> Vec<Seen> {
        eventually(|| self.server.barrier(0) == 0).await;
        // What was drained last is handled then.
        self.run(|_| ()).await;
        self.rest()
    }

    /// What was seen up to now and not yet asked for.
    pub fn rest(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.seen.try_recv().ok()).collect()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.signals.send(Signal::Quit).ok();
        let result = self.thread.take().map(JoinHandle::join);
        self.server.shut_down();
        assert!(!matches!(result, Some(Err(_))) || thread::panicking(), "the application's thread panicked");
    }
}

/// The application's side: settles events as `lib/server/running-server.js` does.
struct Application {
    server: Arc<Server>,
    tell: tokio_mpsc::UnboundedSender<Seen>,
    workers: HashMap<PeerId, (WorkerKey, String)>,
    /// Registrations wait until the test has judged them.
    judges: bool,
}

impl Application {
    fn run(mut self, inbox: &mpsc::Receiver<Signal>) {
        while let Ok(signal) = inbox.recv() {
            match signal {
                Signal::Wake => self.drain(),
                Signal::Run(job) => {
                    job(&self.server);
                    self.server.flush();
                }
                Signal::Quit => break,
            }
        }
    }

    fn drain(&mut self) {
        loop {
            let events = self.server.drain(512, 1 << 20, false, false).0;
            if events.is_empty() {
                break;
            }
            for event in events {
                self.handle(event);
            }
            self.server.flush();
        }
    }

    fn handle(&mut self, event: Event) {
        let seen = match event {
            Event::Register { peer, .. } if self.judges => Seen::Asked { peer: peer.id },
            Event::Register { peer, text, .. } => return self.register(&peer, &text),
            Event::Approved { peer, .. } => return self.register(&peer, ""),
            Event::Message { peer, text } => {
                if text.as_str() != UNTAKEN && !self.workers.contains_key(&peer.id) {
                    self.server.keep_unregistered(peer.id);
                }
                Seen::Message { worker: self.id_of(peer.id), text: text.to_string() }
            }
            Event::TextBatch { peer, texts } => {
                for text in texts.iter() {
                    self.handle(Event::Message { peer: Arc::clone(&peer), text: text.into_owned().into() });
                }
                return;
            }
            Event::Closed { peer, code, reason } => {
                let worker = self.id_of(peer.id);
                let departed = self.server.depart(peer.id);
                let known = self.workers.remove(&peer.id);
                assert_eq!(departed.map(|snapshot| snapshot.key), known.map(|(key, _)| key), "both know the worker");
                Seen::Gone { worker, code, reason: reason.to_string(), count: self.server.worker_count() }
            }
            Event::Connection { socket, head, .. } => Seen::Connection { socket, head: head.to_vec() },
            Event::Log { line, .. } => Seen::Log { level: line.level, message: line.message, context: line.context },
            Event::Slots { .. } => Seen::Slots,
            Event::Barrier { number, .. } => Seen::Barrier { number },
            Event::Stopped => Seen::Stopped,
        };
        self.tell.send(seen).ok();
    }

    fn register(&mut self, peer: &Peer, text: &str) {
        for displaced in self.server.displace(peer.id) {
            let found = self.workers.iter().find(|(_, (key, _))| *key == displaced.key).map(|(&peer, _)| peer);
            let (_, id) = found.and_then(|peer| self.workers.remove(&peer)).expect("a displaced worker is known");
            self.tell.send(Seen::Replaced { id, count: self.server.worker_count() }).ok();
        }
        let takes_requests = text.contains(FEATURES);
        let features = Features { takes_requests, ack_members: if takes_requests { FEATURES } else { "" } };
        let Some(registered) = self.server.register_with(peer.id, &features) else { return };
        let id = registered.worker_id;
        self.workers.insert(peer.id, (registered.snapshot.key, id.clone()));
        let count = self.server.worker_count();
        self.tell.send(Seen::Connected { id, session: registered.session_id, count }).ok();
    }

    fn id_of(&self, peer: PeerId) -> Option<String> {
        self.workers.get(&peer).map(|(_, id)| id.clone())
    }
}

/// Awaits something that must come before the deadline.
#[track_caller]
pub fn soon<T>(step: impl Future<Output = T>) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    async move { timeout(DEADLINE, step).await.unwrap_or_else(|_| panic!("nothing came in time at {place}")) }
}

/// Waits until something is true that nobody tells of.
#[track_caller]
pub fn eventually(mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    soon(async move {
        while !holds() {
            sleep(Duration::from_millis(2)).await;
        }
    })
}
