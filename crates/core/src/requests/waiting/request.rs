//! A request that waits. There may be many, so what few of them have is on the side.

use std::num::NonZeroU64;

use super::handles::{KeyId, LineId};
use crate::requests::Priority;
use crate::requests::affinity::Affinity;
use crate::requests::choose::Avoid;
use crate::requests::demands::DemandIndex;

/// A request that waits.
#[derive(Debug)]
pub struct Request {
    pub demand: DemandIndex,
    pub line: LineId,
    /// When it first arrived: [`Waiting::number`](super::Waiting::number).
    pub arrival: u64,
    /// Where it stands among those of its key, or in the ring if it stands there by itself: its arrival, or when it
    /// began to count one priority higher.
    pub(super) place: u64,
    pub payload_bytes: u64,
    /// When it began to wait, and when it has waited for half of its queue time.
    pub queued_ms: u64,
    half_ms: Option<NonZeroU64>,
    rare: Option<Box<Rare>>,
    pub priority: Priority,
    /// It stands by itself.
    pub(super) is_alone: bool,
    /// It stands for requests that wait at another node.
    pub is_want: bool,
}

/// What few requests have.
#[derive(Debug)]
struct Rare {
    affinity: Option<Affinity>,
    avoid: Box<[Avoid]>,
    key: Option<KeyId>,
}

/// What [`Waiting::add`](super::Waiting::add) needs to know.
#[derive(Clone, Copy, Debug)]
pub struct NewRequest<'a> {
    pub demand: DemandIndex,
    pub line: LineId,
    pub priority: Priority,
    pub fair_key: Option<&'a [u8]>,
    /// Its arrival, if it comes back.
    pub comes_back: Option<u64>,
    pub affinity: Option<Affinity>,
    pub avoid: &'a [Avoid],
    pub payload_bytes: u64,
    pub queued_ms: u64,
    pub half_ms: Option<NonZeroU64>,
    pub is_want: bool,
}

impl Request {
    pub(super) fn new(new: NewRequest<'_>, arrival: u64, key: Option<KeyId>) -> Self {
        let has_rare = key.is_some() || new.affinity.is_some() || !new.avoid.is_empty();
        let rare = has_rare.then(|| Box::new(Rare { affinity: new.affinity, avoid: new.avoid.into(), key }));
        Self {
            demand: new.demand,
            line: new.line,
            arrival,
            place: arrival,
            payload_bytes: new.payload_bytes,
            queued_ms: new.queued_ms,
            half_ms: new.half_ms,
            rare,
            priority: new.priority,
            is_alone: new.is_want || key.is_some() && new.comes_back.is_some(),
            is_want: new.is_want,
        }
    }

    /// When it has waited for half of its queue time. `None` if that changes nothing.
    pub fn half_ms(&self) -> Option<u64> {
        self.half_ms.map(NonZeroU64::get)
    }

    /// Which worker it prefers.
    pub fn affinity(&self) -> Option<Affinity> {
        self.rare.as_ref()?.affinity
    }

    /// The workers that it goes to only when no other could take it.
    pub fn avoid(&self) -> &[Avoid] {
        self.rare.as_ref().map_or(&[], |rare| &rare.avoid)
    }

    /// Its fair key.
    pub(super) fn key(&self) -> Option<KeyId> {
        self.rare.as_ref()?.key
    }

    /// It counts one priority higher from now on, at this place.
    pub(super) fn promote(&mut self, place: u64) {
        self.priority = self.priority.higher();
        self.half_ms = None;
        self.is_alone = self.is_want;
        self.place = place;
    }
}
