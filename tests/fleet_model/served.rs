//! The state machine over a running server: real sockets on one side, and an application that takes its events when it
//! likes on the other.
//!
//! Across peers the order of events is the network's; of one peer it is fixed. So the model knows for each peer what it did,
//! and holds each event against that; what the pool must be then follows from the events alone.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tokio_tungstenite::tungstenite::Message;
use worker_server::events::Event;
use worker_server::peer::PeerId;
use worker_server::{Registered, Server};
use worker_server_core::config::ServerConfig;
use worker_server_core::protocol::registration_ack;
use worker_server_core::rules::Status;
use worker_server_core::worker::WorkerKey;

use super::connection::{Connection, Deed, Said};

const PEERS: usize = 4;
const IDS: [&str; 3] = ["a", "b", "c"];
/// What a worker takes at once.
const MAX: usize = 2;
/// How long anything may take.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// One step. Numbers choose among what there is.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A peer connects, if it has no connection.
    Connect(usize),
    /// It registers under an id.
    Register(usize, usize),
    /// It sends a message.
    Say(usize),
    /// It sends a close frame.
    Close(usize),
    /// Its socket is gone.
    Vanish(usize),
    /// The application takes some of the events that are there.
    Drain(usize),
    /// The application takes events until there is nothing that it has not heard of.
    Settle,
    /// The application tracks a request on a worker.
    Track(usize),
    /// The application releases a request.
    Release(usize),
    /// The application sends a message to a worker.
    Send(usize),
}

/// Any step.
pub fn step() -> impl Strategy<Value = Step> {
    let peer = 0..PEERS;
    prop_oneof![
        6 => peer.clone().prop_map(Step::Connect),
        8 => (peer.clone(), 0..IDS.len()).prop_map(|(peer, id)| Step::Register(peer, id)),
        5 => peer.clone().prop_map(Step::Say),
        1 => peer.clone().prop_map(Step::Close),
        1 => peer.prop_map(Step::Vanish),
        4 => (1..4_usize).prop_map(Step::Drain),
        4 => Just(Step::Settle),
        6 => (0..8_usize).prop_map(Step::Track),
        4 => (0..8_usize).prop_map(Step::Release),
        4 => (0..8_usize).prop_map(Step::Send),
    ]
}

/// Takes the steps, and brings everything to its end.
pub fn run(steps: &[Step]) {
    let mut fleet = Fleet::start();
    for &step in steps {
        fleet.take(step);
        fleet.check();
    }
    fleet.end();
}

/// A worker, as the application knows it.
struct Known {
    key: WorkerKey,
    id: usize,
    /// The number of its registration on its connection.
    registration: usize,
    pending: BTreeSet<String>,
}

struct Fleet {
    server: Server,
    bell: Arc<(Mutex<bool>, Condvar)>,
    /// All connections that ever were. The current one of a peer is its last.
    connections: Vec<Connection>,
    current: [Option<usize>; PEERS],
    /// In the order of their registration.
    workers: Vec<Known>,
    count: usize,
    tracked: usize,
    ended: BTreeSet<String>,
}

impl Fleet {
    fn start() -> Self {
        let bell = Arc::new((Mutex::new(false), Condvar::new()));
        let rings = Arc::clone(&bell);
        let wake = move || {
            *rings.0.lock().unwrap() = true;
            rings.1.notify_one();
        };
        let server = Server::start(ServerConfig { logging: false, ..ServerConfig::default() }, wake).unwrap();
        Self {
            server,
            bell,
            connections: Vec::new(),
            current: [None; PEERS],
            workers: Vec::new(),
            count: 0,
            tracked: 0,
            ended: BTreeSet::new(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Connect(peer) => {
                if self.current[peer].is_none() {
                    self.current[peer] = Some(self.connections.len());
                    self.connections.push(Connection::open(self.server.port()));
                }
            }
            Step::Register(peer, id) => {
                let text = format!(
                    r#"{{"type":"worker_registration","workerId":"{}","capabilities":{{"models":[{{"modelId":"m"}}],"maxConcurrentRequests":{MAX}}}}}"#,
                    IDS[id]
                );
                self.act(peer, Deed::Register(id), Message::text(text));
            }
            Step::Say(peer) => {
                self.count += 1;
                let Some(connection) = self.current[peer].map(|at| &self.connections[at]) else { return };
                let text = format!(r#"{{"type":"result","n":{}}}"#, self.count);
                let (registrations, id) = (connection.registrations, connection.id);
                self.act(peer, Deed::Say(Said { text: text.clone(), registrations, id }), Message::text(text));
            }
            Step::Close(peer) => {
                self.act(peer, Deed::End, Message::Close(None));
                // It is still read from: what was sent before must be there.
                self.current[peer] = None;
            }
            Step::Vanish(peer) => {
                if let Some(at) = self.current[peer].take() {
                    let connection = &mut self.connections[at];
                    (connection.socket, connection.is_lossy) = (None, true);
                    connection.deeds.push_back(Deed::End);
                }
            }
            Step::Drain(events) => {
                self.drain(events);
            }
            Step::Settle => self.settle(Connection::is_heard_out),
            Step::Track(number) => self.track(number),
            Step::Release(number) => self.release(number),
            Step::Send(number) => self.send(number),
        }
        self.server.flush();
    }

    /// A peer does something.
    fn act(&mut self, peer: usize, deed: Deed, message: Message) {
        let Some(connection) = self.current[peer].map(|at| &mut self.connections[at]) else { return };
        let Some(socket) = &mut connection.socket else { return };
        match socket.send(message) {
            Ok(()) => {
                if let Deed::Register(id) = deed {
                    connection.registrations += 1;
                    connection.id = Some(id);
                }
                connection.deeds.push_back(deed);
            }
            // The server may have ended it meanwhile; the application is notified of its end, whatever else was done.
            Err(error) => assert!(connection.is_closing, "{error}"),
        }
    }

    /// Waits for events and takes them until `is_done` says so of every connection.
    fn settle(&mut self, is_done: impl Fn(&Connection) -> bool) {
        let start = Instant::now();
        loop {
            // To the end: only who found nothing is woken.
            while self.drain(100) > 0 {}
            self.server.flush();
            if self.connections.iter().all(&is_done) {
                return;
            }
            let missing = || self.connections.iter().filter(|connection| !is_done(connection)).collect::<Vec<_>>();
            assert!(start.elapsed() < DEADLINE, "what peers do is told in time: {:?}", missing());
            let (rang, bell) = &*self.bell;
            let mut rang = rang.lock().unwrap();
            if !*rang {
                rang = bell.wait_timeout(rang, Duration::from_millis(100)).unwrap().0;
            }
            *rang = false;
        }
    }

    fn drain(&mut self, max_events: usize) -> usize {
        let (events, _) = self.server.drain(max_events, usize::MAX, false, false);
        let count = events.len();
        for event in events {
            match event {
                Event::Register { peer, text, .. } => {
                    let id = IDS.iter().position(|id| text.contains(&format!(r#""workerId":"{id}""#))).unwrap();
                    let at = self.hear(peer.id, &Deed::Register(id));
                    self.register(at, peer.id, id);
                }
                Event::Message { peer, text } => self.hear_text(peer.id, &text),
                Event::TextBatch { peer, texts } => texts.iter().for_each(|text| self.hear_text(peer.id, &text)),
                Event::Closed { peer, code, .. } => {
                    let at = self.hear(peer.id, &Deed::End);
                    self.connections[at].is_given_up = code == 1006 && self.connections[at].is_closing;
                    let departed = self.server.depart(peer.id).map(|snapshot| snapshot.key);
                    assert_eq!(departed, self.connections[at].worker.take(), "I1: its worker leaves with it");
                    if let Some(key) = departed {
                        self.leave(key);
                    }
                }
                other => panic!("{other:?}"),
            }
            self.check();
        }
        count
    }

    /// A message comes, and it is that worker's as whom its peer said it.
    fn hear_text(&mut self, id: PeerId, text: &str) {
        let at = usize::try_from(id).unwrap() - 1;
        let mut deeds = self.connections[at].deeds.iter();
        let said = deeds.find_map(|deed| {
            if let Deed::Say(said) = deed { Some(said) } else { None }.filter(|said| said.text == text)
        });
        let said = said.cloned().expect("I2: a message that was said, and not heard yet");
        self.hear(id, &Deed::Say(said.clone()));
        let connection = &self.connections[at];
        assert!(!connection.is_dismissed, "nobody is heard behind a registration that was ignored: {said:?}");
        assert_eq!(connection.heard, said.registrations, "I2: {said:?}");
        match connection.worker {
            Some(key) => {
                let known = self.find(key);
                assert_eq!(
                    (Some(known.id), known.registration),
                    (said.id, said.registrations),
                    "I2: whose {said:?} is"
                );
            }
            None => assert!(said.id.is_none() || connection.is_closing, "I2: {said:?} is of a worker that is there"),
        }
    }

    /// I2: what a peer did comes in the order in which it did it. Returns the connection.
    fn hear(&mut self, id: PeerId, deed: &Deed) -> usize {
        // Connections are made one after the other, and the server numbers them as they come.
        let at = usize::try_from(id).unwrap() - 1;
        let connection = &mut self.connections[at];
        assert!(!connection.is_over, "I2: nothing comes after the end: {deed:?}");
        assert!(connection.expects(deed), "I2: {deed:?} comes before {:?}", connection.deeds);
        while connection.deeds.pop_front().is_some_and(|next| next != *deed) {}
        connection.is_over = *deed == Deed::End;
        at
    }

    /// Settles a registration.
    fn register(&mut self, at: usize, peer: PeerId, id: usize) {
        let connection = &mut self.connections[at];
        assert!(!connection.is_dismissed, "nobody is heard behind a registration that was ignored");
        connection.heard += 1;
        let registration = connection.heard;
        // Of one whose socket is gone the server may know that already.
        let (is_closing, is_lossy) = (connection.is_closing, connection.is_lossy);
        let own = self.connections[at].worker.filter(|key| self.find(*key).id != id);
        let same_id = self.workers.iter().find(|known| known.id == id).map(|known| known.key);
        let expected: Vec<WorkerKey> = own.into_iter().chain(same_id).collect();
        let displaced = self.server.displace(peer);
        if is_closing || (is_lossy && displaced.is_empty()) {
            assert!(displaced.is_empty(), "whoever is being closed displaces nobody");
            let is_ignored = is_closing || !expected.is_empty();
            let Some(registered) = self.server.register(peer) else {
                self.connections[at].is_dismissed = true;
                return;
            };
            assert!(!is_ignored, "nor does it register");
            self.joins(at, &registered, id, registration);
            return;
        }
        assert_eq!(displaced.iter().map(|snapshot| snapshot.key).collect::<Vec<_>>(), expected);
        for snapshot in displaced {
            assert_eq!(snapshot.active, self.find(snapshot.key).pending.len() as u64);
            let owner = self.connections.iter().position(|connection| connection.worker == Some(snapshot.key)).unwrap();
            self.connections[owner].worker = None;
            self.connections[owner].is_closing |= owner != at;
            self.leave(snapshot.key);
        }
        // I2 and I3: who was displaced is out before the new one is in.
        self.check();
        let registered = self.server.register(peer).expect("who asks to be registered can be");
        self.joins(at, &registered, id, registration);
    }

    fn joins(&mut self, at: usize, registered: &Registered, id: usize, registration: usize) {
        let connection = &mut self.connections[at];
        connection.worker = Some(registered.snapshot.key);
        connection.sent.push_back(registration_ack(&registered.session_id, 15_000.0, ""));
        self.workers.push(Known { key: registered.snapshot.key, id, registration, pending: BTreeSet::new() });
    }

    fn find(&self, key: WorkerKey) -> &Known {
        self.workers.iter().find(|known| known.key == key).expect("a worker that is known")
    }

    /// A worker leaves: what it held ends with it, exactly once.
    fn leave(&mut self, key: WorkerKey) {
        let at = self.workers.iter().position(|known| known.key == key).expect("who leaves was known");
        assert!(!self.server.release(key, None, false), "I1: it is out");
        for request in self.workers.remove(at).pending {
            assert!(self.ended.insert(request), "I1: a request ends once");
        }
    }

    fn track(&mut self, number: usize) {
        let count = self.workers.len().max(1);
        let Some(known) = self.workers.get_mut(number % count) else { return };
        let request = format!("request {}", self.tracked);
        self.tracked += 1;
        assert!(self.server.track(known.key, None), "I1: also when its socket is gone");
        known.pending.insert(request);
    }

    fn release(&mut self, number: usize) {
        let pending = self.workers.iter().flat_map(|known| known.pending.iter().map(|id| (known.key, id.clone())));
        let pending: Vec<(WorkerKey, String)> = pending.collect();
        let Some((key, request)) = pending.get(number % pending.len().max(1)) else { return };
        assert!(self.server.release(*key, None, true));
        let known = self.workers.iter_mut().find(|known| known.key == *key).unwrap();
        known.pending.remove(request);
        assert!(self.ended.insert(request.clone()), "I1: a request ends once");
    }

    fn send(&mut self, number: usize) {
        let Some(known) = self.workers.get(number % self.workers.len().max(1)) else { return };
        let key = known.key;
        self.count += 1;
        let text = format!(r#"{{"type":"work","n":{}}}"#, self.count);
        let is_sent = self.server.send(IDS[known.id], text.clone());
        let connection = self.connections.iter_mut().find(|connection| connection.worker == Some(key)).unwrap();
        if connection.is_surely_open() {
            assert!(is_sent, "I3: a worker that is there can be sent to");
            connection.sent.push_back(text);
        }
    }

    /// I1 and I3: every query agrees with the events.
    fn check(&self) {
        let workers = self.server.workers();
        let keys = |known: &Known| known.key;
        assert!(
            workers.iter().map(|snapshot| snapshot.key).eq(self.workers.iter().map(keys)),
            "I1: nobody comes or goes"
        );
        assert_eq!(self.server.worker_count(), self.workers.len());
        for (snapshot, known) in workers.iter().zip(&self.workers) {
            assert_eq!(snapshot.active, known.pending.len() as u64);
            let status = if known.pending.len() < MAX { Status::Available } else { Status::Busy };
            assert_eq!(snapshot.status, status);
        }
        let selected = self.server.select("m", None);
        match selected {
            Some(snapshot) => assert!(self.find(snapshot.key).pending.len() < MAX),
            None => assert!(!self.workers.iter().any(|known| {
                let mut owners = self.connections.iter().filter(|connection| connection.worker == Some(known.key));
                known.pending.len() < MAX && owners.any(Connection::is_surely_open)
            })),
        }
    }

    /// Everyone goes. Then nobody and nothing is left, and each has got what it was sent.
    fn end(mut self) {
        for peer in 0..PEERS {
            self.act(peer, Deed::End, Message::Close(None));
        }
        self.settle(|connection| connection.is_over);
        assert!(self.workers.is_empty());
        assert_eq!(self.ended.len(), self.tracked, "I1: every request that was tracked has ended");
        for connection in &mut self.connections {
            connection.read_to_the_end();
        }
    }
}
