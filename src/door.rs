//! The methods of [`NativeServer`] about who may come in, and whence.

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

use super::abi::RefusalKind;
use super::options::whole;
use super::server::NativeServer;
use worker_server::connection_info::ConnectionInfo;
use worker_server_core::auth::BearerToken;

/// [`ConnectionInfo`], for `lib/server/connection-info.js`.
#[napi(object, object_from_js = false)]
pub struct NativeConnectionInfo {
    /// [`ConnectionInfo::address`].
    pub remote_address: String,
    /// [`ConnectionInfo::remote_port`].
    pub remote_port: u16,
    /// [`ConnectionInfo::url`].
    pub url: String,
    /// [`ConnectionInfo::headers`]: a name and a value, and so on.
    pub headers: Vec<String>,
    /// [`ConnectionInfo::bearer_token`], as text.
    pub bearer_token: Option<String>,
    /// The peer's own certificate of [`ConnectionInfo::peer_certificates`], in DER.
    pub peer_certificate: Option<Buffer>,
    /// [`ConnectionInfo::encrypted`].
    pub encrypted: bool,
    /// [`ConnectionInfo::connected_at`].
    pub connected_at: f64,
}

impl From<ConnectionInfo> for NativeConnectionInfo {
    fn from(info: ConnectionInfo) -> Self {
        Self {
            remote_address: info.address.to_string(),
            remote_port: info.remote_port,
            url: info.url(),
            headers: info.headers().into_iter().flat_map(|(name, value)| [name, value]).collect(),
            bearer_token: info.bearer_token().map(BearerToken::into_text),
            peer_certificate: info.peer_certificates.first().map(|der| der.clone().into()),
            encrypted: info.encrypted,
            connected_at: info.connected_at as f64,
        }
    }
}

#[napi]
impl NativeServer {
    /// See [`worker_server::Server::set_auth_tokens`].
    #[napi(catch_unwind)]
    pub fn set_auth_tokens(&self, auth_tokens: Option<Vec<String>>) {
        self.server.set_auth_tokens(auth_tokens);
    }

    /// See [`worker_server::Server::approve`].
    #[napi(catch_unwind)]
    pub fn approve(&self, peer: f64) -> bool {
        self.server.approve(whole(peer))
    }

    /// See [`worker_server::Server::refuse`].
    #[napi(catch_unwind)]
    pub fn refuse(&self, peer: f64, kind: RefusalKind) -> bool {
        self.server.refuse(whole(peer), kind.into())
    }

    /// See [`worker_server::Server::rival`]. Writes the row of the worker, if there is one.
    #[napi(catch_unwind)]
    pub fn rival(&self, peer: f64) -> bool {
        self.row.found(self.informed().rival(whole(peer)))
    }

    /// See [`worker_server::Server::connection_info`].
    #[napi(catch_unwind)]
    pub fn connection_info(&self, peer: f64) -> Option<NativeConnectionInfo> {
        self.server.connection_info(whole(peer)).map(Into::into)
    }
}
