//! otpauth URIs from elsewhere are hostile input.

use keywright_twofactor::{Algorithm, KeyUri, Parameters, TotpSecret, UriError};
use proptest::prelude::*;

use crate::support::SEED;

fn error(text: &str) -> Option<UriError> {
    KeyUri::parse(text).err()
}

#[test]
fn what_is_no_uri_is_named_and_never_quoted() {
    let good = "secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    assert_eq!(error(""), Some(UriError::Scheme));
    assert_eq!(error("otpauth:/é/"), Some(UriError::Scheme));
    assert_eq!(error("otpauth://totp"), Some(UriError::Label));
    assert_eq!(error(&format!("otpauth://totp/a%zz?{good}")), Some(UriError::Encoding));
    assert_eq!(error(&format!("otpauth://totp/a%ff?{good}")), Some(UriError::Encoding));
    assert_eq!(error(&format!("otpauth://totp/a%4?{good}")), Some(UriError::Encoding));
    for label in ["a%", "a%%41", "a%+1", "a%1", "a%é1", "%c3", "%C3%28"] {
        assert_eq!(error(&format!("otpauth://totp/{label}?{good}")), Some(UriError::Encoding), "{label}");
    }
    assert_eq!(error(&format!("otpauth://totp/a?{good}&{good}")), Some(UriError::Repeated));
    assert_eq!(error("otpauth://totp/a?secret=A"), Some(UriError::Secret(keywright_twofactor::SecretError::Base32)));
    assert_eq!(error(&format!("otpauth://hotp/a?{good}&counter=1")), Some(UriError::Kind));
    assert_eq!(error(&format!("otpauth://motp/a?{good}")), Some(UriError::Kind));
    for digits in ["5", "9", "+6", "", "256", "6.0"] {
        assert_eq!(error(&format!("otpauth://totp/a?{good}&digits={digits}")), Some(UriError::Digits), "{digits}");
    }
    for period in ["14", "61", "-30", "", "99999999999999999999"] {
        assert_eq!(error(&format!("otpauth://totp/a?{good}&period={period}")), Some(UriError::Period), "{period}");
    }
    assert_eq!(error(&format!("otpauth://totp/{}?{good}", "a".repeat(5_000))), Some(UriError::Label));
    // Either case, unknown parameters, a fragment.
    let uri = KeyUri::parse(&format!("OTPAUTH://TOTP/a?{good}&image=x&image=y&algorithm=sha256#part")).unwrap();
    assert_eq!((uri.account(), uri.parameters().algorithm().as_str()), ("a", "SHA256"));
    assert_eq!(uri.into_secret().expose(), SEED);
}

/// `docs/decisions.md` 67, findings C11: URIs as other programs write them.
#[test]
fn what_other_programs_write_is_read() {
    let good = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    for (label, query, issuer, account) in [
        ("a", "", None, "a"),
        ("", "", None, ""),
        (":b", "", None, "b"),
        ("A:", "", Some("A"), ""),
        ("A:b", "&issuer=", Some("A"), "b"),
        ("A:b", "&issuer=B", Some("B"), "b"),
        ("ACME%20Co:b", "&issuer=ACME+Co", Some("ACME Co"), "b"),
        ("ACME%2520Co%253Ab%2540c", "", Some("ACME Co"), "b@c"),
        ("A%3Ab%3Ac", "", Some("A"), "b:c"),
        ("A%3AB:c", "", Some("A:B"), "c"),
        ("john+tag@example.com", "", None, "john+tag@example.com"),
        ("100%25", "", None, "100%"),
        ("A: b", "&algorithm=SHA-1", Some("A"), "b"),
    ] {
        let uri = KeyUri::parse(&format!("otpauth://totp/{label}?secret={good}{query}")).unwrap();
        assert_eq!((uri.issuer(), uri.account()), (issuer, account), "{label} {query}");
        assert_eq!(uri.secret().expose(), SEED);
    }
    for secret in ["gezd+gnbv", "gezd%20gnbv", "gezd-gnbv", "GEZDGNBV=", "gezd%C2%A0gnbv"] {
        let uri = KeyUri::parse(&format!(" \n\u{feff}otpauth://totp/a?secret={secret}GY3TQOJQ\u{a0}\r\n"));
        assert_eq!(uri.is_ok(), !secret.contains('='), "{secret}");
    }
    let mixed = KeyUri::parse(&format!("otpauth://totp/a?secret={good}&algorithm=Sha-256")).unwrap();
    assert_eq!(mixed.parameters().algorithm(), Algorithm::Sha256);
}

proptest! {
    #[test]
    fn any_text_parses_or_fails(text in "(otpauth://(totp|hotp)/)?[a-zA-Z0-9%:?&=. é-]{0,120}") {
        let _ = KeyUri::parse(&text);
    }

    #[test]
    fn what_is_built_is_read_back(
        // A percent sign before two hex digits may be text that was encoded twice.
        issuer in proptest::option::of("[^%]{1,30}"),
        account in "[^%: ][^%:]{0,30}",
        bytes in proptest::collection::vec(any::<u8>(), 10..65),
    ) {
        let secret = TotpSecret::from_slice(&bytes).unwrap();
        let uri = KeyUri::new(issuer.as_deref(), &account, secret, Parameters::default()).unwrap();
        for text in [uri.to_text(), uri.to_explicit_text()] {
            prop_assert!(text.expose().is_ascii());
            let back = KeyUri::parse(text.expose()).unwrap();
            prop_assert_eq!(back.issuer(), issuer.as_deref());
            prop_assert_eq!(back.account(), &account);
            prop_assert_eq!(back.secret().expose(), &bytes[..]);
        }
    }

    #[test]
    fn base32_reads_back(bytes in proptest::collection::vec(any::<u8>(), 10..129)) {
        let secret = TotpSecret::from_slice(&bytes).unwrap();
        let back = TotpSecret::from_base32(secret.to_base32().expose()).unwrap();
        prop_assert_eq!(back.expose(), &bytes[..]);
    }

    #[test]
    fn any_text_is_base32_or_not(text in "\\PC{0,600}") {
        let _ = TotpSecret::from_base32(&text);
    }
}
