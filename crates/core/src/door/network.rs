//! IP networks: one address, or all that begin alike, as CIDR notation writes them (RFC 4632, RFC 4291).

use std::net::IpAddr;

/// How much further an IPv4 address that is written as an IPv6 address begins.
const MAPPED_BITS: u8 = 96;

/// Addresses whose first bits are the same. IPv4 and IPv6 are two worlds: no network has addresses of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads an address (`192.0.2.1`) or a range (`192.0.2.0/24`, `2001:db8::/32`). Bits of the address behind the
    /// range's are passed over. What is written as an IPv4 address within IPv6 (`::ffff:192.0.2.0/120`) is one.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(read_bits(bits)?)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().ok()?;
        let bits = bits.unwrap_or(length(written));
        if bits > length(written) {
            return None;
        }
        let address = written.to_canonical();
        if address.is_ipv4() == written.is_ipv4() {
            return Some(Self { address, bits });
        }
        // A range that goes beyond the IPv4 addresses stays one of IPv6.
        Some(match bits.checked_sub(MAPPED_BITS) {
            Some(bits) => Self { address, bits },
            None => Self { address: written, bits },
        })
    }

    /// Whether an address is one of these. An IPv4 address must be passed as one: see [`IpAddr::to_canonical`].
    pub fn contains(&self, address: IpAddr) -> bool {
        let shared = match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros(),
            _ => return false,
        };
        shared >= u32::from(self.bits)
    }
}

/// Bits of an address.
fn length(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// A number without a sign or zeros in front.
fn read_bits(text: &str) -> Option<u8> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn has(network: &str, address: &str) -> bool {
        Network::parse(network).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_a_network_of_one() {
        assert!(has("192.0.2.1", "192.0.2.1"));
        assert!(!has("192.0.2.1", "192.0.2.2"));
        assert!(has("2001:db8::1", "2001:db8:0:0::1"));
        assert!(!has("2001:db8::1", "2001:db8::2"));
    }

    #[test]
    fn a_range_has_all_addresses_that_begin_as_it_does() {
        for (network, address, expected) in [
            ("192.0.2.0/24", "192.0.2.0", true),
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.77/24", "192.0.2.1", true),
            ("192.0.2.128/25", "192.0.2.127", false),
            ("10.0.0.0/8", "10.255.255.255", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("192.0.2.1/32", "192.0.2.1", true),
            ("2001:db8::/32", "2001:db8:ffff::", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("::/0", "2001:db8::", true),
            ("::/0", "192.0.2.1", false),
            ("::1/128", "::1", true),
        ] {
            assert_eq!(has(network, address), expected, "{network} {address}");
        }
    }

    #[test]
    fn ipv4_within_ipv6_is_ipv4() {
        assert!(has("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(has("::ffff:192.0.2.0/120", "192.0.2.200"));
        assert!(!has("::ffff:192.0.2.0/120", "192.0.3.0"));
        assert!(has("::ffff:0:0/96", "203.0.113.9"));
        assert!(!has("::ffff:0:0/95", "203.0.113.9"));
    }

    #[test]
    fn what_is_no_network_is_none() {
        for text in [
            "",
            "/",
            "localhost",
            "loopback",
            "192.0.2",
            "192.0.2.256",
            "192.0.2.01",
            "0300.0.2.1",
            "192.0.2.1:80",
            "[2001:db8::1]",
            "fe80::1%eth0",
            "192.0.2.0/",
            "192.0.2.0/33",
            "192.0.2.0/024",
            "192.0.2.0/+8",
            "192.0.2.0/-1",
            "192.0.2.0/8 ",
            " 192.0.2.0/8",
            "192.0.2.0/8/8",
            "192.0.2.0/255.255.255.0",
            "2001:db8::/129",
            "2001:db8::/256",
            "*",
        ] {
            assert_eq!(Network::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_range_agrees_with_its_bits(network: u32, other: u32, bits in 0_u8..=32) {
            let range = Network::parse(&format!("{}/{bits}", Ipv4Addr::from_bits(network))).unwrap();
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            prop_assert_eq!(range.contains(Ipv4Addr::from_bits(other).into()), network & mask == other & mask);
        }

        #[test]
        fn and_so_does_a_range_of_ipv6(network: u128, flip in 0_u8..=128, bits in 0_u8..=128) {
            let range = Network::parse(&format!("{}/{bits}", Ipv6Addr::from_bits(network))).unwrap();
            let other = if flip == 128 { network } else { network ^ (1 << (127 - flip)) };
            let is_plain = [network, other].iter().all(|&it| IpAddr::from(Ipv6Addr::from_bits(it)).to_canonical().is_ipv6());
            if is_plain {
                prop_assert_eq!(range.contains(Ipv6Addr::from_bits(other).into()), flip >= bits);
            }
        }

        #[test]
        fn no_text_does_harm(text: String) {
            Network::parse(&text);
        }
    }
}
