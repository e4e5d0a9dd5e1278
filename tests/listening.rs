//! Where a server listens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod support;

use std::io::ErrorKind;
use std::net::IpAddr;

use support::client::Client;
use support::{App, soon};
use tokio::net::TcpStream;
use worker_server::core::config::ServerConfig;
use worker_server::server::Server;

fn on(host: &str) -> ServerConfig {
    ServerConfig { host: Some(host.to_owned()), ..ServerConfig::default() }
}

async fn is_reached(app: &App, address: &str) -> bool {
    let address: IpAddr = address.parse().expect("an address");
    soon(TcpStream::connect((address, app.port()))).await.is_ok()
}

#[tokio::test]
async fn without_a_host_all_interfaces_are_listened_on() {
    let app = App::start(ServerConfig::default());
    assert!(is_reached(&app, "127.0.0.1").await);
    assert!(is_reached(&app, "::1").await);
}

#[tokio::test]
async fn an_address_is_listened_on_and_no_other() {
    let app = App::start(on("127.0.0.1"));
    Client::registered(app.port(), "w").await;
    assert!(!is_reached(&app, "::1").await);
    let app = App::start(on("::1"));
    assert!(is_reached(&app, "::1").await);
    assert!(!is_reached(&app, "127.0.0.1").await);
}

#[tokio::test]
async fn the_unspecified_addresses_are_all_of_ipv4_and_all_there_are() {
    let app = App::start(on("0.0.0.0"));
    assert!(is_reached(&app, "127.0.0.1").await);
    assert!(!is_reached(&app, "::1").await);
    let app = App::start(on("::"));
    assert!(is_reached(&app, "127.0.0.1").await);
    assert!(is_reached(&app, "::1").await);
}

#[test]
fn an_address_of_another_machine_cannot_be_bound() {
    // Reserved for documentation: nobody has it.
    let error = Server::start(on("203.0.113.7"), || ()).expect_err("it is not ours");
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
}

#[test]
fn a_taken_port_cannot_be_bound_on_the_same_address() {
    let first = Server::start(on("127.0.0.1"), || ()).expect("the server starts");
    let error = Server::start(ServerConfig { port: first.port(), ..on("127.0.0.1") }, || ()).expect_err("it is taken");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}
