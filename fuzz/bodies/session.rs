//! Sessions and the pool together, without sockets: peers say whatever they like, die and come back, while the
//! application tracks, releases and takes its events late. After each step everything must agree.
//!
//! An input is a script, one step a line:
//!
//! | line | step |
//! | --- | --- |
//! | `0{"type":...}` to `3{...}` | the peer says the rest of the line |
//! | `x0` | its socket dies; the application hears of it in its turn |
//! | `c0` | it connects anew, if it has gone |
//! | `d` | the application takes its next event |
//! | `t2` | the application tracks a new request on the third worker |
//! | `s3` | the application submits a request, of the fourth kind, which gets a slot or waits |
//! | `r1` | the application releases the second of the pending requests |
//! | `+9` | time passes: 9 × 50 ms |
//! | `h` | health is judged |

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;
use worker_server_core::clock::Moment;
use worker_server_core::pool::{Finding, Pool};
use worker_server_core::protocol::heartbeat_ack;
use worker_server_core::registration::Registration;
use worker_server_core::requests::Requests;
use worker_server_core::requests::demand::Demand;
use worker_server_core::rules::Status;
use worker_server_core::session::{Action, Session};
use worker_server_core::worker::{Takes, WorkerKey};

#[path = "session/requests.rs"]
mod requests;

/// How many peers there are.
pub const PEERS: usize = 4;
/// The token that peers need.
pub const TOKEN: &str = "let-me-in";
/// The heartbeat timeout.
pub const TIMEOUT_MS: u64 = 100;

/// One step of a script.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step<'a> {
    /// A peer sends a text.
    Say(usize, &'a str),
    /// A peer's socket dies.
    Die(usize),
    /// A peer that has gone connects anew.
    Connect(usize),
    /// The application takes its next event.
    Drain,
    /// The application tracks a new request on one of the workers.
    Track(usize),
    /// The application submits a request that looks for a worker.
    Submit(usize),
    /// The application releases one of the pending requests.
    Release(usize),
    /// This many milliseconds pass.
    Wait(u64),
    /// Health is judged.
    CheckHealth,
}

impl<'a> Step<'a> {
    /// Reads a line of a script.
    pub fn read(line: &'a str) -> Option<Self> {
        let mut rest = line.chars();
        let first = rest.next()?;
        let number = || rest.as_str().chars().next()?.to_digit(36).map(|digit| digit as usize);
        Some(match first {
            '0'..='3' => Self::Say(first.to_digit(10)? as usize, rest.as_str()),
            'x' => Self::Die(number()? % PEERS),
            'c' => Self::Connect(number()? % PEERS),
            'd' => Self::Drain,
            't' => Self::Track(number()?),
            's' => Self::Submit(number()?),
            'r' => Self::Release(number()?),
            '+' => Self::Wait(number()? as u64 * 50),
            'h' => Self::CheckHealth,
            _ => return None,
        })
    }
}

/// Runs one input.
pub fn run(input: &[u8]) {
    let Ok(script) = std::str::from_utf8(input) else { return };
    let mut fleet = Fleet::new();
    // More steps find nothing that fewer don't.
    for step in script.lines().filter_map(Step::read).take(500) {
        fleet.take(step);
    }
    fleet.end();
}

/// What the application will be notified of.
#[derive(Debug)]
enum Event {
    Register(usize, Registration),
    /// A message, and the worker that its peer was when it said it.
    Message(usize, Option<WorkerKey>),
    Closed(usize),
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "they are independent of each other")]
struct Peer {
    session: Session,
    /// Its registration waits for the application, and nothing more is read of it.
    is_registering: bool,
    is_refused: bool,
    is_open: bool,
    /// Its end was delivered.
    is_gone: bool,
    worker: Option<WorkerKey>,
}

impl Peer {
    fn connected() -> Self {
        Self {
            session: Session::new(),
            is_registering: false,
            is_refused: false,
            is_open: true,
            is_gone: false,
            worker: None,
        }
    }
}

/// Peers, their server and its application.
#[derive(Debug)]
pub struct Fleet {
    pool: Pool<usize>,
    requests: Requests,
    /// Those that wait, by their tickets.
    waiting: BTreeMap<u64, (String, Demand)>,
    peers: Vec<Peer>,
    events: VecDeque<Event>,
    now: Moment,
    /// What the application believes: who is there, and with which pending requests, of which category.
    believed: BTreeMap<WorkerKey, (String, BTreeMap<String, Option<&'static str>>)>,
    tracked: usize,
    ended: BTreeSet<String>,
}

impl Fleet {
    /// Peers that have just connected.
    pub fn new() -> Self {
        Self {
            pool: Pool::new(),
            requests: Requests::default(),
            waiting: BTreeMap::new(),
            peers: (0..PEERS).map(|_| Peer::connected()).collect(),
            events: VecDeque::new(),
            now: Moment { elapsed_ms: 0, unix_ms: 1_700_000_000_000 },
            believed: BTreeMap::new(),
            tracked: 0,
            ended: BTreeSet::new(),
        }
    }

    /// Takes a step, and checks that everything agrees after it.
    pub fn take(&mut self, step: Step<'_>) {
        match step {
            Step::Say(peer, text) => self.say(peer, text),
            Step::Die(peer) => self.die(peer),
            Step::Connect(peer) => {
                if self.peers[peer].is_gone {
                    self.peers[peer] = Peer::connected();
                }
            }
            Step::Drain => self.drain(),
            Step::Track(number) => self.track(number),
            Step::Submit(number) => self.submit(number),
            Step::Release(number) => self.release(number),
            Step::Wait(ms) => {
                self.now.elapsed_ms += ms;
                self.now.unix_ms += ms.cast_signed();
            }
            Step::CheckHealth => self.check_health(),
        }
        self.dispatch();
        self.check();
    }

    /// Everyone goes: then nobody and nothing is left.
    pub fn end(mut self) {
        self.withdraw_all();
        for peer in 0..PEERS {
            self.die(peer);
        }
        while !self.events.is_empty() {
            self.drain();
            self.check();
        }
        assert!(self.pool.is_empty() && self.believed.is_empty(), "nobody is left");
        assert_eq!(self.ended.len(), self.tracked, "I1: every request that was tracked has ended");
    }

    fn say(&mut self, index: usize, text: &str) {
        let peer = &mut self.peers[index];
        if !peer.is_open || peer.is_registering {
            return;
        }
        let action = peer.session.on_text(text, Some(&[TOKEN.to_owned()]));
        assert!(!peer.is_refused || action == Action::Ignore, "who was refused is not heard: {action:?}");
        match action {
            Action::Register(registration) => {
                assert!(text.contains('\\') || text.contains(TOKEN), "nobody registers without the token");
                peer.is_registering = true;
                self.events.push_back(Event::Register(index, registration));
            }
            Action::Deliver => self.events.push_back(Event::Message(index, peer.worker)),
            Action::Heartbeat { worker_id, named, timestamp } => {
                let known = worker_id.as_deref().is_some_and(|id| {
                    let known = self.pool.heartbeat(id, self.now);
                    let worker = self.pool.key_of(id).and_then(|key| self.pool.get(key));
                    assert_eq!(known, worker.is_some_and(|worker| !worker.closed), "{id:?}");
                    if let Some(worker) = worker.filter(|_| known) {
                        assert!(worker.status != Status::Unhealthy && worker.last_seen == self.now);
                    }
                    known
                });
                if known {
                    check_ack(&heartbeat_ack(timestamp, self.now, TIMEOUT_MS), timestamp);
                }
                assert!(worker_id.is_none() || named.is_some(), "an id that is known can be logged");
            }
            Action::Refuse { answer, closing, .. } => {
                peer.is_refused = true;
                let answer: Value = serde_json::from_str(&answer).expect("the answer is JSON");
                assert_eq!((&answer["type"], &answer["success"]), (&"worker_registration_ack".into(), &false.into()));
                assert!(matches!(closing.code, 4001 | 4002), "{closing:?}");
                self.die(index);
            }
            Action::Complain(line) => assert!(line.context.is_null(), "{line:?}"),
            Action::Ignore => assert!(peer.is_refused),
        }
    }

    fn die(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        if std::mem::replace(&mut peer.is_open, false) {
            if let Some(key) = peer.worker {
                self.pool.mark_closed(key);
            }
            self.events.push_back(Event::Closed(index));
        }
    }

    fn drain(&mut self) {
        match self.events.pop_front() {
            None => {}
            Some(Event::Message(index, speaker)) => {
                let peer = &self.peers[index];
                assert!(!peer.is_gone, "I2: nothing comes after the end");
                assert!(
                    peer.worker.is_none_or(|key| self.believed.contains_key(&key)),
                    "I2: only of a worker that is there"
                );
                assert!(peer.worker.is_none() || peer.worker == speaker, "I2: of the worker that said it");
            }
            Some(Event::Register(index, registration)) => self.settle(index, &registration),
            Some(Event::Closed(index)) => {
                if let Some(key) = self.peers[index].worker.take() {
                    self.leave(key);
                }
                self.peers[index].is_gone = true;
            }
        }
    }

    fn settle(&mut self, index: usize, registration: &Registration) {
        self.peers[index].is_registering = false;
        if !self.peers[index].is_open {
            // A connection that is being closed displaces nobody: it would be the end of both.
            return;
        }
        let same_id = self.pool.key_of(&registration.worker_id);
        let same_peer = self.peers[index].worker.filter(|key| Some(*key) != same_id);
        for key in same_peer.into_iter().chain(same_id) {
            let owner = self.pool.get(key).expect("who is displaced is there").peer;
            self.peers[owner].worker = None;
            self.leave(key);
            if owner != index {
                self.die(owner);
            }
        }
        assert_eq!(self.pool.key_of(&registration.worker_id), None, "I3: the old session is out of the pool");
        let key = self.pool.add(&registration.worker_id, &registration.capabilities, index, self.now);
        self.pool.set_offer(key, Takes::Anything, registration.metadata.clone());
        assert!(self.believed.keys().all(|earlier| *earlier < key), "the new worker is the last in order");
        self.peers[index].worker = Some(key);
        self.believed.insert(key, (registration.worker_id.clone(), BTreeMap::new()));
    }

    /// A worker leaves: what it held ends with it, exactly once.
    fn leave(&mut self, key: WorkerKey) {
        let worker = self.pool.remove(key).expect("who leaves was there");
        let (id, pending) = self.believed.remove(&key).expect("who leaves was known");
        assert_eq!(*worker.id, *id);
        assert_eq!(worker.active, pending.len() as u64, "I1: what was tracked on it and not released");
        assert!(!self.pool.release(key, None, false), "it is out");
        for (request, _) in pending {
            assert!(self.ended.insert(request), "a request ends once");
        }
    }

    fn check_health(&mut self) {
        for finding in self.pool.check_health(self.now, TIMEOUT_MS, |_| false) {
            match finding {
                Finding::TimedOut { silent_ms, .. } => assert!(silent_ms > TIMEOUT_MS),
                Finding::Dead { key, .. } => {
                    let worker = self.pool.get(key).expect("who is dead is still there");
                    assert!(self.now.since(worker.last_seen) > 3 * TIMEOUT_MS && worker.status == Status::Unhealthy);
                    let owner = worker.peer;
                    self.die(owner);
                }
            }
        }
    }

    /// I3: every query returns the same.
    fn check(&mut self) {
        let keys: Vec<WorkerKey> = self.pool.iter().map(|(key, _)| key).collect();
        assert!(keys.iter().eq(self.believed.keys()), "I1: the pool holds those whom the application knows");
        let mut available = 0;
        for (key, worker) in self.pool.iter() {
            let (id, pending) = &self.believed[&key];
            assert_eq!((&*worker.id, self.pool.key_of(id)), (&**id, Some(key)));
            let peer = &self.peers[worker.peer];
            assert_eq!((peer.worker, worker.closed), (Some(key), !peer.is_open), "its peer is tied to it");
            assert!(!peer.is_gone, "I2: a worker whose end was told is out");
            assert_eq!(worker.active, pending.len() as u64);
            for limit in &worker.limits {
                let of_category =
                    pending.values().filter(|category| category.is_some_and(|name| *name == *limit.category));
                assert_eq!(limit.active, of_category.count() as u64);
            }
            let is_full = worker.active as f64 >= worker.max;
            assert!(is_full || worker.status != Status::Busy, "{worker:?}");
            assert!(!is_full || worker.active == 0 || worker.status != Status::Available, "{worker:?}");
            available += usize::from(!worker.closed && worker.status == Status::Available);
        }
        assert_eq!((self.pool.available(), self.pool.len()), (available, self.believed.len()));
        let tied = self.peers.iter().filter(|peer| peer.worker.is_some()).count();
        assert_eq!(tied, self.believed.len(), "a worker has one peer");
        for model in ["m", "", "llama-3-70b"] {
            for category in [None, Some("chat")] {
                self.check_selection(model, category);
            }
        }
        let any = self.pool.iter().find(|(_, worker)| worker.reachable()).map(|(key, _)| key);
        assert_eq!(self.pool.select_any(), any);
    }

    fn check_selection(&mut self, model: &str, category: Option<&str>) {
        let selected = self.pool.select(model, category);
        let free = self.pool.free_slots(model, category);
        assert_eq!(selected.is_some(), free > 0.0, "{model:?} {category:?}: {selected:?} with {free} free");
        if let Some(key) = selected {
            let worker = self.pool.get(key).expect("who is selected is there");
            assert!(!worker.closed && worker.status == Status::Available && (worker.active as f64) < worker.max);
            assert!(worker.models.iter().any(|id| id.contains(model) || model.contains(&**id)));
        }
    }
}

impl Default for Fleet {
    fn default() -> Self {
        Self::new()
    }
}

/// An answer to a heartbeat carries the worker's own timestamp, as it came.
fn check_ack(ack: &str, timestamp: Option<&str>) {
    assert!(timestamp.is_none_or(|raw| ack.contains(&format!("\"timestamp\":{raw},"))), "{ack}");
    assert!(serde_json::from_str::<serde::de::IgnoredAny>(ack).is_ok(), "{ack}");
    assert!(ack.ends_with("Z\"}"), "{ack}");
}
