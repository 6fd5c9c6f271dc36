//! The stored state: three salts, a server salt, and the wrapped user key. There is no hash and no
//! check value. The tag of the wrap is the check, and the outer seal distinguishes corruption from
//! a wrong secret (`docs/security.md` § 4).

use keywright_core::{AccountId, Entropy, EntropyError, Generation, SecretBytes, WrapError, WrapKey};
use keywright_store::{Record, Slot};
use serde::{Deserialize, Serialize};

use crate::salts::{Salts, SaltsError};

/// The account's challenge. The record is kept for good: if it were missing, there would be no
/// challenge, and any logged-in client could set one.
pub(crate) const CHALLENGE: Slot<Challenge> = Slot::lasting("challenge");

/// The label in the info of the wrap key (`docs/security.md` § 4).
const LABEL: &str = "keywright/v1/challenge.user-key";

/// A key of 32 random bytes that only the secret unwraps. Other data of the user (keychains) is
/// sealed under keys that are derived from it.
pub struct UserKey(SecretBytes<32>);

impl UserKey {
    /// Draws a key at random.
    ///
    /// # Errors
    /// Returns an [`EntropyError`] if the source fails.
    pub fn random(entropy: &(impl Entropy + ?Sized)) -> Result<Self, EntropyError> {
        SecretBytes::random(entropy).map(Self)
    }

    /// Wraps a key that was kept elsewhere, for example in a session.
    #[must_use]
    pub const fn from_secret(key: SecretBytes<32>) -> Self {
        Self(key)
    }

    /// Returns the bytes, as the input of a key derivation.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// Returns a second copy. This is a method instead of `Clone` so that each copy can be audited.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.duplicate())
    }
}

keywright_core::redacted_debug!(UserKey);

/// The record of a challenge.
#[derive(Serialize, Deserialize)]
pub(crate) struct Challenge {
    /// The generation is drawn again with each secret, so wrong guesses at the previous secret do
    /// not count against this one.
    generation: Generation,
    salts: [String; 3],
    server_salt: [u8; 32],
    wrapped: Vec<u8>,
}

impl Record for Challenge {
    const SCHEMA: u16 = 1;
}

impl Challenge {
    /// Creates a challenge for a secret, with a new generation, a new server salt, and the wrapped
    /// user key.
    pub(crate) fn new(
        entropy: &(impl Entropy + ?Sized),
        account: &AccountId,
        salts: Salts,
        secret: &[u8; 64],
        user_key: &UserKey,
    ) -> Result<Self, WrapError> {
        let generation = Generation::random(entropy)?;
        let server_salt = keywright_core::random_bytes(entropy)?;
        let wrapped = wrap_key(secret, &server_salt, account).wrap(entropy, user_key.expose())?;
        Ok(Self { generation, salts: salts.into_strings(), server_salt, wrapped })
    }

    pub(crate) const fn generation(&self) -> Generation {
        self.generation
    }

    /// Returns the salts, which a client needs to solve the challenge.
    pub(crate) fn salts(&self) -> Result<Salts, SaltsError> {
        Salts::parse(&self.salts)
    }

    /// Returns the user key if the proof is correct. The characters are used without decoding:
    /// upper case is another secret.
    pub(crate) fn unwrap(&self, account: &AccountId, proof: &[u8; 64]) -> Option<UserKey> {
        wrap_key(proof, &self.server_salt, account).unwrap_secret(&self.wrapped).map(UserKey)
    }
}

keywright_core::redacted_debug!(Challenge);

fn wrap_key(secret: &[u8; 64], server_salt: &[u8; 32], account: &AccountId) -> WrapKey {
    WrapKey::derive(secret, server_salt, LABEL, &[account.as_str().as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use keywright_core::LocalRng;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    const SECRET: &[u8; 64] = b"1dfe459da5ad0b6862abfe10b815902bfe3c79770ab4de170836e8286fc19d45";

    /// `docs/security.md` § 16.
    #[test]
    fn known_answer_of_the_wrap_key() {
        let key = wrap_key(SECRET, &[0xa5; 32], &AccountId::new("user-1").unwrap());
        assert_eq!(
            hex::encode(key.expose().expose()),
            "0b12ee0d76c8d8ef748525527c834a2cc7ee2d006edd6419c4646c804d00ce47"
        );
    }

    #[test]
    fn opens_with_the_right_secret_of_the_right_account_only() {
        let rng = LocalRng::new(ChaCha20Rng::seed_from_u64(3));
        let account = AccountId::new("user-1").unwrap();
        let key = UserKey::random(&rng).unwrap();
        let challenge = Challenge::new(&rng, &account, Salts::random(&rng).unwrap(), SECRET, &key).unwrap();
        assert!(challenge.unwrap(&account, SECRET).unwrap().0.ct_eq(key.expose()));
        let mut upper = *SECRET;
        upper.make_ascii_uppercase();
        assert!(challenge.unwrap(&account, &upper).is_none());
        assert!(challenge.unwrap(&AccountId::new("user-2").unwrap(), SECRET).is_none());
    }

    proptest! {
        #[test]
        fn any_stored_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(challenge) = Challenge::decode(1, &bytes) {
                let _ = challenge.salts();
                let account = AccountId::new("user-1").unwrap();
                prop_assert!(challenge.unwrap(&account, SECRET).is_none());
            }
        }
    }
}
