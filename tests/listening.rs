//! Where a server listens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod support;

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::IpAddr;

use support::client::Client;
use support::{App, soon};
use tokio::net::TcpStream;
use worker_server::Server;
use worker_server_core::config::ServerConfig;

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

#[cfg(unix)]
#[tokio::test]
async fn servers_that_reuse_a_port_share_it_on_all_interfaces() {
    let shared = ServerConfig { reuse_port: true, ..ServerConfig::default() };
    let first = App::start(shared.clone());
    let second = App::start(ServerConfig { port: first.port(), ..shared });
    for app in [&first, &second] {
        assert!(is_reached(app, "127.0.0.1").await);
        assert!(is_reached(app, "::1").await);
    }
    // Each connection goes to one of them, and before long both have had some.
    let has_workers = |app: &App| app.server.worker_count() > 0;
    let mut clients = Vec::new();
    while !(has_workers(&first) && has_workers(&second)) {
        clients.push(Client::registered(first.port(), &format!("w{}", clients.len())).await);
    }
    assert_eq!(first.server.worker_count() + second.server.worker_count(), clients.len());
}

#[cfg(unix)]
#[test]
fn a_port_is_shared_only_if_both_servers_say_so() {
    let [sharing, alone] = [true, false].map(|reuse_port| ServerConfig { reuse_port, ..ServerConfig::default() });
    for (first, second) in [(&sharing, &alone), (&alone, &sharing), (&alone, &alone)] {
        let first = Server::start(first.clone(), || ()).expect("the server starts");
        let config = ServerConfig { port: first.port(), ..second.clone() };
        let error = Server::start(config, || ()).expect_err("it is taken");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }
}

#[cfg(unix)]
#[test]
fn servers_that_reuse_ports_and_leave_the_choice_to_the_system_do_not_meet() {
    let shared = ServerConfig { reuse_port: true, ..ServerConfig::default() };
    let servers: Vec<_> = (0..50).map(|_| Server::start(shared.clone(), || ()).expect("the server starts")).collect();
    let ports: HashSet<_> = servers.iter().map(Server::port).collect();
    assert_eq!(ports.len(), servers.len());
}
