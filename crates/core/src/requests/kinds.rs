//! Which kinds of workers can serve which lines: a board for each kind that has had a slot free while somebody waited,
//! and one for each worker that is asked for by its id.
//!
//! A kind is a group of the pool's index. Its board is made when one of its workers is first looked at, and goes some
//! time after the group has gone.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::Requests;
use super::demands::DemandIndex;
use super::waiting::handles::BoardId;
use crate::models::GroupId;
use crate::pool::Pool;
use crate::worker::{Takes, Worker, WorkerKey};

/// A group, and when it was born.
type Kind = (GroupId, u64);

/// How many boards there may be before those whose groups are gone are looked for.
const MIN_SWEPT: usize = 64;

/// The boards of kinds and of single workers.
#[derive(Debug, Default)]
pub struct Kinds {
    boards: FxHashMap<Kind, BoardId>,
    own: HashMap<Arc<str>, (Kind, BoardId)>,
    /// Sweep when there are as many boards.
    sweep_at: usize,
}

impl Requests {
    /// The boards on which a worker finds what it can serve.
    pub(super) fn boards_of<P>(&mut self, pool: &Pool<P>, key: WorkerKey) -> [Option<BoardId>; 2] {
        let Some(worker) = pool.get(key).filter(|worker| worker.takes > Takes::Nothing) else { return [None; 2] };
        let Some(kind) = kind_of(pool, worker) else { return [None; 2] };
        let board = self.kinds.boards.get(&kind).copied().unwrap_or_else(|| {
            self.sweep(pool);
            let demands = self.demands.met_by(&worker.models, worker.takes);
            let board = self.add_board(pool, worker, demands);
            self.kinds.boards.insert(kind, board);
            board
        });
        [Some(board), self.own_board(pool, worker, kind)]
    }

    fn own_board<P>(&mut self, pool: &Pool<P>, worker: &Worker<P>, kind: Kind) -> Option<BoardId> {
        match self.kinds.own.get(&worker.id) {
            Some(&(known, board)) if known == kind => return Some(board),
            Some(&(_, board)) => self.waiting.remove_board(board),
            None if !self.demands.name_worker(&worker.id) => return None,
            None => {}
        }
        let demands = self.demands.met_by_worker(&worker.id, &worker.models, worker.takes);
        let board = self.add_board(pool, worker, demands);
        self.kinds.own.insert(Arc::clone(&worker.id), (kind, board));
        Some(board)
    }

    fn add_board<P>(&mut self, pool: &Pool<P>, worker: &Worker<P>, demands: Vec<DemandIndex>) -> BoardId {
        let board = self.waiting.add_board();
        let group = pool.group_of(worker);
        for entry in demands.into_iter().filter_map(|demand| self.demands.get(demand)) {
            let category = entry.demand().category.as_ref();
            let is_limited = category.is_some_and(|category| group.is_some_and(|group| group.limits(category)));
            for &line in std::iter::once(&entry.line).chain(&entry.lines) {
                self.waiting.connect(line, board, is_limited);
            }
        }
        board
    }

    /// A demand is new: its line goes on the boards that are there.
    pub(super) fn connect<P>(&mut self, pool: &mut Pool<P>, demand: DemandIndex) {
        let Some(entry) = self.demands.get(demand) else { return };
        let (demand, line) = (Arc::clone(entry.demand()), entry.line);
        let is_limited = |limits: &dyn Fn(&str) -> bool| demand.category.as_deref().is_some_and(limits);
        if let Some(name) = &demand.worker_id {
            let Some(&(kind, board)) = name.get().and_then(|id| self.kinds.own.get(id)) else { return };
            let (index, _) = pool.indexed();
            if let Some(group) = index.group(kind.0).filter(|group| group.born() == kind.1)
                && group.takes() >= demand.needs
                && demand.is_served_by(group.models())
            {
                self.waiting.connect(line, board, is_limited(&|category| group.limits(category)));
            }
            return;
        }
        let model = match &demand.model {
            Some(name) if name.get().is_none() => return,
            name => name.as_ref().and_then(|name| name.get()),
        };
        if self.kinds.boards.is_empty() {
            return;
        }
        let (index, _) = pool.indexed();
        for (id, group) in index.asked(model, demand.model_match).filter(|(_, group)| group.takes() >= demand.needs) {
            if let Some(&board) = self.kinds.boards.get(&(id, group.born())) {
                self.waiting.connect(line, board, is_limited(&|category| group.limits(category)));
            }
        }
    }

    /// Removes the boards whose groups are gone, if there are many.
    fn sweep<P>(&mut self, pool: &Pool<P>) {
        let count = self.kinds.boards.len() + self.kinds.own.len();
        if count < self.kinds.sweep_at.max(MIN_SWEPT) {
            return;
        }
        let waiting = &mut self.waiting;
        self.kinds.boards.retain(|&(id, born), &mut board| {
            let is_there = pool.group(id).is_some_and(|group| group.born() == born);
            if !is_there {
                waiting.remove_board(board);
            }
            is_there
        });
        self.kinds.own.retain(|id, &mut (kind, board)| {
            let worker = pool.key_of(id).and_then(|key| pool.get(key));
            let is_there = worker.is_some_and(|worker| kind_of(pool, worker) == Some(kind));
            if !is_there {
                waiting.remove_board(board);
            }
            is_there
        });
        self.kinds.sweep_at = 2 * (self.kinds.boards.len() + self.kinds.own.len());
    }
}

fn kind_of<P>(pool: &Pool<P>, worker: &Worker<P>) -> Option<Kind> {
    Some((worker.group, pool.group_of(worker)?.born()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::metadata::Metadata;
    use crate::registration::Capabilities;
    use crate::requests::choose::Avoid;
    use crate::requests::demand::{Demand, Name};
    use crate::requests::{QueueLimits, Submission, Submitted};

    const NOW: Moment = Moment { elapsed_ms: 0, unix_ms: 0 };

    fn register(pool: &mut Pool<()>, id: &str, models: &[String]) -> WorkerKey {
        let key = pool.add(id, &Capabilities { models: models.to_vec(), max: 1.0, limits: Vec::new() }, (), NOW);
        pool.set_offer(key, Takes::Anything, Metadata::default());
        key
    }

    #[test]
    fn boards_of_kinds_and_workers_that_are_gone_go_too() {
        let (mut pool, mut requests) = (Pool::<()>::new(), Requests::new(QueueLimits::default()));
        let wait = |pool: &mut Pool<()>, requests: &mut Requests, worker_id: Option<&str>| {
            let demand =
                Demand { model: Some(Name::new("waited for")), worker_id: worker_id.map(Name::new), ..Demand::any() };
            let demand = requests.intern(pool, demand);
            let submitted = requests.submit(pool, &Submission::new(demand), NOW);
            assert!(matches!(submitted, Submitted::Waits { .. }), "{submitted:?}");
        };
        wait(&mut pool, &mut requests, None);
        for number in 0..1_000 {
            let id = format!("worker-{number}");
            if number % 10 == 0 {
                wait(&mut pool, &mut requests, Some(&id));
            }
            let key = register(&mut pool, &id, &[format!("kind-{number}")]);
            assert_eq!(requests.dispatch(&mut pool, NOW), None);
            pool.remove(key);
        }
        assert!(requests.kinds.boards.len() <= MIN_SWEPT && requests.kinds.own.len() <= MIN_SWEPT);
        let key = register(&mut pool, "worker-10", &["waited for".to_owned()]);
        assert!(requests.dispatch(&mut pool, NOW).is_some());
        pool.release(key, None, true);
        assert!(requests.dispatch(&mut pool, NOW).is_some(), "its own one was on no board of those that went");
    }

    #[test]
    fn a_line_of_those_that_may_not_go_to_some_worker_goes_with_the_last_of_them() {
        let (mut pool, mut requests) = (Pool::<()>::new(), Requests::new(QueueLimits::default()));
        let demand = Demand { model: Some(Name::new("m")), ..Demand::any() };
        let demand = requests.intern(&mut pool, demand);
        let lines = |requests: &Requests| {
            let (index, _) = requests.demands.find(demand).expect("it is known");
            requests.demands.get(index).expect("it is known").lines.len()
        };
        let rejected = |id: &str, until_ms| Submission {
            avoid: vec![Avoid { worker_id: id.into(), until_ms }],
            ..Submission::new(demand)
        };
        let mut tickets = Vec::new();
        for (id, until_ms) in [("a", 10), ("a", 20), ("b", 30)] {
            let Submitted::Waits { ticket, .. } = requests.submit(&mut pool, &rejected(id, until_ms), NOW) else {
                panic!("nobody is there");
            };
            tickets.push(ticket);
        }
        assert_eq!(lines(&requests), 2);
        assert!(requests.withdraw(&mut pool, tickets[2]));
        assert_eq!(lines(&requests), 1);
        for (elapsed_ms, left, wake) in [(10, 1, Some(20)), (20, 0, None)] {
            assert!(!requests.owes_slot(&mut pool, Moment { elapsed_ms, ..NOW }));
            assert_eq!((lines(&requests), requests.next_wake()), (left, wake));
        }
        assert_eq!(requests.size(), 2);
    }
}
