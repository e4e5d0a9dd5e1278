//! Requests that look for a worker: who waits, who is next, and which worker gets it.
//!
//! JavaScript keeps the life of a request: its promise, signal, timers and attempts. What it asks here, on its own
//! thread and with the pool beside it, is where a request goes and when:
//!
//! 1. [`Requests::intern`] turns what a request asks of a worker (a [`demand::Demand`]) into a number, once for many
//!    requests.
//! 2. [`Requests::submit`] chooses a worker with a free slot ([`choose`]) and takes the slot, or lets the request wait.
//! 3. The pool notes each slot that becomes free (see [`Pool::watch`]). [`Requests::dispatch`] then gives slots away,
//!    one a call, to those that wait (`waiting`), until it returns `None`. After it no free slot is left that
//!    somebody waits for.
//! 4. [`Requests::withdraw`] is for those that wait no longer.
//!
//! A request that comes back (rejected, refused by an outbox, or for its next attempt) is submitted again with the
//! [`Place`] that it had. Its slot is given back before that, by [`Pool::release`] or [`Requests::refuse`].
//!
//! Beside them: [`explain`] says why a request waits, [`retry`] how long to pause, [`affinity`] which worker a key
//! prefers, [`selector`] what `where` means.

pub mod affinity;
pub mod choose;
pub mod demand;
pub mod demands;
mod dispatch;
pub mod elsewhere;
pub mod explain;
mod ids;
mod kinds;
pub mod retry;
pub mod selector;
mod submit;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::demand::Demand;
use self::demands::{DemandId, Demands};
use self::kinds::Kinds;
use self::retry::Pace;
pub use self::submit::{Bound, Submission, Submitted};
use self::waiting::Waiting;
use self::waiting::handles::RequestId;
use self::waiting::line::Terms;
use crate::clock::Moment;
use crate::pool::Pool;
use crate::worker::Snapshot;

/// How many priorities there are.
pub const PRIORITIES: usize = 3;

/// The option `priority`. A higher one is less, so that it comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Before all others.
    High,
    /// The default.
    #[default]
    Medium,
    /// After all others.
    Low,
}

impl Priority {
    /// All, the highest first.
    pub const ALL: [Self; PRIORITIES] = [Self::High, Self::Medium, Self::Low];

    /// Its place among all.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its name, as the application spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }

    /// The next higher one.
    #[must_use]
    pub const fn higher(self) -> Self {
        match self {
            Self::High | Self::Medium => Self::High,
            Self::Low => Self::Medium,
        }
    }
}

/// The option `queue`, as far as it bounds who may wait. Infinity is [`u64::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Most requests that wait. Default: 1,000.
    pub max_size: u64,
    /// Most bytes of their payloads. Default: 64 MiB.
    pub max_bytes: u64,
    /// Most requests of one fair key. `None`: as `max_size`.
    pub max_per_key: Option<u64>,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { max_size: 1_000, max_bytes: 64 << 20, max_per_key: None }
    }
}

/// Names a request while it waits: its place, which another one may have afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(u64);

/// When a request first arrived. Who comes back with it stands where it would have stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u64);

macro_rules! crosses_as_a_number {
    ($name:ident) => {
        impl $name {
            /// The number as it crosses to JavaScript: a whole one that a double holds.
            pub const fn to_number(self) -> u64 {
                self.0
            }

            /// What such a number stood for.
            pub const fn from_number(number: u64) -> Self {
                Self(number)
            }
        }
    };
}

crosses_as_a_number!(Ticket);

impl Ticket {
    const fn of(id: RequestId) -> Self {
        Self(id as u64)
    }

    fn place(self) -> RequestId {
        RequestId::try_from(self.0).unwrap_or(RequestId::MAX)
    }
}

crosses_as_a_number!(Place);

/// A slot that a request got: it is counted on the worker, as [`Pool::track`] does it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    /// The worker, with the request counted.
    pub worker: Snapshot,
    /// The place of the category among those that the worker limits; [`Pool::release`] wants it back.
    pub limit: Option<usize>,
    /// When the request first arrived.
    pub place: Place,
}

/// A slot that a request got which had to wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grant {
    /// The request. It waits no longer.
    pub ticket: Ticket,
    /// Its slot.
    pub slot: Slot,
}

/// What `getQueueInfo()` returns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueInfo {
    /// How many wait.
    pub size: usize,
    /// The UTF-8 of their payloads.
    pub bytes: u64,
    /// How long the one has waited that began first; 0 if nobody waits.
    pub oldest_ms: u64,
    /// How many wait for each model; without one they are listed as `*`.
    pub by_model: BTreeMap<Arc<str>, usize>,
}

/// The requests of a server that look for a worker.
#[derive(Debug, Default)]
pub struct Requests {
    limits: QueueLimits,
    demands: Demands,
    waiting: Waiting,
    kinds: Kinds,
    /// When those will have waited for half of their queue time that then count one priority higher.
    halves: BTreeSet<(u64, RequestId)>,
    /// When pauses end before which a request does not go to a worker that rejected it.
    pauses: BTreeSet<(u64, RequestId)>,
    pace: Pace,
}

impl Requests {
    /// Nobody waits, and this many may.
    pub fn new(limits: QueueLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The number of a demand. It is good until [`Submitted::Forgotten`] says otherwise.
    pub fn intern<P>(&mut self, pool: &mut Pool<P>, demand: Demand) -> DemandId {
        if let Some(known) = self.demands.id_of(&demand) {
            return known;
        }
        if self.demands.is_full() {
            for line in self.demands.forget_idle() {
                self.waiting.remove_line(line);
            }
        }
        let terms =
            Terms { selector: demand.selector.clone(), category: demand.category.clone(), except: Box::default() };
        let id = self.demands.add(demand, self.waiting.add_line(terms));
        if let Some((index, _)) = self.demands.find(id) {
            self.connect(pool, index);
        }
        id
    }

    /// What a number stands for. `None` if it counts no longer.
    pub fn demand(&self, id: DemandId) -> Option<&Arc<Demand>> {
        self.demands.find(id).map(|(_, demand)| demand)
    }

    /// How many wait.
    pub fn size(&self) -> usize {
        self.waiting.own()
    }

    /// What waits.
    pub fn info(&self, now: Moment) -> QueueInfo {
        let mut by_model = BTreeMap::new();
        for (name, waiting) in self.demands.waiting_by_model() {
            let model = name.map_or_else(|| "*".into(), |name| Arc::clone(name.shown()));
            *by_model.entry(model).or_default() += waiting.iter().sum::<usize>();
        }
        QueueInfo { size: self.waiting.own(), bytes: self.waiting.bytes(), oldest_ms: self.oldest_ms(now), by_model }
    }

    /// How long the request has waited that began first, in ms; 0 if none waits.
    pub fn oldest_ms(&self, now: Moment) -> u64 {
        let own = self.waiting.requests().filter(|request| !request.is_want);
        let oldest = own.map(|request| request.queued_ms).min();
        oldest.map_or(0, |oldest| now.elapsed_ms.saturating_sub(oldest))
    }

    /// For each model how many wait, by their priority. `None`: without one. A name that is no Unicode matches no
    /// model, and is as it is shown.
    pub fn waiting_by_model(&self) -> impl Iterator<Item = (Option<&str>, [usize; PRIORITIES])> {
        self.demands.waiting_by_model().map(|(name, waiting)| (name.map(|name| &**name.shown()), waiting))
    }

    /// Whether no registered worker could ever take such a request, whatever its status: `NO_WORKER`.
    pub fn has_no_worker<P>(pool: &mut Pool<P>, demand: &Demand) -> bool {
        if let Some(id) = &demand.worker_id {
            let worker = id.get().and_then(|id| pool.get(pool.key_of(id)?));
            return !worker.is_some_and(|worker| demand.could_be_met_by(worker));
        }
        let model = match &demand.model {
            Some(name) if name.get().is_none() => return true,
            name => name.as_ref().and_then(|name| name.get()),
        };
        let (index, workers) = pool.indexed();
        let mut members = index
            .asked(model, demand.model_match)
            .filter(|(_, group)| group.takes() >= demand.needs)
            .flat_map(|(_, group)| group.members());
        !members.any(|key| workers.get(&key).is_some_and(|worker| demand.could_be_met_by(worker)))
    }

    /// The `retryAfterMs` of `QUEUE_FULL`.
    pub fn retry_after_ms(&self) -> u64 {
        self.pace.retry_after_ms(self.waiting.own())
    }

    /// The server stops: nobody waits any more, and tickets are worth nothing.
    pub fn clear<P>(&mut self, pool: &mut Pool<P>) {
        pool.watch(false);
        self.waiting.clear();
        let waiting = std::mem::take(&mut self.waiting);
        *self = Self { limits: self.limits, waiting, demands: self.demands.emptied(), ..Self::default() };
    }
}
