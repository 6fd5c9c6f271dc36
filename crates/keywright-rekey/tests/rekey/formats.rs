//! The formats, tested character by character, and a format of a host's own.

use keywright_rekey::{Base64, Fault, Format, Hex, Limits, Malformed, id_text, parse_id};
use keywright_store::{CipherId, ClientNonce};
use proptest::prelude::*;

use crate::support::{manifest, old_nonce, read};

fn nonce_of(bytes: &[u8]) -> ClientNonce {
    let mut nonce = [0; 16];
    nonce[..12].copy_from_slice(&bytes[..12]);
    ClientNonce(nonce)
}

/// RFC 4648 § 4, one bit at a time.
fn base64_of(bytes: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let value = |six: &[u8]| (0..6).fold(0, |sum, at| sum << 1 | usize::from(six.get(at).copied().unwrap_or(0)));
    let mut text: String = bits.chunks(6).map(|six| char::from(alphabet[value(six)])).collect();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

#[test]
fn each_byte_in_each_place() {
    let good = [hex::encode([0xa5; 100]), base64_of(&[0xa5; 100])];
    let formats: [&dyn Format; 2] = [&Hex, &Base64];
    for (text, format) in good.iter().zip(formats) {
        for at in [0, 15, 16, 31, 63, 64, 65, text.len() - 5] {
            for byte in 0..128_u8 {
                let mut changed = text.clone().into_bytes();
                changed[at] = byte;
                let right = match text == &good[0] {
                    true => byte.is_ascii_hexdigit(),
                    false => byte.is_ascii_alphanumeric() || b"+/".contains(&byte),
                };
                let checked = format.check(&changed);
                assert_eq!(checked.is_ok(), right, "{byte} at {at}");
                assert!(right || checked == Err(Malformed::Alphabet), "{byte} at {at}");
            }
        }
    }
}

#[test]
fn base64_is_canonical() {
    let text = |len: usize| base64_of(&vec![0xff; len]);
    assert_eq!(Base64.check(text(27).as_bytes()), Err(Malformed::TooShort));
    assert!(
        Base64.check(text(28).as_bytes()).is_ok()
            && Base64.check(text(29).as_bytes()).is_ok()
            && Base64.check(text(30).as_bytes()).is_ok()
    );
    // 28 bytes end in a character that carries two bits, 29 in one that carries four.
    assert!(text(28).ends_with("/w==") && text(29).ends_with("//8="));
    assert_eq!(Base64.check(text(28).replace("w==", "x==").as_bytes()), Err(Malformed::Length));
    assert_eq!(Base64.check(text(29).replace("8=", "9=").as_bytes()), Err(Malformed::Length));
    for wrong in ["=", "==", "====", "A===", "AAA=AAAA"] {
        assert!(Base64.check(format!("{}{wrong}", "A".repeat(64)).as_bytes()).is_err(), "{wrong}");
    }
    assert_eq!(Base64.check(text(28).trim_end_matches('=').as_bytes()), Err(Malformed::Length));
    assert_eq!(Base64.check(b""), Err(Malformed::TooShort));
}

proptest! {
    #[test]
    fn nonces_are_the_envelopes(bytes in prop::collection::vec(any::<u8>(), 28..300), upper: bool) {
        let mut text = hex::encode(&bytes);
        if upper {
            text.make_ascii_uppercase();
        }
        prop_assert_eq!(Hex.check(text.as_bytes()), Ok(nonce_of(&bytes)));
        prop_assert_eq!(Hex.nonce(text.as_bytes()), nonce_of(&bytes));
        let text = base64_of(&bytes);
        prop_assert_eq!(Base64.check(text.as_bytes()), Ok(nonce_of(&bytes)));
        prop_assert_eq!(Base64.nonce(text.as_bytes()), nonce_of(&bytes));
    }

    #[test]
    fn any_text_is_judged(text: String) {
        let is_hex = text.len() >= 56 && hex::decode(&text).is_ok();
        prop_assert_eq!(Hex.check(text.as_bytes()).is_ok(), is_hex);
        let _ = (Base64.check(text.as_bytes()), Base64.nonce(text.as_bytes()), Hex.nonce(text.as_bytes()), parse_id(&text));
    }

    #[test]
    fn ids_round_trip(bytes: [u8; 16], upper: bool) {
        let text = id_text(CipherId(bytes));
        prop_assert!(text.len() == 36 && text == text.to_lowercase());
        let text = if upper { text.to_uppercase() } else { text };
        prop_assert_eq!(parse_id(&text), Some(CipherId(bytes)));
    }

    #[test]
    fn a_wrong_character_makes_no_id(bytes: [u8; 16], at in 0..36_usize, put in 0..128_u8) {
        let mut text = id_text(CipherId(bytes)).into_bytes();
        text[at] = put;
        let right = if [8, 13, 18, 23].contains(&at) { put == b'-' } else { put.is_ascii_hexdigit() };
        prop_assert_eq!(parse_id(str::from_utf8(&text).unwrap()).is_some(), right);
    }
}

/// Texts in a host's own format: a version, then eight characters that are the nonce, then
/// anything.
#[derive(Debug)]
struct Versioned;

impl Format for Versioned {
    fn check(&self, text: &[u8]) -> Result<ClientNonce, Malformed> {
        let rest = text.strip_prefix(b"v1.").ok_or(Malformed::Other)?;
        if rest.len() < 8 { Err(Malformed::TooShort) } else { Ok(self.nonce(text)) }
    }

    fn nonce(&self, checked: &[u8]) -> ClientNonce {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&checked[3..11]);
        ClientNonce(nonce)
    }
}

#[test]
fn a_format_of_ones_own() {
    let (a, b) = (CipherId([1; 16]), CipherId([2; 16]));
    let vault = manifest([(a, old_nonce(1)), (b, old_nonce(2))]);
    let body = |second: &str| {
        format!(r#"[{{"id":"{}","data":"v1.nonce-1."}},{{"id":"{}","data":"{second}"}}]"#, id_text(a), id_text(b))
    };
    // A text with an escape does not occur literally in the body; one that is not ASCII does.
    for text in [r"v1.nonce-2.\u20ac\n", "v1.nonce-2.€"] {
        let body = body(text);
        let submission = read(body.as_bytes(), Limits::default(), &Versioned).unwrap();
        let plan = submission.against(&vault).unwrap();
        let texts: Vec<_> = plan.rows().map(|(_, _, text)| text.trim_end()).collect();
        assert_eq!(texts, ["v1.nonce-1.", "v1.nonce-2.€"]);
        assert!(!format!("{plan:?}{submission:?}").contains("nonce"));
    }
    for (text, fault) in [("v2.nonce-2.", Fault::MalformedText), ("v1.nonce-1.x", Fault::ReusedNonce)] {
        let body = body(text);
        let report = read(body.as_bytes(), Limits::default(), &Versioned).unwrap().against(&vault).unwrap_err();
        assert_eq!(report.faults().collect::<Vec<_>>(), [fault]);
    }
}
