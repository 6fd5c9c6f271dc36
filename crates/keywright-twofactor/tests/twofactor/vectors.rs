//! The shared vectors, except those that `docs/decisions.md` 27b leaves out and those of recovery
//! codes, which have tests of their own; with the changes of `docs/decisions.md` 67. Codes are
//! checked through the whole service.

use keywright_twofactor::{
    Algorithm, ImportedDevice, KeyUri, Once, Parameters, SecretError, TotpSecret, TwoFactorPolicy, UriError, Window,
};
use serde_json::Value;

use crate::support::{Outcome, World};

pub(crate) fn vectors() -> Value {
    serde_json::from_str(include_str!("../data/two-factor.json")).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn parameters(case: &Value) -> Parameters {
    let algorithm = Algorithm::parse(text(&case["algorithm"])).unwrap();
    Parameters::new(algorithm, u8::try_from(number(&case["digits"])).unwrap(), number(&case["period"])).unwrap()
}

/// A fixture with one device, at a given time, whose window has this many steps.
async fn world(secret: TotpSecret, parameters: Parameters, window: (u8, u8), at: u64) -> World {
    let builder = TwoFactorPolicy::builder().window(Window::new(window.0, window.1)).devices(1);
    let world = World::with(builder.min_secret_bits(80).build().unwrap()).await;
    world.set(at);
    world.try_import(ImportedDevice::new("vector", secret).with_parameters(parameters)).await.unwrap();
    world
}

/// The code belongs to exactly this step: without a window, it is accepted then, but neither a step
/// before nor after.
async fn shows(secret: &TotpSecret, parameters: Parameters, at: u64, code: &str) {
    let period = parameters.step_seconds();
    assert_eq!(world(secret.duplicate(), parameters, (0, 0), at).await.totp(code).await, Outcome::Granted(0), "{code}");
    let later = world(secret.duplicate(), parameters, (0, 0), at + period).await;
    assert_eq!(later.totp(code).await, Outcome::Charged(1), "{code}");
    if let Some(before) = at.checked_sub(period) {
        let earlier = world(secret.duplicate(), parameters, (0, 0), before).await;
        assert_eq!(earlier.totp(code).await, Outcome::Charged(1), "{code}");
    }
}

#[tokio::test]
async fn rfc_4226_appendix_d() {
    let section = &vectors()["rfc4226_appendix_d"];
    let secret = TotpSecret::from_slice(&hex::decode(text(&section["key_hex"])).unwrap()).unwrap();
    assert_eq!(secret.to_base32().expose(), text(&section["key_base32"]));
    for case in section["cases"].as_array().unwrap() {
        let at = number(&case["counter"]) * 30;
        shows(&secret, Parameters::default(), at, text(&case["code"])).await;
    }
}

#[tokio::test]
async fn rfc_6238_appendix_b() {
    for case in vectors()["rfc6238_appendix_b"]["cases"].as_array().unwrap() {
        let secret = TotpSecret::from_slice(&hex::decode(text(&case["key_hex"])).unwrap()).unwrap();
        assert_eq!(number(&case["unix_time"]) / number(&case["period"]), number(&case["time_step"]));
        shows(&secret, parameters(case), number(&case["unix_time"]), text(&case["code"])).await;
    }
}

#[tokio::test]
async fn every_algorithm_digits_and_period() {
    let vectors = vectors();
    let cases = vectors["totp_variants"].as_array().unwrap();
    assert_eq!(cases.len(), 126);
    for case in cases {
        let secret = TotpSecret::from_base32(text(&case["key_base32"])).unwrap();
        shows(&secret, parameters(case), number(&case["unix_time"]), text(&case["code"])).await;
    }
}

/// Leading zeros are digits like others, and nothing that a lenient number parser would accept is a
/// code.
#[tokio::test]
async fn rfc_4226_5_3_strict_digits() {
    let section = &vectors()["strict_digits"];
    let secret = TotpSecret::from_base32(text(&section["key_base32"])).unwrap();
    for case in section["cases"].as_array().unwrap() {
        let at = number(&case["counter"]) * 30;
        let world = world(secret.duplicate(), Parameters::default(), (1, 1), at).await;
        let before = world.revision().await;
        for bad in case["must_reject"].as_array().unwrap() {
            assert_eq!(world.totp(text(bad)).await, Outcome::Malformed, "{bad}");
        }
        assert_eq!(world.revision().await, before, "something was written");
        for good in case["must_accept"].as_array().unwrap() {
            assert_eq!(world.totp(text(good)).await, Outcome::Granted(0), "{good}");
            assert_eq!(world.totp(text(&case["code"])).await, Outcome::Replayed, "the same code");
        }
    }
}

#[tokio::test]
async fn rfc_6238_6_windows_are_whole_steps() {
    let section = &vectors()["windows"];
    let secret = TotpSecret::from_base32(text(&section["key_base32"])).unwrap();
    for case in section["cases"].as_array().unwrap() {
        let window = ["steps_back", "steps_forward"].map(|name| u8::try_from(number(&case[name])).unwrap());
        let at = number(&case["server_unix_time"]);
        let world = world(secret.duplicate(), Parameters::default(), (window[0], window[1]), at).await;
        let outcome = world.totp(text(&case["code"])).await;
        let drift = i8::try_from(case["step_delta"].as_i64().unwrap()).unwrap();
        let expected = if case["accept"].as_bool().unwrap() { Outcome::Granted(drift) } else { Outcome::Charged(1) };
        assert_eq!(outcome, expected, "{case}");
    }
}

#[tokio::test]
async fn rfc_6238_5_2_replays() {
    let section = &vectors()["replay"];
    for once in [Once::Account, Once::Purpose] {
        for case in section["cases"].as_array().unwrap() {
            let window = case["window"].as_array().unwrap();
            let [back, forward] = [&window[0], &window[1]].map(|side| u8::try_from(number(side)).unwrap());
            let builder = TwoFactorPolicy::builder().window(Window::new(back, forward)).once(once);
            let world = World::with(builder.build().unwrap()).await;
            world.import("vector", TotpSecret::from_base32(text(&section["key_base32"])).unwrap().expose()).await;
            for attempt in case["attempts"].as_array().unwrap() {
                world.set(number(&attempt["unix_time"]));
                let outcome = world.totp(text(&attempt["code"])).await;
                let good = match text(&attempt["expect"]) {
                    "accept" => outcome.granted(),
                    "reject-replay" => outcome == Outcome::Replayed,
                    "reject-invalid" => matches!(outcome, Outcome::Charged(_)),
                    "reject-invalid-or-replay" => matches!(outcome, Outcome::Charged(_) | Outcome::Replayed),
                    other => panic!("{other}"),
                };
                assert!(good, "{}: {attempt}: {outcome:?}", case["name"]);
            }
        }
    }
}

#[tokio::test]
async fn base32_is_lenient_and_bounded() {
    let section = &vectors()["base32"];
    for case in section["cases"].as_array().unwrap() {
        let key = hex::decode(text(&case["key_hex"])).unwrap();
        for form in case["must_decode_same"].as_array().unwrap() {
            let secret = TotpSecret::from_base32(text(form)).unwrap();
            assert_eq!(secret.expose(), key, "{form}");
            assert_eq!(secret.to_base32().expose(), text(&case["canonical"]));
        }
        let secret = TotpSecret::from_slice(&key).unwrap();
        shows(&secret, parameters(section), number(&case["unix_time"]), text(&case["code"])).await;
    }
    for case in section["must_fail"].as_array().unwrap() {
        assert_eq!(TotpSecret::from_base32(text(&case["text"])).err(), Some(SecretError::Base32), "{case}");
    }
    // The decoded bytes of these are too short for a secret; if a secret comes first, the rest is
    // dropped.
    for case in section["leftover_bits"].as_array().unwrap() {
        let (short, bytes) = (text(&case["text"]), hex::decode(text(&case["hex"])).unwrap());
        assert_eq!(TotpSecret::from_base32(short).err(), Some(SecretError::Length));
        let secret = TotpSecret::from_base32(&format!("GEZDGNBVGY3TQOJQ{short}")).unwrap();
        assert_eq!(secret.expose(), [&b"1234567890"[..], &bytes].concat());
    }
}

#[test]
fn key_uris_are_built_to_the_byte() {
    for case in vectors()["key_uri"]["build"].as_array().unwrap() {
        let secret = TotpSecret::from_base32(text(&case["secret"])).unwrap();
        let uri = KeyUri::new(case["issuer"].as_str(), text(&case["account"]), secret, parameters(case)).unwrap();
        let explicit = case["explicit_defaults"].as_bool().unwrap();
        let built = if explicit { uri.to_explicit_text() } else { uri.to_text() };
        assert_eq!(built.expose(), text(&case["uri"]));
        for written in [&case["uri"], &case["pyotp_uri"]] {
            let back = KeyUri::parse(text(written)).unwrap();
            assert_eq!((back.issuer(), back.account()), (case["issuer"].as_str(), text(&case["account"])));
            assert_eq!(back.secret().to_base32().expose(), text(&case["secret"]));
            assert_eq!(back.parameters(), &parameters(case));
        }
    }
    for case in vectors()["key_uri"]["build_colon"].as_array().unwrap() {
        let secret = TotpSecret::from_base32(text(&case["secret"])).unwrap();
        let uri = KeyUri::new(case["issuer"].as_str(), text(&case["account"]), secret, Parameters::default()).unwrap();
        assert_eq!(uri.to_text().expose(), text(&case["uri"]));
        let back = KeyUri::parse(text(&case["uri"])).unwrap();
        assert_eq!((back.issuer(), back.account()), (case["issuer"].as_str(), text(&case["account"])));
    }
    for case in vectors()["key_uri"]["build_must_fail"].as_array().unwrap() {
        let secret = TotpSecret::from_slice(crate::support::SEED).unwrap();
        let built = KeyUri::new(case["issuer"].as_str(), text(&case["account"]), secret, Parameters::default());
        assert_eq!(built.err(), Some(UriError::Label), "{case}");
    }
}

#[test]
fn key_uris_are_parsed() {
    for case in vectors()["key_uri"]["parse"].as_array().unwrap() {
        let parsed = KeyUri::parse(text(&case["uri"]));
        let Some(error) = case["error"].as_str() else {
            let uri = parsed.unwrap();
            assert_eq!((uri.issuer(), uri.account()), (case["issuer"].as_str(), text(&case["account"])));
            continue;
        };
        let expected = match error {
            "missing-secret" => UriError::NoSecret,
            "missing-counter" => UriError::Counter,
            "wrong-scheme" => UriError::Scheme,
            "bad-digits" => UriError::Digits,
            "bad-period" => UriError::Period,
            "bad-algorithm" => UriError::Algorithm,
            other => panic!("{other}"),
        };
        assert_eq!(parsed.err(), Some(expected), "{case}");
    }
}
