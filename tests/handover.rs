//! Connections that are given to Node.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]
#![cfg(unix)]

mod support;

use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

use socket2::Socket;
use support::App;
use support::client::{Raw, upgrade};
use worker_server_core::config::ServerConfig;

#[tokio::test]
async fn a_connection_is_probed_so_that_the_end_of_its_machine_is_noticed() {
    let mut app = App::start(ServerConfig::default());
    app.server.add_endpoint("/e");
    for head in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), upgrade("/e"), upgrade("http://host/e?x=1")] {
        let mut raw = Raw::connect(app.port()).await;
        raw.write(head.as_bytes()).await;
        let (descriptor, read) = app.connection().await;
        assert_eq!(read, head.as_bytes());
        // SAFETY: it was given to this test.
        let socket = Socket::from(unsafe { OwnedFd::from_raw_fd(descriptor.into_raw()) });
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(60));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(15));
    }
}
