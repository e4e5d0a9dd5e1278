//! A line: the requests that wait with one demand and may not go to the same few workers.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::handles::{BoardId, FlowId, RequestId};
use crate::requests::PRIORITIES;
use crate::requests::selector::Selector;

/// Where something stands in a ring: its position, and of one position the oldest request first, as its place says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// A number that only grows; who moves to the end gets the next one.
    pub position: u64,
    /// The request's place among those of its key, which is such a number, too.
    pub place: u64,
}

/// What stands in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// A fair key with all its requests of the line.
    Flow(FlowId),
    /// A request by itself.
    Request(RequestId),
}

/// What all requests of a line have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// The `where` that they ask for.
    pub selector: Option<Arc<Selector>>,
    /// Their category.
    pub category: Option<Arc<str>>,
    /// The ids of workers that they may not go to, in order.
    pub except: Box<[Arc<str>]>,
}

/// Requests on the same terms.
#[derive(Debug)]
pub struct Line {
    pub terms: Terms,
    /// How many wait in it.
    pub waiting: usize,
    /// The boards on which it can be.
    pub boards: Vec<BoardId>,
    pub priorities: [PriorityLine; PRIORITIES],
}

/// Those of one priority.
#[derive(Debug, Default)]
pub struct PriorityLine {
    /// In the order of their turns. A flow that moves to the end is left where it is until it is looked at, so a turn
    /// here may be too early and is never too late.
    pub order: BTreeSet<(Turn, Standing)>,
    /// The boards on which this is not.
    pub absent: Vec<BoardId>,
    /// No board has a later turn for this.
    pub latest: Option<Turn>,
}

impl Line {
    pub fn new(terms: Terms) -> Self {
        Self { terms, waiting: 0, boards: Vec::new(), priorities: Default::default() }
    }
}
