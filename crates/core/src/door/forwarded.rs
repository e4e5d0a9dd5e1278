//! Whose connection it is that a proxy has passed on, by its field `X-Forwarded-For`.
//!
//! Each proxy adds the address that it was called from at the end of the list, and what stands before that is whatever
//! its caller sent. So the list is read from its end, as far as proxies can be believed.

use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};

use super::network::Network;

/// The address that counts for a connection from `peer`: the last of the list that is not one of the `trusted` proxies.
/// It is the peer's own if the peer is no such proxy, if there is no such address, or if what stands in its place is
/// none. `peer` and the result are canonical: see [`IpAddr::to_canonical`].
pub fn client_address(peer: IpAddr, forwarded_for: Option<&str>, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        return peer;
    }
    let elements = forwarded_for.unwrap_or_default().rsplit(',').map(str::trim);
    // Empty elements of a list are none (RFC 9110, section 5.6.1).
    for element in elements.filter(|element| !element.is_empty()) {
        match parse_element(element) {
            Some(address) if is_trusted(address) => {}
            Some(address) => return address,
            None => return peer,
        }
    }
    peer
}

/// An address, with or without a port. One of IPv6 that has a port is in brackets.
fn parse_element(element: &str) -> Option<IpAddr> {
    // No scope means anything on another machine.
    if element.contains('%') {
        return None;
    }
    let address = element.parse().ok();
    let with_port = || element.parse().ok().map(|address: SocketAddrV4| IpAddr::from(*address.ip()));
    let in_brackets = || element.parse().ok().map(|address: SocketAddrV6| IpAddr::from(*address.ip()));
    let only_in_brackets = || element.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    address
        .or_else(with_port)
        .or_else(in_brackets)
        .or_else(only_in_brackets)
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| Network::parse(text).unwrap()).collect()
    }

    fn found(peer: &str, forwarded_for: Option<&str>, trusted: &[&str]) -> String {
        client_address(peer.parse().unwrap(), forwarded_for, &networks(trusted)).to_string()
    }

    #[test]
    fn the_last_address_that_is_not_trusted_counts() {
        let trusted = ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"];
        for (list, expected) in [
            ("203.0.113.9", "203.0.113.9"),
            ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
            ("203.0.113.9, 10.1.2.3", "203.0.113.9"),
            ("198.51.100.1,203.0.113.9,10.1.2.3,2001:db8::5", "203.0.113.9"),
            ("garbage, 203.0.113.9", "203.0.113.9"),
            ("2a00:1::1, 10.1.2.3", "2a00:1::1"),
            (" 203.0.113.9 ,\t10.1.2.3 ", "203.0.113.9"),
            ("203.0.113.9, ,", "203.0.113.9"),
        ] {
            assert_eq!(found("127.0.0.1", Some(list), &trusted), expected, "{list}");
        }
    }

    #[test]
    fn ports_are_stripped_and_ipv4_is_ipv4() {
        for (element, expected) in [
            ("203.0.113.9:8080", "203.0.113.9"),
            ("[2a00:1::1]:8080", "2a00:1::1"),
            ("[2a00:1::1]", "2a00:1::1"),
            ("2a00:1::1", "2a00:1::1"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("[::ffff:203.0.113.9]:1", "203.0.113.9"),
        ] {
            assert_eq!(found("127.0.0.1", Some(element), &["127.0.0.1"]), expected, "{element}");
        }
    }

    #[test]
    fn where_nothing_can_be_believed_it_is_the_peers_own() {
        for list in [
            None,
            Some(""),
            Some(" , "),
            Some("unknown"),
            Some("203.0.113.9, unknown"),
            Some("203.0.113.9, _hidden"),
            Some("203.0.113.9:"),
            Some("203.0.113.9:99999"),
            Some("203.0.113.9:80:80"),
            Some("[203.0.113.9]:80"),
            Some("2a00:1::1]:80"),
            Some("[fe80::1%1]:80"),
            Some("fe80::1%eth0"),
            Some("\"203.0.113.9\""),
            Some("for=203.0.113.9"),
            Some("203.0.113.9;203.0.113.8"),
            Some("10.1.2.3"),
            Some("10.1.2.3, 127.0.0.1"),
        ] {
            assert_eq!(found("127.0.0.1", list, &["127.0.0.1", "10.0.0.0/8"]), "127.0.0.1", "{list:?}");
        }
        assert_eq!(found("192.0.2.1", Some("203.0.113.9"), &["127.0.0.1"]), "192.0.2.1");
        assert_eq!(found("192.0.2.1", Some("203.0.113.9"), &[]), "192.0.2.1");
    }

    proptest! {
        #[test]
        fn what_a_client_puts_in_front_changes_nothing(
            claimed in vec(select(&["203.0.113.1", "10.9.9.9", "unknown", "", "[::1]:5", "a\u{fc}b", "%"][..]), 0..6),
            proxies in vec(select(&["10.0.0.1", "10.0.0.2:80", "2001:db8::1", ""][..]), 0..4),
        ) {
            let honest = std::iter::once("198.51.100.7").chain(proxies).collect::<Vec<_>>().join(", ");
            let spoofed = format!("{}, {honest}", claimed.join(","));
            let trusted = ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"];
            prop_assert_eq!(found("127.0.0.1", Some(&spoofed), &trusted), "198.51.100.7");
        }

        #[test]
        fn no_text_does_harm(list: String) {
            let own = "127.0.0.1".parse().unwrap();
            let found = client_address(own, Some(&list), &networks(&["127.0.0.1"]));
            prop_assert_eq!(found, found.to_canonical());
            prop_assert_eq!(client_address(own, Some(&list), &[]), own);
        }
    }
}
