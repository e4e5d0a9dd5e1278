//! The workers of a server and the requests that look for one, behind one lock.
//!
//! Most of what frees a slot happens on the application's thread, which gives it away in the same call. What happens on
//! other threads is in [`freed_slots`](crate::freed_slots).

use std::sync::Arc;

use crate::peer::Peer;
use worker_server_core::config::ServerConfig;
use worker_server_core::pool::Pool;
use worker_server_core::requests::Requests;

/// What is decided about workers and requests is decided with both at hand.
#[derive(Debug)]
pub struct Fleet {
    /// The registered workers. Entries come and go on the application's thread alone.
    pub pool: Pool<Arc<Peer>>,
    /// The requests that look for one. They change on the application's thread alone.
    pub requests: Requests,
}

impl Fleet {
    /// Nobody has registered, and nobody waits.
    pub fn new(config: &ServerConfig) -> Self {
        Self { pool: Pool::with_model_match(config.model_match), requests: Requests::new(config.queue) }
    }

    /// The server stops: all workers and all that wait are gone.
    pub fn clear(&mut self) {
        self.requests.clear(&mut self.pool);
        self.pool.clear();
    }

    /// Changes the pool on a thread of the runtime. Returns what `change` returns, and whether somebody who waits could
    /// take a slot now that was not free before.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Pool<Arc<Peer>>) -> T) -> (T, bool) {
        // While nobody waits the pool notes nothing.
        let before = self.pool.freed();
        let changed = change(&mut self.pool);
        (changed, self.pool.freed() > before)
    }
}
