//! All cases of `data/pwdv1r1.json`, valid and invalid, with the changes of `docs/decisions.md` 19:
//! the server half is stricter than upstream's, and the client half accepts what the upstream
//! client accepts.
//!
//! The vectors outside the client's limits are in `src/client.rs`, where the derivation below the check can be called.
#![cfg_attr(not(feature = "client"), expect(dead_code, reason = "some fields are for the client half only"))]

use keywright_challenge::{ChallengeSecret, Proof, Salts, SaltsError, SecretError};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct File {
    pub(crate) format: String,
    pub(crate) vectors: Vec<Vector>,
    pub(crate) negative: Negative,
}

#[derive(Deserialize)]
pub(crate) struct Vector {
    name: String,
    password: String,
    password_utf8_hex: String,
    utf16_units: usize,
    salts: Vec<String>,
    secret: String,
    upstream_client: String,
}

#[derive(Deserialize)]
pub(crate) struct Negative {
    pub(crate) salts: Vec<SaltCase>,
    pub(crate) secrets: Secrets,
}

#[derive(Deserialize)]
pub(crate) struct SaltCase {
    name: String,
    password: String,
    salts: Vec<String>,
    upstream_server_challenge_set: Answer,
    upstream_client_solve: String,
    secret: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Secrets {
    pub(crate) password: String,
    pub(crate) correct_salts: Vec<String>,
    pub(crate) correct_secret: String,
    pub(crate) cases: Vec<SecretCase>,
}

#[derive(Deserialize)]
pub(crate) struct SecretCase {
    pub(crate) name: String,
    pub(crate) secret: String,
    pub(crate) upstream_server: Answer,
}

#[derive(Deserialize)]
pub(crate) struct Answer {
    pub(crate) status: u16,
}

pub(crate) fn file() -> Result<File, serde_json::Error> {
    serde_json::from_str(include_str!("../data/pwdv1r1.json"))
}

#[test]
fn the_file_is_whole() {
    let file = file().unwrap();
    assert_eq!(file.format, "pwdv1r1-test-vectors/1");
    assert_eq!((file.vectors.len(), file.negative.salts.len(), file.negative.secrets.cases.len()), (41, 16, 6));
    for vector in file.vectors {
        assert_eq!(hex::encode(vector.password.as_bytes()), vector.password_utf8_hex, "{}", vector.name);
        assert_eq!(vector.password.encode_utf16().count(), vector.utf16_units, "{}", vector.name);
        let in_limits = (12..=128).contains(&vector.utf16_units);
        assert_eq!(vector.upstream_client == "ok", in_limits, "{}", vector.name);
    }
}

#[test]
fn a_server_takes_every_vector() {
    for vector in file().unwrap().vectors {
        let salts = Salts::parse(&vector.salts).unwrap();
        assert_eq!(salts.as_strs().as_slice(), vector.salts, "{}", vector.name);
        let secret = ChallengeSecret::from_client(&vector.secret).unwrap();
        assert_eq!(secret.expose_str(), vector.secret, "{}", vector.name);
    }
}

/// Where upstream returns 200 or 500, our server refuses each of these before anything is stored.
#[test]
fn a_server_refuses_every_bad_set_of_salts() {
    for case in file().unwrap().negative.salts {
        let expected = match case.name.as_str() {
            "salt0-255-bytes" | "salt0-empty" | "salt0-odd-513-digits" | "salt0-inner-space" => {
                SaltsError::Length { index: 0 }
            }
            "upper-case-salts" | "salt0-not-hex" => SaltsError::NotLowerHex { index: 0 },
            "salt1-63-bytes" | "salt1-65-bytes" | "salt1-odd-127-digits" => SaltsError::Length { index: 1 },
            "salt1-not-hex" => SaltsError::NotLowerHex { index: 1 },
            "salt2-15-bytes" | "salt2-17-bytes" => SaltsError::Length { index: 2 },
            "salt2-not-hex" => SaltsError::NotLowerHex { index: 2 },
            "two-salts" | "no-salts" | "four-salts" => SaltsError::Count,
            other => panic!("no expectation for {other}"),
        };
        assert_eq!(Salts::parse(&case.salts).err(), Some(expected), "{}", case.name);
        assert!(matches!(case.upstream_server_challenge_set.status, 200 | 500), "{}", case.name);
    }
}

/// 400 is a text that is not a proof and costs nothing; 401 is a well-formed proof that is wrong
/// and is charged.
#[test]
fn a_server_tells_malformed_proofs_from_wrong_ones() {
    let secrets = file().unwrap().negative.secrets;
    let correct = ChallengeSecret::from_client(&secrets.correct_secret).unwrap();
    for case in secrets.cases {
        match (case.upstream_server.status, Proof::from_client(&case.secret)) {
            (400, Err(error)) => assert_eq!(error, SecretError::Length, "{}", case.name),
            (401, Ok(proof)) => {
                assert_eq!(proof.expose().as_slice(), case.secret.as_bytes(), "{}", case.name);
                assert_ne!(proof.expose(), correct.expose(), "{}", case.name);
            }
            (status, proof) => panic!("{}: {status}, {proof:?}", case.name),
        }
        let settable = match case.name.as_str() {
            "secret-one-digit-off" => None,
            "secret-upper-case" | "secret-64-not-hex" => Some(SecretError::NotLowerHex),
            _ => Some(SecretError::Length),
        };
        assert_eq!(ChallengeSecret::from_client(&case.secret).err(), settable, "{}", case.name);
    }
}

#[cfg(feature = "client")]
mod client {
    use keywright_challenge::{CreateError, DeriveError, Deriver};
    use keywright_core::{Entropy, EntropyError, LocalRng};
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn derives_every_vector_within_the_limits() {
        let mut deriver = Deriver::new().unwrap();
        let mut derived = 0;
        for vector in file().unwrap().vectors {
            let secret = deriver.derive(&vector.password, &vector.salts);
            match vector.upstream_client.as_str() {
                "ok" => {
                    assert_eq!(secret.unwrap().expose_str(), vector.secret, "{}", vector.name);
                    derived += 1;
                }
                "error: Password is too short" => {
                    assert_eq!(secret.err(), Some(DeriveError::PasswordTooShort), "{}", vector.name);
                }
                "error: Password is too long" => {
                    assert_eq!(secret.err(), Some(DeriveError::PasswordTooLong), "{}", vector.name);
                }
                other => panic!("{}: {other}", vector.name),
            }
        }
        assert_eq!(derived, 35);
    }

    #[test]
    fn solves_what_the_real_client_solves_and_nothing_else() {
        let mut deriver = Deriver::new().unwrap();
        for case in file().unwrap().negative.salts {
            let solved = deriver.derive(&case.password, &case.salts);
            assert_eq!(solved.is_ok(), case.upstream_client_solve == "ok", "{}", case.name);
            assert_eq!(solved.ok().map(|secret| secret.expose_str().to_owned()), case.secret, "{}", case.name);
        }
    }

    #[test]
    fn refusals_name_the_salt() {
        let mut deriver = Deriver::new().unwrap();
        for case in file().unwrap().negative.salts {
            let expected = match case.name.as_str() {
                "salt0-odd-513-digits" | "salt0-not-hex" | "salt0-inner-space" => DeriveError::SaltNotHex { index: 0 },
                "salt1-odd-127-digits" | "salt1-not-hex" => DeriveError::SaltNotHex { index: 1 },
                "salt2-not-hex" => DeriveError::SaltNotHex { index: 2 },
                "salt1-65-bytes" => DeriveError::SaltLength { index: 1 },
                "salt2-15-bytes" | "salt2-17-bytes" => DeriveError::SaltLength { index: 2 },
                "two-salts" | "no-salts" => DeriveError::TooFewSalts,
                _ => continue,
            };
            assert_eq!(deriver.derive(&case.password, &case.salts).err(), Some(expected), "{}", case.name);
        }
    }

    #[test]
    fn derives_the_correct_secret_of_the_negative_cases() {
        let secrets = file().unwrap().negative.secrets;
        let derived = Deriver::new().unwrap().derive(&secrets.password, &secrets.correct_salts).unwrap();
        assert_eq!(derived.expose_str(), secrets.correct_secret);
    }

    #[test]
    fn creates_what_the_server_takes_and_solves_it_again() {
        let rng = LocalRng::new(ChaCha20Rng::seed_from_u64(7));
        let mut deriver = Deriver::new().unwrap();
        let (salts, secret) = deriver.create("correct horse battery staple", &rng).unwrap();
        assert_eq!(salts.as_strs().map(str::len), [512, 128, 32]);
        assert_eq!(Salts::parse(&salts.as_strs()), Ok(salts.clone()));
        assert!(ChallengeSecret::from_client(secret.expose_str()).unwrap().ct_eq(&secret));
        assert!(deriver.derive("correct horse battery staple", &salts.as_strs()).unwrap().ct_eq(&secret));
        let (other, _) = deriver.create("correct horse battery staple", &rng).unwrap();
        assert_ne!(other, salts);
    }

    #[test]
    fn creates_nothing_from_a_bad_password_or_a_broken_source() {
        struct Broken;
        impl Entropy for Broken {
            fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
                Err(EntropyError)
            }
        }
        let mut deriver = Deriver::new().unwrap();
        let refused = |password: &str, deriver: &mut Deriver| deriver.create(password, &Broken).err();
        let short = CreateError::Derive(DeriveError::PasswordTooShort);
        assert_eq!(refused("elevenchars", &mut deriver), Some(short));
        assert_eq!(refused("twelve chars", &mut deriver), Some(CreateError::Entropy(EntropyError)));
    }

    #[test]
    fn a_pool_derives_the_same_from_many_threads() {
        let pool = keywright_challenge::DeriverPool::new(std::num::NonZeroUsize::new(2).unwrap());
        let vectors = file().unwrap().vectors;
        std::thread::scope(|scope| {
            for vector in vectors.iter().filter(|vector| vector.upstream_client == "ok").take(6) {
                let pool = &pool;
                scope.spawn(move || {
                    let secret = pool.derive(&vector.password, &vector.salts).unwrap();
                    assert_eq!(secret.expose_str(), vector.secret, "{}", vector.name);
                });
            }
        });
    }
}
