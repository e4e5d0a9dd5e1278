//! The methods of [`NativeServer`] about the connections that Node serves: from the port to Node, and back from it.

use napi::bindgen_prelude::{Buffer, Result};
use napi_derive::napi;

use super::batch::origin_text;
use super::server::{NativeServer, system_error};

#[napi]
impl NativeServer {
    /// Takes the descriptor of a connection for Node. Then either [`Self::confirm_socket`] or [`Self::return_socket`]
    /// must be called; if neither is, since the thread was terminated, the descriptor is closed with the server.
    #[napi(catch_unwind)]
    pub fn take_socket(&self, number: u32) -> Option<i32> {
        self.sockets.lock().take(number)
    }

    /// See [`super::batch::Sockets::is_peer_lost`].
    #[napi(catch_unwind)]
    pub fn is_peer_lost(&self, number: u32) -> bool {
        self.sockets.lock().is_peer_lost(number)
    }

    /// See [`super::batch::Sockets::forget_peer`].
    #[napi(catch_unwind)]
    pub fn forget_peer(&self, number: u32) {
        self.sockets.lock().forget_peer(number);
    }

    /// Node has made a socket of the descriptor, and will close it.
    #[napi(catch_unwind)]
    pub fn confirm_socket(&self, number: u32) {
        self.sockets.lock().confirm(number);
    }

    /// Node could not make a socket of the descriptor, which is closed.
    #[napi(catch_unwind)]
    pub fn return_socket(&self, number: u32) {
        self.sockets.lock().put_back(number);
    }

    /// See [`worker_server::Server::add_endpoint`].
    #[napi(catch_unwind)]
    pub fn add_endpoint(&self, path: String) {
        self.server.add_endpoint(&path);
    }

    /// See [`worker_server::Server::relayed_from`]: the text of [`origin_text`], and the certificates behind it.
    #[napi(catch_unwind)]
    pub fn relayed_from(&self, relay_port: u16) -> Option<(String, Vec<Buffer>)> {
        let origin = self.server.relayed_from(relay_port)?;
        let certificates = origin.security.iter().flat_map(|security| &security.certificates);
        Some((origin_text(&origin), certificates.map(|certificate| certificate.clone().into()).collect()))
    }

    /// See [`worker_server::Server::take_back`]. An encrypted connection is named by its number too.
    ///
    /// # Errors
    /// Throws if the descriptor can't be duplicated.
    #[napi(catch_unwind)]
    pub fn take_back(&self, fd: i32, head: &[u8], number: Option<u32>) -> Result<(), String> {
        let origin = number.and_then(|number| self.sockets.lock().origin(number));
        // SAFETY: JavaScript waits in this call, and holds the socket whose descriptor it passed.
        unsafe { self.server.take_back(fd, head, origin) }.map_err(|error| system_error(&error))
    }
}
