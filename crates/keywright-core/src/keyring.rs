//! The keyring seals record bodies, and derives the keys of the few index values that must stay the
//! same when seal keys are replaced. It does nothing else.
//!
//! The keyring file holds root keys. From each root key `R`, two values are derived: the key id,
//! which is HKDF-SHA-256(ikm `R`, salt `keywright/v1`, info `key-id`, 8 bytes), and the key that
//! encrypts, which is HKDF-SHA-256 with the same ikm and salt, info `seal` and 32 bytes. Because
//! the id is derived from the key, a renamed or exchanged key is noticed.

use core::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;
use std::vec::Vec;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::entropy::{Entropy, EntropyError};
use crate::key_id::KeyId;
use crate::plain::PlainBytes;
use crate::seal::{self, OpenError, SealBuffer, SealContext, SealError, append_lp};
use crate::secret::SecretBytes;
use crate::store_id::StoreId;
use crate::time::UnixSeconds;

mod file;
mod source;
mod text;
pub use file::Opened;
pub use text::KeyringFileError;

const SALT: &[u8] = b"keywright/v1";

struct SealKey {
    kid: KeyId,
    /// The key as the keyring file holds it. It is kept so that the file can be written.
    root: SecretBytes<32>,
    seal: SecretBytes<32>,
}

/// The server's keys: the seal keys (newest first), which encrypt records; one index key, from
/// which stable index values are derived; and the fence, a time before which sessions and the like
/// are void.
///
/// Keep it outside the database and outside the database's backups. Without it, nothing in a dump
/// of the database can be used to verify a guess.
pub struct Keyring {
    /// Never empty. Replaced when a source has more keys.
    keys: RwLock<Arc<[SealKey]>>,
    index: SecretBytes<32>,
    fence: UnixSeconds,
    store: Option<StoreId>,
    source: Option<Reread>,
}

/// Where a server reads its keyring from: a file, or a secret manager.
pub trait KeySource: fmt::Debug + Send + Sync {
    /// Reads the keyring. This may block for as long as reading a small file takes. It is called at
    /// the start, and at most once a second when a key id turns up that the keyring lacks.
    ///
    /// # Errors
    /// Returns [`KeySourceError`] if the keyring cannot be read. It must not quote any key.
    fn read(&self) -> Result<Keyring, KeySourceError>;
}

/// Why a keyring could not be read from its source.
#[derive(Debug, thiserror::Error)]
#[error("the keyring cannot be read from its source")]
pub struct KeySourceError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl KeySourceError {
    /// Returns the error with its cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// The source of a keyring, and when it was last read.
struct Reread {
    source: Arc<dyn KeySource>,
    last: Mutex<Option<Instant>>,
}

impl Keyring {
    /// Creates a keyring with one fresh seal key and one fresh index key.
    ///
    /// # Errors
    /// Returns [`KeyringError::Entropy`] if the source fails.
    pub fn generate(entropy: &(impl Entropy + ?Sized)) -> Result<Self, KeyringError> {
        Self::from_keys(&[SecretBytes::random(entropy)?], &SecretBytes::random(entropy)?)
    }

    /// Creates a keyring from existing keys. `seal` lists the newest first; each key is 32 bytes
    /// from a secure generator.
    ///
    /// # Errors
    /// Returns [`KeyringError::Empty`] without a seal key, and [`KeyringError::Duplicate`] if two
    /// seal keys have the same id.
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
        let keys = RwLock::new(keys.into());
        Ok(Self { keys, index: index.duplicate(), fence: UnixSeconds::EPOCH, store: None, source: None })
    }

    /// Returns the keyring with a fresh seal key before all others. What is written next is sealed
    /// under it, and the older keys still open what they sealed.
    ///
    /// # Errors
    /// Returns [`KeyringError::Entropy`] if the source fails.
    pub fn rotated(self, entropy: &(impl Entropy + ?Sized)) -> Result<Self, KeyringError> {
        let mut roots = std::vec![SecretBytes::random(entropy)?];
        roots.extend(self.current().iter().map(|key| key.root.duplicate()));
        let rotated = Self::from_keys(&roots, &self.index)?;
        Ok(Self { fence: self.fence, store: self.store, source: self.source, ..rotated })
    }

    /// Returns the keyring without these seal keys. The newest is never removed. First make sure
    /// that nothing is sealed under them.
    #[must_use]
    pub fn without(self, retired: &[KeyId]) -> Self {
        let keys = self.current();
        let kept = keys.iter().enumerate().filter(|(place, key)| *place == 0 || !retired.contains(&key.kid));
        let kept: Arc<[SealKey]> = kept.map(|(_, key)| key.duplicate()).collect();
        Self { keys: RwLock::new(kept), ..self }
    }

    /// Returns the keyring with a fence. Sessions, tokens and pending confirmations that were made
    /// before the fence are void. Set it to the present after restoring a backup.
    #[must_use]
    pub fn with_fence(mut self, fence: UnixSeconds) -> Self {
        self.fence = fence;
        self
    }

    /// Returns the fence, or 1970-01-01T00:00:00Z if none is set.
    #[must_use]
    pub const fn fence(&self) -> UnixSeconds {
        self.fence
    }

    /// Returns the keyring with the id of its store. From then on it is refused beside any other
    /// store, and beside an empty one.
    #[must_use]
    pub fn with_store(mut self, store: StoreId) -> Self {
        self.store = Some(store);
        self
    }

    /// Returns the id of the keyring's store, or `None` if it was not used with a store yet.
    #[must_use]
    pub const fn store(&self) -> Option<StoreId> {
        self.store
    }

    /// Returns the ids of all seal keys, the newest first.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        let keys: Vec<KeyId> = self.current().iter().map(|key| key.kid).collect();
        keys.into_iter()
    }

    /// The seal keys of this moment.
    fn current(&self) -> Arc<[SealKey]> {
        // Nothing panics while the lock is held, and the keys are replaced as a whole.
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the id of the index key. It is recorded in the store, because with a different index
    /// key no stored index value would be found, and every account would seem to be new.
    #[must_use]
    pub fn index_key_id(&self) -> KeyId {
        let mut id = [0_u8; 8];
        expand(self.index.expose(), b"key-id", &mut id);
        KeyId::from_bytes(id)
    }

    /// Whether a body is sealed under the newest key. A body under an older key is sealed under the
    /// newest one when its record is next written.
    #[must_use]
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        self.current().first().is_some_and(|key| seal::kid_of(sealed) == Some(key.kid))
    }

    /// Seals a body under the newest key. The result is [`SEAL_OVERHEAD`](crate::SEAL_OVERHEAD)
    /// bytes longer than the body. `schema` is the version of the body's encoding; it is stored in
    /// clear and authenticated.
    ///
    /// # Errors
    /// Returns [`SealError`] if the generator fails or the body is longer than the cipher allows
    /// (256 GiB).
    pub fn seal(
        &self,
        entropy: &(impl Entropy + ?Sized),
        context: &SealContext<'_>,
        schema: u16,
        body: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.seal_in_place(entropy, context, schema, body.into())
    }

    /// Seals a body in the buffer in which it was written, as [`seal`](Self::seal) does.
    ///
    /// # Errors
    /// Returns an error when [`seal`](Self::seal) does. The body is wiped in that case.
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
        // A keyring has at least one key, because `from_keys` is the only way to create one.
        let keys = self.current();
        let key = keys.first().ok_or(SealError::TooLong)?;
        seal::seal_with(&key.seal, key.kid, nonce, context, schema, body)
    }

    /// Opens a body with the key whose id it contains, and returns its schema and its plain text.
    /// No other key or schema is tried. If the keyring has a [source](Self::with_source), a key id
    /// that it does not know makes it read that once more.
    ///
    /// # Errors
    /// Returns [`OpenError`], which has the slot and the key id. The caller must deny the request:
    /// a record that does not open must not be treated as an absent one.
    pub fn open(&self, context: &SealContext<'_>, sealed: &[u8]) -> Result<(u16, PlainBytes), OpenError> {
        let open = || {
            let keys = self.current();
            seal::open_with(|kid| keys.iter().find(|key| key.kid == kid).map(|key| &key.seal), context, sealed)
        };
        match open() {
            Err(error) if error.is_unknown_key() && self.read_again() => open(),
            opened => opened,
        }
    }

    /// Returns the key for the index values of one purpose (`address`, `device`, `decoy`, …):
    /// HKDF-SHA-256(ikm index key, salt `keywright/v1`, info *purpose*). The index key does not
    /// rotate; to change it, all index values have to be migrated.
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

    fn duplicate(&self) -> Self {
        Self { kid: self.kid, root: self.root.duplicate(), seal: self.seal.duplicate() }
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

/// The key for the index values of one purpose. A record that belongs to a name or a secret is
/// looked up by an HMAC under this key, never by the name or the secret itself.
pub struct IndexKey(SecretBytes<32>);

impl IndexKey {
    /// Returns HMAC-SHA-256 over the length-prefixed encoding of `parts`
    /// ([`append_lp`](crate::append_lp)).
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut message = Zeroizing::new(Vec::with_capacity(
            parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()).saturating_add(4)),
        ));
        append_lp(&mut message, parts);
        self.mac_raw(&message)
    }

    /// Returns HMAC-SHA-256 over `message` without any framing.
    #[must_use]
    pub fn mac_raw(&self, message: &[u8]) -> [u8; 32] {
        // HMAC accepts a key of any length, so 32 bytes always fit.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.expose()) else { return [0; 32] };
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    /// Returns the first 16 bytes of [`mac`](Self::mac). Session tags and device tags are made this
    /// way.
    #[must_use]
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; 16] {
        let full = self.mac(parts);
        let mut tag = [0; 16];
        tag.copy_from_slice(full.split_at(16).0);
        tag
    }
}

crate::redacted_debug!(IndexKey);

/// Why keys do not form a keyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// There is no seal key.
    #[error("a keyring needs at least one seal key")]
    Empty,
    /// Two seal keys have the same id, so they are the same key.
    #[error("a keyring holds the seal key {0} twice")]
    Duplicate(KeyId),
    /// The random number generator failed.
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
