//! Addresses that proxies name, and networks that they are compared with: whatever the text, it is read without a panic, an address
//! counts only if a trusted proxy names it, and nothing that a client puts in front of its own changes which.
//!
//! What comes before the first zero byte is a network to trust, the rest is a list as in `X-Forwarded-For`.

use std::net::IpAddr;

use worker_server_core::door::forwarded::client_address;
use worker_server_core::door::network::Network;

const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));

/// Runs one input.
pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (network, list) = text.split_once('\0').unwrap_or(("127.0.0.1", &text));
    if let Some(network) = Network::parse(network) {
        check_network(&network, list);
    }
    let trusted = [Network::parse("127.0.0.1"), Network::parse(network)];
    let trusted: Vec<_> = trusted.into_iter().flatten().collect();
    let found = client_address(PROXY, Some(list), &trusted);
    assert_eq!(found, found.to_canonical(), "an IPv4 address is one");
    let is_trusted = |address| trusted.iter().any(|network| network.contains(address));
    assert!(found == PROXY || !is_trusted(found), "a proxy is nobody's client");
    assert_eq!(client_address(CLIENT, Some(list), &trusted[..1]), CLIENT, "a client is not believed");
    if !is_trusted(CLIENT) {
        let honest = format!("{list}, {CLIENT}, {PROXY}");
        assert_eq!(client_address(PROXY, Some(&honest), &trusted), CLIENT, "what is in front changes nothing");
    }
}

/// A network has its own addresses, and those of one family only.
fn check_network(network: &Network, list: &str) {
    for text in list.split([',', ' ']) {
        let Ok(address) = text.parse::<IpAddr>() else { continue };
        let single = Network::parse(text).expect("an address is a network");
        assert!(single.contains(address.to_canonical()));
        let [v4, v6] = ["0.0.0.0/0", "::/0"].map(|all| Network::parse(all).expect("a network"));
        let address = address.to_canonical();
        assert_eq!((v4.contains(address), v6.contains(address)), (address.is_ipv4(), address.is_ipv6()));
        network.contains(address);
    }
}
