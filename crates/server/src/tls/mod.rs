//! TLS on the server's own port: certificates, handshakes, and the socket of a worker whose connection is encrypted.
//!
//! Everything is rustls with the provider `ring`, which is named explicitly: nothing depends on a default of the
//! process. A [`secure_context::SecureContext`] is made once of the application's material and swapped whole when that
//! changes. A handshake ([`handshake`]) takes the context of its moment. A worker's connection then lives in
//! [`halves`], which any thread can write to; what is Node's leaves through [`crate::accept::socket_pair`].

pub mod bad_material;
pub mod certificates;
pub mod halves;
pub mod handshake;
pub mod peer_security;
pub mod secure_context;
