//! Text as applications show it and people type it, each with what it means
//! (`docs/decisions.md` 67).

use keywright_core::UnixSeconds;
use keywright_twofactor::recovery::Preset;
use keywright_twofactor::{
    Algorithm, KeyUri, Parameters, SecretError, TotpCheck, TotpSecret, TotpVerifier, UriError, Window,
};

use crate::support::SEED;

/// The code 287082 (RFC 4226 Appendix D, counter 1), and what becomes of it on its way.
const CODES: [(&str, bool); 32] = [
    ("287082", true),
    // In groups, as applications show it.
    ("287 082", true),
    ("28 70 82", true),
    ("287-082", true),
    ("2 8 7 0 8 2", true),
    // Pasted, with what surrounded it.
    (" 287082", true),
    ("287082 ", true),
    ("287082\r\n", true),
    ("\t287\t082\t", true),
    ("\u{feff}287082", true),
    ("287\u{a0}082", true),
    ("287\u{202f}082", true),
    ("287\u{2009}082", true),
    ("287\u{3000}082", true),
    ("287\u{200b}082", true),
    ("\u{2060}287082\u{200d}", true),
    ("287\u{ad}082", true),
    // Dashes that a phone writes for a hyphen.
    ("287\u{2010}082", true),
    ("287\u{2011}082", true),
    ("287\u{2013}082", true),
    ("287\u{2014}082", true),
    ("287\u{2212}082", true),
    // Other digits are not the ones that were shown: full-width, Arabic, Persian, Devanagari, bold.
    ("\u{ff12}\u{ff18}\u{ff17}\u{ff10}\u{ff18}\u{ff12}", false),
    ("\u{662}\u{668}\u{667}\u{660}\u{668}\u{662}", false),
    ("\u{6f2}\u{6f8}\u{6f7}\u{6f0}\u{6f8}\u{6f2}", false),
    ("\u{968}\u{96e}\u{96d}\u{966}\u{96e}\u{968}", false),
    ("\u{1d7d0}87082", false),
    // Letters that look like digits, and signs.
    ("2870B2", false),
    ("28708Z", false),
    ("287,082", false),
    ("287.082", false),
    ("+287082", false),
];

#[test]
fn codes() {
    let verifier = TotpVerifier::new(&TotpSecret::from_slice(SEED).unwrap(), Parameters::default());
    let now = UnixSeconds::new(59).unwrap();
    for (typed, right) in CODES {
        let expected = if right { TotpCheck::Right { step: 1 } } else { TotpCheck::Malformed };
        assert_eq!(verifier.check(typed, now, Window::new(1, 1), None), expected, "{typed:?}");
    }
    // A code without its leading zero is another code: an account of six digits has six.
    assert_eq!(verifier.check("94287082", now, Window::new(1, 1), None), TotpCheck::Malformed);
}

/// Recovery codes; `true` where the text has the form of a code of this kind.
const RECOVERY: [(Preset, &str, bool); 31] = [
    (Preset::Default, "04HMAS-W9NF6Y-Y093S1", true),
    (Preset::Default, "04HMASW9NF6YY093S1", true),
    (Preset::Default, "04hmas-w9nf6y-y093s1", true),
    (Preset::Default, "04hMas w9NF6y Y093s1", true),
    (Preset::Default, "  04HMAS\u{2013}W9NF6Y\u{2013}Y093S1\r\n", true),
    (Preset::Default, "04HM ASW9 NF6Y Y093 S1", true),
    // I and L for 1, O for 0, in either case.
    (Preset::Default, "O4HMAS-W9NF6Y-YO93SI", true),
    (Preset::Default, "o4hmas-w9nf6y-yo93sl", true),
    // U is not a V, and look-alikes of other scripts are no letters of the code: Cyrillic A and S.
    (Preset::Default, "04HMUS-W9NF6Y-Y093S1", false),
    (Preset::Default, "04HM\u{410}S-W9NF6Y-Y093S1", false),
    (Preset::Default, "04HMA\u{405}-W9NF6Y-Y093S1", false),
    (Preset::Default, "\u{ff10}4HMAS-W9NF6Y-Y093S1", false),
    // A slip of the finger, one symbol too few, one too many, the number of the line.
    (Preset::Default, "04HMAS-W9NF6Y-Y093S2", false),
    (Preset::Default, "40HMAS-W9NF6Y-Y093S1", false),
    (Preset::Default, "04HMAS-W9NF6Y-Y093S", false),
    (Preset::Default, "04HMAS-W9NF6Y-Y093S11", false),
    (Preset::Default, "1. 04HMAS-W9NF6Y-Y093S1", false),
    (Preset::Nist, "ZZDSE-MRESA-34401-4D2PF-2DBDR", true),
    (Preset::Nist, "zzdse mresa 344ol 4d2pf 2dbdr", true),
    (Preset::Nist, "ZZDSE-MRESA-34401-4D2PF-2DBDS", false),
    (Preset::RocketChat, "zbkCaK7p", true),
    (Preset::RocketChat, "zbkC aK7p", true),
    (Preset::RocketChat, " zbkC-aK7p\n", true),
    (Preset::RocketChat, "zbkCaK7", false),
    (Preset::RocketChat, "zbkCaK7p2", false),
    (Preset::RocketChat, "zbkCaK7\u{e4}", false),
    (Preset::LibrePass, "f1b2c3d4-0011-4a5b-8c6d-7e8f90a1b2c3", true),
    (Preset::LibrePass, "F1B2C3D4-0011-4A5B-8C6D-7E8F90A1B2C3", true),
    (Preset::LibrePass, "f1b2c3d400114a5b8c6d7e8f90a1b2c3", true),
    (Preset::LibrePass, "{f1b2c3d4-0011-4a5b-8c6d-7e8f90a1b2c3}", false),
    (Preset::LibrePass, "f1b2c3d4-0011-4a5b-8c6d-7e8f90a1b2cO", false),
];

#[test]
fn recovery_codes() {
    for (preset, typed, right) in RECOVERY {
        assert_eq!(preset.is_form_of(typed), right, "{preset:?} {typed:?}");
    }
}

/// Secrets in base32, as services print them.
const SECRETS: [(&str, Result<&str, SecretError>); 20] = [
    ("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", Ok("12345678901234567890")),
    ("gezdgnbvgy3tqojqgezdgnbvgy3tqojq", Ok("12345678901234567890")),
    ("GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ", Ok("12345678901234567890")),
    ("gezd-gnbv-gy3t-qojq-gezd-gnbv-gy3t-qojq", Ok("12345678901234567890")),
    ("GEZD\u{a0}GNBV\u{a0}GY3T\u{a0}QOJQ\u{a0}GEZD\u{a0}GNBV\u{a0}GY3T\u{a0}QOJQ\n", Ok("12345678901234567890")),
    ("GEZDGNBVGY3TQOJQ", Ok("1234567890")),
    // Any number of symbols, padded or not; bits that make no byte are dropped.
    ("GEZDGNBVGY3TQOJQG", Ok("1234567890")),
    ("GEZDGNBVGY3TQOJQGE", Ok("12345678901")),
    ("GEZDGNBVGY3TQOJQGE======", Ok("12345678901")),
    ("GEZDGNBVGY3TQOJQGEZ", Ok("12345678901")),
    ("GEZDGNBVGY3TQOJQGEZD", Ok("123456789012")),
    ("GEZDGNBVGY3TQOJQGEZDGN", Ok("1234567890123")),
    ("GEZDGNBVGY3TQOJQGEZDG=", Ok("1234567890123")),
    ("gezd gnbv gy3t qojq gezd gn==", Ok("1234567890123")),
    ("GEZDGNBVGY3TQOJQGF", Ok("12345678901")),
    // Too short, or no base32: 0, 1 and 8 are none of its digits, hex and base64 have others.
    ("JBSWY3DPE", Err(SecretError::Length)),
    ("A", Err(SecretError::Base32)),
    ("GEZDGNBVGY3TQOJ0", Err(SecretError::Base32)),
    ("3132333435363738393031323334353637383930", Err(SecretError::Base32)),
    ("MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=", Err(SecretError::Base32)),
];

#[test]
fn secrets() {
    for (typed, expected) in SECRETS {
        let read = TotpSecret::from_base32(typed);
        assert_eq!(read.as_ref().map(TotpSecret::expose), expected.as_ref().map(|text| text.as_bytes()), "{typed:?}");
    }
}

/// What an application makes of a URI: issuer, account, algorithm, digits, period.
type Read = (Option<&'static str>, &'static str, Algorithm, u8, u64);

/// URIs as services and applications write them, but for `S`, which stands for the secret.
const URIS: [(&str, Result<Read, UriError>); 32] = [
    ("otpauth://totp/ACME:alice?secret=S&issuer=ACME", Ok((Some("ACME"), "alice", Algorithm::Sha1, 6, 30))),
    ("otpauth://totp/alice?secret=S", Ok((None, "alice", Algorithm::Sha1, 6, 30))),
    ("OTPAUTH://TOTP/alice?secret=S", Ok((None, "alice", Algorithm::Sha1, 6, 30))),
    // Every parameter written out, in any order, with those that only one application knows.
    (
        "otpauth://totp/ACME:a@b.c?secret=S&issuer=ACME&algorithm=SHA1&digits=6&period=30",
        Ok((Some("ACME"), "a@b.c", Algorithm::Sha1, 6, 30)),
    ),
    (
        "otpauth://totp/ACME:a?period=30&digits=6&algorithm=SHA1&issuer=ACME&secret=S",
        Ok((Some("ACME"), "a", Algorithm::Sha1, 6, 30)),
    ),
    (
        "otpauth://totp/ACME:a?secret=S&issuer=ACME&image=https%3A%2F%2Fa.b%2Fc.png&lock=true",
        Ok((Some("ACME"), "a", Algorithm::Sha1, 6, 30)),
    ),
    // The colon encoded, followed by a blank, or part of the name.
    ("otpauth://totp/ACME%3Aalice?secret=S", Ok((Some("ACME"), "alice", Algorithm::Sha1, 6, 30))),
    ("otpauth://totp/ACME%3aalice?secret=S&issuer=ACME", Ok((Some("ACME"), "alice", Algorithm::Sha1, 6, 30))),
    ("otpauth://totp/ACME:%20alice?secret=S", Ok((Some("ACME"), "alice", Algorithm::Sha1, 6, 30))),
    ("otpauth://totp/ACME%3A%20alice?secret=S", Ok((Some("ACME"), "alice", Algorithm::Sha1, 6, 30))),
    ("otpauth://totp/A%3AB:c%3Ad?secret=S&issuer=A%3AB", Ok((Some("A:B"), "c:d", Algorithm::Sha1, 6, 30))),
    // Blanks: as a plus in the query, as they are in the label.
    ("otpauth://totp/ACME%20Co:a?secret=S&issuer=ACME+Co", Ok((Some("ACME Co"), "a", Algorithm::Sha1, 6, 30))),
    ("otpauth://totp/ACME Co:a b?secret=S&issuer=ACME Co", Ok((Some("ACME Co"), "a b", Algorithm::Sha1, 6, 30))),
    ("otpauth://totp/a+b@c.d?secret=S", Ok((None, "a+b@c.d", Algorithm::Sha1, 6, 30))),
    // Issuer and label differ, one is missing, or both are empty.
    ("otpauth://totp/Old:a?secret=S&issuer=New", Ok((Some("New"), "a", Algorithm::Sha1, 6, 30))),
    ("otpauth://totp/a?secret=S&issuer=ACME", Ok((Some("ACME"), "a", Algorithm::Sha1, 6, 30))),
    ("otpauth://totp/?secret=S&issuer=ACME", Ok((Some("ACME"), "", Algorithm::Sha1, 6, 30))),
    ("otpauth://totp/ACME:?secret=S", Ok((Some("ACME"), "", Algorithm::Sha1, 6, 30))),
    ("otpauth://totp/?secret=S", Ok((None, "", Algorithm::Sha1, 6, 30))),
    ("otpauth://totp/:a?secret=S&issuer=", Ok((None, "a", Algorithm::Sha1, 6, 30))),
    // Encoded twice, and letters that are not ASCII, encoded or not.
    ("otpauth://totp/ACME%2520Co%253Aa?secret=S", Ok((Some("ACME Co"), "a", Algorithm::Sha1, 6, 30))),
    ("otpauth://totp/B%C3%BCro:J%C3%B6rg?secret=S", Ok((Some("Büro"), "Jörg", Algorithm::Sha1, 6, 30))),
    ("otpauth://totp/Büro:Jörg?secret=S", Ok((Some("Büro"), "Jörg", Algorithm::Sha1, 6, 30))),
    // Hashes, digits and periods.
    ("otpauth://totp/a?secret=S&algorithm=SHA-256", Ok((None, "a", Algorithm::Sha256, 6, 30))),
    ("otpauth://totp/a?secret=S&algorithm=sha512&digits=8", Ok((None, "a", Algorithm::Sha512, 8, 30))),
    ("otpauth://totp/a?secret=S&digits=7&period=60", Ok((None, "a", Algorithm::Sha1, 7, 60))),
    ("otpauth://totp/a?secret=S&algorithm=MD5", Err(UriError::Algorithm)),
    ("otpauth://totp/a?secret=S&digits=5", Err(UriError::Digits)),
    ("otpauth://totp/a?secret=S&period=90", Err(UriError::Period)),
    // Other things that a camera may see.
    ("otpauth://hotp/a?secret=S&counter=0", Err(UriError::Kind)),
    ("https://example.com/totp/a?secret=S", Err(UriError::Scheme)),
    ("otpauth://totp/a?issuer=ACME", Err(UriError::NoSecret)),
];

#[test]
fn uris() {
    for (text, expected) in URIS {
        for secret in ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "gezd+gnbv+gy3t+qojq+gezd+gnbv+gy3t+qojq"] {
            for blank in ["", "\n"] {
                let uri = format!("{blank}{}{blank}", text.replace("secret=S", &format!("secret={secret}")));
                let read = KeyUri::parse(&uri);
                let shown = read.as_ref().map(|uri| {
                    assert_eq!(uri.secret().expose(), SEED, "{text}");
                    let how = uri.parameters();
                    (uri.issuer(), uri.account(), how.algorithm(), how.digits(), how.step_seconds())
                });
                assert_eq!(shown, expected.as_ref().copied(), "{uri:?}");
            }
        }
    }
}

/// What is enrolled with a colon is read back as it was, by this program and by others.
#[test]
fn names_with_a_colon_are_enrolled() {
    for (issuer, account, label) in [
        ("ACME", "ldap:alice", "ACME:ldap%3Aalice"),
        ("ACME: Berlin", "alice", "ACME%3A%20Berlin:alice"),
        ("https://acme.example:8443", "a:b:c", "https%3A%2F%2Facme.example%3A8443:a%3Ab%3Ac"),
    ] {
        let secret = TotpSecret::from_slice(SEED).unwrap();
        KeyUri::check_label(Some(issuer), account).unwrap();
        let uri = KeyUri::new(Some(issuer), account, secret, Parameters::default()).unwrap();
        let text = uri.to_text();
        assert!(text.expose().starts_with(&format!("otpauth://totp/{label}?secret=")), "{issuer} {account}");
        let back = KeyUri::parse(text.expose()).unwrap();
        assert_eq!((back.issuer(), back.account()), (Some(issuer), account));
    }
    assert_eq!(KeyUri::check_label(None, "a:b"), Err(UriError::Label), "whose the colon is would be open");
}
