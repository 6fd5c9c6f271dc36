//! A vault and a right submission for it.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use keywright_rekey::id_text;
use keywright_store::{CipherId, Manifest, Mark, Revision, Stored};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// How texts are written down.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_enums, reason = "a bench names both")]
pub enum Written {
    /// 400 hex digits, 200 bytes.
    Hex,
    /// 400 characters of base64, 300 bytes.
    Base64,
}

/// Random ids, random texts; the submission is in another order than the vault.
#[derive(Debug)]
pub struct Vault {
    /// The vault as it is.
    pub manifest: Manifest,
    /// A list of every cipher, encrypted anew.
    pub body: Vec<u8>,
}

impl Vault {
    /// A vault of `count` ciphers; the same each time.
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
            entries.push((CipherId(id), Mark(mark)));
            let comma = if body.len() > 1 { "," } else { "" };
            body.extend_from_slice(
                format!(r#"{comma}{{"id":"{}","data":"{text}"}}"#, id_text(CipherId(id))).as_bytes(),
            );
        }
        body.push(b']');
        entries.sort_unstable();
        let head = Stored { revision: Revision::from_bytes([1; 16]), body: b"sealed".to_vec().into() };
        Self { manifest: Manifest { head: Some(head), entries }, body }
    }
}
