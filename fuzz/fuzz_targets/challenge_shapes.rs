#![no_main]
use keywright_challenge::{ChallengeSecret, Proof, Salts};

libfuzzer_sys::fuzz_target!(|input: (&str, Vec<&str>)| {
    let (secret, salts) = input;
    if ChallengeSecret::from_client(secret).is_ok() {
        assert!(Proof::from_client(secret).is_ok_and(|proof| proof.is_lower_hex()));
    }
    if let Ok(parsed) = Salts::parse(&salts) {
        assert_eq!(parsed.as_strs().as_slice(), salts.as_slice());
    }
});
