//! Who waits, and who is next.
//!
//! Three levels, so that nothing grows with how many models are waited for:
//!
//! - a **flow** is a fair key with its requests of one priority: what stands in that priority's ring. Requests without a
//!   key are a flow together. A want of another node stands there by itself, and so does a request with a key that comes
//!   back;
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
    /// `None` while those without a key have nobody to take turns with: they stand by their age then.
    position: Option<u64>,
    waiting: usize,
}

impl Flow {
    /// Where the flow stands, if its oldest request has this place.
    fn turn(&self, place: u64) -> Turn {
        Turn { position: self.position.unwrap_or(place), place }
    }
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
    /// The flows of those without a key.
    keyless: [Option<FlowId>; PRIORITIES],
    /// How many keys stand in each ring.
    keyed: [usize; PRIORITIES],
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
        let is_alone = request.key().is_none() && self.keyed[request.priority.index()] == 0;
        if let Some(flow) = flow.and_then(|flow| self.flows.get_mut(flow)) {
            // Without a key beside it its end is behind its oldest: what waits at other nodes counts by age.
            flow.position = flow.position.map(|now| if is_alone { now.max(request.place) } else { end });
        }
        Some(request)
    }

    /// A request counts one priority higher from now on: its key joins that ring, if it is not there, and it stands behind
    /// those of its key that are.
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
        let flows = match request.key() {
            Some(key) => &self.keys.get(key)?.flows,
            None => &self.keyless,
        };
        flows[request.priority.index()]
    }

    fn set_flow(&mut self, key: Option<KeyId>, ring: usize, flow: Option<FlowId>) {
        match key {
            None => self.keyless[ring] = flow,
            Some(key) => {
                if let Some(key) = self.keys.get_mut(key) {
                    key.flows[ring] = flow;
                }
            }
        }
    }

    fn join_ring(&mut self, id: RequestId) {
        if self.flow_of(id).is_none() {
            let Some(request) = self.requests.get(id).filter(|request| !request.is_alone) else { return };
            let (key, ring) = (request.key(), request.priority.index());
            if key.is_some() {
                self.begin_turns(ring);
                self.keyed[ring] += 1;
            }
            let position = (self.keyed[ring] > 0).then(|| self.number());
            let flow = self.flows.insert(Flow { position, waiting: 0 });
            self.set_flow(key, ring, Some(flow));
        }
        if let Some(flow) = self.flow_of(id).and_then(|flow| self.flows.get_mut(flow)) {
            flow.waiting += 1;
        }
    }

    /// A key joins a ring: those without one, if they are there, stand before it.
    fn begin_turns(&mut self, ring: usize) {
        let end = self.number();
        if let Some(flow) = self.keyless[ring].and_then(|flow| self.flows.get_mut(flow)) {
            flow.position = flow.position.or(Some(end));
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
        let (key, ring) = (request.key(), request.priority.index());
        self.set_flow(key, ring, None);
        self.keyed[ring] -= usize::from(key.is_some());
    }

    fn join_line(&mut self, id: RequestId) {
        let flow = self.flow_of(id);
        let Some(request) = self.requests.get(id) else { return };
        let (line_id, priority, place) = (request.line, request.priority.index(), request.place);
        let Some(line) = self.lines.get_mut(line_id) else { return };
        line.waiting += 1;
        let order = &mut line.priorities[priority].order;
        let (turn, standing) = match flow {
            None => (Turn { position: place, place }, Standing::Request(id)),
            Some(flow) => {
                let Some(turn) = self.flows.get(flow).map(|flow| flow.turn(place)) else { return };
                let standing = Standing::Flow(flow);
                match self.parts.get_mut(&(flow, line_id)) {
                    None => {
                        self.parts.insert((flow, line_id), Part { turn, requests: [(place, id)].into() });
                    }
                    Some(part) => {
                        part.requests.insert((place, id));
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
        let (line_id, priority, place) = (request.line, request.priority.index(), request.place);
        let Some(line) = self.lines.get_mut(line_id) else { return };
        line.waiting -= 1;
        let order = &mut line.priorities[priority].order;
        let Some(flow) = flow else {
            let turn = Turn { position: place, place };
            order.remove(&(turn, Standing::Request(id)));
            return;
        };
        let Some(part) = self.parts.get_mut(&(flow, line_id)) else { return };
        part.requests.remove(&(place, id));
        if part.requests.is_empty() {
            order.remove(&(part.turn, Standing::Flow(flow)));
            self.parts.remove(&(flow, line_id));
        }
    }
}
