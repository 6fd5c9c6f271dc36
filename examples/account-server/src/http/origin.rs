//! Where a request comes from, and whether others could read it on its way: through proxies that
//! are trusted, if there are any.
//!
//! A header is believed from a trusted proxy only, and of its addresses only those that trusted
//! proxies have added. A proxy usually sets one of the two headers and passes the other on from the
//! client. So if both name a client, and not the same one, neither is believed.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What this server knows about itself and its proxies.
#[derive(Debug, Clone)]
pub(crate) struct Proxies {
    /// The networks of trusted proxies.
    pub(crate) trusted: Vec<IpNet>,
    /// Whether requests arrive over TLS here.
    pub(crate) tls: bool,
    /// Whether only this machine reaches the listener.
    pub(crate) local: bool,
    /// Whether `--public-url` begins with `https:`.
    pub(crate) public_https: bool,
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The client's address, or that of the last hop that is known.
    pub(crate) client: IpAddr,
    /// Whether nobody on the way could read the request.
    pub(crate) private: bool,
}

impl Proxies {
    /// Returns the origin of a request that came from `peer`.
    pub(crate) fn origin(&self, peer: SocketAddr, headers: &HeaderMap) -> Origin {
        let peer = peer.ip().to_canonical();
        if !self.is_trusted(peer) {
            return Origin { client: peer, private: self.tls || self.local };
        }
        let plain = self.last_untrusted(elements(headers, &X_FORWARDED_FOR).map(|hop| Some(hop.to_owned())));
        let standard = elements(headers, &axum::http::header::FORWARDED).map(|hop| parameter(hop, "for"));
        let standard = self.last_untrusted(standard);
        let client = match (plain, standard) {
            (Hop::Client(client), Hop::None) | (Hop::None, Hop::Client(client)) => client,
            (Hop::Client(one), Hop::Client(other)) if one == other => one,
            _ => peer,
        };
        let plain = elements(headers, &X_FORWARDED_PROTO).last().map(str::to_ascii_lowercase);
        let standard = elements(headers, &axum::http::header::FORWARDED).last().and_then(|hop| parameter(hop, "proto"));
        let https = match (plain, standard) {
            (None, None) => self.public_https,
            (one, other) => one.iter().chain(&other).all(|scheme| scheme.eq_ignore_ascii_case("https")),
        };
        Origin { client, private: https }
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// Returns the last hop that is no trusted proxy: whatever stands before it, the client may have
    /// written itself.
    fn last_untrusted(&self, hops: impl DoubleEndedIterator<Item = Option<String>>) -> Hop {
        let mut last = Hop::None;
        for hop in hops.rev() {
            match hop.as_deref().and_then(address) {
                Some(address) if self.is_trusted(address) => last = Hop::Client(address),
                Some(address) => return Hop::Client(address),
                None => return if last == Hop::None { Hop::Hidden } else { last },
            }
        }
        last
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hop {
    /// There is no such header.
    None,
    /// The header names nobody, or hides the client.
    Hidden,
    Client(IpAddr),
}

/// Returns the elements of a list header, in all its lines.
fn elements<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl DoubleEndedIterator<Item = &'h str> {
    let lines: Vec<_> = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect();
    lines.into_iter().flat_map(|line| line.split(',')).map(str::trim)
}

/// Returns a parameter of an element of `Forwarded` (RFC 7239 § 4), without quotes.
fn parameter(element: &str, name: &str) -> Option<String> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(found, _)| found.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"').to_owned())
}

/// Reads `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(peer: &str, headers: &[(&'static str, &str)]) -> (String, bool) {
        let trusted = vec!["127.0.0.0/8".parse().unwrap(), "2001:db8:1::/48".parse().unwrap()];
        let proxies = Proxies { trusted, tls: false, local: false, public_https: false };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let origin = proxies.origin(SocketAddr::new(peer.parse().unwrap(), 1), &map);
        (origin.client.to_string(), origin.private)
    }

    #[test]
    fn headers_are_believed_from_trusted_proxies_only() {
        let forged = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https")];
        assert_eq!(origin("192.0.2.7", &forged), ("192.0.2.7".to_owned(), false));
        assert_eq!(origin("127.0.0.1", &forged), ("203.0.113.9".to_owned(), true));
        assert_eq!(origin("::ffff:127.0.0.1", &forged), ("203.0.113.9".to_owned(), true));
        assert_eq!(origin("2001:db8:1::2", &forged), ("203.0.113.9".to_owned(), true));
    }

    #[test]
    fn of_several_hops_the_last_that_is_no_proxy_is_the_client() {
        for (header, value, client) in [
            ("x-forwarded-for", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
            ("x-forwarded-for", "203.0.113.9, 127.0.0.2", "203.0.113.9"),
            ("x-forwarded-for", "203.0.113.9:4711", "203.0.113.9"),
            ("x-forwarded-for", "[2001:db8::5]:80", "2001:db8::5"),
            ("x-forwarded-for", "2001:db8::5", "2001:db8::5"),
            ("x-forwarded-for", "unknown", "127.0.0.1"),
            ("x-forwarded-for", "203.0.113.9, unknown", "127.0.0.1"),
            ("x-forwarded-for", "", "127.0.0.1"),
            ("forwarded", "for=203.0.113.9;proto=http", "203.0.113.9"),
            ("forwarded", "for=198.51.100.1, For=\"[2001:db8::5]:80\"", "2001:db8::5"),
            ("forwarded", "for=_hidden", "127.0.0.1"),
            ("forwarded", "by=127.0.0.1", "127.0.0.1"),
        ] {
            assert_eq!(origin("127.0.0.1", &[(header, value)]), (client.to_owned(), false), "{value}");
        }
        let lines = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(origin("127.0.0.1", &lines).0, "203.0.113.9");
    }

    #[test]
    fn a_header_that_the_client_sent_past_its_proxy_is_not_believed() {
        let both = |one, other| origin("127.0.0.1", &[("x-forwarded-for", one), ("forwarded", other)]).0;
        assert_eq!(both("203.0.113.9", "for=198.51.100.1"), "127.0.0.1");
        assert_eq!(both("203.0.113.9", "for=203.0.113.9"), "203.0.113.9");
        assert_eq!(both("203.0.113.9", "for=unknown"), "127.0.0.1");
        let schemes = [("x-forwarded-proto", "http"), ("forwarded", "for=203.0.113.9;proto=https")];
        assert!(!origin("127.0.0.1", &schemes).1);
        assert!(origin("127.0.0.1", &[("x-forwarded-proto", "http, HTTPS")]).1);
        assert!(!origin("127.0.0.1", &[("x-forwarded-proto", "https, http")]).1);
    }
}
