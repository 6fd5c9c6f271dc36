//! Stored ciphers: the text as sent, sealed once more under a key of the account
//! (`docs/security.md` § 2).
//!
//! With a text that a client has encrypted, guesses at the password can be checked, at the cost of
//! the client's Argon2. So a dump of the database must not contain it. The bytes of a body are `01
//! ‖ nonce(12) ‖ ciphertext ‖ tag(16)`, AES-256-GCM, with the associated data `LP(account, cipher
//! id, "text" or "note", mark)`. So a body opens only in its own account, as its own part of its
//! own cipher, and beside the mark that was drawn when it was written.
//!
//! Where the policy keeps texts as sent, the body is `00 ‖ nonce(12) ‖ tag(16) ‖ text`, and the tag
//! authenticates `LP(account, cipher id, "sent", mark) ‖ text`. Such a text is readable, but still
//! bound to its place.
//!
//! Nonces are random. The texts' key seals one vault and every edit of it until the next swap,
//! which brings another key; the notes' key lasts as long as the account. After 2³² seals under one
//! key, two nonces are equal with a probability of 2⁻³³. Seals are not counted. Only the account's
//! own logins can have something sealed, and one cipher a second around the clock takes 136 years.
//! A user who floods their own account endangers only that account.

use std::fmt;

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use bytes::Bytes;
use keywright_core::{AccountId, Entropy, EntropyError, SealError, SecretBytes, SecretString, SecretVec, append_lp};
use keywright_store::{CipherId, ClientNonce, Mark, Revision, Row, RowMarks, Rows};
use zeroize::{Zeroize, Zeroizing};

use crate::check::SwapPlan;
use crate::digest::{Digest, Summing};
use crate::policy::AtRest;

mod carried;

use carried::carried;
pub(crate) use carried::{nonce_of, short};

/// How much longer a stored body is than its text, in bytes: form 1, nonce 12, tag 16.
pub const SEALED_OVERHEAD: usize = 29;

const AS_SENT: u8 = 0;
const SEALED: u8 = 1;
const NONCE: usize = 12;
const TAG: usize = 16;
const MARK: usize = 16;

/// The number of rows for which nonces and marks are drawn from the generator in one call.
const DRAWN_AT_ONCE: usize = 256;

/// The part of a cipher that a body contains. All labels have four bytes, so that the associated
/// data has one layout.
#[derive(Clone, Copy)]
enum Part {
    Text,
    Note,
    /// A text that is stored as it was sent.
    Sent,
}

impl Part {
    const fn label(self) -> [u8; 4] {
        match self {
            Self::Text => *b"text",
            Self::Note => *b"note",
            Self::Sent => *b"sent",
        }
    }
}

/// A source of nonces and marks, which are not secret.
struct Draws<'e> {
    entropy: &'e dyn Entropy,
    drawn: Vec<u8>,
    used: usize,
}

impl<'e> Draws<'e> {
    /// Creates a source that draws for `rows` at a time, up to a limit.
    fn new(entropy: &'e dyn Entropy, rows: usize) -> Self {
        let drawn = vec![0; rows.clamp(1, DRAWN_AT_ONCE).saturating_mul(NONCE + MARK)];
        let used = drawn.len();
        Self { entropy, drawn, used }
    }

    /// Returns a nonce to seal under, and 16 bytes for a mark.
    fn next(&mut self) -> Result<([u8; NONCE], [u8; MARK]), EntropyError> {
        if self.used >= self.drawn.len() {
            self.entropy.fill(&mut self.drawn)?;
            self.used = 0;
        }
        let rest = self.drawn.get(self.used..).unwrap_or_default();
        self.used = self.used.saturating_add(NONCE + MARK);
        let (nonce, rest) = rest.split_first_chunk().ok_or(EntropyError)?;
        Ok((*nonce, *rest.first_chunk().ok_or(EntropyError)?))
    }
}

/// The number of bytes after the account in the associated data: `LP(cipher id, label, mark)`.
const PLACE: usize = 48;

/// A key and the account to which it belongs.
pub(crate) struct Sealer {
    /// The cipher is boxed from the beginning: moving a key schedule by value would leave a copy
    /// behind each time.
    cipher: Box<Aes256Gcm>,
    /// `LP(account, cipher id, label, mark)`, of which only the last [`PLACE`] bytes differ from
    /// seal to seal.
    place: Vec<u8>,
}

impl Sealer {
    pub(crate) fn new(key: &SecretBytes<32>, account: &AccountId) -> Self {
        let mut place = Vec::with_capacity(account.as_str().len().saturating_add(PLACE + 4));
        append_lp(&mut place, &[account.as_str().as_bytes(), &[0; 16], &Part::Text.label(), &[0; MARK]]);
        Self { cipher: Box::new(Aes256Gcm::new(key.expose().into())), place }
    }

    fn at(&mut self, id: CipherId, part: Part, mark: Mark) {
        let Some(last) = self.place.last_chunk_mut::<PLACE>() else { return };
        let [_, _, _, _, rest @ ..] = last;
        let Some((place, rest)) = rest.split_first_chunk_mut() else { return };
        *place = id.0;
        let [_, _, _, _, a, b, c, d, _, _, _, _, rest @ ..] = rest else { return };
        [*a, *b, *c, *d] = part.label();
        if let Some(place) = rest.first_chunk_mut() {
            *place = mark.0;
        }
    }

    /// Appends a sealed body to `out`, which must have room for it: a growing buffer would leave
    /// copies of the text.
    fn append(
        &mut self,
        out: &mut Vec<u8>,
        nonce: [u8; NONCE],
        (id, part, mark): (CipherId, Part, Mark),
        text: &[u8],
    ) -> Result<(), SealError> {
        self.at(id, part, mark);
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

    /// Appends a text as it was sent, with a tag that binds it to its place.
    fn append_sent(
        &mut self,
        out: &mut Vec<u8>,
        nonce: [u8; NONCE],
        id: CipherId,
        mark: Mark,
        text: &[u8],
    ) -> Result<(), SealError> {
        let place = self.sent_place(id, mark, text);
        let tag = self
            .cipher
            .encrypt_inout_detached(&Nonce::from(nonce), &place, (&mut [][..]).into())
            .map_err(|_| SealError::TooLong)?;
        out.push(AS_SENT);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&tag);
        out.extend_from_slice(text);
        Ok(())
    }

    /// Returns the bytes that the tag of a text stored as sent authenticates.
    fn sent_place(&mut self, id: CipherId, mark: Mark, text: &[u8]) -> Zeroizing<Vec<u8>> {
        self.at(id, Part::Sent, mark);
        let mut place = Zeroizing::new(Vec::with_capacity(self.place.len().saturating_add(text.len())));
        place.extend_from_slice(&self.place);
        place.extend_from_slice(text);
        place
    }

    /// Opens a sealed body. Returns `None` if it is not one, or does not belong to this account,
    /// part, mark and key.
    fn open(&mut self, id: CipherId, part: Part, mark: Mark, body: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (&SEALED, rest) = body.split_first()? else { return None };
        let (nonce, rest) = rest.split_first_chunk::<NONCE>()?;
        let (text, tag) = rest.split_last_chunk::<TAG>()?;
        self.at(id, part, mark);
        let mut text = Zeroizing::new(text.to_vec());
        self.cipher
            .decrypt_inout_detached(&Nonce::from(*nonce), &self.place, text.as_mut_slice().into(), &Tag::from(*tag))
            .ok()?;
        Some(text)
    }

    fn open_sent(&mut self, id: CipherId, mark: Mark, rest: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = rest.split_first_chunk::<NONCE>()?;
        let (tag, text) = rest.split_first_chunk::<TAG>()?;
        let place = self.sent_place(id, mark, text);
        self.cipher
            .decrypt_inout_detached(&Nonce::from(*nonce), &place, (&mut [][..]).into(), &Tag::from(*tag))
            .ok()?;
        Some(Zeroizing::new(text.to_vec()))
    }

    /// Seals one note. Returns its mark and its body.
    pub(crate) fn note(
        &mut self,
        entropy: &dyn Entropy,
        id: CipherId,
        note: &[u8],
    ) -> Result<(Mark, Bytes), SealError> {
        let (nonce, mark) = Draws::new(entropy, 1).next()?;
        let mut out = Vec::with_capacity(note.len().saturating_add(SEALED_OVERHEAD));
        self.append(&mut out, nonce, (id, Part::Note, Mark(mark)), note)?;
        Ok((Mark(mark), out.into()))
    }

    /// Opens the note of a row.
    pub(crate) fn open_note(&mut self, row: &Row) -> Option<SecretVec> {
        self.open(row.marks.id, Part::Note, row.marks.note, &row.note).map(SecretVec::from)
    }

    /// Opens the text of a row. `as_sent` is whether the vault's head allows texts to be stored as
    /// they were sent; otherwise such a body is a forgery.
    pub(crate) fn open_text(&mut self, as_sent: bool, row: &Row) -> Option<SecretString> {
        let RowMarks { id, text: mark, .. } = row.marks;
        let mut bytes = match row.text.split_first()? {
            (&AS_SENT, rest) if as_sent => self.open_sent(id, mark, rest)?,
            _ => self.open(id, Part::Text, mark, &row.text)?,
        };
        match String::from_utf8(std::mem::take(&mut *bytes)) {
            Ok(text) => Some(SecretString::new(text)),
            Err(error) => {
                error.into_bytes().zeroize();
                None
            }
        }
    }
}

keywright_core::redacted_debug!(Sealer);

/// A text that is to be stored as a row.
#[derive(Clone, Copy)]
pub(crate) struct NewText<'t> {
    pub(crate) id: CipherId,
    pub(crate) nonce: ClientNonce,
    /// The mark of the note that the row has, or zeros if it is not known yet.
    pub(crate) note: Mark,
    pub(crate) text: &'t str,
}

/// How the marks of texts are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marks {
    /// From 16 random bytes.
    Random,
    /// From the client's nonce, which they carry. Used for the parts of an upload.
    Carrying,
}

/// Seals texts under one key into rows without notes. All bodies are in one allocation that is
/// sized once.
pub(crate) fn rows<'t>(
    sealer: &mut Sealer,
    (at_rest, marks): (AtRest, Marks),
    entropy: &dyn Entropy,
    texts: impl Iterator<Item = NewText<'t>>,
) -> Result<Rows, SealError> {
    // The texts are collected, because finding a text in a body again costs more than recording
    // where it is.
    let texts: Vec<_> = texts.collect();
    let size = |text: &str| text.len().saturating_add(SEALED_OVERHEAD);
    let mut arena = Vec::with_capacity(texts.iter().fold(0, |sum: usize, new| sum.saturating_add(size(new.text))));
    let mut draws = Draws::new(entropy, texts.len());
    let mut drawn = Vec::with_capacity(texts.len());
    for NewText { id, nonce, text, .. } in &texts {
        let (seal_nonce, random) = draws.next()?;
        let mark = match marks {
            Marks::Random => Mark(random),
            Marks::Carrying => carried(*nonce, random),
        };
        drawn.push(mark);
        match at_rest {
            AtRest::Sealed => sealer.append(&mut arena, seal_nonce, (*id, Part::Text, mark), text.as_bytes())?,
            AtRest::AsSent => sealer.append_sent(&mut arena, seal_nonce, *id, mark, text.as_bytes())?,
        }
    }
    let mut arena = Bytes::from(arena);
    let row = |(NewText { id, nonce, note, text }, mark)| {
        let marks = RowMarks { id, text: mark, note, nonce };
        Row { marks, text: arena.split_to(size(text).min(arena.len())), note: Bytes::new() }
    };
    Ok(texts.into_iter().zip(drawn).map(row).collect())
}

/// Returns the length of the text of a stored row as it was sent, in bytes.
pub(crate) fn text_bytes(row: &Row) -> u64 {
    u64::try_from(row.text.len().saturating_sub(SEALED_OVERHEAD)).unwrap_or(u64::MAX)
}

/// The keys of rows that are not in the vault yet, and the form in which they are stored.
pub(crate) struct Fresh {
    pub(crate) key: SecretBytes<32>,
    pub(crate) digest_key: SecretBytes<16>,
    pub(crate) as_sent: bool,
}

impl Fresh {
    pub(crate) fn random(at_rest: AtRest, entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let (key, digest_key) = (SecretBytes::random(entropy)?, SecretBytes::random(entropy)?);
        Ok(Self { key, digest_key, as_sent: at_rest == AtRest::AsSent })
    }

    pub(crate) fn duplicate(&self) -> Self {
        let (key, digest_key) = (self.key.duplicate(), self.digest_key.duplicate());
        Self { key, digest_key, as_sent: self.as_sent }
    }
}

/// A whole vault, checked against its head and sealed under a new key, ready for one commit. It is
/// made only from a [`SwapPlan`](crate::SwapPlan), so ciphers that were not checked cannot be
/// swapped.
#[must_use = "a sealed swap changes nothing until it is committed"]
pub struct SealedSwap {
    pub(crate) account: AccountId,
    pub(crate) head: Option<Revision>,
    pub(crate) fresh: Fresh,
    pub(crate) rows: Rows,
    /// The digest of the rows with the notes that the vault has.
    pub(crate) digest: Digest,
    pub(crate) text_bytes: u64,
}

impl SealedSwap {
    /// Returns the account.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// Returns the head of the vault that it was checked against; it can replace no other. `None`
    /// means that there was no vault; then it can replace none at all.
    #[must_use]
    pub const fn head(&self) -> Option<Revision> {
        self.head
    }

    /// Returns how many ciphers it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the vault is empty. Then there is nothing to re-encrypt, but the swap still moves
    /// the epochs.
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
    /// Seals every text for `account` under a new key, outside any draft, because this takes the
    /// most time. Pass the driver's entropy.
    ///
    /// # Errors
    /// Returns a [`SealError`] if the generator or the cipher fails; then nothing is sealed.
    pub fn seal(&self, account: &AccountId, at_rest: AtRest, entropy: &dyn Entropy) -> Result<SealedSwap, SealError> {
        let fresh = Fresh::random(at_rest, entropy)?;
        let new = |(owned, nonce, text): (&RowMarks, _, _)| NewText { id: owned.id, nonce, note: owned.note, text };
        let texts = self.replacements().map(new);
        let rows = rows(&mut Sealer::new(&fresh.key, account), (at_rest, Marks::Random), entropy, texts)?;
        let mut summing = Summing::new(&fresh.digest_key);
        let mut bytes = 0_u64;
        for row in &rows {
            summing.add(row.marks.id, row.marks.text, row.marks.note);
            bytes = bytes.saturating_add(text_bytes(row));
        }
        let (account, head) = (account.clone(), self.head());
        Ok(SealedSwap { account, head, fresh, rows, digest: summing.finish(), text_bytes: bytes })
    }
}

#[cfg(test)]
mod tests;
