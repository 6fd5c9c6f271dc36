//! The keyring: seals record bodies, and keys the few index values that must stay stable. It does nothing else.
//!
//! Per seal key `R`: key id = HKDF-SHA-256(ikm `R`, salt `keywright/v1`, info `key-id`, 8 bytes), seal key = the same
//! with info `seal`, 32 bytes. The id follows from the key, so a renamed or swapped key is noticed.

use core::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::entropy::{Entropy, EntropyError};
use crate::key_id::KeyId;
use crate::plain::PlainBytes;
use crate::seal::{self, OpenError, SealBuffer, SealContext, SealError, append_lp};
use crate::secret::SecretBytes;
use crate::time::UnixSeconds;

mod file;
pub use file::{KeyringFileError, Opened};

const SALT: &[u8] = b"keywright/v1";

struct SealKey {
    kid: KeyId,
    /// What the keyring file holds; kept to write one.
    root: SecretBytes<32>,
    seal: SecretBytes<32>,
}

/// Seal keys, newest first, one index key, and the fence.
///
/// Kept outside the database and outside its backups: with a dump alone, nothing that is stored verifies a guess.
pub struct Keyring {
    keys: Vec<SealKey>,
    index: SecretBytes<32>,
    fence: UnixSeconds,
}

impl Keyring {
    /// A keyring of one fresh seal key and one fresh index key.
    ///
    /// # Errors
    /// [`KeyringError::Entropy`] if the source fails.
    pub fn generate(entropy: &(impl Entropy + ?Sized)) -> Result<Self, KeyringError> {
        Self::from_keys(&[SecretBytes::random(entropy)?], &SecretBytes::random(entropy)?)
    }

    /// A keyring of given keys: `seal` newest first, 32 bytes each from a secure generator.
    ///
    /// # Errors
    /// [`KeyringError::Empty`] without a seal key, [`KeyringError::Duplicate`] if two have one id.
    pub fn from_keys(seal: &[SecretBytes<32>], index: &SecretBytes<32>) -> Result<Self, KeyringError> {
        let mut keys: Vec<SealKey> = Vec::with_capacity(seal.len());
        for root in seal {
            let key = SealKey::derive(root);
            if keys.iter().any(|other| other.kid == key.kid) {
                return Err(KeyringError::Duplicate(key.kid));
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(KeyringError::Empty);
        }
        Ok(Self { keys, index: index.duplicate(), fence: UnixSeconds::EPOCH })
    }

    /// The same keyring with a fence: what was made before it (sessions, tokens, pending confirmations) is void. Set to
    /// the present after a restore from a backup.
    #[must_use]
    pub const fn with_fence(mut self, fence: UnixSeconds) -> Self {
        self.fence = fence;
        self
    }

    /// The fence; the epoch if there is none.
    #[must_use]
    pub const fn fence(&self) -> UnixSeconds {
        self.fence
    }

    /// The ids of all seal keys, newest first.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.keys.iter().map(|key| key.kid)
    }

    /// The id of the index key. A store notes it: under another index key every account would look new.
    #[must_use]
    pub fn index_key_id(&self) -> KeyId {
        let mut id = [0_u8; 8];
        expand(self.index.expose(), b"key-id", &mut id);
        KeyId::from_bytes(id)
    }

    /// Whether a body is sealed under the newest key. One that is not is re-sealed by its next write.
    #[must_use]
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        self.keys.first().is_some_and(|key| seal::kid_of(sealed) == Some(key.kid))
    }

    /// Seals a body under the newest key; [`SEAL_OVERHEAD`](crate::SEAL_OVERHEAD) bytes longer. `schema` is the version of
    /// the body's encoding, which travels in clear and is authenticated.
    ///
    /// # Errors
    /// [`SealError`] if the generator fails or the body is absurdly long.
    pub fn seal(
        &self,
        entropy: &(impl Entropy + ?Sized),
        context: &SealContext<'_>,
        schema: u16,
        body: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.seal_in_place(entropy, context, schema, body.into())
    }

    /// As [`seal`](Self::seal), a body that was written into the buffer it is sealed in.
    ///
    /// # Errors
    /// As [`seal`](Self::seal); the body is wiped.
    pub fn seal_in_place(
        &self,
        entropy: &(impl Entropy + ?Sized),
        context: &SealContext<'_>,
        schema: u16,
        body: SealBuffer,
    ) -> Result<Vec<u8>, SealError> {
        self.seal_at(seal::fresh_nonce(entropy)?, context, schema, body)
    }

    pub(crate) fn seal_at(
        &self,
        nonce: [u8; 24],
        context: &SealContext<'_>,
        schema: u16,
        body: SealBuffer,
    ) -> Result<Vec<u8>, SealError> {
        // A keyring has at least one key; `from_keys` is the only way to make one.
        let key = self.keys.first().ok_or(SealError::TooLong)?;
        seal::seal_with(&key.seal, key.kid, nonce, context, schema, body)
    }

    /// Opens a body with the key whose id it names, and returns its schema and its plain text. Neither keys nor schemas
    /// are tried in turn.
    ///
    /// # Errors
    /// [`OpenError`], which names slot and key id. The caller denies: such a record is never "absent".
    pub fn open(&self, context: &SealContext<'_>, sealed: &[u8]) -> Result<(u16, PlainBytes), OpenError> {
        seal::open_with(|kid| self.keys.iter().find(|key| key.kid == kid).map(|key| &key.seal), context, sealed)
    }

    /// The key of one purpose's index values (`address`, `device`, `decoy`, …): HKDF(index, salt `keywright/v1`, info
    /// *purpose*). It does not rotate; changing it is a migration.
    #[must_use]
    pub fn index(&self, purpose: &str) -> IndexKey {
        let mut key = SecretBytes::zeroed();
        expand(self.index.expose(), purpose.as_bytes(), key.expose_mut());
        IndexKey(key)
    }
}

impl SealKey {
    fn derive(root: &SecretBytes<32>) -> Self {
        let mut kid = [0_u8; 8];
        expand(root.expose(), b"key-id", &mut kid);
        let mut seal = SecretBytes::zeroed();
        expand(root.expose(), b"seal", seal.expose_mut());
        Self { kid: KeyId::from_bytes(kid), root: root.duplicate(), seal }
    }
}

/// HKDF-SHA-256 with the salt of this version.
fn expand(ikm: &[u8], info: &[u8], out: &mut [u8]) {
    #[expect(clippy::expect_used, reason = "HKDF-SHA-256 gives up to 8,160 bytes; every caller here asks for 8 or 32")]
    Hkdf::<Sha256>::new(Some(SALT), ikm).expand(info, out).expect("at most 32 bytes are expanded");
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("key_ids", &self.key_ids().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

/// Keys the stable index values of one purpose: look-ups by HMAC, never by the secret or the name itself.
pub struct IndexKey(SecretBytes<32>);

impl IndexKey {
    /// HMAC-SHA-256 over `LP(parts…)`.
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut message = Zeroizing::new(Vec::with_capacity(
            parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()).saturating_add(4)),
        ));
        append_lp(&mut message, parts);
        self.mac_raw(&message)
    }

    /// HMAC-SHA-256 over `message` as it stands.
    #[must_use]
    pub fn mac_raw(&self, message: &[u8]) -> [u8; 32] {
        // HMAC takes a key of any length; 32 bytes always fit.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.expose()) else { return [0; 32] };
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    /// The first 16 bytes of [`mac`](Self::mac): session tags, device tags.
    #[must_use]
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; 16] {
        let full = self.mac(parts);
        let mut tag = [0; 16];
        tag.copy_from_slice(full.split_at(16).0);
        tag
    }
}

crate::redacted_debug!(IndexKey);

/// Why keys are no keyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// No seal key.
    #[error("a keyring needs at least one seal key")]
    Empty,
    /// Two seal keys with one id: the same key twice.
    #[error("a keyring holds the seal key {0} twice")]
    Duplicate(KeyId),
    /// The generator failed.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting() -> SecretBytes<32> {
        let bytes: [u8; 32] = core::array::from_fn(|i| u8::try_from(i).unwrap());
        SecretBytes::from_slice(&bytes).unwrap()
    }

    /// `docs/security.md` § 16.
    #[test]
    fn known_answer() {
        let key = SealKey::derive(&counting());
        assert_eq!(std::format!("{}", key.kid), "8966744f1882dfe7");
        assert_eq!(hex::encode(key.seal.expose()), "23956268336501b136bef7ccc26ec1606500be458d7cb443092307bb12922f8a");
    }

    #[test]
    fn refuses_no_key_and_the_same_key_twice() {
        let index = SecretBytes::zeroed();
        assert_eq!(Keyring::from_keys(&[], &index).unwrap_err(), KeyringError::Empty);
        let twice = Keyring::from_keys(&[counting(), counting()], &index).unwrap_err();
        assert!(matches!(twice, KeyringError::Duplicate(_)));
    }

    #[test]
    fn rotation_opens_old_bodies_and_seals_new_ones_under_the_newest() {
        let index = SecretBytes::zeroed();
        let place = SealContext::new(b"user-1", "challenge", [7; 16]);
        let before = Keyring::from_keys(&[counting()], &index).unwrap();
        let old = before.seal_at([1; 24], &place, 1, SealBuffer::from(&b"x"[..])).unwrap();
        let after = Keyring::from_keys(&[SecretBytes::from_slice(&[5; 32]).unwrap(), counting()], &index).unwrap();
        assert_eq!(after.open(&place, &old).unwrap().1.as_slice(), b"x");
        assert!(!after.is_current(&old));
        assert!(after.is_current(&after.seal_at([2; 24], &place, 1, SealBuffer::from(&b"x"[..])).unwrap()));
    }

    #[test]
    fn index_values_differ_by_purpose_and_boundary() {
        let keyring = Keyring::from_keys(&[counting()], &counting()).unwrap();
        let address = keyring.index("address");
        let device = keyring.index("device");
        assert_ne!(address.mac(&[b"a"]), device.mac(&[b"a"]));
        assert_ne!(address.mac(&[b"ab", b"c"]), address.mac(&[b"a", b"bc"]));
    }

    #[test]
    fn debug_shows_ids_only() {
        let keyring = Keyring::from_keys(&[counting()], &counting()).unwrap();
        assert_eq!(std::format!("{keyring:?}"), "Keyring { key_ids: [KeyId(8966744f1882dfe7)], .. }");
    }
}
