//! Requests, as JavaScript notes them: their ids are its own, and what selection needs is how many there are.
//!
//! A call into the addon costs more than what a request changes, so JavaScript writes that down in memory which both
//! sides see, and it is taken from there when somebody asks for workers: first how many notes there are, then
//! [`abi::NOTE_FIELDS`] doubles for each.

use std::sync::atomic::{AtomicU64, Ordering};

use napi::bindgen_prelude::Float64Array;

use super::abi::{self, NoteKind};
use super::options::{count, whole};
use super::shared_memory::Doubles;
use worker_server::Server;
use worker_server_core::worker::WorkerKey;

/// [`abi::NOTE_FIELDS`], as a length.
const NOTE_FIELDS: usize = abi::NOTE_FIELDS as usize;
const DOUBLES: usize = 1 + abi::MAX_NOTES as usize * NOTE_FIELDS;

const TRACKED: f64 = NoteKind::Tracked as u8 as f64;
const COMPLETED: f64 = NoteKind::Completed as u8 as f64;

/// The notes of one server.
#[derive(Debug, Default)]
pub struct Notes(Doubles<DOUBLES>);

impl Notes {
    /// Their memory, as JavaScript sees it.
    pub fn to_array(&self) -> Float64Array {
        self.0.to_array()
    }

    /// Passes what was noted to the server. Notes on workers that are gone change nothing.
    pub fn take(&self, server: &Server) {
        let Some((length, notes)) = self.0.slots().split_first() else { return };
        // JavaScript writes on this thread, and before this call.
        let read = |slot: &AtomicU64| f64::from_bits(slot.load(Ordering::Relaxed));
        let there_are = count(read(length));
        if there_are == 0 {
            return;
        }
        length.store(0.0_f64.to_bits(), Ordering::Relaxed);
        for note in notes.as_chunks::<NOTE_FIELDS>().0.iter().take(there_are) {
            Self::take_one(server, note.each_ref().map(read));
        }
    }

    /// Passes a single note to the server.
    pub fn take_one(server: &Server, [key, place, kind]: [f64; NOTE_FIELDS]) {
        let (key, limit) = (WorkerKey(whole(key)), (place >= 0.0).then(|| count(place)));
        if kind == TRACKED {
            server.track(key, limit);
        } else {
            server.release(key, limit, kind == COMPLETED);
        }
    }
}
