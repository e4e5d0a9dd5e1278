//! Why a request can't be taken now, worker by worker.

use std::fmt::Write;
use std::sync::Arc;

use super::demand::Demand;
use crate::pool::Pool;
use crate::rules::Status;
use crate::worker::Worker;

/// Why a worker doesn't take a request, in the order in which reasons are looked for; or that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Its socket is closing or gone.
    Closing,
    /// Another one is asked for.
    OtherWorker,
    /// It takes no requests, or none with such a payload.
    NoRequests,
    /// It doesn't have the model.
    Model,
    /// Its metadata don't match `where`.
    Selector,
    /// It is silent.
    Unhealthy,
    /// It gets nothing new.
    Draining,
    /// It has as many requests as it takes, or its outbox is full.
    Busy,
    /// It has as many requests of the category as it takes.
    Category,
    /// It takes the request.
    Free,
}

impl Reason {
    /// All, in order.
    pub const ALL: [Self; 10] = [
        Self::Closing,
        Self::OtherWorker,
        Self::NoRequests,
        Self::Model,
        Self::Selector,
        Self::Unhealthy,
        Self::Draining,
        Self::Busy,
        Self::Category,
        Self::Free,
    ];

    /// The word for it in an `Explanation`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closing => "closing",
            Self::OtherWorker => "other-worker",
            Self::NoRequests => "no-requests",
            Self::Model => "model",
            Self::Selector => "selector",
            Self::Unhealthy => "unhealthy",
            Self::Draining => "draining",
            Self::Busy => "busy",
            Self::Category => "category",
            Self::Free => "free",
        }
    }

    /// The reason of a word in an `Explanation`.
    pub fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// The first reason that holds of a worker.
    pub fn of<P>(worker: &Worker<P>, demand: &Demand) -> Self {
        let slots = worker.slots(demand.category.as_deref());
        if worker.closed {
            Self::Closing
        } else if !demand.names(worker) {
            Self::OtherWorker
        } else if worker.takes < demand.needs {
            Self::NoRequests
        } else if !demand.is_served_by(&worker.models) {
            Self::Model
        } else if !demand.selects(worker) {
            Self::Selector
        } else if worker.status == Status::Unhealthy {
            Self::Unhealthy
        } else if worker.status == Status::Draining {
            Self::Draining
        } else if slots.status == Status::Busy || slots.active >= slots.max {
            Self::Busy
        } else if slots.load().is_none() {
            Self::Category
        } else {
            Self::Free
        }
    }

    /// What the text says of a number of workers.
    fn say(self, count: usize, demand: &Demand, text: &mut String) {
        let asked =
            |name: &Option<super::demand::Name>| name.as_ref().map(|name| Arc::clone(name.shown())).unwrap_or_default();
        let (is, does) = if count == 1 { ("is", "does") } else { ("are", "do") };
        // Writing to a string cannot fail.
        let _ = match self {
            Self::Closing => write!(text, "{count} closing"),
            Self::OtherWorker => write!(text, "{count} {is} not \"{}\"", asked(&demand.worker_id)),
            Self::NoRequests => write!(text, "{count} {does} not take requests"),
            Self::Model => write!(text, "{count} {does} not serve \"{}\"", asked(&demand.model)),
            Self::Selector => write!(text, "{count} {does} not match where"),
            Self::Unhealthy => write!(text, "{count} unhealthy"),
            Self::Draining => write!(text, "{count} draining"),
            Self::Busy => write!(text, "{count} busy"),
            Self::Category => {
                write!(text, "{count} at the limit of \"{}\"", demand.category.as_deref().unwrap_or_default())
            }
            Self::Free => write!(text, "{count} free"),
        };
    }
}

/// What `explain()` returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// All in one line.
    pub text: String,
    /// Each worker in the order of registration; it takes the request if the reason is [`Reason::Free`].
    pub workers: Vec<(Arc<str>, Reason)>,
}

/// Looks at every worker.
pub fn explain<P>(pool: &Pool<P>, demand: &Demand) -> Explanation {
    let workers: Vec<_> = pool.iter().map(|(_, worker)| (Arc::clone(&worker.id), Reason::of(worker, demand))).collect();
    Explanation { text: sum_up(&workers, demand), workers }
}

/// What is said of workers for which these reasons hold, in one line.
pub fn sum_up(workers: &[(Arc<str>, Reason)], demand: &Demand) -> String {
    if workers.is_empty() {
        return "no workers".to_owned();
    }
    let count = |reason| workers.iter().filter(|(_, other)| *other == reason).count();
    let mut counts: Vec<(usize, Reason)> =
        Reason::ALL.into_iter().map(|reason| (count(reason), reason)).filter(|(count, _)| *count > 0).collect();
    // Stable, so that equal ones stay in the order of the reasons.
    counts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let mut text = format!("{} worker(s): ", workers.len());
    for (place, (count, reason)) in counts.into_iter().enumerate() {
        text.push_str(if place == 0 { "" } else { ", " });
        reason.say(count, demand, &mut text);
    }
    text
}
