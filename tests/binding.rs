//! Binding to a port.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod support;

use std::io::ErrorKind;

use support::App;
use support::client::{Client, Raw};
use tokio::net::TcpStream;
use worker_server::Server;
use worker_server_core::config::ServerConfig;

#[tokio::test]
async fn a_port_in_use_is_an_error_and_its_server_goes_on() {
    let app = App::start(ServerConfig::default());
    let config = ServerConfig { port: app.port(), ..ServerConfig::default() };
    let error = Server::start(config, || {}).expect_err("the port is in use");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    Client::registered(app.port(), "w").await;
}

#[tokio::test]
async fn port_0_gives_each_server_a_port_of_its_own() {
    let (a, b) = (App::start(ServerConfig::default()), App::start(ServerConfig::default()));
    assert!(a.port() != 0 && b.port() != 0 && a.port() != b.port());
    let _client = Client::registered(a.port(), "w").await;
    assert_eq!((a.server.worker_count(), b.server.worker_count()), (1, 0));
}

#[tokio::test]
async fn it_listens_for_ipv4_and_where_there_is_ipv6_for_that() {
    let app = App::start(ServerConfig::default());
    Raw::upgraded(app.port()).await;
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        TcpStream::connect(("::1", app.port())).await.unwrap();
    }
}
