//! What the client half refuses: servers that want the vault key or a cheap hash, and malformed envelopes.

use keywright_core::{LocalRng, SystemEntropy};
use keywright_librepass::{
    ArgonParameters, DeriveError, EnvelopeError, HostileServer, LogIn, PreLogin, PrivateKey, PublicKey, Register,
    SecondFactor, UserKeys, VaultKey,
};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::json;

/// The u-coordinates of low order (`gen_librepass.py`, `LOW_ORDER`).
const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

fn keys() -> UserKeys {
    let rng = LocalRng::new(ChaCha20Rng::seed_from_u64(5));
    UserKeys::from_private_key(PrivateKey::random(&rng).unwrap()).unwrap()
}

fn with_top_bit(mut bytes: [u8; 32]) -> PublicKey {
    bytes[31] |= 0x80;
    PublicKey::from_hex(&hex::encode(bytes)).unwrap()
}

/// `docs/security.md` § 11.
#[test]
fn the_users_own_key_is_no_servers() {
    let keys = keys();
    let own = keys.public_key();
    assert_eq!(keys.shared_key(own).err(), Some(HostileServer::AsksForVaultKey));
    assert_eq!(keys.shared_key(&with_top_bit(*own.expose())).err(), Some(HostileServer::AsksForVaultKey));
}

/// A coordinate below 19 fits twice into 255 bits (RFC 7748 § 5). No private key with so small a public one is known, so
/// what the refusal rests on is shown directly: both encodings of the base point give one product.
#[test]
fn non_canonical_encodings_give_the_same_product() {
    let private = PrivateKey::random(&SystemEntropy).unwrap();
    let mut base = [0; 32];
    base[0] = 9;
    let mut beyond = [0xff; 32];
    (beyond[0], beyond[31]) = (0xed + 9, 0x7f);
    let product = |bytes: [u8; 32]| private.agree(&PublicKey::from_hex(&hex::encode(bytes)).unwrap()).unwrap();
    assert!(product(base).ct_eq(&product(beyond)));
    assert!(product(base).to_hex().expose() == private.public_key().to_hex().expose());
}

#[test]
fn low_order_keys_are_no_servers() {
    for low in LOW_ORDER {
        let low = PublicKey::from_hex(low).unwrap();
        assert_eq!(keys().shared_key(&low).err(), Some(HostileServer::LowOrder));
        assert_eq!(keys().shared_key(&with_top_bit(*low.expose())).err(), Some(HostileServer::LowOrder));
    }
}

#[test]
fn cheap_parameters_are_refused() {
    let key = "ab".repeat(32);
    let answer = |parallelism: i64, memory: i64, iterations: i64, key: &str| {
        serde_json::from_value::<PreLogin>(json!({
            "parallelism": parallelism, "memory": memory, "iterations": iterations, "serverPublicKey": key,
        }))
    };
    let offer = answer(3, 65_536, 4, &key).unwrap();
    assert_eq!(offer.parameters, ArgonParameters::default());
    assert_eq!(offer.server.to_hex().expose(), key);
    for (parallelism, memory, iterations) in
        [(3, 20_479, 4), (3, 65_536, 0), (0, 65_536, 4), (3, 153_601, 4), (3, 65_536, 11), (-1, 65_536, 4)]
    {
        let error = answer(parallelism, memory, iterations, &key).err().unwrap();
        assert!(!error.to_string().contains("abab"), "{error}");
    }
    assert!(answer(3, 65_536, 4, "PLANTED").is_err_and(|error| !error.to_string().contains("PLANTED")));
}

#[test]
fn short_addresses_have_a_clear_error() {
    let cheapest = ArgonParameters::new(1, 20_480, 1).unwrap();
    assert_eq!(UserKeys::derive("a@b.co", "test", cheapest).err(), Some(DeriveError::EmailTooShort));
    assert!(UserKeys::derive("ż@b.com", "test", cheapest).is_ok(), "eight bytes, not eight characters");
}

#[test]
fn malformed_envelopes() {
    let keys = keys();
    for text in ["", "00", "zz", &"00".repeat(27), &"0".repeat(57), &format!("{}é", "0".repeat(56)), &" 0".repeat(30)]
    {
        assert_eq!(keys.vault_key().decrypt(text).err(), Some(EnvelopeError::Malformed), "{text}");
    }
    assert_eq!(keys.vault_key().decrypt(&"00".repeat(28)).err(), Some(EnvelopeError::Denied));
}

#[test]
fn bodies_have_the_members_of_the_wire() {
    let keys = keys();
    let shared = keys.shared_key(&PrivateKey::random(&SystemEntropy).unwrap().public_key()).unwrap();
    let register = Register {
        email: "user@example.com",
        password_hint: None,
        shared_key: &shared,
        parameters: ArgonParameters::default(),
        public_key: keys.public_key(),
    };
    assert_eq!(
        serde_json::to_value(&register).unwrap(),
        json!({
            "email": "user@example.com", "sharedKey": shared.to_hex().expose(), "parallelism": 3, "memory": 65_536,
            "iterations": 4, "publicKey": keys.public_key().to_hex().expose(),
        })
    );
    let log_in = LogIn { email: "user@example.com", shared_key: &shared };
    assert_eq!(
        serde_json::to_value(&log_in).unwrap(),
        json!({ "email": "user@example.com", "sharedKey": shared.to_hex().expose() })
    );
    let second = SecondFactor { api_key: "lp_00", code: "123456" };
    assert_eq!(serde_json::to_value(&second).unwrap(), json!({ "apiKey": "lp_00", "code": "123456" }));
    let shown = format!("{register:?} {log_in:?} {second:?} {keys:?} {:?}", keys.vault_key());
    assert_eq!(shown, "Register(..) LogIn(..) SecondFactor(..) UserKeys(..) VaultKey(..)");
}

proptest! {
    #[test]
    fn every_text_comes_back(text in proptest::collection::vec(any::<u8>(), 0..600), flip in any::<prop::sample::Index>()) {
        let key = VaultKey::from_hex(&"5c".repeat(32)).unwrap();
        let envelope = key.encrypt(&text, &SystemEntropy).unwrap();
        let opened = key.decrypt(&envelope).unwrap();
        prop_assert_eq!(opened.expose(), text.as_slice());

        let mut altered = envelope.into_bytes();
        let at = flip.index(altered.len());
        altered[at] = if altered[at] == b'0' { b'1' } else { b'0' };
        prop_assert_eq!(key.decrypt(&String::from_utf8(altered).unwrap()).err(), Some(EnvelopeError::Denied));
    }

    #[test]
    fn any_text_decrypts_or_fails(text in "\\PC{0,80}") {
        prop_assert!(VaultKey::from_hex(&"5c".repeat(32)).unwrap().decrypt(&text).is_err());
    }
}
