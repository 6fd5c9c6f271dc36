//! What counts as one caller, where requests are counted by address.

use std::net::{IpAddr, Ipv6Addr};

/// The bits of an IPv6 address that name a network. The other 64 name an interface (RFC 4291 §
/// 2.5.1), and a caller that has a network can use any of them.
const NETWORK: u128 = !0 << 64;

/// The bits of an IPv6 address that name a site (RFC 6177). Providers assign one to a customer, who
/// then has up to 65,536 networks.
const SITE: u128 = !0 << 80;

/// Returns the caller that an address counts as: an IPv4 address in either notation, or an IPv6
/// network.
pub(crate) fn caller(address: IpAddr) -> IpAddr {
    kept(address, NETWORK)
}

/// Returns the site of an address: an IPv4 address in either notation, or an IPv6 site.
pub(crate) fn site(address: IpAddr) -> IpAddr {
    kept(address, SITE)
}

fn kept(address: IpAddr, bits: u128) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & bits)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_is_one_caller_and_a_mapped_address_is_its_ipv4() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for (one, other, same) in [
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("192.0.2.1", "192.0.2.2", false),
            ("::1", "127.0.0.1", false),
        ] {
            assert_eq!(caller(address(one)) == caller(address(other)), same, "{one} {other}");
        }
    }

    #[test]
    fn a_site_of_ipv6_has_many_networks_and_one_of_ipv4_a_single_address() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for (one, other, same) in [
            ("2001:db8:1:2::1", "2001:db8:1:ffff::1", true),
            ("2001:db8:1:2::1", "2001:db8:2:2::1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
        ] {
            assert_eq!(site(address(one)) == site(address(other)), same, "{one} {other}");
        }
    }
}
