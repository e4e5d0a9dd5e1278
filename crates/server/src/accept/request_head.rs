//! The request head: reading it, telling whose it is, and answering it for workers (RFC 6455, section 4.2).

use std::collections::HashSet;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::tls::handshake::HANDSHAKE_RECORD;

/// Header fields that there is room for at first. Few heads have more, and then the room grows: the size of a head is
/// limited, but not how many fields it has.
const USUAL_HEADERS: usize = 64;

/// Why there is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHead {
    /// The peer went away.
    Gone,
    /// It is larger than allowed.
    TooLarge,
    /// The peer speaks TLS.
    Tls,
}

/// Whose a connection is, by its first request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A WebSocket upgrade of a path: a worker's, unless the path is an endpoint's.
    WebSocket {
        /// The path, without the query.
        path: String,
        /// The response to send: a switch of protocols, or what is wrong with the request.
        response: Result<String, String>,
        /// Length of the head in bytes.
        length: usize,
    },
    /// Anything else, even what is no HTTP: Node's.
    Http,
}

/// Reads into `buffer` until it holds a whole request head, or something that can't become one; never more than
/// `max_bytes`. What is found depends on the bytes alone, and not on the pieces in which they come.
///
/// # Errors
/// If the peer goes away, the head grows beyond `max_bytes`, or what comes is the beginning of TLS.
pub async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    max_bytes: usize,
) -> Result<Request, NoHead> {
    let mut lines = 0;
    loop {
        if buffer.first() == Some(&HANDSHAKE_RECORD) {
            return Err(NoHead::Tls);
        }
        // Only whole lines are looked at: whether the next one has begun to come is chance.
        let seen = buffer.len().min(max_bytes);
        if let Some(more) = buffer[lines..seen].iter().rposition(|&byte| byte == b'\n') {
            lines += more + 1;
            if let Some(request) = parse(&buffer[..lines]) {
                return Ok(request);
            }
        }
        let room = max_bytes - seen;
        if room == 0 {
            return Err(NoHead::TooLarge);
        }
        buffer.reserve(room.min(1024));
        match stream.take(room as u64).read_buf(buffer).await {
            Ok(0) | Err(_) => return Err(NoHead::Gone),
            Ok(_) => {}
        }
    }
}

/// What the bytes of a head ask for; `None` while the head is not whole.
fn parse(bytes: &[u8]) -> Option<Request> {
    let mut room = USUAL_HEADERS;
    loop {
        let mut headers = vec![httparse::EMPTY_HEADER; room];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => return Some(judge(&request, length)),
            Ok(httparse::Status::Partial) => return None,
            // No field takes less than a byte, so this ends.
            Err(httparse::Error::TooManyHeaders) if room < bytes.len() => room *= 4,
            Err(_) => return Some(Request::Http),
        }
    }
}

/// Whose a request with a whole head is.
fn judge(request: &httparse::Request<'_, '_>, length: usize) -> Request {
    // Fields of one name count as one with a list of their values (RFC 9110, section 5.3), as in Node.
    let find = |name: &str| {
        let fields = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        fields.map(|header| String::from_utf8_lossy(header.value)).reduce(|all, value| format!("{all}, {value}").into())
    };
    let lists = |name: &str, wanted: &str| {
        find(name).is_some_and(|value| value.split(',').any(|token| token.trim().eq_ignore_ascii_case(wanted)))
    };
    let is_upgrade = request.method == Some("GET") && lists("upgrade", "websocket") && lists("connection", "upgrade");
    if !is_upgrade {
        return Request::Http;
    }
    let path = path_of(request.path.unwrap_or("/")).to_owned();
    let response = switch_protocols(
        find("sec-websocket-key").as_deref(),
        find("sec-websocket-version").as_deref(),
        find("sec-websocket-protocol").as_deref(),
    );
    Request::WebSocket { path, response, length }
}

/// The path of a request target, without its query.
fn path_of(target: &str) -> &str {
    let rest = path_and_query(target).0;
    rest.split_once('?').map_or(rest, |(path, _)| path)
}

/// Path and query of a request target.
pub fn origin_form(target: &str) -> String {
    let (path, query) = path_and_query(target);
    format!("{path}{query}")
}

/// Path and query of a request target, which may be in absolute form (RFC 9112, section 3.2.2). If that has a query and
/// no path, the query comes second; else all comes first.
fn path_and_query(target: &str) -> (&str, &str) {
    match target.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => match rest.find(['/', '?']) {
            Some(end) if rest[end..].starts_with('/') => (&rest[end..], ""),
            Some(end) => ("/", &rest[end..]),
            None => ("/", ""),
        },
        _ => (target, ""),
    }
}

/// A scheme of RFC 3986, section 3.1.
fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// The answer to a WebSocket handshake. The first subprotocol on offer is chosen, and no extension. What is wrong is
/// looked for in the order of npm's `ws`, which answers the handshakes of endpoints.
fn switch_protocols(key: Option<&str>, version: Option<&str>, protocols: Option<&str>) -> Result<String, String> {
    let Some(key) = key.map(str::trim).filter(|key| is_key(key)) else {
        return Err(response("400 Bad Request", "", "Missing or invalid Sec-WebSocket-Key header"));
    };
    if !matches!(version.map(str::trim), Some("13" | "8")) {
        return Err(response(
            "400 Bad Request",
            "Sec-WebSocket-Version: 13, 8\r\n",
            "Missing or invalid Sec-WebSocket-Version header",
        ));
    }
    let mut chosen = String::new();
    if let Some(protocols) = protocols {
        let mut offered = HashSet::new();
        // None may be offered twice (RFC 6455, section 4.1).
        if !protocols.split(',').map(str::trim).all(|protocol| is_token(protocol) && offered.insert(protocol)) {
            return Err(response("400 Bad Request", "", "Invalid Sec-WebSocket-Protocol header"));
        }
        let first = protocols.split(',').next().unwrap_or_default().trim();
        chosen = format!("Sec-WebSocket-Protocol: {first}\r\n");
    }
    let accept = derive_accept_key(key.as_bytes());
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{chosen}\r\n"
    ))
}

/// A response that ends the connection. `headers` come with their line ends.
pub fn response(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// Sixteen bytes in base64.
fn is_key(key: &str) -> bool {
    key.len() == 24
        && key.ends_with("==")
        && key[..22].bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// A token of RFC 9110, section 5.6.2.
fn is_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn upgrade(path: &str, more: &str) -> String {
        format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
        )
    }

    async fn read_all(mut bytes: &[u8], max_bytes: usize) -> Result<Request, NoHead> {
        read(&mut bytes, &mut BytesMut::new(), max_bytes).await
    }

    fn answer(more: &str) -> Result<String, String> {
        match parse(upgrade("/", more).as_bytes()) {
            Some(Request::WebSocket { response, .. }) => response,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_upgrade_is_known_with_its_path_without_query() {
        let head = upgrade("/ws/dashboard?x=1", "");
        let request = read_all(format!("{head}frames").as_bytes(), 4096).await;
        assert!(
            matches!(request, Ok(Request::WebSocket { path, length, .. }) if path == "/ws/dashboard" && length == head.len())
        );
    }

    #[tokio::test]
    async fn everything_else_is_nodes() {
        for text in [
            "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
            "POST / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
            "garbage\r\n",
            "\u{15}\u{3}\u{1}\r\n",
        ] {
            assert_eq!(read_all(text.as_bytes(), 4096).await, Ok(Request::Http), "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_handshake_of_tls_is_known_by_its_first_byte() {
        for bytes in [&b"\x16"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n"] {
            assert_eq!(read_all(bytes, 4096).await, Err(NoHead::Tls));
        }
        assert_eq!(read_all(b"G\x16\r\n", 4096).await, Ok(Request::Http));
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_is_none() {
        let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(5000));
        assert_eq!(read_all(endless.as_bytes(), 4096).await, Err(NoHead::TooLarge));
        assert_eq!(read_all(b"GET / HT", 4096).await, Err(NoHead::Gone));
        let large = upgrade("/", &format!("X: {}\r\n", "x".repeat(400)));
        assert_eq!(read_all(large.as_bytes(), 512).await, Err(NoHead::TooLarge));
        let many = format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(1000));
        assert_eq!(read_all(many.as_bytes(), 4096).await, Err(NoHead::TooLarge));
        assert_eq!(read_all(format!("{many}\r\n").as_bytes(), 1 << 20).await, Ok(Request::Http));
    }

    #[tokio::test]
    async fn a_head_may_have_as_many_fields_as_its_size_allows() {
        for count in [58, 59, 60, 128, 129, 4000] {
            let head = upgrade("/many", &"a:\r\n".repeat(count));
            let request = read_all(head.as_bytes(), head.len()).await;
            assert!(
                matches!(&request, Ok(Request::WebSocket { path, response: Ok(_), length }) if path == "/many" && *length == head.len()),
                "{count}: {request:?}"
            );
        }
    }

    #[test]
    fn a_target_in_absolute_form_counts_by_its_path() {
        for (target, path) in [
            ("http://host/path", "/path"),
            ("http://host:80/path/?x=/y", "/path/"),
            ("HTTPS://user@[::1]:80/", "/"),
            ("ws://host", "/"),
            ("http://host?x=/y", "/"),
            ("/path?u=http://host/other", "/path"),
            ("/http://host/path", "/http://host/path"),
            ("*", "*"),
        ] {
            assert_eq!(path_of(target), path, "{target}");
            let request = parse(upgrade(target, "").as_bytes());
            assert!(matches!(request, Some(Request::WebSocket { path: found, .. }) if found == path), "{target}");
        }
    }

    #[test]
    fn websocket_may_be_one_of_several_protocols_to_upgrade_to() {
        for upgrades in
            ["Upgrade: h2c, websocket", "Upgrade: WebSocket/13, websocket,h2c", "Upgrade: h2c\r\nUpgrade: websocket"]
        {
            let head = upgrade("/", "").replace("Upgrade: WebSocket", upgrades);
            assert!(matches!(parse(head.as_bytes()), Some(Request::WebSocket { response: Ok(_), .. })), "{upgrades}");
        }
    }

    #[test]
    fn a_field_that_may_come_once_is_wrong_when_it_comes_twice() {
        for field in ["Sec-WebSocket-Version: 13".to_owned(), format!("Sec-WebSocket-Key: {KEY}")] {
            assert!(answer(&format!("{field}\r\n")).is_err_and(|text| text.starts_with("HTTP/1.1 400 ")), "{field}");
        }
        assert!(answer("Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n").is_ok());
        assert!(answer("Sec-WebSocket-Protocol: a, b, a\r\n").is_err());
    }

    #[tokio::test]
    async fn a_head_counts_against_the_limit_even_when_it_comes_at_once_and_is_nodes() {
        let head = b"GET / HTTP/1.1\r\nHost: a-rather-long-name\r\n\r\n";
        assert_eq!(read_all(head, head.len()).await, Ok(Request::Http));
        assert_eq!(read_all(head, head.len() - 1).await, Err(NoHead::TooLarge));
        let mut given = BytesMut::from(&head[..]);
        assert_eq!(read(&mut &b""[..], &mut given, head.len() - 1).await, Err(NoHead::TooLarge));
    }

    #[test]
    fn the_sample_key_of_rfc_6455_gets_its_sample_answer() {
        assert!(
            answer("").is_ok_and(|text| text.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"))
        );
    }

    #[test]
    fn the_first_subprotocol_is_chosen_and_no_extension() {
        let text = answer("Sec-WebSocket-Protocol: chat, super\r\nSec-WebSocket-Extensions: permessage-deflate\r\n");
        assert!(text.as_ref().is_ok_and(|text| text.contains("Sec-WebSocket-Protocol: chat\r\n")));
        assert!(text.is_ok_and(|text| !text.contains("Extensions")));
    }

    #[test]
    fn what_is_wrong_with_a_handshake_is_said() {
        let bad_key = upgrade("/", "").replace(KEY, "short");
        let bad_version = upgrade("/", "").replace("Version: 13", "Version: 12");
        let bad_protocol = upgrade("/", "Sec-WebSocket-Protocol: a b\r\n");
        for (head, complaint) in [
            (bad_key, "Missing or invalid Sec-WebSocket-Key header"),
            (bad_version, "Missing or invalid Sec-WebSocket-Version header"),
            (bad_protocol, "Invalid Sec-WebSocket-Protocol header"),
        ] {
            let Some(Request::WebSocket { response: Err(text), .. }) = parse(head.as_bytes()) else {
                panic!("accepted");
            };
            assert!(text.starts_with("HTTP/1.1 400 ") && text.ends_with(complaint), "{text}");
        }
    }
}
