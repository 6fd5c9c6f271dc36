//! otpauth URIs from elsewhere are hostile input.

use keywright_twofactor::{KeyUri, Parameters, TotpSecret, UriError};
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
    assert_eq!(error(&format!("otpauth://totp/?{good}")), Some(UriError::Label));
    assert_eq!(error(&format!("otpauth://totp/a:b:c?{good}")), Some(UriError::Label));
    assert_eq!(error(&format!("otpauth://totp/:b?{good}")), Some(UriError::Label));
    assert_eq!(error(&format!("otpauth://totp/a%zz?{good}")), Some(UriError::Encoding));
    assert_eq!(error(&format!("otpauth://totp/a%ff?{good}")), Some(UriError::Encoding));
    assert_eq!(error(&format!("otpauth://totp/a%4?{good}")), Some(UriError::Encoding));
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

proptest! {
    #[test]
    fn any_text_parses_or_fails(text in "(otpauth://(totp|hotp)/)?[a-zA-Z0-9%:?&=. é-]{0,120}") {
        let _ = KeyUri::parse(&text);
    }

    #[test]
    fn what_is_built_is_read_back(
        issuer in proptest::option::of("[^:]{1,30}"),
        account in "[^: ][^:]{0,30}",
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
