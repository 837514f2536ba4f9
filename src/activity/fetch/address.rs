//! Which addresses a link may lead to: those of the public internet, and no others.
//!
//! The tables follow IANA's registries of special-purpose addresses (RFC 6890 and its updates). IPv6 is the other way
//! round: only `2000::/3` is handed out for the public internet, and of that some parts are not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network, as its first address and the length of its prefix, and what it is.
type Network<A> = (A, u32, &'static str);

const PRIVATE: &str = "a private address";
const LOCAL: &str = "an address of the machine itself";
const LINK_LOCAL: &str = "a link-local address";
const METADATA: &str = "the address of a cloud's metadata service";
const MULTICAST: &str = "a multicast address";
const RESERVED: &str = "a reserved address";
const EXAMPLE: &str = "an address for examples and measurements";
const TUNNEL: &str = "an address that leads through a tunnel to another one";

/// The first match counts.
const NOT_PUBLIC_V4: [Network<Ipv4Addr>; 17] = [
    (Ipv4Addr::new(169, 254, 169, 254), 32, METADATA),
    // Azure's, on a public address.
    (Ipv4Addr::new(168, 63, 129, 16), 32, METADATA),
    (Ipv4Addr::new(0, 0, 0, 0), 8, LOCAL),
    (Ipv4Addr::new(10, 0, 0, 0), 8, PRIVATE),
    // Between a carrier and its customers (RFC 6598).
    (Ipv4Addr::new(100, 64, 0, 0), 10, PRIVATE),
    (Ipv4Addr::new(127, 0, 0, 0), 8, LOCAL),
    (Ipv4Addr::new(169, 254, 0, 0), 16, LINK_LOCAL),
    (Ipv4Addr::new(172, 16, 0, 0), 12, PRIVATE),
    (Ipv4Addr::new(192, 0, 0, 0), 24, RESERVED),
    (Ipv4Addr::new(192, 0, 2, 0), 24, EXAMPLE),
    (Ipv4Addr::new(192, 88, 99, 0), 24, TUNNEL),
    (Ipv4Addr::new(192, 168, 0, 0), 16, PRIVATE),
    (Ipv4Addr::new(198, 18, 0, 0), 15, EXAMPLE),
    (Ipv4Addr::new(198, 51, 100, 0), 24, EXAMPLE),
    (Ipv4Addr::new(203, 0, 113, 0), 24, EXAMPLE),
    (Ipv4Addr::new(224, 0, 0, 0), 4, MULTICAST),
    (Ipv4Addr::new(240, 0, 0, 0), 4, RESERVED),
];

/// The first match counts.
const NOT_PUBLIC_V6: [Network<Ipv6Addr>; 13] = [
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128, METADATA),
    (Ipv6Addr::UNSPECIFIED, 127, LOCAL),
    // IPv4 in the last four bytes, a form given up long ago.
    (Ipv6Addr::UNSPECIFIED, 96, TUNNEL),
    // NAT64 within one network (RFC 8215).
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, TUNNEL),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, PRIVATE),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, LINK_LOCAL),
    // Site-local, given up by RFC 3879.
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, PRIVATE),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, MULTICAST),
    // Teredo; the rest of its block is for protocols and measurements.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, TUNNEL),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, RESERVED),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, EXAMPLE),
    // 6to4.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, TUNNEL),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, EXAMPLE),
];

/// All that IPv6 has for the public internet.
const PUBLIC_V6: Network<Ipv6Addr> = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3, "");
/// IPv4 behind a translator that the network offers (RFC 6052); the last four bytes are the address that is meant.
const TRANSLATED: Network<Ipv6Addr> = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, "");

/// What `address` is when it is not of the public internet.
pub(super) fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => not_public_v4(mapped),
            None => not_public_v6(address),
        },
    }
}

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    let within =
        |(network, prefix, _): &&Network<Ipv4Addr>| (u32::from(address) ^ u32::from(*network)) >> (32 - prefix) == 0;
    NOT_PUBLIC_V4.iter().find(within).map(|(_, _, what)| *what)
}

fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    let within =
        |(network, prefix, _): &Network<Ipv6Addr>| (u128::from(address) ^ u128::from(*network)) >> (128 - prefix) == 0;
    if within(&TRANSLATED) {
        let [.., a, b, c, d] = address.octets();
        return not_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    let named = NOT_PUBLIC_V6.iter().find(|network| within(network)).map(|(_, _, what)| *what);
    named.or_else(|| (!within(&PUBLIC_V6)).then_some(RESERVED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_that_is_not_public_is_known_by_its_kind() {
        for (kind, addresses) in [
            (PRIVATE, "10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 100.64.0.1 100.127.255.255"),
            (PRIVATE, "100.100.100.200 fc00::1 fd12:3456::1 fdff::1 fec0::1 ::ffff:10.0.0.1 64:ff9b::192.168.1.1"),
            (LOCAL, "0.0.0.0 0.1.2.3 127.0.0.1 127.255.255.254 :: ::1 ::ffff:127.0.0.1 ::ffff:0.0.0.0 64:ff9b::7f00:1"),
            (LINK_LOCAL, "169.254.0.1 169.254.255.255 fe80::1 febf::1 ::ffff:169.254.1.1"),
            (METADATA, "169.254.169.254 168.63.129.16 fd00:ec2::254 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe"),
            (MULTICAST, "224.0.0.1 239.255.255.255 ff02::1 ff0e::1 ::ffff:224.0.0.1"),
            (RESERVED, "192.0.0.1 192.0.0.192 240.0.0.1 255.255.255.255 2001:2::1 2001:20::1 2001:1ff::1"),
            (RESERVED, "100::1 1::1 4000::1 5f00::1 e000::1 64:ff9a::1"),
            (EXAMPLE, "192.0.2.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 2001:db8::1 3fff::1 3fff:fff::1"),
            (TUNNEL, "192.88.99.1 2002:7f00:1::1 2002:808:808::1 2001::1 2001:0:4136:e378::1 64:ff9b:1::1"),
            (TUNNEL, "::127.0.0.1 ::8.8.8.8 ::2"),
        ] {
            for address in addresses.split(' ') {
                assert_eq!(not_public(address.parse().unwrap()), Some(kind), "{address}");
            }
        }
    }

    #[test]
    fn the_neighbours_of_what_is_refused_are_public() {
        for address in "1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 \
             169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0 192.88.98.255 192.167.255.255 \
             192.169.0.0 198.17.255.255 198.20.0.0 203.0.114.0 223.255.255.255 168.63.129.17 8.8.8.8 ::ffff:8.8.8.8 \
             64:ff9b::8.8.8.8 2000::1 2001:200::1 2001:db7:ffff::1 2001:db9::1 2003::1 2606:4700::1111 3ffe::1 3fff:1000::1"
            .split_whitespace()
        {
            assert_eq!(not_public(address.parse().unwrap()), None, "{address}");
        }
    }
}
