//! The workers of other nodes of a fleet, for JavaScript.

use napi::bindgen_prelude::Result;
use napi_derive::napi;

use super::options::whole;
use super::requests::NativeExplanation;
use super::server::NativeServer;
use super::wtf8::Wtf8;
use parking_lot::Mutex;
use worker_server_core::metadata::Metadata;
use worker_server_core::registration::Capabilities;
use worker_server_core::requests::affinity::Affinity;
use worker_server_core::requests::demand::Demand;
use worker_server_core::requests::elsewhere::{Choice, Elsewhere};
use worker_server_core::requests::explain::{Reason, sum_up};
use worker_server_core::rules::Status;
use worker_server_core::worker::{Takes, Worker};

/// A node with free slots, or with the worker that an affinity prefers.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of Room and Choice")]
pub struct NativeRoom {
    /// `None`: this one.
    pub node: Option<String>,
    pub worker_id: Option<String>,
    pub free: f64,
}

/// See [`Elsewhere`].
#[napi]
pub struct NativeRemoteWorkers(Mutex<Elsewhere>);

fn read_demand(text: &str) -> Result<Demand> {
    Demand::read(text).ok_or_else(|| napi::Error::from_reason("not a demand"))
}

#[napi]
impl NativeRemoteWorkers {
    /// Begins with no worker of another node.
    #[napi(constructor, catch_unwind)]
    #[allow(clippy::new_without_default, reason = "JavaScript makes them")]
    pub fn new() -> Self {
        Self(Mutex::default())
    }

    /// See [`Elsewhere::add`]. `capabilities` is JSON text, and `takes` one of `anything`, `objects` and `nothing`.
    /// Returns what is wrong with it, or `null`.
    #[napi(catch_unwind)]
    pub fn add(&self, node: String, id: String, capabilities: String, takes: String) -> Option<String> {
        let takes = match &*takes {
            "anything" => Takes::Anything,
            "objects" => Takes::Objects,
            _ => Takes::Nothing,
        };
        match Capabilities::read("capabilities", Some(&capabilities)) {
            Ok(read) => {
                self.0.lock().add(&node, &id, &read, Metadata::of_capabilities(&capabilities), takes);
                None
            }
            Err(invalid) => Some(invalid.to_string()),
        }
    }

    /// See [`Elsewhere::remove`].
    #[napi(catch_unwind)]
    pub fn remove(&self, node: String, id: String) {
        self.0.lock().remove(&node, &id);
    }

    /// See [`Elsewhere::forget`].
    #[napi(catch_unwind)]
    pub fn forget(&self, node: String) {
        self.0.lock().forget(&node);
    }

    /// See [`Elsewhere::set_state`]. `status` is the place in [`Status::ALL`].
    #[napi(catch_unwind)]
    pub fn set_state(&self, node: String, id: String, status: u32, active: f64, limited: Vec<f64>) {
        let status = Status::ALL.get(status as usize).copied().unwrap_or(Status::Unhealthy);
        let limited: Vec<u64> = limited.into_iter().map(whole).collect();
        self.0.lock().set_state(&node, &id, status, whole(active), &limited);
    }

    /// See [`Elsewhere::rooms`].
    ///
    /// # Errors
    /// Throws if the text is no demand.
    #[napi(catch_unwind)]
    pub fn rooms(&self, demand: String, avoid: Vec<String>) -> Result<Vec<NativeRoom>> {
        let rooms = self.0.lock().rooms(&read_demand(&demand)?, &avoid);
        Ok(rooms
            .into_iter()
            .map(|room| NativeRoom { node: Some(room.node.to_string()), worker_id: None, free: room.free })
            .collect())
    }

    /// See [`Elsewhere::could_meet`].
    ///
    /// # Errors
    /// Throws if the text is no demand.
    #[napi(catch_unwind)]
    pub fn could_meet(&self, demand: String) -> Result<bool> {
        Ok(self.0.lock().could_meet(&read_demand(&demand)?))
    }

    /// Explains a demand for this server's workers, whose ids and reasons are given, and for all others behind them.
    /// `nodes` names
    /// the nodes of the latter.
    ///
    /// # Errors
    /// Throws if the text is no demand.
    #[napi(catch_unwind)]
    pub fn explain(&self, demand: String, ids: Vec<String>, reasons: Vec<String>) -> Result<NativeFleetExplanation> {
        let demand = read_demand(&demand)?;
        let others = self.0.lock().explain(&demand);
        let own = ids.iter().zip(&reasons).filter_map(|(id, reason)| Some((id.as_str().into(), Reason::read(reason)?)));
        let all: Vec<_> = own.chain(others.iter().map(|(_, id, reason)| (id.clone(), *reason))).collect();
        let text = sum_up(&all, &demand);
        let (ids, reasons) = all.iter().map(|(id, reason)| (id.to_string(), reason.as_str().to_owned())).unzip();
        let nodes = others.iter().map(|(node, ..)| node.to_string()).collect();
        Ok(NativeFleetExplanation { explanation: NativeExplanation { text, ids, reasons }, nodes })
    }
}

/// An explanation for a whole fleet.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of NativeExplanation")]
pub struct NativeFleetExplanation {
    pub explanation: NativeExplanation,
    /// The nodes of the last workers.
    pub nodes: Vec<String>,
}

#[napi]
impl NativeServer {
    /// How many slots are free for a demand, without those of workers that it is to avoid.
    ///
    /// # Errors
    /// Throws if the text is no demand.
    #[napi(catch_unwind)]
    pub fn free_for(&self, demand: String, avoid: Vec<String>) -> Result<f64> {
        let demand = read_demand(&demand)?;
        let free = |worker: &Worker<_>| match Reason::of(worker, &demand) {
            Reason::Free if avoid.iter().all(|id| **id != *worker.id) => {
                worker.slots(demand.category.as_deref()).free()
            }
            _ => 0.0,
        };
        Ok(self.informed().with_pool(|pool| pool.iter().map(|(_, worker)| free(worker)).sum()))
    }

    /// See [`Elsewhere::preferred`].
    ///
    /// # Errors
    /// Throws if the text is no demand.
    #[napi(catch_unwind)]
    pub fn preferred_in_fleet(
        &self,
        others: &NativeRemoteWorkers,
        demand: String,
        affinity: Wtf8,
        avoid: Vec<String>,
    ) -> Result<Option<NativeRoom>> {
        let demand = read_demand(&demand)?;
        let affinity = Affinity::of(&affinity.0);
        let others = others.0.lock();
        let choice = self.informed().with_pool(|pool| others.preferred(pool, &demand, affinity, &avoid));
        Ok(choice.map(|choice| match choice {
            Choice::Here => NativeRoom { node: None, worker_id: None, free: 1.0 },
            Choice::There { node, worker_id } => {
                NativeRoom { node: Some(node.to_string()), worker_id: Some(worker_id.to_string()), free: 1.0 }
            }
        }))
    }
}
