//! E-mail addresses, as names: lower-cased in ASCII for storage and look-up, never for the client's
//! salt.

use keywright_core::{AccountId, Keyring};
use keywright_store::names::{NameIndex, Names};
use keywright_store::{Driver, Partition, TransactError};

/// The purpose under which addresses are hashed.
const PURPOSE: &str = "address";
/// The purpose under which addresses are hashed where registrations wait for them.
const WAITING_PURPOSE: &str = "waiting-address";
/// The longest address, in bytes (RFC 5321 § 4.5.3.1.3: a path of 256 with its brackets).
const MAX_ADDRESS: usize = 254;
/// The longest part before the `@`, in bytes (RFC 5321 § 4.5.3.1.1).
const MAX_LOCAL: usize = 64;

/// Returns the account that an e-mail address belongs to, for an operator's tools; it needs no
/// [`LibrePass`](crate::LibrePass). The result proves nothing, and may be out of date when it
/// arrives. It is `None` also for text that is not an address.
///
/// # Errors
/// [`TransactError`] if the store failed.
pub async fn account_of(driver: &Driver, address: &str) -> Result<Option<AccountId>, TransactError> {
    match Address::parse(address) {
        Some(address) => Names::new(driver.clone()).find(&address.index(driver.keyring())).await,
        None => Ok(None),
    }
}

/// An address that a mail can be sent to, and to nobody else: it has no space, comma, bracket or
/// control character.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address(String);

impl Address {
    /// Parses an address; returns `None` for text that is not one. ASCII letters become lower case,
    /// others stay: Unicode's case mapping would turn two mailboxes into one (`docs/security.md` §
    /// 11).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (local, domain) = text.split_once('@')?;
        let sized = text.len() <= MAX_ADDRESS && local.len() <= MAX_LOCAL;
        let dots = |part: &str| part.split('.').all(|label| !label.is_empty());
        let of_local = |c: char| c == '.' || c.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(c);
        let of_label = |c: char| c == '-' || c == '_' || c.is_alphanumeric();
        let label = |label: &str| {
            label.chars().all(of_label) && !label.starts_with('-') && !label.ends_with('-') && label.len() <= 63
        };
        let literal = |domain: &str| {
            let inner = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            inner.is_some_and(|inner| inner.parse::<core::net::IpAddr>().is_ok())
        };
        let is_domain = literal(domain) || (dots(domain) && domain.split('.').all(label));
        (sized && dots(local) && local.chars().all(of_local) && is_domain).then(|| Self(text.to_ascii_lowercase()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns where the name is stored. The text itself is in no key.
    pub(crate) fn index(&self, keyring: &Keyring) -> NameIndex {
        NameIndex::derive(keyring, PURPOSE, self.0.as_bytes())
    }

    /// Returns the partition in which the registrations that wait for the address are stored.
    pub(crate) fn waiting_partition(&self, keyring: &Keyring) -> Partition {
        NameIndex::derive(keyring, WAITING_PURPOSE, self.0.as_bytes()).partition()
    }
}

keywright_core::redacted_debug!(Address);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_an_address() {
        for (text, lower) in [
            ("User@Example.com", "user@example.com"),
            ("a@b.co", "a@b.co"),
            ("a+tag@b.co", "a+tag@b.co"),
            ("a@localhost", "a@localhost"),
            ("a.b'c@x-y.example", "a.b'c@x-y.example"),
            ("a@[127.0.0.1]", "a@[127.0.0.1]"),
            // Only ASCII is folded.
            ("ÄB@example.com", "Äb@example.com"),
        ] {
            assert_eq!(Address::parse(text).unwrap().as_str(), lower, "{text}");
        }
        let long = format!("{}@b.co", "a".repeat(65));
        let longer = format!("a@{}.co", "b.".repeat(130));
        for text in [
            "",
            "a",
            "@",
            "a@",
            "@b",
            "a@b@c",
            "a b@c",
            "a@b,c@d",
            "a@b,",
            "<a@b>",
            "a@b>",
            "a@.b",
            "a@b.",
            "a@b..c",
            ".a@b",
            "a.@b",
            "a..b@c",
            "a\r\nBcc: x@y",
            "a@b\n",
            "\"a\"@b",
            "a@-b",
            "a@b-",
            "a@[b]",
            "a;b@c",
            "a:b@c",
            "a\\@b",
            "a(b)@c",
            &long,
            &longer,
        ] {
            assert!(Address::parse(text).is_none(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_one_line_without_a_separator(text in "\\PC{0,20}@\\PC{0,20}") {
            if let Some(address) = Address::parse(&text) {
                let separates = [',', ';', ' ', '<', '>', '"', '\r', '\n', '\u{a0}'];
                prop_assert!(!address.as_str().contains(separates));
                prop_assert_eq!(Address::parse(address.as_str()).unwrap(), address);
            }
        }
    }
}
