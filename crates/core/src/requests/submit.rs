//! A request comes: it gets a slot, or waits, or may not. And those that wait no longer.

use std::num::NonZeroU64;

use super::affinity::Affinity;
use super::choose::{Avoid, choose};
use super::demand::Demand;
use super::demands::{DemandId, DemandIndex};
use super::waiting::handles::{LineId, RequestId};
use super::waiting::line::Terms;
use super::waiting::{NewRequest, Request};
use super::{Place, Priority, Requests, Slot, Ticket};
use crate::clock::Moment;
use crate::pool::Pool;
use crate::worker::{Snapshot, WorkerKey};

/// What a request asks for.
#[derive(Clone, Debug)]
pub struct Submission<'a> {
    /// What it asks of a worker.
    pub demand: DemandId,
    /// Its priority.
    pub priority: Priority,
    /// Its `fairKey`, as WTF-8.
    pub fair_key: Option<&'a [u8]>,
    /// Its affinity.
    pub affinity: Option<Affinity>,
    /// Workers that it goes to only when no other with a free slot could take it, the one that had it last at the end.
    pub avoid: Vec<Avoid>,
    /// The UTF-8 of its payload.
    pub payload_bytes: u64,
    /// How long it may wait, in ms; 0: it never waits.
    pub queue_ms: f64,
    /// When it began to wait, if it goes on with an earlier queue time, as [`Moment::elapsed_ms`].
    pub queued_ms: Option<u64>,
    /// The place that it had, if it comes back. It is not refused then.
    pub comes_back: Option<Place>,
    /// `whenNoWorker: 'fail'`.
    pub fails_without_worker: bool,
    /// It stands for requests that wait at another node of a fleet: it has its turn among those that wait here, and
    /// counts among them in nothing else.
    pub is_want: bool,
}

impl Submission<'_> {
    /// A new request with every option at its default.
    pub fn new(demand: DemandId) -> Self {
        Self {
            demand,
            priority: Priority::default(),
            fair_key: None,
            affinity: None,
            avoid: Vec::new(),
            payload_bytes: 0,
            queue_ms: 30_000.0,
            queued_ms: None,
            comes_back: None,
            fails_without_worker: false,
            is_want: false,
        }
    }
}

/// A bound of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// `maxSize`.
    Size,
    /// `maxBytes`.
    Bytes,
    /// `maxPerKey`.
    PerKey,
}

/// What became of a [`Submission`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Submitted {
    /// It got a slot: send it.
    Taken(Slot),
    /// It waits.
    Waits {
        /// What names it from here on.
        ticket: Ticket,
        /// When it first arrived.
        place: Place,
        /// How many wait for the same model with its priority or a higher one, itself included.
        position: usize,
        /// How many wait.
        size: usize,
    },
    /// A slot has become free that belongs to somebody who waits: call [`Requests::dispatch`] until it returns `None`,
    /// and submit again.
    Owed,
    /// No registered worker could ever take it, and it fails then: `NO_WORKER`.
    NoWorker,
    /// It would have to wait, and a bound of the queue is reached: `QUEUE_FULL`.
    Full(Bound),
    /// It would have to wait, and may not, since its `queue_ms` is 0.
    NeverWaits,
    /// The number of its demand counts no longer: intern it again, and submit again.
    Forgotten,
}

impl Requests {
    /// Gives a request a slot, or lets it wait.
    ///
    /// It never gets a slot that somebody who waits could take: see [`Submitted::Owed`].
    pub fn submit<P>(&mut self, pool: &mut Pool<P>, submission: &Submission<'_>, now: Moment) -> Submitted {
        if self.owes_slot(pool, now) {
            return Submitted::Owed;
        }
        let Some((index, demand)) = self.demands.find(submission.demand) else { return Submitted::Forgotten };
        // No slot is free for which somebody waits: so none is for this one, if somebody waits with the same demand.
        let is_waited_for = self.demands.get(index).and_then(|entry| self.waiting.line(entry.line));
        let is_waited_for = is_waited_for.is_some_and(|line| line.waiting > 0);
        if !is_waited_for
            && let Some(key) = choose(pool, demand, submission.affinity, &submission.avoid, now.elapsed_ms)
        {
            let place = submission.comes_back.unwrap_or_else(|| Place(self.waiting.number()));
            // The worker is there: it was chosen just now.
            if let Some(slot) = take_slot(pool, key, demand, place) {
                return Submitted::Taken(slot);
            }
        }
        if submission.fails_without_worker && Self::has_no_worker(pool, demand) {
            return Submitted::NoWorker;
        }
        if submission.queue_ms <= 0.0 {
            return Submitted::NeverWaits;
        }
        if let Some(bound) = self.reached(submission) {
            return Submitted::Full(bound);
        }
        self.enqueue(pool, index, submission, now)
    }

    /// A request waits no longer. False if it did not.
    pub fn withdraw<P>(&mut self, pool: &mut Pool<P>, ticket: Ticket) -> bool {
        let id = ticket.place();
        let Some(request) = self.waiting.remove(id) else { return false };
        self.forget(pool, id, &request);
        true
    }

    /// `send` refused what was given a slot: the slot is free again, and the worker counts as busy until there is room
    /// in its outbox (see [`Pool::set_full`]). The request is to be submitted again with its place.
    pub fn refuse<P>(pool: &mut Pool<P>, slot: &Slot) {
        pool.set_full(slot.worker.key, true);
        pool.release(slot.worker.key, slot.limit, false);
    }

    /// The bound of the queue that keeps a request out.
    fn reached(&self, submission: &Submission<'_>) -> Option<Bound> {
        if submission.comes_back.is_some() {
            return None;
        }
        let limits = &self.limits;
        let is_beyond = |count: usize, most: u64| count as u64 >= most;
        if is_beyond(self.waiting.own(), limits.max_size) {
            Some(Bound::Size)
        } else if self.waiting.bytes().saturating_add(submission.payload_bytes) > limits.max_bytes {
            Some(Bound::Bytes)
        } else {
            let of_key = self.waiting.of_key(submission.fair_key?);
            is_beyond(of_key, limits.max_per_key.unwrap_or(limits.max_size)).then_some(Bound::PerKey)
        }
    }

    fn enqueue<P>(
        &mut self,
        pool: &mut Pool<P>,
        index: DemandIndex,
        submission: &Submission<'_>,
        now: Moment,
    ) -> Submitted {
        let queued_ms = submission.queued_ms.unwrap_or(now.elapsed_ms);
        let priority = submission.priority;
        let half_ms = half_of(submission.queue_ms).filter(|_| priority > Priority::High);
        let half_ms = half_ms.and_then(|half| NonZeroU64::new(queued_ms.saturating_add(half)));
        let line = self.line_for(index, &submission.avoid, now.elapsed_ms);
        let id = self.waiting.add(NewRequest {
            demand: index,
            line,
            priority,
            fair_key: submission.fair_key,
            comes_back: submission.comes_back.map(Place::to_number),
            affinity: submission.affinity,
            avoid: &submission.avoid,
            payload_bytes: submission.payload_bytes,
            queued_ms,
            half_ms,
            is_want: submission.is_want,
        });
        self.demands.count(index, shown(priority, submission.is_want), true);
        self.halves.extend(half_ms.map(|half| (half.get(), id)));
        self.pauses.extend(next_pause(&submission.avoid, now.elapsed_ms).map(|until| (until, id)));
        pool.watch(true);
        let arrival = self.waiting.get(id).map_or(0, |request| request.arrival);
        Submitted::Waits {
            ticket: Ticket::of(id),
            place: Place(arrival),
            position: self.demands.ahead(index, priority),
            size: self.waiting.own(),
        }
    }

    /// The line for requests that may not go to some workers yet.
    pub(super) fn line_for(&mut self, index: DemandIndex, avoid: &[Avoid], now_ms: u64) -> LineId {
        let Some(entry) = self.demands.get_mut(index) else { return LineId::MAX };
        let mut except: Vec<_> =
            avoid.iter().filter(|avoid| avoid.until_ms > now_ms).map(|avoid| avoid.worker_id.clone()).collect();
        if except.is_empty() {
            return entry.line;
        }
        except.sort_unstable();
        except.dedup();
        let is_for = |&line: &LineId| self.waiting.line(line).is_some_and(|line| *line.terms.except == *except);
        if let Some(known) = entry.lines.iter().copied().find(is_for) {
            return known;
        }
        let demand = entry.demand();
        let terms =
            Terms { selector: demand.selector.clone(), category: demand.category.clone(), except: except.into() };
        let line = self.waiting.add_line(terms);
        self.waiting.connect_like(entry.line, line);
        entry.lines.push(line);
        line
    }

    /// Nobody is left in a line, maybe: then it goes, if it is not the demand's own.
    pub(super) fn close_line(&mut self, index: DemandIndex, line: LineId) {
        let Some(entry) = self.demands.get_mut(index) else { return };
        if entry.line != line && self.waiting.line(line).is_some_and(|line| line.waiting == 0) {
            entry.lines.retain(|&other| other != line);
            self.waiting.remove_line(line);
        }
    }

    /// A request has left those that wait.
    pub(super) fn forget<P>(&mut self, pool: &mut Pool<P>, id: RequestId, request: &Request) {
        self.demands.count(request.demand, shown(request.priority, request.is_want), false);
        if let Some(half) = request.half_ms() {
            self.halves.remove(&(half, id));
        }
        for avoid in request.avoid() {
            self.pauses.remove(&(avoid.until_ms, id));
        }
        self.close_line(request.demand, request.line);
        if self.waiting.len() == 0 {
            pool.watch(false);
        }
    }
}

/// The priority under which a request is shown among those that wait; wants are shown under none.
fn shown(priority: Priority, is_want: bool) -> Option<Priority> {
    (!is_want).then_some(priority)
}

/// Counts a request on a worker.
pub(super) fn take_slot<P>(pool: &mut Pool<P>, key: WorkerKey, demand: &Demand, place: Place) -> Option<Slot> {
    let limit = demand.category.as_deref().and_then(|category| pool.get(key)?.place_of(category));
    pool.track(key, limit);
    let worker = Snapshot::of(key, pool.get(key)?);
    Some(Slot { worker, limit, place })
}

/// When the next pause ends of a request, before which it may not go to some worker.
pub(super) fn next_pause(avoid: &[Avoid], now_ms: u64) -> Option<u64> {
    avoid.iter().map(|avoid| avoid.until_ms).filter(|&until_ms| until_ms > now_ms).min()
}

/// Half of a queue time, in whole ms. `None` if it has no end.
fn half_of(queue_ms: f64) -> Option<u64> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast keeps within the bounds of the type"
    )]
    queue_ms.is_finite().then(|| (queue_ms / 2.0).ceil() as u64)
}
