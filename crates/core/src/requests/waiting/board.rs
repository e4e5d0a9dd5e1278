//! A board: the lines that workers of one kind can serve, in the order of their turns.
//!
//! A line is entered with the turn of its first request, and that entry is left alone while requests are taken and withdrawn: it may be
//! too early, never too late. It is put right when it comes first.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::line::{LineId, Terms, Turn};
use crate::requests::PRIORITIES;
use crate::requests::selector::Selector;
use crate::worker::Worker;

/// Names a board.
pub type BoardId = usize;

/// The lines of one kind of worker.
#[derive(Debug, Default)]
pub struct Board {
    lanes: Vec<Option<Lane>>,
    entries: FxHashMap<LineId, Entry>,
}

/// Where a line is on a board.
#[derive(Debug)]
struct Entry {
    lane: usize,
    turns: [Option<Turn>; PRIORITIES],
}

/// Lines that the same workers of the kind may serve.
#[derive(Debug)]
struct Lane {
    selector: Option<Arc<Selector>>,
    except: Box<[Arc<str>]>,
    /// `None` if the kind doesn't limit the category, or there is none.
    category: Option<Arc<str>>,
    lines: usize,
    order: [BTreeSet<(Turn, LineId)>; PRIORITIES],
}

impl Lane {
    fn new(terms: &Terms, category: Option<Arc<str>>) -> Self {
        let (selector, except) = (terms.selector.clone(), terms.except.clone());
        Self { selector, except, category, lines: 0, order: Default::default() }
    }

    fn is_for(&self, terms: &Terms, category: Option<&Arc<str>>) -> bool {
        self.category.as_ref() == category && self.selector == terms.selector && self.except == terms.except
    }

    fn may_be_served_by<P>(&self, worker: &Worker<P>) -> bool {
        worker.slots(self.category.as_deref()).load().is_some()
            && self.selector.as_ref().is_none_or(|selector| selector.matches(&worker.metadata))
            && !self.except.contains(&worker.id)
    }
}

impl Board {
    /// Takes a line in, of which nobody waits. `is_limited` if the kind limits the line's category.
    pub fn add(&mut self, line: LineId, terms: &Terms, is_limited: bool) {
        let category = terms.category.clone().filter(|_| is_limited);
        let known =
            self.lanes.iter().position(|lane| lane.as_ref().is_some_and(|lane| lane.is_for(terms, category.as_ref())));
        let place = known.unwrap_or_else(|| {
            let lane = Some(Lane::new(terms, category));
            match self.lanes.iter().position(Option::is_none) {
                Some(place) => {
                    self.lanes[place] = lane;
                    place
                }
                None => {
                    self.lanes.push(lane);
                    self.lanes.len() - 1
                }
            }
        });
        if let Some(lane) = self.lane_mut(place) {
            lane.lines += 1;
        }
        self.entries.insert(line, Entry { lane: place, turns: [None; PRIORITIES] });
    }

    /// Whether the kind limits the category of a line.
    pub fn limits(&self, line: LineId) -> bool {
        let lane = self.entries.get(&line).and_then(|entry| self.lanes.get(entry.lane)?.as_ref());
        lane.is_some_and(|lane| lane.category.is_some())
    }

    /// Leaves a line out.
    pub fn remove(&mut self, line: LineId) {
        let Some(entry) = self.entries.remove(&line) else { return };
        let Some(lane) = self.lanes.get_mut(entry.lane) else { return };
        if let Some(kept) = lane {
            for (order, turn) in kept.order.iter_mut().zip(entry.turns) {
                if let Some(turn) = turn {
                    order.remove(&(turn, line));
                }
            }
            kept.lines -= 1;
            if kept.lines == 0 {
                *lane = None;
            }
        }
    }

    /// The lines on it.
    pub fn lines(&self) -> impl Iterator<Item = LineId> {
        self.entries.keys().copied()
    }

    /// A line's turn is this one or later, or nobody of it waits.
    pub fn enter(&mut self, line: LineId, priority: usize, turn: Option<Turn>) {
        let Some(entry) = self.entries.get_mut(&line) else { return };
        let before = std::mem::replace(&mut entry.turns[priority], turn);
        let Some(Some(lane)) = self.lanes.get_mut(entry.lane) else { return };
        if let Some(before) = before {
            lane.order[priority].remove(&(before, line));
        }
        if let Some(turn) = turn {
            lane.order[priority].insert((turn, line));
        }
    }

    /// A line's turn may be as early as this one.
    pub fn enter_earlier(&mut self, line: LineId, priority: usize, turn: Turn) {
        let is_later = self.entries.get(&line).is_some_and(|entry| entry.turns[priority].is_none_or(|own| own > turn));
        if is_later {
            self.enter(line, priority, Some(turn));
        }
    }

    /// How many lanes there are, those between included that are empty.
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// The line that comes first in a lane, if this worker may serve the lane.
    pub fn first<P>(&self, lane: usize, priority: usize, worker: &Worker<P>) -> Option<(Turn, LineId)> {
        let lane = self.lanes.get(lane)?.as_ref()?;
        let first = lane.order[priority].first().copied()?;
        lane.may_be_served_by(worker).then_some(first)
    }

    fn lane_mut(&mut self, place: usize) -> Option<&mut Lane> {
        self.lanes.get_mut(place)?.as_mut()
    }
}
