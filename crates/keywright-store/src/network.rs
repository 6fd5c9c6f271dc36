//! The network that a request comes from, as the guess ledger and mails name it. All protocols use
//! the same name, because an account has one ledger.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use keywright_core::ClientTag;

use crate::draft::Draft;

/// The bits of an IPv6 address that name a network. The others name an interface (RFC 4291 §
/// 2.5.1), and a client in the network can use any of them.
const IPV6_NETWORK: u128 = !0 << 64;

/// The bits of an IPv6 address that name a site (RFC 6177). Providers assign one to a customer, who
/// then has up to 65,536 networks.
const IPV6_SITE: u128 = !0 << 80;

/// The prefix of this kind of credentials, so that no login ever has the tag of a network.
const LABEL: &[u8] = b"network/";
const SITE_LABEL: &[u8] = b"site/";

/// A network: an IPv4 address, or the upper half of an IPv6 address.
///
/// ```
/// use keywright_store::Network;
///
/// # fn main() -> Result<(), std::net::AddrParseError> {
/// assert_eq!(Network::of("192.0.2.1".parse()?).to_string(), "192.0.2.1");
/// assert_eq!(Network::of("2001:db8:1:2:3:4:5:6".parse()?).to_string(), "2001:db8:1:2::/64");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// Returns the network of an address. An IPv4 address gives the same network in either
    /// notation.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & IPV6_NETWORK)),
            address @ IpAddr::V4(_) => address,
        })
    }

    /// Parses the printed form; returns `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let network = Self::of(text.strip_suffix("/64").unwrap_or(text).parse().ok()?);
        (network.to_string() == text).then_some(network)
    }

    /// Returns the bytes that name the network to the guess ledger.
    #[must_use]
    pub fn credential(self) -> Vec<u8> {
        [LABEL, self.to_string().as_bytes()].concat()
    }

    /// Whether bytes name a network to the guess ledger. A credential that a client chooses must not.
    #[must_use]
    pub fn is_named_by(credential: &[u8]) -> bool {
        credential.starts_with(LABEL)
    }

    /// Returns the tag by which the guess ledger of the draft's account knows the network.
    #[must_use]
    pub fn tag(self, draft: &Draft<'_>) -> ClientTag {
        draft.client_tag(&self.credential())
    }

    /// Returns a tag for all the addresses that one customer of a provider is likely to have: the
    /// IPv4 address, or the first 48 bits of the IPv6 address. It is for limiting requests that
    /// need no login. The guess ledger uses [`tag`](Self::tag) instead.
    #[must_use]
    pub fn site_tag(self, draft: &Draft<'_>) -> ClientTag {
        draft.client_tag(&[SITE_LABEL, self.site().to_string().as_bytes()].concat())
    }

    fn site(self) -> IpAddr {
        match self.0 {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & IPV6_SITE)),
            address @ IpAddr::V4(_) => address,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_ipv6_is_one_client_and_a_mapped_address_is_its_ipv4() {
        for (address, name) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ] {
            let network = Network::of(address.parse().unwrap());
            assert_eq!(network.to_string(), name);
            assert_eq!(Network::parse(name), Some(network));
            assert_eq!(network.credential(), format!("network/{name}").into_bytes());
        }
        for text in ["", "192.0.2.1/64", "2001:db8::1/64", "2001:db8::", "::ffff:192.0.2.1", "192.0.2.1<b>"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_site_has_many_networks_of_ipv6_and_one_of_ipv4() {
        let site = |address: &str| Network::of(address.parse().unwrap()).site();
        assert_eq!(site("2001:db8:1:2::1"), site("2001:db8:1:ffff::1"));
        assert_ne!(site("2001:db8:1:2::1"), site("2001:db8:2:2::1"));
        assert_ne!(site("192.0.2.1"), site("192.0.2.2"));
    }
}
