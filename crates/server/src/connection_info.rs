//! What is known of a worker's connection from the moment that it was let in: whence it came, and the request that
//! opened it.
//!
//! The head is kept as it came, and is read again when somebody asks: most connections are never asked about, and the
//! text takes a fraction of what its fields would.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::accept::request_head::origin_form;
use crate::tls::peer_security::PeerSecurity;
use worker_server_core::auth::BearerToken;
use worker_server_core::clock::Moment;
use worker_server_core::door::forwarded::client_address;
use worker_server_core::door::network::Network;

/// One connection's origin, as it was when it was upgraded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// The port at the other end of the socket, which is the peer's, or a proxy's.
    pub remote_port: u16,
    /// Whose connection it is, as far as that is known. It counts wherever peers are distinguished by their addresses. An
    /// IPv4 address is one, never an IPv6 address that stands for it.
    pub address: IpAddr,
    /// Whether the connection is encrypted up to this process.
    pub encrypted: bool,
    /// The peer's certificate chain in DER, its own first; empty if it has shown none. Always a verified one.
    pub peer_certificates: Box<[Vec<u8>]>,
    /// When it was upgraded, in milliseconds since 1970.
    pub connected_at: i64,
    /// The head of the request that asked for the upgrade.
    head: Box<[u8]>,
}

impl ConnectionInfo {
    /// A connection from `remote` that was opened by a request with this head, which is whole. If that is one of the
    /// `trusted` proxies, what it says of the address is believed.
    pub fn new(remote: SocketAddr, head: &[u8], connected_at: Moment, trusted: &[Network]) -> Self {
        let address = remote.ip().to_canonical();
        let mut info = Self {
            remote_port: remote.port(),
            address,
            encrypted: false,
            peer_certificates: Box::default(),
            connected_at: connected_at.unix_ms,
            head: head.into(),
        };
        if !trusted.is_empty() {
            info.address = client_address(address, info.header("x-forwarded-for").as_deref(), trusted);
        }
        info
    }

    /// The same, of a connection of which a handshake has shown this, if there was one.
    #[must_use]
    pub fn secured(self, security: Option<PeerSecurity>) -> Self {
        let encrypted = security.is_some();
        let peer_certificates = security.map(|security| security.certificates.into()).unwrap_or_default();
        Self { encrypted, peer_certificates, ..self }
    }

    /// Path and query of the request.
    pub fn url(&self) -> String {
        self.read(|request| latin1(origin_form(request.path.unwrap_or_default()).as_bytes())).unwrap_or_default()
    }

    /// The request's header fields, names in lower case, in the order of their first appearance. Fields of one name are
    /// one, with a list of their values, as Node has them.
    pub fn headers(&self) -> Vec<(String, String)> {
        let collect = |request: &httparse::Request<'_, '_>| {
            let mut fields: Vec<(String, String)> = Vec::with_capacity(request.headers.len());
            for header in &*request.headers {
                let name = header.name.to_ascii_lowercase();
                let value = latin1(header.value);
                match fields.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, all)) => {
                        all.push_str(if name == "cookie" { "; " } else { ", " });
                        all.push_str(&value);
                    }
                    None => fields.push((name, value)),
                }
            }
            fields
        };
        self.read(collect).unwrap_or_default()
    }

    /// The value of one header field, whose name is given in lower case.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers().into_iter().find_map(|(known, value)| (known == name).then_some(value))
    }

    /// The token that came with the request.
    pub fn bearer_token(&self) -> Option<BearerToken> {
        BearerToken::read(&self.header("authorization")?)
    }

    fn read<T>(&self, look: impl FnOnce(&httparse::Request<'_, '_>) -> T) -> Option<T> {
        // No field takes less than a line.
        let lines = self.head.split(|&byte| byte == b'\n').count();
        let mut headers = vec![httparse::EMPTY_HEADER; lines];
        let mut request = httparse::Request::new(&mut headers);
        request.parse(&self.head).ok()?;
        Some(look(&request))
    }
}

/// Of nobody.
impl Default for ConnectionInfo {
    fn default() -> Self {
        Self::new((Ipv4Addr::UNSPECIFIED, 0).into(), &[], Moment { elapsed_ms: 0, unix_ms: 0 }, &[])
    }
}

/// A text of which each byte is a character, as Node reads header fields.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(remote: &str, head: &str) -> ConnectionInfo {
        ConnectionInfo::new(remote.parse().unwrap(), head.as_bytes(), Moment { elapsed_ms: 0, unix_ms: 0 }, &[])
    }

    #[test]
    fn an_ipv4_peer_on_an_ipv6_socket_has_an_ipv4_address() {
        for (remote, address) in [
            ("[::ffff:192.0.2.1]:5000", "192.0.2.1:5000"),
            ("192.0.2.1:5000", "192.0.2.1:5000"),
            ("[2001:db8::1]:5000", "[2001:db8::1]:5000"),
            ("[::1]:5000", "[::1]:5000"),
        ] {
            let info = info(remote, "");
            assert_eq!(SocketAddr::new(info.address, info.remote_port).to_string(), address);
        }
    }

    #[test]
    fn the_url_is_path_and_query_whatever_the_form_of_the_target() {
        for (target, url) in [
            ("/", "/"),
            ("/ws?room=a/b&x=?", "/ws?room=a/b&x=?"),
            ("http://host/ws?x=1", "/ws?x=1"),
            ("http://host:80", "/"),
            ("http://host?x=1", "/?x=1"),
            ("*", "*"),
        ] {
            assert_eq!(info("192.0.2.1:1", &format!("GET {target} HTTP/1.1\r\n\r\n")).url(), url, "{target}");
        }
    }

    #[test]
    fn fields_of_one_name_are_one_in_lower_case_and_as_many_as_there_are() {
        let many = (0..300).map(|number| format!("x-{number}: {number}\r\n")).collect::<Vec<_>>().concat();
        let head = format!(
            "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nCookie: a=1\r\nx-a:2\r\nCOOKIE: b=2\r\nX-\u{66}: \r\n{many}\r\n"
        );
        let headers = info("192.0.2.1:1", &head).headers();
        let first: Vec<_> = headers.iter().take(4).map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(first, [("host", "h"), ("x-a", "1, 2"), ("cookie", "a=1; b=2"), ("x-f", "")]);
        assert_eq!(headers.len(), 304);
        assert_eq!(info("192.0.2.1:1", &head).header("x-299").as_deref(), Some("299"));
        assert_eq!(info("192.0.2.1:1", &head).header("x-300"), None);
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_nobody_else() {
        let head = b"GET / HTTP/1.1\r\nX-Forwarded-For: 198.51.100.1\r\nx-forwarded-for: 203.0.113.9\r\n\r\n";
        let trusted = [Network::parse("127.0.0.0/8").unwrap()];
        for (remote, address) in [("[::ffff:127.0.0.1]:5", "203.0.113.9"), ("192.0.2.1:5", "192.0.2.1")] {
            let now = Moment { elapsed_ms: 0, unix_ms: 0 };
            let info = ConnectionInfo::new(remote.parse().unwrap(), head, now, &trusted);
            assert_eq!(info.address.to_string(), address);
        }
    }

    #[test]
    fn bytes_of_a_field_are_characters_as_in_node() {
        let mut head = b"GET / HTTP/1.1\r\nX: ".to_vec();
        head.extend([0xfc, 0xc3, 0xbc]);
        head.extend(b"\r\n\r\n");
        let info = ConnectionInfo::new(([192, 0, 2, 1], 1).into(), &head, Moment { elapsed_ms: 0, unix_ms: 0 }, &[]);
        assert_eq!(info.header("x").as_deref(), Some("\u{fc}\u{c3}\u{bc}"));
    }
}
