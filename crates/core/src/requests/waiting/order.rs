//! What comes first: lines, the boards that they are on, and the first request of all for a worker.

use super::Waiting;
use super::board::Board;
use super::handles::{BoardId, LineId, RequestId};
use super::line::{Line, PriorityLine, Standing, Terms, Turn};
use crate::requests::PRIORITIES;
use crate::worker::Worker;

impl Waiting {
    /// A line for requests on these terms.
    pub fn add_line(&mut self, terms: Terms) -> LineId {
        self.lines.insert(Line::new(terms))
    }

    /// A line.
    pub fn line(&self, id: LineId) -> Option<&Line> {
        self.lines.get(id)
    }

    /// A line is gone, of which nobody waits.
    pub fn remove_line(&mut self, id: LineId) {
        let Some(line) = self.lines.try_remove(id) else { return };
        for board in line.boards {
            if let Some(board) = self.boards.get_mut(board) {
                board.remove(id);
            }
        }
    }

    /// A board without lines.
    pub fn add_board(&mut self) -> BoardId {
        self.boards.insert(Board::default())
    }

    /// A board is gone.
    pub fn remove_board(&mut self, id: BoardId) {
        let Some(board) = self.boards.try_remove(id) else { return };
        for line in board.lines() {
            let Some(line) = self.lines.get_mut(line) else { continue };
            line.boards.retain(|&other| other != id);
            for own in &mut line.priorities {
                own.absent.retain(|&other| other != id);
            }
        }
    }

    /// Workers of a board's kind can serve a line. `is_limited` if they limit its category.
    pub fn connect(&mut self, line_id: LineId, board_id: BoardId, is_limited: bool) {
        let (Some(line), Some(board)) = (self.lines.get_mut(line_id), self.boards.get_mut(board_id)) else { return };
        board.add(line_id, &line.terms, is_limited);
        line.boards.push(board_id);
        for (priority, own) in line.priorities.iter_mut().enumerate() {
            match own.order.first() {
                Some(&(turn, _)) => {
                    board.enter(line_id, priority, Some(turn));
                    own.latest = own.latest.max(Some(turn));
                }
                None => own.absent.push(board_id),
            }
        }
    }

    /// Every kind of worker that can serve the line `from` can serve this one.
    pub fn connect_like(&mut self, from: LineId, line_id: LineId) {
        let boards = self.lines.get(from).map(|line| line.boards.clone()).unwrap_or_default();
        for board in boards {
            let is_limited = self.boards.get(board).is_some_and(|board| board.limits(from));
            self.connect(line_id, board, is_limited);
        }
    }

    /// A line has got a turn that comes before all others of it. Boards that have it with an earlier one, from requests
    /// that are gone, need not know.
    pub(super) fn announce(&mut self, line_id: LineId, priority: usize, turn: Turn) {
        let Some(line) = self.lines.get_mut(line_id) else { return };
        let own = &mut line.priorities[priority];
        for board in own.absent.drain(..) {
            if let Some(board) = self.boards.get_mut(board) {
                board.enter(line_id, priority, Some(turn));
            }
        }
        if own.latest.is_some_and(|latest| turn < latest) {
            for &board in &line.boards {
                if let Some(board) = self.boards.get_mut(board) {
                    board.enter_earlier(line_id, priority, turn);
                }
            }
        }
        own.latest = Some(turn);
    }

    /// The request that gets the free slot of a worker, of those on the boards of its kind.
    pub fn first_for<P>(&mut self, worker: &Worker<P>, boards: [Option<BoardId>; 2]) -> Option<RequestId> {
        (0..PRIORITIES).find_map(|priority| {
            let mut best: Option<(Turn, RequestId)> = None;
            for board in boards.into_iter().flatten() {
                for section in 0..self.boards.get(board).map_or(0, Board::sections) {
                    let first = self.first_of_section(board, section, priority, worker);
                    best = best.into_iter().chain(first).min();
                }
            }
            best.map(|(_, id)| id)
        })
    }

    fn first_of_section<P>(
        &mut self,
        board: BoardId,
        section: usize,
        priority: usize,
        worker: &Worker<P>,
    ) -> Option<(Turn, RequestId)> {
        loop {
            let (entered, line) = self.boards.get(board)?.first(section, priority, worker)?;
            let head = self.head(line, priority);
            let turn = head.map(|(turn, _)| turn);
            if turn == Some(entered) {
                return head;
            }
            self.boards.get_mut(board)?.enter(line, priority, turn);
            let own = &mut self.lines.get_mut(line)?.priorities[priority];
            match turn {
                Some(_) => own.latest = own.latest.max(turn),
                None => own.absent.push(board),
            }
        }
    }

    /// The first request of a line, and its turn.
    fn head(&mut self, line: LineId, priority: usize) -> Option<(Turn, RequestId)> {
        let PriorityLine { order, .. } = &mut self.lines.get_mut(line)?.priorities[priority];
        loop {
            let (turn, standing) = order.first().copied()?;
            let flow = match standing {
                Standing::Request(id) => return Some((turn, id)),
                Standing::Flow(flow) => flow,
            };
            let part = self.parts.get_mut(&(flow, line))?;
            let (place, id) = part.requests.first().copied()?;
            let now = self.flows.get(flow)?.turn(place);
            if now == turn {
                return Some((turn, id));
            }
            order.remove(&(turn, standing));
            order.insert((now, standing));
            part.turn = now;
        }
    }
}
