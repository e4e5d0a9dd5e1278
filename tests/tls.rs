//! TLS on real sockets: what is negotiated, who comes in, what a new context changes, and how connections end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod support;

use std::future::poll_fn;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::task::{Poll, ready};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ProtocolVersion, SupportedProtocolVersion};
use support::client::{Raw, TEXT, frame};
use support::tls::{Authority, connect, connect_as, context, forgetful, read_until, registered};
use support::{App, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpListener;
use worker_server::stream::Stream;
use worker_server::tls::certificates::PemPair;
use worker_server::tls::handshake;
use worker_server::tls::secure_context::{Material, MinVersion, SecureContext};
use worker_server::wakeup::polled_task::PolledTask;
use worker_server_core::config::{Limits, ServerConfig};

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

fn start(context: SecureContext) -> App {
    App::start_with(ServerConfig::default(), Some(context))
}

fn message(text: &str) -> Vec<u8> {
    frame(TEXT, format!(r#"{{"type":"{text}"}}"#).as_bytes())
}

#[tokio::test]
async fn both_versions_are_spoken_and_workers_are_heard_over_them() {
    let authority = Authority::new();
    let mut app = start(authority.context());
    for (version, name) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let client = forgetful(authority.client(&[version], None));
        let mut worker = registered(app.port(), &client, "w").await;
        assert_eq!(worker.get_ref().1.protocol_version(), Some(name));
        worker.write_all(&message("here")).await.unwrap();
        assert_eq!(app.message().await, (Some("w".into()), r#"{"type":"here"}"#.into()));
    }
}

#[tokio::test]
async fn a_version_below_the_oldest_is_refused() {
    let authority = Authority::new();
    let app = start(context(&Material { min_version: MinVersion::Tls13, ..authority.material() }));
    let old = forgetful(authority.client(&[&TLS12], None));
    connect(app.port(), &old).await.unwrap_err();
    let new = forgetful(authority.client(&BOTH, None));
    assert_eq!(connect(app.port(), &new).await.unwrap().get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
}

#[tokio::test]
async fn http_1_1_is_negotiated_and_a_client_of_something_else_alone_is_refused() {
    let authority = Authority::new();
    let app = start(authority.context());
    for (offered, negotiated) in
        [(vec![], Some(None)), (vec!["h2", "http/1.1"], Some(Some(&b"http/1.1"[..]))), (vec!["h2"], None)]
    {
        let mut client = authority.client(&BOTH, None);
        client.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = connect(app.port(), &forgetful(client)).await;
        assert_eq!(stream.ok().as_ref().map(|stream| stream.get_ref().1.alpn_protocol()), negotiated, "{offered:?}");
    }
}

#[tokio::test]
async fn the_certificate_of_the_name_that_is_asked_for_is_shown() {
    let authority = Authority::new();
    let der = |pair: &PemPair| CertificateDer::from_pem_slice(&pair.cert).unwrap();
    let [exact, wild, within] = ["One.Test", "*.wild.test", "x.wild.test"].map(|name| (name, authority.sign(name)));
    let ders = [der(&exact.1), der(&wild.1), der(&within.1)];
    let sni = [exact, wild, within].map(|(name, pair)| (name.to_owned(), pair)).into();
    let app = start(context(&Material { sni, ..authority.material() }));
    let client = forgetful(authority.client(&BOTH, None));
    for (name, index) in [("one.test", 0), ("ONE.TEST", 0), ("a.wild.test", 1), ("x.wild.test", 2)] {
        let stream = connect_as(app.port(), &client, name).await.unwrap();
        assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], ders[index], "{name}");
    }
    // All others are shown the certificate of localhost, which is none of theirs.
    for name in ["other.test", "wild.test", "a.b.wild.test"] {
        let error = connect_as(app.port(), &client, name).await.unwrap_err();
        assert!(error.to_string().contains("not valid for name"), "{name}: {error}");
    }
}

/// A client may learn that it was refused only when it reads on: TLS 1.3 is done for it before.
async fn comes_in(app: &App, client: rustls::ClientConfig) -> bool {
    let Ok(mut stream) = connect(app.port(), &forgetful(client)).await else { return false };
    let head =
        b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(head).await.is_ok() && soon(stream.read_u8()).await.is_ok()
}

#[tokio::test]
async fn who_must_show_a_certificate_comes_in_with_one_of_the_authority_only() {
    let authority = Authority::new();
    let other = Authority::new();
    let [good, bad] = [authority.sign("w"), other.sign("w")];
    for version in BOTH {
        for reject_unauthorized in [true, false] {
            let ca = Some(authority.pem().into_bytes());
            let app = start(context(&Material { ca, request_cert: true, reject_unauthorized, ..authority.material() }));
            let client = |shown| authority.client(&[version], shown);
            assert!(comes_in(&app, client(Some(&good))).await);
            assert_eq!(comes_in(&app, client(None)).await, !reject_unauthorized, "one that shows none");
            assert!(!comes_in(&app, client(Some(&bad))).await, "one that is shown must verify in any case");
        }
    }
}

#[tokio::test]
async fn a_new_context_counts_for_new_handshakes_and_connections_of_before_go_on() {
    let first = Authority::new();
    let second = Authority::new();
    let mut app = start(first.context());
    let [old, new] = [&first, &second].map(|authority| forgetful(authority.client(&BOTH, None)));
    let mut worker = registered(app.port(), &old, "w").await;
    assert!(app.server.set_secure_context(second.context()));
    connect(app.port(), &old).await.unwrap_err();
    let _newer = registered(app.port(), &new, "newer").await;
    worker.write_all(&message("still here")).await.unwrap();
    assert_eq!(app.message().await.0.as_deref(), Some("w"));
}

#[tokio::test]
async fn a_plain_server_takes_no_context() {
    let app = App::start(ServerConfig::default());
    assert!(!app.server.set_secure_context(Authority::new().context()));
}

#[tokio::test]
async fn a_session_is_resumed_within_one_context_and_by_no_other() {
    let authority = Authority::new();
    for version in BOTH {
        let material = authority.material();
        let app = start(context(&authority.material()));
        // It remembers sessions.
        let client = Arc::new(authority.client(&[version], None));
        let shake_hands = async || {
            let stream = registered(app.port(), &client, "w").await;
            stream.get_ref().1.handshake_kind().unwrap()
        };
        assert_eq!(shake_hands().await, HandshakeKind::Full);
        assert_eq!(shake_hands().await, HandshakeKind::Resumed);
        // The very same certificate and key.
        assert!(app.server.set_secure_context(SecureContext::new(&material).unwrap()));
        assert_eq!(shake_hands().await, HandshakeKind::Full);
        assert_eq!(shake_hands().await, HandshakeKind::Resumed);
    }
}

#[tokio::test]
async fn messages_arrive_whole_however_they_are_cut_into_records_and_segments() {
    let authority = Authority::new();
    let mut app = start(authority.context());
    let mut client = authority.client(&BOTH, None);
    client.max_fragment_size = Some(64);
    let mut worker = registered(app.port(), &forgetful(client), "w").await;
    let texts: Vec<String> = (0..50).map(|number| format!("{number}{}", "x".repeat(number * 40))).collect();
    for text in &texts {
        worker.write_all(&message(text)).await.unwrap();
    }
    for text in &texts {
        assert_eq!(app.message().await.1, format!(r#"{{"type":"{text}"}}"#));
    }
}

#[tokio::test]
async fn a_goodbye_of_tls_without_one_of_the_web_socket_is_an_end_behind_all_that_was_said() {
    let authority = Authority::new();
    let mut app = start(authority.context());
    let client = forgetful(authority.client(&BOTH, None));
    let mut worker = registered(app.port(), &client, "w").await;
    worker.write_all(&message("last")).await.unwrap();
    // Its half: close_notify, and the end of what is sent.
    worker.shutdown().await.unwrap();
    assert_eq!(app.message().await.1, r#"{"type":"last"}"#);
    assert_eq!(app.gone().await, (Some("w".into()), 1006, String::new()));
    // It is answered with a goodbye of TLS, which makes the end a clean one.
    let mut rest = Vec::new();
    soon(worker.read_to_end(&mut rest)).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_is_cut_off_within_a_record_is_lost_and_what_came_before_counts() {
    let authority = Authority::new();
    let mut app = start(authority.context());
    let client = forgetful(authority.client(&BOTH, None));
    for cut in [Some(&b"\x17\x03\x03\x01\x00half"[..]), None] {
        let mut worker = registered(app.port(), &client, "w").await;
        worker.write_all(&message("before")).await.unwrap();
        let (mut tcp, _) = worker.into_inner();
        // The end of TCP without close_notify, in a record or between two.
        tcp.write_all(cut.unwrap_or_default()).await.unwrap();
        tcp.shutdown().await.unwrap();
        assert_eq!(app.message().await.1, r#"{"type":"before"}"#);
        assert_eq!(app.gone().await, (Some("w".into()), 1006, String::new()));
    }
}

#[tokio::test]
async fn a_record_that_was_tampered_with_ends_the_connection() {
    let authority = Authority::new();
    let mut app = start(authority.context());
    let worker = registered(app.port(), &forgetful(authority.client(&BOTH, None)), "w").await;
    let (mut tcp, _) = worker.into_inner();
    tcp.write_all(&[&b"\x17\x03\x03\x00\x40"[..], &[0; 64]].concat()).await.unwrap();
    assert_eq!(app.gone().await, (Some("w".into()), 1006, String::new()));
}

#[tokio::test]
async fn at_the_end_of_the_server_workers_get_a_close_frame_and_then_the_goodbye_of_tls() {
    let authority = Authority::new();
    let mut app = start(authority.context());
    let mut worker = registered(app.port(), &forgetful(authority.client(&BOTH, None)), "w").await;
    app.server.stop();
    let mut received = Vec::new();
    let close = [&[0x88, 22], &1001_u16.to_be_bytes()[..], b"Server shutting down"].concat();
    while !received.ends_with(&close) {
        received.push(soon(worker.read_u8()).await.unwrap());
    }
    worker.write_all(&frame(0x88, &1001_u16.to_be_bytes())).await.unwrap();
    let mut rest = Vec::new();
    // rustls reports an end without close_notify as an error.
    soon(worker.read_to_end(&mut rest)).await.unwrap();
    app.stopped().await;
}

#[tokio::test]
async fn what_speaks_no_tls_is_answered_in_plain_and_closed() {
    let app = start(Authority::new().context());
    let mut raw = Raw::connect(app.port()).await;
    raw.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(raw.head().await.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    raw.rest().await;
}

#[tokio::test]
async fn i5_a_handshake_that_never_ends_is_ended_in_time() {
    let limits = Limits { head_timeout: std::time::Duration::from_millis(50), ..Limits::default() };
    let mut app = App::start_with(ServerConfig { limits, ..ServerConfig::default() }, Some(Authority::new().context()));
    for beginning in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut raw = Raw::connect(app.port()).await;
        raw.write(beginning).await;
        app.log("Request head took too long").await;
        assert_eq!(raw.rest().await, b"");
    }
}

#[tokio::test]
async fn a_handshake_that_fails_is_logged_with_the_peer_and_the_reason() {
    let mut app = start(Authority::new().context());
    // Of another authority: the client ends it.
    let client = forgetful(Authority::new().client(&BOTH, None));
    assert_eq!(connect(app.port(), &client).await.unwrap_err().kind(), ErrorKind::InvalidData);
    let context = app.log("TLS handshake failed").await;
    assert_eq!(context["remoteAddress"], "127.0.0.1");
    assert!(context["error"].as_str().unwrap().contains("UnknownCA"), "{context}");
}

#[tokio::test]
async fn what_is_sent_to_a_worker_comes_over_the_same_connection() {
    let authority = Authority::new();
    let app = start(authority.context());
    let mut worker = registered(app.port(), &forgetful(authority.client(&BOTH, None)), "w").await;
    app.run(|server| server.send("w", "y".repeat(100_000))).await;
    read_until(&mut worker, &"y".repeat(1_000)).await;
}

#[tokio::test]
async fn the_applications_thread_reads_an_encrypted_connection_of_which_the_runtime_has_noticed_nothing() {
    let authority = Authority::new();
    let context = authority.context();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = forgetful(authority.client(&BOTH, None));
    let accept = async { handshake::accept(|| Some(context), listener.accept().await.unwrap().0).await.unwrap() };
    let (accepted, end) = tokio::join!(accept, connect(listener.local_addr().unwrap().port(), &client));
    let mut end = end.unwrap();
    let (mut reader, writer) = Stream::Tls(accepted).into_split();
    let all = Arc::new(Mutex::new(Vec::new()));
    let read = Arc::clone(&all);
    let task = PolledTask::new(poll_fn(move |cx| {
        let _keeps_open = &writer;
        loop {
            let mut memory = vec![0; 64 << 10];
            let mut buffer = ReadBuf::new(&mut memory);
            if ready!(reader.poll_read(cx, &mut buffer)).is_err() || buffer.filled().is_empty() {
                return Poll::Ready(());
            }
            all.lock().unwrap().extend_from_slice(buffer.filled());
        }
    }));
    assert!(poll_fn(|cx| Poll::Ready(task.poll(cx))).await.is_pending());
    for expected in [&b"a"[..], b"aa", b"aaa"] {
        // The socket takes it at once, and from here on the runtime has no turn.
        end.write_all(b"a").await.unwrap();
        while *read.lock().unwrap() != expected {
            task.poll_unasked();
        }
    }
}
