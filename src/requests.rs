//! The methods of [`NativeServer`] for requests that look for a worker, and for workers that change or leave.

use napi::Result;
use napi::bindgen_prelude::{Float64Array, Float64ArraySlice};
use napi_derive::napi;

use super::abi::{DRAINING_CHANGED, DRAINS, NO_PLACE, SubmitOutcome};
use super::options::{count, whole};
use super::server::NativeServer;
use super::wtf8::Wtf8;
use worker_server_core::clock::Moment;
use worker_server_core::pool::Drainer;
use worker_server_core::requests::affinity::Affinity;
use worker_server_core::requests::choose::Avoid;
use worker_server_core::requests::demand::Demand;
use worker_server_core::requests::demands::DemandId;
use worker_server_core::requests::retry;
use worker_server_core::requests::{Place, Priority, Slot, Submission, Submitted, Ticket};
use worker_server_core::worker::WorkerKey;

/// What few requests ask for.
#[napi(object, object_to_js = false)]
#[allow(missing_docs, reason = "the fields are those of Submission")]
pub struct NativeSubmission {
    pub fair_key: Option<Wtf8>,
    pub affinity: Option<Wtf8>,
    pub avoid: Option<Vec<NativeAvoid>>,
    /// How long it has waited already, in ms.
    pub queued_ms: Option<f64>,
    /// The place that it had.
    pub comes_back: Option<f64>,
    pub fails_without_worker: Option<bool>,
}

/// A worker that a request goes to only when no other with a free slot could take it.
#[napi(object, object_to_js = false)]
#[allow(missing_docs, reason = "the fields are those of Avoid")]
pub struct NativeAvoid {
    pub worker_id: String,
    /// And not before this many ms from now; 0: at any time.
    pub until_ms: f64,
}

/// Why a request can't be taken now.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of Explanation")]
pub struct NativeExplanation {
    pub text: String,
    /// The ids of all workers in the order of registration, and the reason for each.
    pub ids: Vec<String>,
    pub reasons: Vec<String>,
}

/// What waits.
#[napi(object, object_from_js = false)]
#[allow(missing_docs, reason = "the fields are those of QueueInfo")]
pub struct NativeQueueInfo {
    pub size: f64,
    pub bytes: f64,
    pub oldest_ms: f64,
    /// The models that are waited for, and how many wait for each.
    pub models: Vec<String>,
    pub counts: Vec<f64>,
}

/// A time from now on, in ms, as [`Moment::elapsed_ms`].
fn later(now: Moment, ms: f64) -> u64 {
    now.elapsed_ms.saturating_add(whole(ms.ceil()))
}

fn limit_of(place: f64) -> Option<usize> {
    (place >= 0.0).then(|| count(place))
}

fn demand_id(number: f64) -> DemandId {
    DemandId::from_number(whole(number))
}

/// See [`retry::pause_ms`].
#[napi(catch_unwind)]
pub fn pause_ms(times: u32, random: f64) -> f64 {
    retry::pause_ms(times, random)
}

impl NativeServer {
    fn write_slot(&self, ticket: f64, slot: &Slot) {
        self.row.write(&slot.worker);
        let limit = slot.limit.map_or(f64::from(NO_PLACE), |place| place as f64);
        self.request_fields.write([ticket, slot.place.to_number() as f64, 0.0, 0.0, limit]);
    }

    /// Writes what became of a request.
    fn write_outcome(&self, outcome: Submitted) -> SubmitOutcome {
        match outcome {
            Submitted::Taken(slot) => {
                self.write_slot(-1.0, &slot);
                SubmitOutcome::Taken
            }
            Submitted::Waits { ticket, place, position, size } => {
                let [ticket, place] = [ticket.to_number(), place.to_number()].map(|number| number as f64);
                self.request_fields.write([ticket, place, position as f64, size as f64, f64::from(NO_PLACE)]);
                SubmitOutcome::Waits
            }
            Submitted::Owed => SubmitOutcome::Owed,
            Submitted::NoWorker => SubmitOutcome::NoWorker,
            Submitted::Full(_) => SubmitOutcome::Full,
            Submitted::NeverWaits => SubmitOutcome::NeverWaits,
            Submitted::Forgotten => SubmitOutcome::Forgotten,
        }
    }
}

#[napi]
impl NativeServer {
    /// Where methods write what becomes of a request: see [`RequestField`](crate::abi::RequestField).
    #[napi(catch_unwind)]
    pub fn request_fields(&self) -> Float64Array {
        self.request_fields.to_array()
    }

    /// Copies what is in [`NativeServer::request_fields`] to an array of JavaScript's own, where memory is not shared.
    #[napi(catch_unwind)]
    pub fn copy_request_fields(&self, mut fields: Float64ArraySlice<'_>) {
        // SAFETY: JavaScript runs again only when this call has returned.
        self.request_fields.copy_to(unsafe { fields.as_mut() });
    }

    /// See [`Server::intern`](worker_server::Server::intern) and [`Demand::read`].
    ///
    /// # Errors
    /// Throws if the text is no demand.
    #[napi(catch_unwind)]
    pub fn intern(&self, demand: String) -> Result<f64> {
        let demand = Demand::read(&demand).ok_or_else(|| napi::Error::from_reason("not a demand"))?;
        Ok(self.informed().intern(demand).to_number() as f64)
    }

    /// See [`Server::submit`](worker_server::Server::submit). `priority` is the place in
    /// [`Priority::ALL`].
    #[napi(catch_unwind)]
    pub fn submit(
        &self,
        demand: f64,
        priority: u32,
        payload_bytes: f64,
        queue_ms: f64,
        more: Option<NativeSubmission>,
    ) -> SubmitOutcome {
        let server = self.informed();
        let now = server.now();
        let mut submission = Submission::new(demand_id(demand));
        submission.priority = Priority::ALL.get(priority as usize).copied().unwrap_or(Priority::Low);
        submission.payload_bytes = whole(payload_bytes);
        submission.queue_ms = queue_ms;
        if let Some(more) = &more {
            submission.fair_key = more.fair_key.as_ref().map(|key| &*key.0);
            submission.affinity = more.affinity.as_ref().map(|key| Affinity::of(&key.0));
            submission.avoid = more.avoid.iter().flatten().map(|avoid| avoid.from(now)).collect();
            submission.queued_ms = more.queued_ms.map(|ms| now.elapsed_ms.saturating_sub(whole(ms)));
            submission.comes_back = more.comes_back.map(|place| Place::from_number(whole(place)));
            submission.fails_without_worker = more.fails_without_worker.unwrap_or_default();
        }
        self.write_outcome(server.submit(&submission, now))
    }

    /// Requests that wait at another node ask for a slot: see [`Submission::is_want`]. `place` is where they stand
    /// among those that wait here. What becomes of them is written as by [`NativeServer::submit`].
    #[napi(catch_unwind)]
    pub fn submit_want(&self, demand: f64, priority: u32, place: f64) -> SubmitOutcome {
        let mut submission = Submission::new(demand_id(demand));
        submission.priority = Priority::ALL.get(priority as usize).copied().unwrap_or(Priority::Low);
        submission.queue_ms = f64::INFINITY;
        submission.comes_back = Some(Place::from_number(whole(place)));
        submission.is_want = true;
        self.write_outcome(self.informed().submit(&submission, self.server.now()))
    }

    /// See [`Server::dispatch`](worker_server::Server::dispatch). Writes the row of the worker, and ticket, place and
    /// category's place of the request, if one got a slot.
    #[napi(catch_unwind)]
    pub fn dispatch(&self) -> bool {
        let granted = self.informed().dispatch();
        if let Some(grant) = &granted {
            self.write_slot(grant.ticket.to_number() as f64, &grant.slot);
        }
        granted.is_some()
    }

    /// See [`Server::give_back`](worker_server::Server::give_back).
    #[napi(catch_unwind)]
    pub fn give_back(&self, key: f64, limit_place: f64, place: f64) {
        let place = Place::from_number(whole(place));
        self.informed().give_back(WorkerKey(whole(key)), limit_of(limit_place), place);
    }

    /// See [`Server::withdraw`](worker_server::Server::withdraw).
    #[napi(catch_unwind)]
    pub fn withdraw(&self, ticket: f64) -> bool {
        self.server.withdraw(Ticket::from_number(whole(ticket)))
    }

    /// See [`Server::next_wake_ms`](worker_server::Server::next_wake_ms); Infinity if there is nothing to wake for.
    #[napi(catch_unwind)]
    pub fn next_wake_ms(&self) -> f64 {
        self.server.next_wake_ms().map_or(f64::INFINITY, |ms| ms as f64)
    }

    /// See [`Server::has_no_worker`](worker_server::Server::has_no_worker). `null` if the demand's number counts no
    /// longer.
    #[napi(catch_unwind)]
    pub fn has_no_worker(&self, demand: f64) -> Option<bool> {
        self.informed().has_no_worker(demand_id(demand))
    }

    /// See [`Server::explain`](worker_server::Server::explain). `null` if the demand's number counts no longer.
    #[napi(catch_unwind)]
    pub fn explain(&self, demand: f64) -> Option<NativeExplanation> {
        let explanation = self.informed().explain(demand_id(demand))?;
        let (ids, reasons) =
            explanation.workers.iter().map(|(id, reason)| (id.to_string(), reason.as_str().to_owned())).unzip();
        Some(NativeExplanation { text: explanation.text, ids, reasons })
    }

    /// See [`Server::queue_info`](worker_server::Server::queue_info).
    #[napi(catch_unwind)]
    pub fn queue_info(&self) -> NativeQueueInfo {
        let info = self.server.queue_info();
        let (models, counts) = info.by_model.iter().map(|(model, &count)| (model.to_string(), count as f64)).unzip();
        NativeQueueInfo {
            size: info.size as f64,
            bytes: info.bytes as f64,
            oldest_ms: info.oldest_ms as f64,
            models,
            counts,
        }
    }

    /// See [`Server::retry_after_ms`](worker_server::Server::retry_after_ms).
    #[napi(catch_unwind)]
    pub fn retry_after_ms(&self) -> f64 {
        self.server.retry_after_ms() as f64
    }

    /// See [`Server::set_draining`](worker_server::Server::set_draining). Returns
    /// the bits [`DRAINS`] and [`DRAINING_CHANGED`]. Writes the worker's row, if there is one.
    #[napi(catch_unwind)]
    pub fn set_draining(&self, key: f64, by_application: bool, drains: bool) -> u32 {
        let drainer = if by_application { Drainer::Application } else { Drainer::Worker };
        let changed = self.informed().set_draining(WorkerKey(whole(key)), drainer, drains);
        let Some((change, snapshot)) = changed else { return 0 };
        self.row.write(&snapshot);
        (u32::from(change.drains) * DRAINS) | (u32::from(change.is_changed) * DRAINING_CHANGED)
    }

    /// See [`Server::update_capabilities`](worker_server::Server::update_capabilities): the whole message, and how many
    /// requests of which categories are active. Returns what is wrong with it, or `null`, and then writes the worker's
    /// row, if there is one.
    #[napi(catch_unwind)]
    pub fn update_capabilities(
        &self,
        key: f64,
        message: String,
        categories: Vec<String>,
        counts: Vec<f64>,
    ) -> Option<String> {
        let active_in = |category: &str| {
            let active = categories.iter().zip(&counts).find(|(name, _)| *name == category);
            active.map_or(0, |(_, &count)| whole(count))
        };
        match self.informed().update_capabilities(WorkerKey(whole(key)), &message, active_in) {
            Ok(snapshot) => {
                self.row.found(snapshot);
                None
            }
            Err(invalid) => Some(format!("Invalid update: {invalid}")),
        }
    }

    /// See [`Server::disconnect`](worker_server::Server::disconnect).
    #[napi(catch_unwind)]
    pub fn disconnect(&self, key: f64, code: u32, reason: String) -> bool {
        self.server.disconnect(WorkerKey(whole(key)), u16::try_from(code).unwrap_or(u16::MAX), &reason)
    }

    /// See [`Server::set_retry_after`](worker_server::Server::set_retry_after).
    #[napi(catch_unwind)]
    pub fn set_draining_server(&self, retry_after_seconds: Option<u32>) {
        self.server.set_retry_after(retry_after_seconds);
    }

    /// See [`Server::barrier`](worker_server::Server::barrier).
    #[napi(catch_unwind)]
    pub fn barrier(&self, number: f64) -> u32 {
        u32::try_from(self.server.barrier(whole(number))).unwrap_or(u32::MAX)
    }
}

impl NativeAvoid {
    fn from(&self, now: Moment) -> Avoid {
        let until_ms = if self.until_ms > 0.0 { later(now, self.until_ms) } else { 0 };
        Avoid { worker_id: self.worker_id.as_str().into(), until_ms }
    }
}
