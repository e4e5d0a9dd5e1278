//! A board: the lines that workers of one kind can serve, in the order of their turns.
//!
//! A line is entered with the turn of its first request, and that entry is left alone while requests are taken and
//! withdrawn: it may be too early, never too late. It is put right when it comes first.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::handles::LineId;
use super::line::{Terms, Turn};
use crate::requests::PRIORITIES;
use crate::requests::selector::Selector;
use crate::worker::Worker;

/// The lines of one kind of worker.
#[derive(Debug, Default)]
pub struct Board {
    sections: Vec<Option<Section>>,
    entries: FxHashMap<LineId, Entry>,
}

/// Where a line is on a board.
#[derive(Debug)]
struct Entry {
    section: usize,
    turns: [Option<Turn>; PRIORITIES],
}

/// Lines that the same workers of the kind may serve.
#[derive(Debug)]
struct Section {
    selector: Option<Arc<Selector>>,
    except: Box<[Arc<str>]>,
    /// `None` if the kind doesn't limit the category, or there is none.
    category: Option<Arc<str>>,
    lines: usize,
    order: [BTreeSet<(Turn, LineId)>; PRIORITIES],
}

impl Section {
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
        let known = self
            .sections
            .iter()
            .position(|section| section.as_ref().is_some_and(|section| section.is_for(terms, category.as_ref())));
        let place = known.unwrap_or_else(|| {
            let section = Some(Section::new(terms, category));
            if let Some(place) = self.sections.iter().position(Option::is_none) {
                self.sections[place] = section;
                place
            } else {
                self.sections.push(section);
                self.sections.len() - 1
            }
        });
        if let Some(section) = self.section_mut(place) {
            section.lines += 1;
        }
        self.entries.insert(line, Entry { section: place, turns: [None; PRIORITIES] });
    }

    /// Whether the kind limits the category of a line.
    pub fn limits(&self, line: LineId) -> bool {
        let section = self.entries.get(&line).and_then(|entry| self.sections.get(entry.section)?.as_ref());
        section.is_some_and(|section| section.category.is_some())
    }

    /// Leaves a line out.
    pub fn remove(&mut self, line: LineId) {
        let Some(entry) = self.entries.remove(&line) else { return };
        let Some(section) = self.sections.get_mut(entry.section) else { return };
        if let Some(kept) = section {
            for (order, turn) in kept.order.iter_mut().zip(entry.turns) {
                if let Some(turn) = turn {
                    order.remove(&(turn, line));
                }
            }
            kept.lines -= 1;
            if kept.lines == 0 {
                *section = None;
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
        let Some(Some(section)) = self.sections.get_mut(entry.section) else { return };
        if let Some(before) = before {
            section.order[priority].remove(&(before, line));
        }
        if let Some(turn) = turn {
            section.order[priority].insert((turn, line));
        }
    }

    /// A line's turn may be as early as this one.
    pub fn enter_earlier(&mut self, line: LineId, priority: usize, turn: Turn) {
        let is_later = self.entries.get(&line).is_some_and(|entry| entry.turns[priority].is_none_or(|own| own > turn));
        if is_later {
            self.enter(line, priority, Some(turn));
        }
    }

    /// How many sections there are, those between included that are empty.
    pub fn sections(&self) -> usize {
        self.sections.len()
    }

    /// The line that comes first in a section, if this worker may serve the section.
    pub fn first<P>(&self, section: usize, priority: usize, worker: &Worker<P>) -> Option<(Turn, LineId)> {
        let section = self.sections.get(section)?.as_ref()?;
        let first = section.order[priority].first().copied()?;
        section.may_be_served_by(worker).then_some(first)
    }

    fn section_mut(&mut self, place: usize) -> Option<&mut Section> {
        self.sections.get_mut(place)?.as_mut()
    }
}
