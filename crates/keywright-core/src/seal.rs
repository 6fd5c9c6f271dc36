//! Sealed records. Every body is encrypted as a whole, and bound to its partition, its slot and the
//! revision of the batch that wrote it.
//!
//! The bytes are `02 ‖ kid(8) ‖ schema(2, big endian) ‖ nonce(24) ‖ ciphertext ‖ tag(16)`, where
//! `kid` is the key id. The cipher is XChaCha20-Poly1305 with a random nonce: after n seals, two
//! nonces collide with probability n²/2¹⁹³. The associated data is `keywright.seal.v2 ‖` the first
//! 11 bytes `‖ LP(partition label, slot) ‖ revision(16)`.

use std::fmt;

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};

use crate::entropy::{Entropy, EntropyError, random_bytes};
use crate::key_id::KeyId;
use crate::plain::{PlainBytes, wipe};
use crate::secret::SecretBytes;

/// How many bytes longer a sealed body is than its plain text: version 1, key id 8, schema 2, nonce
/// 24, tag 16.
pub const SEAL_OVERHEAD: usize = 51;

const VERSION: u8 = 2;
const LABEL: &[u8] = b"keywright.seal.v2";
const NONCE: usize = 24;
const TAG: usize = 16;
/// Version, key id and schema, which are in clear and authenticated.
const HEADER: usize = 11;

/// Where a body belongs: its partition (an account, for example), its slot (the name of the
/// record), and the revision under which it was written. All three are authenticated with the body.
/// A body that was moved, or replaced by an older one, therefore does not open.
#[derive(Debug, Clone, Copy)]
pub struct SealContext<'a> {
    partition: &'a [u8],
    slot: &'a str,
    revision: [u8; 16],
}

impl<'a> SealContext<'a> {
    /// Creates the context of a body.
    ///
    /// `partition` is the partition's label; for an account, this is its id as the host stores it.
    /// `slot` is the record's printed name. `revision` is the revision of the batch that writes the
    /// body; for the root record, it is that of its own row.
    #[must_use]
    pub const fn new(partition: &'a [u8], slot: &'a str, revision: [u8; 16]) -> Self {
        Self { partition, slot, revision }
    }

    fn associated_data(&self, header: &[u8; HEADER]) -> Vec<u8> {
        let mut data = Vec::with_capacity(LABEL.len().saturating_add(self.partition.len()).saturating_add(96));
        data.extend_from_slice(LABEL);
        data.extend_from_slice(header);
        append_lp(&mut data, &[self.partition, self.slot.as_bytes()]);
        data.extend_from_slice(&self.revision);
        data
    }
}

/// Returns the clear bytes before the nonce.
fn header(kid: KeyId, schema: u16) -> [u8; HEADER] {
    let [a, b, c, d, e, f, g, h] = kid.to_bytes();
    let [high, low] = schema.to_be_bytes();
    [VERSION, a, b, c, d, e, f, g, h, high, low]
}

/// Appends `LP(parts…)`: for each part, its length as 4 bytes big endian, then its bytes. The
/// encoding is injective: two different lists never produce the same bytes.
pub fn append_lp(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        // No part comes near 4 GiB. A saturated length would still be a distinct input that does
        // not open.
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(part);
    }
}

/// A buffer in which a body is written and then sealed in place. It reserves room for what comes
/// before and after the body, so the body is neither copied nor left behind in clear. It is wiped
/// if it is dropped unsealed.
pub struct SealBuffer(Vec<u8>);

impl SealBuffer {
    /// Creates a buffer for a body of at most `length` bytes.
    #[must_use]
    pub fn with_capacity(length: usize) -> Self {
        let mut buffer = Vec::with_capacity(length.saturating_add(SEAL_OVERHEAD));
        buffer.resize(HEADER + NONCE, 0);
        Self(buffer)
    }

    /// Appends to the body. If the body outgrows the requested capacity, it moves, and its old
    /// memory is wiped.
    pub fn put(&mut self, bytes: &[u8]) {
        if bytes.len().saturating_add(TAG) > self.0.capacity().saturating_sub(self.0.len()) {
            self.move_to(self.0.len().saturating_add(bytes.len()).saturating_mul(2).saturating_add(TAG));
        }
        self.0.extend_from_slice(bytes);
    }

    #[cold]
    fn move_to(&mut self, capacity: usize) {
        let mut larger = Vec::with_capacity(capacity);
        larger.extend_from_slice(&self.0);
        wipe(&mut core::mem::replace(&mut self.0, larger));
    }

    /// Returns the body so far.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.0.get(HEADER + NONCE..).unwrap_or_default()
    }
}

impl From<&[u8]> for SealBuffer {
    /// Copies a body. The caller wipes its own copy.
    fn from(body: &[u8]) -> Self {
        let mut buffer = Self::with_capacity(body.len());
        buffer.put(body);
        buffer
    }
}

impl Drop for SealBuffer {
    fn drop(&mut self) {
        // A sealed buffer has passed its bytes on and has no capacity.
        if self.0.capacity() > 0 {
            wipe(&mut self.0);
        }
    }
}

impl zeroize::ZeroizeOnDrop for SealBuffer {}

crate::redacted_debug!(SealBuffer);

pub(crate) fn seal_with(
    key: &SecretBytes<32>,
    kid: KeyId,
    nonce: [u8; NONCE],
    context: &SealContext<'_>,
    schema: u16,
    mut buffer: SealBuffer,
) -> Result<Vec<u8>, SealError> {
    let header = header(kid, schema);
    let Some((front, text)) = buffer.0.split_first_chunk_mut::<{ HEADER + NONCE }>() else {
        return Err(SealError::TooLong);
    };
    let (front_header, front_nonce) = front.split_at_mut(HEADER);
    front_header.copy_from_slice(&header);
    front_nonce.copy_from_slice(&nonce);
    let cipher = XChaCha20Poly1305::new(key.expose().into());
    let tag = cipher
        .encrypt_inout_detached(&XNonce::from(nonce), &context.associated_data(&header), text.into())
        .map_err(|_| SealError::TooLong)?;
    // The bytes are sealed now, so nothing in them is in clear.
    let mut out = core::mem::take(&mut buffer.0);
    out.extend_from_slice(&tag);
    Ok(out)
}

/// Splits a sealed body and opens it with the key that `find` returns for its key id. Returns the
/// schema and the body.
pub(crate) fn open_with<'k>(
    find: impl FnOnce(KeyId) -> Option<&'k SecretBytes<32>>,
    context: &SealContext<'_>,
    sealed: &[u8],
) -> Result<(u16, PlainBytes), OpenError> {
    let fail = |kid, cause| OpenError { slot: context.slot.into(), kid, cause };
    let Some((kid, schema)) = read_header(sealed) else { return Err(fail(None, OpenCause::Format)) };
    let parts = sealed.get(HEADER..).and_then(<[u8]>::split_first_chunk::<NONCE>);
    let Some((nonce, (text, tag))) = parts.and_then(|(nonce, rest)| Some((nonce, rest.split_last_chunk::<TAG>()?)))
    else {
        return Err(fail(Some(kid), OpenCause::Format));
    };
    let Some(key) = find(kid) else {
        return Err(fail(Some(kid), OpenCause::UnknownKey));
    };
    let mut body = PlainBytes::from(text);
    XChaCha20Poly1305::new(key.expose().into())
        .decrypt_inout_detached(
            &XNonce::from(*nonce),
            &context.associated_data(&header(kid, schema)),
            (&mut *body).into(),
            &Tag::from(*tag),
        )
        .map_err(|_| fail(Some(kid), OpenCause::Altered))?;
    Ok((schema, body))
}

fn read_header(sealed: &[u8]) -> Option<(KeyId, u16)> {
    let (&VERSION, rest) = sealed.split_first()? else { return None };
    let (kid, rest) = rest.split_first_chunk::<8>()?;
    let (schema, _) = rest.split_first_chunk::<2>()?;
    Some((KeyId::from_bytes(*kid), u16::from_be_bytes(*schema)))
}

/// Returns the key id in a sealed body, without opening it, or `None` if the bytes are not a sealed
/// body.
pub(crate) fn kid_of(sealed: &[u8]) -> Option<KeyId> {
    read_header(sealed).map(|(kid, _)| kid)
}

pub(crate) fn fresh_nonce(entropy: &(impl Entropy + ?Sized)) -> Result<[u8; NONCE], EntropyError> {
    random_bytes(entropy)
}

/// Why a body was not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The random number generator failed, so there is no nonce.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The body is longer than the cipher allows (256 GiB).
    #[error("a record body is too long to seal")]
    TooLong,
}

/// A body does not open. The caller **must deny** the request: such a record must not be treated as
/// absent, and must not be overwritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenError {
    slot: Box<str>,
    kid: Option<KeyId>,
    cause: OpenCause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpenCause {
    Format,
    UnknownKey,
    Altered,
}

impl OpenError {
    /// Returns the record's slot.
    #[must_use]
    pub fn slot(&self) -> &str {
        &self.slot
    }

    /// Returns the key id that the body contains, if it could be read.
    #[must_use]
    pub const fn kid(&self) -> Option<KeyId> {
        self.kid
    }

    /// Whether the keyring lacks the key, which an operator can fix. Otherwise the body is damaged
    /// or was moved.
    #[must_use]
    pub const fn is_unknown_key(&self) -> bool {
        matches!(self.cause, OpenCause::UnknownKey)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the record `{}` does not open", self.slot)?;
        if let Some(kid) = self.kid {
            write!(f, " (key {kid})")?;
        }
        f.write_str(match self.cause {
            OpenCause::Format => ": no sealed record of this version",
            OpenCause::UnknownKey => ": the keyring lacks this key",
            OpenCause::Altered => ": damaged, moved from another place, or put back from another revision",
        })
    }
}

impl core::error::Error for OpenError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keyring;
    use proptest::prelude::*;

    fn root() -> Keyring {
        let seal: [u8; 32] = core::array::from_fn(|i| u8::try_from(i).unwrap());
        Keyring::from_keys(&[SecretBytes::from_slice(&seal).unwrap()], &SecretBytes::zeroed()).unwrap()
    }

    const REVISION: [u8; 16] = [0xa5; 16];

    /// `docs/security.md` § 16.
    #[test]
    fn known_answer() {
        let keyring = root();
        let nonce: [u8; 24] = core::array::from_fn(|i| u8::try_from(i).unwrap());
        let place = SealContext::new(b"user-1", "challenge", REVISION);
        let sealed = keyring.seal_at(nonce, &place, 1, SealBuffer::from(&b"hello"[..])).unwrap();
        assert_eq!(
            hex::encode(&sealed),
            "028966744f1882dfe70001000102030405060708090a0b0c0d0e0f1011121314151617\
             6d8bbba9b1c13227c72be45fa093d557b9aed91c7f"
        );
        assert_eq!(sealed.len(), 5 + SEAL_OVERHEAD);
        let (schema, body) = keyring.open(&place, &sealed).unwrap();
        assert_eq!((schema, body.as_slice()), (1, b"hello".as_slice()));
    }

    #[test]
    fn a_moved_body_or_one_of_another_revision_does_not_open() {
        let keyring = root();
        let place = SealContext::new(b"user-1", "challenge", REVISION);
        let sealed = keyring.seal_at([9; 24], &place, 1, SealBuffer::from(&b"body"[..])).unwrap();
        for other in [
            SealContext::new(b"user-2", "challenge", REVISION),
            SealContext::new(b"user-1", "ledger", REVISION),
            SealContext::new(b"user-1", "challenge", [0; 16]),
            // The parts are length-prefixed: a shifted boundary is another place.
            SealContext::new(b"user-1c", "hallenge", REVISION),
        ] {
            let error = keyring.open(&other, &sealed).unwrap_err();
            assert!(!error.is_unknown_key());
            assert_eq!(format!("{}", error.kid().unwrap()), "8966744f1882dfe7");
        }
    }

    #[test]
    fn another_keyring_names_the_missing_key() {
        let place = SealContext::new(b"user-1", "challenge", REVISION);
        let sealed = root().seal_at([9; 24], &place, 1, SealBuffer::from(&b"body"[..])).unwrap();
        let other = Keyring::from_keys(&[SecretBytes::from_slice(&[1; 32]).unwrap()], &SecretBytes::zeroed()).unwrap();
        let error = other.open(&place, &sealed).unwrap_err();
        assert!(error.is_unknown_key());
        assert_eq!(error.slot(), "challenge");
        assert!(format!("{error}").contains("8966744f1882dfe7"));
    }

    #[test]
    fn a_body_written_in_pieces_is_sealed_as_one() {
        let keyring = root();
        let place = SealContext::new(b"user-1", "challenge", REVISION);
        let body: Vec<u8> = (0..200_u8).collect();
        let whole = keyring.seal_at([9; 24], &place, 1, SealBuffer::from(&body[..])).unwrap();
        // As much room as is needed, more, and less: then it moves.
        for capacity in [200, 300, 150, 0] {
            let mut buffer = SealBuffer::with_capacity(capacity);
            body.chunks(7).for_each(|piece| buffer.put(piece));
            assert_eq!(buffer.body(), body);
            assert_eq!(keyring.seal_at([9; 24], &place, 1, buffer).unwrap(), whole);
        }
        assert_eq!(keyring.open(&place, &whole).unwrap().1.as_slice(), body);
    }

    proptest! {
        #[test]
        fn any_bytes_open_or_fail_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let place = SealContext::new(b"user-1", "challenge", REVISION);
            prop_assert!(root().open(&place, &bytes).is_err());
        }

        #[test]
        fn any_flipped_bit_denies(body in proptest::collection::vec(any::<u8>(), 0..40), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let place = SealContext::new(b"user-1", "challenge", REVISION);
            let keyring = root();
            let mut sealed = keyring.seal_at([3; 24], &place, 1, SealBuffer::from(&body[..])).unwrap();
            let open = keyring.open(&place, &sealed).unwrap();
            prop_assert_eq!(open.1.as_slice(), body.as_slice());
            let index = at.index(sealed.len());
            sealed[index] ^= 1 << bit;
            prop_assert!(keyring.open(&place, &sealed).is_err());
        }
    }
}
