//! How a server ends: with a grace for its connections, before it has begun, or at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Server;
use crate::events::Event;
use worker_server_core::metrics::LimitName;
use worker_server_core::protocol::Closing;

/// How long the end of a runtime that has hardly begun is waited for.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(1);

impl Server {
    /// Stops: nothing is accepted, no event but [`Event::Stopped`] is delivered any more, the pool is empty, and every
    /// worker connection is closed. [`Event::Stopped`] comes when they are gone, or at the latest after the grace
    /// period. Then [`Server::shut_down`] should be called.
    pub fn stop(&self) {
        let Some(mut gone) = self.gone.lock().take() else { return };
        self.shared.events.close();
        self.shared.begin_stop();
        self.shared.fleet.lock().clear();
        for peer in self.shared.forget_all() {
            peer.forget_worker();
            self.shared.close(&peer, Closing::GOING_AWAY);
            // After it is closed: a registration that comes later is not waited for.
            peer.settle();
        }
        let shared = Arc::clone(&self.shared);
        if let Some(runtime) = &*self.runtime.lock() {
            runtime.spawn(async move {
                // Whether they went by themselves or not, the grace is over then, however busy the application is.
                if timeout(shared.config.limits.stop_grace, gone.recv()).await.is_err() {
                    shared.metrics.limit_hit(LimitName::StopGraceMs);
                }
                shared.cut();
                shared.events.push(Event::Stopped);
            });
        }
    }

    /// Ends a server whose application could not begin, before it looked at any event. When this returns the port is
    /// free again; a thread of the runtime that is stuck is waited for only for [`ABANDON_TIMEOUT`].
    pub fn abandon(&self) {
        self.shared.events.close();
        self.shared.begin_stop();
        if let Some(runtime) = self.runtime.lock().take() {
            runtime.shutdown_timeout(ABANDON_TIMEOUT);
        }
    }

    /// Ends the runtime, and with it every task and socket that is left.
    pub fn shut_down(&self) {
        self.shared.events.close();
        // What was sent just before the thread of the application ends still leaves.
        self.shared.write_all();
        if let Some(runtime) = self.runtime.lock().take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shut_down();
    }
}
