//! Ciphers at rest: the text as sent, sealed once more under a key of the account (`security.md` § 2).
//!
//! A text that a client has encrypted is a password check: who has it can guess the password, at the client's Argon2
//! cost. So a dump of the database must not hold it. Bytes of a body: `01 ‖ nonce(12) ‖ ciphertext ‖ tag(16)`,
//! AES-256-GCM, associated data `LP(account, cipher id)`; or `00 ‖ text` where the policy stores texts as sent.
//!
//! Nonces are random. The texts' key seals one vault and every edit of it until the next swap, which brings another key;
//! the notes' key lives as long as the account. After 2³² seals under one key two nonces are the same with a probability
//! of 2⁻³³. Nothing counts them: only the account's own logins can have something sealed, one cipher a second around the
//! clock takes 136 years, and who floods the own account endangers the own account alone.

use alloc::boxed::Box;
#[cfg(feature = "std")]
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

#[cfg(feature = "std")]
use aes_gcm::Tag;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use bytes::Bytes;
use keywright_core::{AccountId, Entropy, EntropyError, SealError, SecretBytes, append_lp};
#[cfg(feature = "std")]
use keywright_core::{SecretString, SecretVec};
use keywright_store::{CipherId, Mark, Revision, Row, Rows};
#[cfg(feature = "std")]
use zeroize::{Zeroize, Zeroizing};

use crate::SwapPlan;
use crate::policy::AtRest;

/// How much longer a sealed body is than its text: form 1, nonce 12, tag 16.
pub const SEALED_OVERHEAD: usize = 29;

const AS_SENT: u8 = 0;
const SEALED: u8 = 1;
const NONCE: usize = 12;
#[cfg(feature = "std")]
const TAG: usize = 16;

/// Nonces drawn from the generator in one call.
const NONCES: usize = 256;

/// The next nonces, which are no secret.
struct Nonces<'e> {
    entropy: &'e dyn Entropy,
    drawn: Vec<u8>,
    used: usize,
}

impl<'e> Nonces<'e> {
    /// Draws for `count` seals at a time, within reason.
    fn new(entropy: &'e dyn Entropy, count: usize) -> Self {
        let drawn = vec![0; count.clamp(1, NONCES).saturating_mul(NONCE)];
        let used = drawn.len();
        Self { entropy, drawn, used }
    }

    fn next(&mut self) -> Result<[u8; NONCE], EntropyError> {
        if self.used >= self.drawn.len() {
            self.entropy.fill(&mut self.drawn)?;
            self.used = 0;
        }
        let next = self.drawn.get(self.used..).and_then(|rest| rest.first_chunk().copied());
        self.used = self.used.saturating_add(NONCE);
        next.ok_or(EntropyError)
    }
}

/// One key and the account it belongs to.
pub(crate) struct Sealer {
    /// In one place from the beginning: each move of a key schedule by value would leave a copy behind.
    cipher: Box<Aes256Gcm>,
    /// `LP(account, cipher id)`; the id's 16 bytes are the last, and the only ones that differ.
    place: Vec<u8>,
}

impl Sealer {
    pub(crate) fn new(key: &SecretBytes<32>, account: &AccountId) -> Self {
        let mut place = Vec::with_capacity(account.as_str().len().saturating_add(24));
        append_lp(&mut place, &[account.as_str().as_bytes(), &[0; 16]]);
        Self { cipher: Box::new(Aes256Gcm::new(key.expose().into())), place }
    }

    fn at(&mut self, id: CipherId) {
        if let Some(last) = self.place.last_chunk_mut::<16>() {
            *last = id.0;
        }
    }

    /// Appends a body to `out`, which has room for it: a growing buffer would leave copies of the text.
    fn append(&mut self, out: &mut Vec<u8>, nonce: [u8; NONCE], id: CipherId, text: &[u8]) -> Result<(), SealError> {
        self.at(id);
        out.push(SEALED);
        out.extend_from_slice(&nonce);
        let start = out.len();
        out.extend_from_slice(text);
        let body = out.get_mut(start..).ok_or(SealError::TooLong)?;
        let tag = self
            .cipher
            .encrypt_inout_detached(&Nonce::from(nonce), &self.place, body.into())
            .map_err(|_| SealError::TooLong)?;
        out.extend_from_slice(&tag);
        Ok(())
    }

    /// Opens a sealed body; `None` if it is none, or not the one of this account, cipher and key.
    #[cfg(feature = "std")]
    fn open(&mut self, id: CipherId, body: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (&SEALED, rest) = body.split_first()? else { return None };
        let (nonce, rest) = rest.split_first_chunk::<NONCE>()?;
        let (text, tag) = rest.split_last_chunk::<TAG>()?;
        self.at(id);
        let mut text = Zeroizing::new(text.to_vec());
        self.cipher
            .decrypt_inout_detached(&Nonce::from(*nonce), &self.place, text.as_mut_slice().into(), &Tag::from(*tag))
            .ok()?;
        Some(text)
    }

    /// Seals one note.
    pub(crate) fn note(&mut self, entropy: &dyn Entropy, id: CipherId, note: &[u8]) -> Result<Bytes, SealError> {
        let mut out = Vec::with_capacity(note.len().saturating_add(SEALED_OVERHEAD));
        self.append(&mut out, keywright_core::random_bytes(entropy)?, id, note)?;
        Ok(out.into())
    }

    /// Opens a note.
    #[cfg(feature = "std")]
    pub(crate) fn open_note(&mut self, id: CipherId, body: &[u8]) -> Option<SecretVec> {
        self.open(id, body).map(SecretVec::from)
    }

    /// Opens a text. `as_sent`: whether the vault's head says that texts may lie as they were sent; else such a body is a
    /// forgery.
    #[cfg(feature = "std")]
    pub(crate) fn open_text(&mut self, as_sent: bool, id: CipherId, body: &[u8]) -> Option<SecretString> {
        let mut bytes = match body.split_first()? {
            (&AS_SENT, text) if as_sent => Zeroizing::new(text.to_vec()),
            _ => self.open(id, body)?,
        };
        match String::from_utf8(core::mem::take(&mut *bytes)) {
            Ok(text) => Some(SecretString::new(text)),
            Err(error) => {
                error.into_bytes().zeroize();
                None
            }
        }
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

/// Seals texts under one key into rows without notes, all bodies in one piece of memory that is sized once.
pub(crate) fn rows<'t>(
    sealer: &mut Sealer,
    at_rest: AtRest,
    entropy: &dyn Entropy,
    texts: impl Iterator<Item = (CipherId, Mark, &'t str)>,
) -> Result<Rows, SealError> {
    let over = match at_rest {
        AtRest::Sealed => SEALED_OVERHEAD,
        AtRest::AsSent => 1,
    };
    // Collected, because to find a text in a body again costs more than to note where it is.
    let texts: Vec<_> = texts.collect();
    let size = |text: &str| text.len().saturating_add(over);
    let mut arena = Vec::with_capacity(texts.iter().fold(0, |sum: usize, (.., text)| sum.saturating_add(size(text))));
    let mut nonces = Nonces::new(entropy, texts.len());
    for (id, _, text) in &texts {
        match at_rest {
            AtRest::Sealed => sealer.append(&mut arena, nonces.next()?, *id, text.as_bytes())?,
            AtRest::AsSent => {
                arena.push(AS_SENT);
                arena.extend_from_slice(text.as_bytes());
            }
        }
    }
    let mut arena = Bytes::from(arena);
    let row =
        |(id, mark, text)| Row { id, mark, body: arena.split_to(size(text).min(arena.len())), meta: Bytes::new() };
    Ok(texts.into_iter().map(row).collect())
}

/// The key of bodies that are not in the vault yet, and how they lie.
pub(crate) struct Fresh {
    pub(crate) key: SecretBytes<32>,
    pub(crate) as_sent: bool,
}

impl Fresh {
    pub(crate) fn random(at_rest: AtRest, entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        Ok(Self { key: SecretBytes::random(entropy)?, as_sent: at_rest == AtRest::AsSent })
    }

    pub(crate) fn duplicate(&self) -> Self {
        Self { key: self.key.duplicate(), as_sent: self.as_sent }
    }
}

/// A whole vault, checked against its head and sealed under a fresh key, ready for one commit. Made only from a
/// [`SwapPlan`](crate::SwapPlan), so what was not checked cannot be swapped.
#[must_use = "a sealed swap changes nothing until it is committed"]
pub struct SealedSwap {
    pub(crate) account: AccountId,
    pub(crate) head: Option<Revision>,
    pub(crate) fresh: Fresh,
    pub(crate) rows: Rows,
}

impl SealedSwap {
    /// The account.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// The head of the vault that it was checked against: it can replace no other. `None` where there was no vault: then
    /// it can replace none at all.
    #[must_use]
    pub const fn head(&self) -> Option<Revision> {
        self.head
    }

    /// How many ciphers it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the vault is empty: there is nothing to re-encrypt, but the swap still moves the epochs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl fmt::Debug for SealedSwap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedSwap")
            .field("head", &self.head)
            .field("ciphers", &self.rows.len())
            .finish_non_exhaustive()
    }
}

impl SwapPlan<'_> {
    /// Seals every text for `account` under a fresh key, outside of any draft: this is where the time goes. The driver's
    /// entropy is the one to give.
    ///
    /// # Errors
    /// [`SealError`], and nothing is sealed.
    pub fn seal(&self, account: &AccountId, at_rest: AtRest, entropy: &dyn Entropy) -> Result<SealedSwap, SealError> {
        let fresh = Fresh::random(at_rest, entropy)?;
        let rows = rows(&mut Sealer::new(&fresh.key, account), at_rest, entropy, self.rows())?;
        Ok(SealedSwap { account: account.clone(), head: self.head(), fresh, rows })
    }
}
