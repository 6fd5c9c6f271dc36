//! A vault and a valid submission for it.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use keywright_rekey::{VaultManifest, id_text};
use keywright_store::{CipherId, ClientNonce, Mark, Revision, RowMarks};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The encoding of texts.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_enums, reason = "a bench names both")]
pub enum Written {
    /// 400 hex digits, 200 bytes.
    Hex,
    /// 400 characters of base64, 300 bytes.
    Base64,
}

/// A vault with random ids and texts, and a submission in a different order.
#[derive(Debug)]
pub struct Vault {
    /// The vault's manifest before the submission.
    pub manifest: VaultManifest,
    /// A list of every cipher, encrypted again.
    pub body: Vec<u8>,
}

impl Vault {
    /// Creates a vault of `count` ciphers, the same each time.
    #[must_use]
    pub fn new(count: usize, written: Written) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut entries = Vec::with_capacity(count);
        let mut body = b"[".to_vec();
        for _ in 0..count {
            let (mut id, mut mark, mut envelope) = ([0; 16], [0; 16], [0; 300]);
            random.fill_bytes(&mut id);
            random.fill_bytes(mark.split_at_mut(12).0);
            random.fill_bytes(&mut envelope);
            let text = match written {
                Written::Hex => hex::encode(envelope.split_at(200).0),
                Written::Base64 => BASE64_STANDARD.encode(envelope),
            };
            let marks = (Mark([1; 16]), Mark([2; 16]));
            entries.push(RowMarks { id: CipherId(id), text: marks.0, note: marks.1, nonce: ClientNonce(mark) });
            let comma = if body.len() > 1 { "," } else { "" };
            body.extend_from_slice(
                format!(r#"{comma}{{"id":"{}","data":"{text}"}}"#, id_text(CipherId(id))).as_bytes(),
            );
        }
        body.push(b']');
        let head = Some(Revision::from_bytes([1; 16]));
        Self { manifest: VaultManifest::unverified(head, entries), body }
    }
}
