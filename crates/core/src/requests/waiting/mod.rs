//! Who waits, and who is next.
//!
//! Three levels, so that nothing grows with how many models are waited for:
//!
//! - a **flow** is a fair key with its requests of one priority: what stands in that priority's ring. A request without
//!   a key stands there by itself, and so does one that comes back;
//! - a **line** ([`line`](mod@line)) holds, in the order of the ring, what waits with the same demand;
//! - a **board** ([`board`]) holds, in the same order, the lines that one kind of worker can serve.
//!
//! A free slot looks at the first of a board. Positions in a ring only grow, and a flow that moves to the end does so
//! in all its lines at once; so lines and boards keep turns that may be too early, and put them right when they come
//! first. What that costs is paid for by the slots that the flow got meanwhile.

pub mod board;
pub mod handles;
pub mod line;
mod order;
mod request;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use slab::Slab;

use self::board::Board;
use self::handles::{FlowId, KeyId, LineId, RequestId};
use self::line::{Line, Standing, Turn};
pub use self::request::{NewRequest, Request};
use super::PRIORITIES;

#[derive(Debug)]
struct Flow {
    position: u64,
    waiting: usize,
}

#[derive(Debug)]
struct FairKey {
    bytes: Arc<[u8]>,
    waiting: usize,
    flows: [Option<FlowId>; PRIORITIES],
}

/// The requests of a flow in one line, the oldest first, and the turn by which the line knows them.
#[derive(Debug)]
struct Part {
    turn: Turn,
    requests: BTreeSet<(u64, RequestId)>,
}

/// All that waits.
#[derive(Debug, Default)]
pub struct Waiting {
    requests: Slab<Request>,
    lines: Slab<Line>,
    boards: Slab<Board>,
    flows: Slab<Flow>,
    parts: FxHashMap<(FlowId, LineId), Part>,
    keys: Slab<FairKey>,
    key_ids: HashMap<Arc<[u8]>, KeyId>,
    bytes: u64,
    /// How many stand for requests that wait at other nodes.
    wants: usize,
    last_number: u64,
}

impl Waiting {
    /// How many requests wait.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// How many of them wait here, and not at another node.
    pub fn own(&self) -> usize {
        self.requests.len() - self.wants
    }

    /// The bytes of their payloads.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many of a fair key wait.
    pub fn of_key(&self, key: &[u8]) -> usize {
        self.key_ids.get(key).and_then(|&id| self.keys.get(id)).map_or(0, |key| key.waiting)
    }

    /// A request that waits.
    pub fn get(&self, id: RequestId) -> Option<&Request> {
        self.requests.get(id)
    }

    /// All requests, in no order.
    pub fn requests(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter().map(|(_, request)| request)
    }

    /// The next number: for an arrival, or for a position at the end of a ring.
    pub fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Nobody waits any more. Numbers go on.
    pub fn clear(&mut self) {
        *self = Self { last_number: self.last_number, ..Self::default() };
    }

    /// A request begins to wait.
    pub fn add(&mut self, new: NewRequest<'_>) -> RequestId {
        let arrival = new.comes_back.unwrap_or_else(|| self.number());
        let key = new.fair_key.map(|bytes| self.key_of(bytes));
        self.bytes += new.payload_bytes;
        self.wants += usize::from(new.is_want);
        let id = self.requests.insert(Request::new(new, arrival, key));
        self.join_ring(id);
        self.join_line(id);
        id
    }

    /// A request waits no longer. It was not its key's turn.
    pub fn remove(&mut self, id: RequestId) -> Option<Request> {
        self.leave_line(id);
        self.leave_ring(id);
        let request = self.requests.try_remove(id)?;
        self.bytes -= request.payload_bytes;
        self.wants -= usize::from(request.is_want);
        if let Some((id, key)) = request.key().and_then(|id| Some((id, self.keys.get_mut(id)?))) {
            key.waiting -= 1;
            if key.waiting == 0 {
                self.key_ids.remove(&key.bytes);
                self.keys.remove(id);
            }
        }
        Some(request)
    }

    /// A request gets a slot: its key moves to the end of the ring.
    pub fn take(&mut self, id: RequestId) -> Option<Request> {
        let flow = self.flow_of(id);
        let request = self.remove(id)?;
        let end = self.number();
        if let Some(flow) = flow.and_then(|flow| self.flows.get_mut(flow)) {
            flow.position = end;
        }
        Some(request)
    }

    /// A request counts one priority higher from now on: its key joins that ring, if it is not there.
    pub fn promote(&mut self, id: RequestId) {
        self.leave_line(id);
        self.leave_ring(id);
        let end = self.number();
        if let Some(request) = self.requests.get_mut(id) {
            request.promote(end);
        }
        self.join_ring(id);
        self.join_line(id);
    }

    /// A request goes on waiting on other terms, in the same place of the ring.
    pub fn move_to(&mut self, id: RequestId, line: LineId) {
        self.leave_line(id);
        if let Some(request) = self.requests.get_mut(id) {
            request.line = line;
        }
        self.join_line(id);
    }

    fn key_of(&mut self, bytes: &[u8]) -> KeyId {
        let known = self.key_ids.get(bytes).copied();
        let id = known.unwrap_or_else(|| {
            let bytes: Arc<[u8]> = bytes.into();
            let key = FairKey { bytes: Arc::clone(&bytes), waiting: 0, flows: [None; PRIORITIES] };
            let id = self.keys.insert(key);
            self.key_ids.insert(bytes, id);
            id
        });
        if let Some(key) = self.keys.get_mut(id) {
            key.waiting += 1;
        }
        id
    }

    /// The flow that a request belongs to. `None` if it stands by itself.
    fn flow_of(&self, id: RequestId) -> Option<FlowId> {
        let request = self.requests.get(id).filter(|request| !request.is_alone)?;
        self.keys.get(request.key()?)?.flows[request.priority.index()]
    }

    fn join_ring(&mut self, id: RequestId) {
        if self.flow_of(id).is_none() {
            let end = self.number();
            let Some(request) = self.requests.get(id).filter(|request| !request.is_alone) else { return };
            let Some(key) = request.key().and_then(|key| self.keys.get_mut(key)) else { return };
            key.flows[request.priority.index()] = Some(self.flows.insert(Flow { position: end, waiting: 0 }));
        }
        if let Some(flow) = self.flow_of(id).and_then(|flow| self.flows.get_mut(flow)) {
            flow.waiting += 1;
        }
    }

    fn leave_ring(&mut self, id: RequestId) {
        let Some(flow_id) = self.flow_of(id) else { return };
        let Some(flow) = self.flows.get_mut(flow_id) else { return };
        flow.waiting -= 1;
        if flow.waiting > 0 {
            return;
        }
        self.flows.remove(flow_id);
        let Some(request) = self.requests.get(id) else { return };
        if let Some(key) = request.key().and_then(|key| self.keys.get_mut(key)) {
            key.flows[request.priority.index()] = None;
        }
    }

    fn join_line(&mut self, id: RequestId) {
        let flow = self.flow_of(id);
        let Some(request) = self.requests.get(id) else { return };
        let (line_id, priority, arrival) = (request.line, request.priority.index(), request.arrival);
        let Some(line) = self.lines.get_mut(line_id) else { return };
        line.waiting += 1;
        let order = &mut line.priorities[priority].order;
        let (turn, standing) = match flow {
            None => (Turn { position: request.position, arrival }, Standing::Request(id)),
            Some(flow) => {
                let position = self.flows.get(flow).map_or(0, |flow| flow.position);
                let turn = Turn { position, arrival };
                let standing = Standing::Flow(flow);
                match self.parts.get_mut(&(flow, line_id)) {
                    None => {
                        self.parts.insert((flow, line_id), Part { turn, requests: [(arrival, id)].into() });
                    }
                    Some(part) => {
                        part.requests.insert((arrival, id));
                        if part.turn <= turn {
                            return;
                        }
                        order.remove(&(part.turn, standing));
                        part.turn = turn;
                    }
                }
                (turn, standing)
            }
        };
        order.insert((turn, standing));
        if order.first() == Some(&(turn, standing)) {
            self.announce(line_id, priority, turn);
        }
    }

    fn leave_line(&mut self, id: RequestId) {
        let flow = self.flow_of(id);
        let Some(request) = self.requests.get(id) else { return };
        let (line_id, priority, arrival) = (request.line, request.priority.index(), request.arrival);
        let Some(line) = self.lines.get_mut(line_id) else { return };
        line.waiting -= 1;
        let order = &mut line.priorities[priority].order;
        let Some(flow) = flow else {
            let turn = Turn { position: request.position, arrival };
            order.remove(&(turn, Standing::Request(id)));
            return;
        };
        let Some(part) = self.parts.get_mut(&(flow, line_id)) else { return };
        part.requests.remove(&(arrival, id));
        if part.requests.is_empty() {
            order.remove(&(part.turn, Standing::Flow(flow)));
            self.parts.remove(&(flow, line_id));
        }
    }
}
