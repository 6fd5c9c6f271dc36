//! E-mail addresses, as names: one spelling for each mailbox, for storage, look-up and mail. Never
//! for the client's salt, which is the text as its owner typed it.

use idna::AsciiDenyList;
use keywright_core::{AccountId, Keyring};
use keywright_store::names::{NameIndex, Names};
use keywright_store::{Driver, Partition, TransactError};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The purpose under which addresses are hashed.
const PURPOSE: &str = "address";
/// The purpose under which addresses are hashed where registrations wait for them.
const WAITING_PURPOSE: &str = "waiting-address";
/// The longest address, in bytes (RFC 5321 § 4.5.3.1.3: a path of 256 with its brackets).
const MAX_ADDRESS: usize = 254;
/// The longest part before the `@`, in bytes (RFC 5321 § 4.5.3.1.1).
const MAX_LOCAL: usize = 64;
/// The longest label of a domain, in bytes (RFC 1035 § 2.3.4).
const MAX_LABEL: usize = 63;
/// The longest text that is read as an address, in bytes. Its one spelling may be shorter than what
/// was typed, never by so much.
const MAX_TYPED: usize = 1_024;

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
    /// Parses an address; returns `None` for text that is not one. The part before the `@` becomes
    /// NFC with ASCII letters in lower case, and other letters stay: Unicode's case mapping would
    /// turn two mailboxes into one (`docs/security.md` § 11). The domain becomes its A-labels.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (local, domain) = text.split_once('@').filter(|_| text.len() <= MAX_TYPED)?;
        let (local, domain) = (local_part(local)?, domain_part(domain)?);
        let address = format!("{local}@{domain}");
        (address.len() <= MAX_ADDRESS).then_some(Self(address))
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

/// Returns the one spelling of the part before the `@`.
fn local_part(text: &str) -> Option<String> {
    // Only the composed form is judged: what composes to an ASCII character counts as that. Lower
    // case is composed again, because a letter in lower case may compose where its capital does not.
    let lower = text.nfc().collect::<String>().to_ascii_lowercase();
    let local = lower.nfc().collect::<String>();
    let of_word = |c: char| c.is_alphanumeric() || is_combining_mark(c) || "!#$%&'*+/=?^_`{|}~-".contains(c);
    // A mark composes with what is before it, which must not be the dot or the beginning.
    let word = |word: &str| !word.is_empty() && !word.starts_with(is_combining_mark) && word.chars().all(of_word);
    (local.len() <= MAX_LOCAL && local.split('.').all(word)).then_some(local)
}

/// Returns the one spelling of a domain: A-labels in lower case (UTS 46), or an address literal.
fn domain_part(text: &str) -> Option<String> {
    if let Some(literal) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return literal.parse::<core::net::IpAddr>().ok().map(|address| format!("[{address}]"));
    }
    let domain = idna::domain_to_ascii_cow(text.as_bytes(), AsciiDenyList::EMPTY).ok()?;
    let of_label = |byte: u8| byte == b'-' || byte == b'_' || byte.is_ascii_alphanumeric();
    let label = |label: &str| {
        let sized = !label.is_empty() && label.len() <= MAX_LABEL;
        sized && label.bytes().all(of_label) && !label.starts_with('-') && !label.ends_with('-')
    };
    domain.split('.').all(label).then(|| domain.into_owned())
}

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
            ("a@[2001:DB8:0::1]", "a@[2001:db8::1]"),
            // Only ASCII is folded.
            ("ÄB@example.com", "Äb@example.com"),
            // Composed and decomposed, and what composes only in lower case.
            ("Jo\u{308}rg@example.com", "jörg@example.com"),
            ("jörg@example.com", "jörg@example.com"),
            ("J\u{30c}@example.com", "ǰ@example.com"),
            ("\u{212a}@example.com", "k@example.com"),
            // Marks that compose with nothing: Devanagari's virama, Hebrew's points.
            ("हिन्दी@example.com", "हिन्दी@example.com"),
            ("שָׁלוֹם@example.com", "שָׁלוֹם@example.com"),
            // Two spellings of one domain, and more.
            ("a@BÜCHER.example", "a@xn--bcher-kva.example"),
            ("a@bu\u{308}cher.example", "a@xn--bcher-kva.example"),
            ("a@XN--BCHER-KVA.example", "a@xn--bcher-kva.example"),
            ("a@straße.example", "a@xn--strae-oqa.example"),
            ("a@例え。テスト", "a@xn--r8jz45g.xn--zckzah"),
            ("a@ｅｘａｍｐｌｅ.com", "a@example.com"),
            ("a@exam\u{ad}ple.com", "a@example.com"),
            ("a@under_score.example", "a@under_score.example"),
        ] {
            assert_eq!(Address::parse(text).unwrap().as_str(), lower, "{text}");
        }
        let long = format!("{}@b.co", "a".repeat(65));
        let longer = format!("a@{}.co", "b.".repeat(130));
        let label = format!("a@{}.co", "ü".repeat(63));
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
            &label,
            // The composed form is judged: these are `;` and, within a domain, `..` and `@`.
            "a\u{37e}b@c",
            "a@b。.c",
            "a@b＠c",
            "\u{308}a@b",
            "a.\u{308}@b",
            "a\u{200d}b@c",
            "a@xn--",
            "a@xn--bcher-\u{fc}.example",
            "a@xn--a-ecp.ru\u{0}",
            "a@\u{308}b",
            "a@[::1%25lo]",
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
