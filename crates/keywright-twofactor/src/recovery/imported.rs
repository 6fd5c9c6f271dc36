//! Recovery codes that another system made: in clear, as SHA-2 digests, or as slow hashes. They
//! have their own record, which also remembers that the account was imported.

use keywright_core::{Entropy, GuessOdds, LedgerPolicy, SecretBytes, SecretKind, SecretString, Strength, UnixSeconds};
use keywright_store::{Record, Slot, StepError, secret_field};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::MAX_CODES;
use super::code::Preset;
use super::set::{CodeSet, MAC, find, keyed_hash};
use super::spelling::{Alphabet, Digest, ImportedForm, Spelling, case_of};
use super::state::{RECOVERY, read_macs, write_macs};

/// What was imported for the account.
pub(crate) const IMPORTED: Slot<Imported> = Slot::lasting("imported");

/// The maximum number of slow hashes in one set: so many are computed for one guess at most.
pub const MAX_HASHES: usize = 16;

/// The lengths of codes that can be imported, in characters without blanks and hyphens.
const LENGTHS: std::ops::RangeInclusive<usize> = 6..=64;

/// The maximum length of a slow hash as text, in bytes. An Argon2 hash has about 100.
const MAX_HASH_TEXT: usize = 256;

/// The record of an import. It lasts as long as the account, so an import that is run again finds
/// it, even if the owner has removed every factor since.
#[derive(Serialize, Deserialize)]
pub(crate) struct Imported {
    /// When the account was imported.
    pub(crate) at: UnixSeconds,
    /// The codes that came along, until others replace them.
    pub(crate) codes: Option<ImportedSet>,
}

impl Record for Imported {
    const SCHEMA: u16 = 1;
}

/// Recovery codes of another system, to be imported with their user.
///
/// ```
/// use keywright_twofactor::recovery::{Digest, ImportedCodes, LetterCase, Spelling};
///
/// // In clear, in any form: 6 to 64 printable ASCII characters apart from blanks and hyphens.
/// let clear = ImportedCodes::in_clear(["zqk4-7pna", "b3xm-9wte"]);
/// // SHA-512 in hex or base64, of codes such as `8PNX1QWAEG7K`, which were hashed without hyphens.
/// let digests = ImportedCodes::digests(Digest::Sha512, ["sE3X…"]).spelled(Spelling::new(LetterCase::Upper));
/// // bcrypt, Argon2, and whatever else the server's `CodeVerifier` can check.
/// let hashes = ImportedCodes::hashes(["$2a$12$…"]);
/// # let _ = (clear, digests, hashes);
/// ```
#[derive(Debug)]
pub struct ImportedCodes {
    pub(crate) source: Source,
    pub(crate) spelling: Option<Spelling>,
}

/// Where the codes come from.
#[derive(Debug)]
pub(crate) enum Source {
    Clear(Vec<SecretString>),
    Digests(Digest, Vec<SecretString>),
    Hashes(Vec<SecretString>),
    /// A set that another store of Keywright exported.
    Made(Box<CodeSet>),
    /// A set that another store of Keywright had imported.
    Again(Box<ImportedSet>),
}

impl ImportedCodes {
    /// Takes unused codes in clear. If all letters are in one case, a code may be typed in either.
    pub fn in_clear<T: Into<String>>(codes: impl IntoIterator<Item = T>) -> Self {
        Self { source: Source::Clear(secrets(codes)), spelling: None }
    }

    /// Takes unsalted digests of unused codes, in hex or in base64. Digests with a salt are
    /// [hashes](Self::hashes).
    pub fn digests<T: Into<String>>(digest: Digest, codes: impl IntoIterator<Item = T>) -> Self {
        Self { source: Source::Digests(digest, secrets(codes)), spelling: None }
    }

    /// Takes at most [`MAX_HASHES`] hashes of unused codes, in whatever format the server's
    /// [`CodeVerifier`](super::CodeVerifier) can check.
    pub fn hashes<T: Into<String>>(codes: impl IntoIterator<Item = T>) -> Self {
        Self { source: Source::Hashes(secrets(codes)), spelling: None }
    }

    /// Sets how the other system wrote the codes that it hashed. The default is without hyphens and
    /// with the case as typed.
    #[must_use]
    pub const fn spelled(mut self, spelling: Spelling) -> Self {
        self.spelling = Some(spelling);
        self
    }

    /// Whether a guess at these codes needs the server's [`CodeVerifier`](super::CodeVerifier).
    #[must_use]
    pub fn needs_verifier(&self) -> bool {
        match &self.source {
            Source::Hashes(_) => true,
            Source::Again(set) => set.is_hashed(),
            Source::Clear(_) | Source::Digests(..) | Source::Made(_) => false,
        }
    }
}

fn secrets<T: Into<String>>(codes: impl IntoIterator<Item = T>) -> Vec<SecretString> {
    codes.into_iter().map(|code| SecretString::new(code.into())).collect()
}

/// Why recovery codes of another system cannot be imported. It names the position of a code, never
/// the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodesFault {
    /// There are more codes than a set can hold: [`MAX_CODES`], or [`MAX_HASHES`] slow hashes. Or
    /// there is none.
    #[error("a set must have 1 to {MAX_CODES} recovery codes, or {MAX_HASHES} slow hashes, but got {0}")]
    Count(usize),
    /// A code is not 6 to 64 printable ASCII characters, a digest is not hex or base64 of the right
    /// length, or a hash is not printable.
    #[error("recovery code {index} is malformed")]
    Malformed {
        /// The position in the list, from 0.
        index: usize,
    },
    /// The same code occurs twice.
    #[error("recovery code {index} repeats an earlier one")]
    Duplicate {
        /// The position of the second occurrence, from 0.
        index: usize,
    },
    /// A year of guessing would find one of so many and so short codes with a probability above 1
    /// %.
    #[error("so many and so short recovery codes are too easy to guess under the ledger policy")]
    Guessable,
}

/// How the codes of a stored set are compared.
// Variants are stored by position, so a new one must be appended at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Clear,
    Digests(Digest),
    Hashes,
}

/// The form of the codes that work for an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeForm {
    Preset(Preset),
    Imported(ImportedForm),
}

impl CodeForm {
    /// Whether a text has this form.
    pub(crate) fn is_form_of(&self, typed: &str) -> bool {
        match self {
            Self::Preset(preset) => preset.is_form_of(typed),
            Self::Imported(form) => form.is_form_of(typed),
        }
    }
}

/// A set of imported codes in its stored form. Of codes in clear and of digests, a keyed hash each
/// is kept, as for a set made here. Of a slow hash, its text is kept until its code is used, and a
/// keyed hash of that code afterwards.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub(crate) struct ImportedSet {
    pub(crate) kind: Kind,
    pub(crate) form: ImportedForm,
    #[serde(serialize_with = "secret_field::serialize")]
    pub(crate) key: SecretBytes<32>,
    #[serde(serialize_with = "write_macs")]
    pub(crate) macs: Zeroizing<Vec<u8>>,
    /// The used codes among `macs`: bit `n` is set if code `n` is used.
    pub(crate) used: u32,
    #[serde(serialize_with = "write_hashes")]
    pub(crate) hashes: Vec<SecretString>,
    pub(crate) made: UnixSeconds,
}

/// The result of comparing a guess with the keyed hashes of a set.
pub(crate) enum Looked {
    Unused(u32),
    Used,
    Wrong,
}

impl ImportedSet {
    /// Makes the stored form of codes.
    pub(crate) fn make(
        entropy: &dyn Entropy,
        codes: &ImportedCodes,
        ledger: &LedgerPolicy,
        now: UnixSeconds,
    ) -> Result<Result<Self, CodesFault>, StepError> {
        let mut set = Self {
            kind: Kind::Clear,
            form: ImportedForm {
                spelling: codes.spelling.unwrap_or_default(),
                shortest: bound(*LENGTHS.start()),
                longest: bound(*LENGTHS.end()),
                digits: false,
            },
            key: SecretBytes::random(entropy)?,
            macs: Zeroizing::default(),
            used: 0,
            hashes: Vec::new(),
            made: now,
        };
        let added = match &codes.source {
            Source::Clear(list) => set.add_clear(list, codes.spelling, ledger)?,
            Source::Digests(digest, list) => set.add_digests(*digest, list)?,
            Source::Hashes(list) => set.add_hashes(list),
            Source::Again(other) => return Ok(Ok(other.duplicate())),
            Source::Made(_) => Err(CodesFault::Count(0)),
        };
        Ok(added.map(|()| set))
    }

    fn add_clear(
        &mut self,
        list: &[SecretString],
        spelling: Option<Spelling>,
        ledger: &LedgerPolicy,
    ) -> Result<Result<(), CodesFault>, StepError> {
        if let Err(fault) = count(list, MAX_CODES) {
            return Ok(Err(fault));
        }
        // The codes are written down without hyphens here, whatever the other system did.
        self.form.spelling = Spelling::new(spelling.map_or_else(|| case_of(list), |spelling| spelling.case));
        let (mut shortest, mut longest, mut alphabet) = (usize::MAX, 0, Alphabet::default());
        for (index, code) in list.iter().enumerate() {
            let Some(text) = self.form.parse(code.expose()) else { return Ok(Err(CodesFault::Malformed { index })) };
            (shortest, longest) = (shortest.min(text.len()), longest.max(text.len()));
            alphabet.extend(&text);
            let mac = keyed_hash(&self.key, &text)?;
            if find(&self.macs, &mac) != 0 {
                return Ok(Err(CodesFault::Duplicate { index }));
            }
            self.macs.extend_from_slice(mac.as_slice());
        }
        (self.form.shortest, self.form.longest) = (bound(shortest), bound(longest));
        self.form.digits = alphabet.is_digits();
        let space = alphabet.size().saturating_pow(u32::from(self.form.shortest));
        let hits = u64::try_from(list.len()).unwrap_or(u64::MAX);
        let odds = GuessOdds::new(hits, space).and_then(|odds| ledger.check_guess_probability(odds));
        Ok(odds.map_err(|_| CodesFault::Guessable))
    }

    fn add_digests(&mut self, digest: Digest, list: &[SecretString]) -> Result<Result<(), CodesFault>, StepError> {
        if let Err(fault) = count(list, MAX_CODES) {
            return Ok(Err(fault));
        }
        self.kind = Kind::Digests(digest);
        for (index, text) in list.iter().enumerate() {
            let Some(bytes) = digest.read(text.expose()) else { return Ok(Err(CodesFault::Malformed { index })) };
            let mac = keyed_hash(&self.key, &bytes)?;
            if find(&self.macs, &mac) != 0 {
                return Ok(Err(CodesFault::Duplicate { index }));
            }
            self.macs.extend_from_slice(mac.as_slice());
        }
        Ok(Ok(()))
    }

    fn add_hashes(&mut self, list: &[SecretString]) -> Result<(), CodesFault> {
        count(list, MAX_HASHES)?;
        self.kind = Kind::Hashes;
        for (index, hash) in list.iter().enumerate() {
            if !is_hash(hash.expose()) {
                return Err(CodesFault::Malformed { index });
            }
            if self.hashes.iter().any(|other| other.expose() == hash.expose()) {
                return Err(CodesFault::Duplicate { index });
            }
            self.hashes.push(SecretString::new(hash.expose().to_owned()));
        }
        Ok(())
    }

    /// Whether a guess at an unused code is compared by the server's verifier.
    pub(crate) fn is_hashed(&self) -> bool {
        self.kind == Kind::Hashes
    }

    /// Compares a parsed guess with the keyed hashes, in constant time.
    pub(crate) fn look(&self, text: &[u8]) -> Result<Looked, StepError> {
        let mac = match self.kind {
            Kind::Digests(digest) => keyed_hash(&self.key, &digest.of(text))?,
            Kind::Clear | Kind::Hashes => keyed_hash(&self.key, text)?,
        };
        let found = find(&self.macs, &mac);
        Ok(match (found, found & self.used) {
            (0, _) => Looked::Wrong,
            (_, 0) => Looked::Unused(found),
            (_, _) => Looked::Used,
        })
    }

    pub(crate) const fn spend(&mut self, found: u32) {
        self.used |= found;
    }

    /// Spends the code whose slow hash this is: its keyed hash takes the place of the hash. Returns
    /// false if the hash is not in the set.
    pub(crate) fn spend_hash(&mut self, hash: &str, text: &[u8]) -> Result<bool, StepError> {
        let Some(at) = self.hashes.iter().position(|one| one.expose() == hash) else { return Ok(false) };
        self.hashes.remove(at);
        let bit = u32::try_from(self.macs.len() / MAC).unwrap_or(u32::MAX);
        let mac = keyed_hash(&self.key, text)?;
        self.macs.extend_from_slice(mac.as_slice());
        self.used |= 1_u32.checked_shl(bit).unwrap_or(0);
        Ok(true)
    }

    /// Returns the number of codes that still work.
    pub(crate) fn remaining(&self) -> u8 {
        let kept = u32::try_from(self.macs.len() / MAC).unwrap_or(u32::MAX);
        let hashes = u32::try_from(self.hashes.len()).unwrap_or(u32::MAX);
        u8::try_from(kept.saturating_sub(self.used.count_ones()).saturating_add(hashes)).unwrap_or(u8::MAX)
    }

    pub(crate) fn duplicate(&self) -> Self {
        let hashes = self.hashes.iter().map(|hash| SecretString::new(hash.expose().to_owned())).collect();
        Self {
            kind: self.kind,
            form: self.form,
            key: self.key.duplicate(),
            macs: self.macs.clone(),
            used: self.used,
            hashes,
            made: self.made,
        }
    }

    /// Returns imported codes as the guess ledger knows them: nobody can tell how they were drawn,
    /// so guesses at them can be locked (`docs/decisions.md` 216).
    pub(crate) const fn secret() -> SecretKind {
        RECOVERY.with_strength(Strength::Guessable)
    }

    fn is_bounded(&self) -> bool {
        let Self { form, macs, used, hashes, .. } = self;
        let kept = macs.len() / MAC;
        let lengths = form.shortest <= form.longest
            && LENGTHS.contains(&form.shortest.into())
            && LENGTHS.contains(&form.longest.into());
        let whole = macs.len().checked_rem(MAC) == Some(0);
        let beyond = used.checked_shr(u32::try_from(kept).unwrap_or(u32::MAX)).unwrap_or(0);
        let counts = if self.is_hashed() {
            // Whatever is kept of a slow hash was used.
            (1..=MAX_HASHES).contains(&kept.saturating_add(hashes.len())) && used.count_ones() as usize == kept
        } else {
            (1..=MAX_CODES).contains(&kept) && hashes.is_empty()
        };
        lengths && whole && beyond == 0 && counts && hashes.iter().all(|hash| is_hash(hash.expose()))
    }
}

keywright_core::redacted_debug!(ImportedSet { kind, .. });

/// A stored form that this crate cannot have written.
#[derive(Debug, thiserror::Error)]
#[error("imported recovery codes are out of bounds")]
pub(crate) struct OutOfBounds;

/// The stored form, before it is validated.
#[derive(Deserialize)]
pub(crate) struct Stored {
    pub(crate) kind: Kind,
    pub(crate) form: ImportedForm,
    #[serde(deserialize_with = "secret_field::deserialize")]
    pub(crate) key: SecretBytes<32>,
    #[serde(deserialize_with = "read_macs")]
    pub(crate) macs: Zeroizing<Vec<u8>>,
    pub(crate) used: u32,
    #[serde(deserialize_with = "read_hashes")]
    pub(crate) hashes: Vec<SecretString>,
    pub(crate) made: UnixSeconds,
}

impl TryFrom<Stored> for ImportedSet {
    type Error = OutOfBounds;
    fn try_from(stored: Stored) -> Result<Self, OutOfBounds> {
        let Stored { kind, form, key, macs, used, hashes, made } = stored;
        let set = Self { kind, form, key, macs, used, hashes, made };
        if set.is_bounded() { Ok(set) } else { Err(OutOfBounds) }
    }
}

fn write_hashes<S: Serializer>(hashes: &[SecretString], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(hashes.iter().map(SecretString::expose))
}

fn read_hashes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SecretString>, D::Error> {
    Ok(Vec::<String>::deserialize(from)?.into_iter().map(SecretString::new).collect())
}

fn count(list: &[SecretString], most: usize) -> Result<(), CodesFault> {
    if list.is_empty() || list.len() > most { Err(CodesFault::Count(list.len())) } else { Ok(()) }
}

fn bound(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

fn is_hash(text: &str) -> bool {
    (1..=MAX_HASH_TEXT).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keywright_core::LocalRng;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn set(codes: &ImportedCodes) -> ImportedSet {
        let rng = LocalRng::new(ChaCha20Rng::seed_from_u64(1));
        ImportedSet::make(&rng, codes, &LedgerPolicy::default(), UnixSeconds::EPOCH).unwrap().unwrap()
    }

    fn decoded(set: ImportedSet) -> Option<ImportedSet> {
        let record = Imported { at: UnixSeconds::EPOCH, codes: Some(set) };
        let bytes = postcard::to_allocvec(&record).unwrap();
        Imported::decode(1, &bytes).ok()?.codes
    }

    #[test]
    fn what_is_stored_is_read_again() {
        for codes in [
            ImportedCodes::in_clear(["zqk47pna", "b3xm9wte"]),
            ImportedCodes::digests(Digest::Sha256, ["0".repeat(64)]),
            ImportedCodes::hashes(["$2a$04$one", "$2a$04$two"]),
        ] {
            let read = decoded(set(&codes)).unwrap();
            assert_eq!((read.kind, read.remaining()), (set(&codes).kind, set(&codes).remaining()));
        }
        let mut hashed = set(&ImportedCodes::hashes(["$2a$04$one", "$2a$04$two"]));
        assert!(hashed.spend_hash("$2a$04$two", b"a code").unwrap());
        assert!(!hashed.spend_hash("$2a$04$two", b"a code").unwrap(), "once");
        let read = decoded(hashed).unwrap();
        assert_eq!((read.remaining(), read.hashes.len()), (1, 1));
        assert!(matches!(read.look(b"a code").unwrap(), Looked::Used));
    }

    #[test]
    fn what_cannot_have_been_written_is_refused() {
        let clear = || set(&ImportedCodes::in_clear(["zqk47pna", "b3xm9wte"]));
        let hashes = || set(&ImportedCodes::hashes(["$2a$04$one"]));
        let form = |shortest, longest| ImportedForm { shortest, longest, ..clear().form };
        for (nth, broken) in [
            ImportedSet { used: 4, ..clear() },
            ImportedSet { macs: Zeroizing::new(vec![0; 33]), ..clear() },
            ImportedSet { macs: Zeroizing::default(), ..clear() },
            ImportedSet { macs: Zeroizing::new(vec![0; 33 * MAC]), ..clear() },
            ImportedSet { hashes: hashes().hashes, ..clear() },
            ImportedSet { form: form(9, 8), ..clear() },
            ImportedSet { form: form(5, 8), ..clear() },
            ImportedSet { form: form(8, 65), ..clear() },
            ImportedSet { macs: Zeroizing::new(vec![0; MAC]), ..hashes() },
            ImportedSet { hashes: vec![SecretString::new("x".repeat(257))], ..hashes() },
            ImportedSet { hashes: vec![SecretString::new("a b".into())], ..hashes() },
        ]
        .into_iter()
        .enumerate()
        {
            assert!(decoded(broken).is_none(), "{nth}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Imported::decode(1, &body);
        }

        /// Where hyphens are typed makes no difference.
        #[test]
        fn spelling_does_not_depend_on_hyphens(code in "[a-z0-9]{6,64}", group in 0_u8..8) {
            let form = |group| ImportedForm {
                spelling: Spelling::new(crate::recovery::spelling::LetterCase::Upper).grouped(group),
                shortest: 6,
                longest: 64,
                digits: false,
            };
            let written = form(group).parse(&code).unwrap();
            let text = std::str::from_utf8(&written).unwrap();
            prop_assert_eq!(form(group).parse(text).unwrap().to_vec(), written.to_vec());
            let joined = form(0).parse(text).unwrap();
            prop_assert_eq!(joined.to_vec(), code.to_ascii_uppercase().into_bytes());
        }
    }
}
