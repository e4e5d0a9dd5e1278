//! What a handshake has shown of a peer.

use rustls::ProtocolVersion;
use tokio::net::TcpStream;

use super::handshake::TlsStream;

/// What a handshake has shown of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSecurity {
    /// The version of TLS, as Node names it.
    pub protocol: &'static str,
    /// The host name that the peer asked for, if it did.
    pub server_name: Option<String>,
    /// Whether a protocol was negotiated (ALPN): there is only `http/1.1`.
    pub has_alpn: bool,
    /// The peer's certificate chain in DER, its own first; empty if it has shown none. Always a verified one.
    pub certificates: Vec<Vec<u8>>,
}

impl PeerSecurity {
    /// Of a connection whose handshake is done.
    pub fn of(stream: &TlsStream) -> Self {
        let (_, connection): (&TcpStream, _) = stream.get_ref();
        let protocol = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        let certificates = connection.peer_certificates().unwrap_or_default();
        Self {
            protocol,
            server_name: connection.server_name().map(ToOwned::to_owned),
            has_alpn: connection.alpn_protocol().is_some(),
            certificates: certificates.iter().map(|certificate| certificate.to_vec()).collect(),
        }
    }
}
