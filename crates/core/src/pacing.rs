//! How the application's thread and the runtime's wait for each other.
//!
//! Waking a thread takes a system call, often an interrupt of another processor, and finds caches cold; a thread that
//! looks instead of sleeping is there at once and uses up a processor. What is better depends on what is going on,
//! which shows only in what has happened. This is the one place that decides. It is notified of what happens, and when,
//! and returns a [`Verdict`], which both threads obey.
//!
//! Where a quota or the affinity leaves the process one processor, nobody looks without sleeping: the other thread could
//! do nothing meanwhile, and the time that is used up is missing later. The application's thread then waits for the
//! sockets of a conversation itself, in one system call, where it can.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

/// How long the application looks for the next events, before it sleeps.
pub const POLL_TIME: Duration = Duration::from_micros(100);
/// How much of [`POLL_TIME`] it spends in one turn of its event loop, which has other work to do, too.
pub const POLL_TURN: Duration = Duration::from_micros(50);
/// How long the application looks where it [sleeps](Look::Asleep) meanwhile.
pub const SLEEPING_POLL_TIME: Duration = Duration::from_millis(1);
/// How much of [`SLEEPING_POLL_TIME`] it spends in one turn of its event loop.
pub const SLEEPING_POLL_TURN: Duration = Duration::from_micros(200);
/// How long the runtime's thread stands by for what the application answers.
pub const STANDBY_TIME: Duration = Duration::from_micros(50);
/// How long the runtime's thread rests after a wake, while messages only stream in. What comes meanwhile waits for the
/// end of that.
pub const REST_TIME: Duration = Duration::from_millis(1);
/// A wake does not wait longer for the runtime's thread to have nothing left to do.
pub const MAX_WAKE_DELAY: Duration = Duration::from_micros(100);
/// With how many peers a conversation may be for which the application looks, where it reads their sockets itself.
pub const MAX_POLLED_PEERS: usize = 16;
/// The same where it waits for what the runtime's thread reads. Among more, the next event is mostly another one's, and
/// comes soon whether or not anybody looks: then those that come while a thread is woken are handled together, for less.
pub const MAX_AWAITED_PEERS: usize = 6;
/// To at most this many peers the application's thread writes at the end of a turn. For more it wakes the runtime's
/// thread, which costs as much as writing to several.
pub const MAX_DIRECT_PEERS: usize = 16;
/// How many times the runtime's thread does not stand by after it has stood by in vain.
pub const SKIPPED_STANDBYS: u32 = 16;

/// What a thread does that has nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// It sleeps, and is woken as soon as there is something for it.
    #[default]
    Sleep,
    /// Messages only stream in, one shortly after the other, and nobody waits for an answer. After each wake of the
    /// application the runtime's thread rests, and then takes together what came meanwhile. Network cards do the same
    /// with their interrupts, which is called interrupt moderation.
    Coalesce,
    /// Peers and application answer each other at once. The application looks for the next events, turn after turn of
    /// its event loop: it reads the sockets of these peers, while the runtime's thread rests. Where it can't, the
    /// runtime's threads read them, and one stands by to write what it answers. Network stacks call it busy polling.
    Poll,
}

/// A pattern that must have shown again and again before it counts, and ends soon after it has ended.
#[derive(Clone, Copy, Debug, Default)]
struct Score(u32);

impl Score {
    /// From here on the pattern counts.
    const ENOUGH: u32 = 16;
    const MAX: u32 = 32;
    /// What it loses where the pattern does not show: that must be so two times of three.
    const LOSS: u32 = 2;

    fn note(&mut self, shows: bool) {
        self.0 = if shows { Self::MAX.min(self.0 + 1) } else { self.0.saturating_sub(Self::LOSS) };
    }

    fn is_enough(self) -> bool {
        self.0 >= Self::ENOUGH
    }
}

/// How the application looks for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Again and again: its processor has nothing else to do.
    Awake,
    /// It sleeps until a socket of those whose events came last has something.
    Asleep,
}

/// Decides for one server. All times are of one clock that does not go back; one that does costs no more than a verdict
/// that does not fit.
#[derive(Clone, Debug)]
pub struct Pacing {
    look: Option<Look>,
    /// Events of a few peers come soon after the application has sent something.
    answers: Score,
    /// Among how many peers.
    max_peers: usize,
    /// Those peers whose events came last, the last one first.
    recent_peers: [Option<u64>; MAX_POLLED_PEERS],
    /// Wakes come soon after each other, and nothing is sent between.
    stream: Score,
    /// Something was sent since the application took events.
    has_sent: bool,
    /// The application has events in hand.
    is_handling: bool,
    /// When it had handled the last ones.
    handled_at: Option<Instant>,
    /// When the last wake was, or the rest after it ended.
    woken_at: Option<Instant>,
    standbys_to_skip: u32,
}

impl Pacing {
    /// Decides for a process that may use `processors` processors, or the time of this many, as
    /// `std::thread::available_parallelism` counts them.
    pub fn new(processors: usize) -> Self {
        Self {
            look: (processors > 1).then_some(Look::Awake),
            answers: Score::default(),
            max_peers: MAX_AWAITED_PEERS,
            recent_peers: [None; MAX_POLLED_PEERS],
            stream: Score::default(),
            has_sent: false,
            is_handling: false,
            handled_at: None,
            woken_at: None,
            standbys_to_skip: 0,
        }
    }

    /// Notes whether the application can read the sockets of those whose events came last, and sleep until one of them
    /// has something.
    pub fn set_polls_sockets(&mut self, polls_sockets: bool, can_sleep: bool) {
        self.max_peers = if polls_sockets { MAX_POLLED_PEERS } else { MAX_AWAITED_PEERS };
        if self.look != Some(Look::Awake) {
            self.look = (polls_sockets && can_sleep).then_some(Look::Asleep);
        }
    }

    /// How the application looks for events. `None` if it never does.
    pub fn look(&self) -> Option<Look> {
        self.look
    }

    fn poll_time(&self) -> Duration {
        if self.look == Some(Look::Asleep) { SLEEPING_POLL_TIME } else { POLL_TIME }
    }

    /// What a thread does that has nothing to do at `now`.
    pub fn verdict(&self, now: Instant) -> Verdict {
        if self.look.is_some() && self.answers.is_enough() && was_within(self.poll_time(), self.handled_at, now) {
            Verdict::Poll
        } else if self.stream.is_enough() {
            Verdict::Coalesce
        } else {
            Verdict::Sleep
        }
    }

    /// The application asks for events: it has handled those that it had.
    pub fn on_ask(&mut self, now: Instant) {
        if std::mem::take(&mut self.is_handling) {
            self.handled_at = Some(now);
        }
    }

    /// The application got events, for which it had asked at `now`, the first of them from `peer`.
    pub fn on_events(&mut self, now: Instant, peer: u64) {
        let has_sent = std::mem::take(&mut self.has_sent);
        let is_familiar = self.note_peer(peer);
        self.answers.note(has_sent && is_familiar && was_within(self.poll_time(), self.handled_at, now));
        self.is_handling = true;
    }

    /// Events of a further peer came together with those of [`Pacing::on_events`].
    pub fn on_events_besides(&mut self, peer: u64) {
        self.note_peer(peer);
    }

    /// Whether a peer is one of those few whose events came last. Now it is.
    fn note_peer(&mut self, peer: u64) -> bool {
        let place = self.recent_peers.iter().position(|&recent| recent == Some(peer));
        self.recent_peers[..=place.unwrap_or(MAX_POLLED_PEERS - 1)].rotate_right(1);
        self.recent_peers[0] = Some(peer);
        place.is_some_and(|place| place < self.max_peers)
    }

    /// The application has sent something: a current rest ends, and none begins soon.
    pub fn on_send(&mut self) {
        self.has_sent = true;
        self.stream = Score::default();
    }

    /// Somebody connects, and waits for an answer.
    pub fn on_connect(&mut self) {
        self.stream = Score::default();
    }

    /// The runtime's thread has woken the application, at `now`, for something that came at `came_at`. Returns how long
    /// it rests.
    pub fn on_wake(&mut self, came_at: Instant, now: Instant) -> Option<Duration> {
        self.stream.note(was_within(REST_TIME, self.woken_at, came_at));
        self.woken_at = Some(now);
        self.stream.is_enough().then_some(REST_TIME)
    }

    /// A rest is over.
    pub fn on_rested(&mut self, now: Instant) {
        self.woken_at = Some(now);
    }

    /// How long a wake may wait while the runtime's thread still has something to do.
    pub fn wake_delay(&self) -> Duration {
        if self.stream.is_enough() { REST_TIME } else { MAX_WAKE_DELAY }
    }

    /// Whether the runtime's thread stands by, where the verdict lets it.
    pub fn may_stand_by(&mut self) -> bool {
        let may = self.standbys_to_skip == 0;
        self.standbys_to_skip = self.standbys_to_skip.saturating_sub(1);
        may
    }

    /// The runtime's thread has stood by in vain: the application answers late, or both threads share a processor, and
    /// waiting only keeps others from their work.
    pub fn on_vain_standby(&mut self) {
        self.standbys_to_skip = SKIPPED_STANDBYS;
    }
}

fn was_within(time: Duration, earlier: Option<Instant>, now: Instant) -> bool {
    earlier.is_some_and(|earlier| now.saturating_duration_since(earlier) < time)
}
