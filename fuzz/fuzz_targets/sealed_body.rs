#![no_main]
use keywright_core::{Keyring, SealContext, SecretBytes};

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let keyring = Keyring::from_keys(&[SecretBytes::zeroed()], &SecretBytes::zeroed()).unwrap();
    assert!(keyring.open(&SealContext::new(b"user-1", "challenge", [7; 16]), body).is_err());
});
