//! One stored set of recovery codes, and the comparison of a guess with it. This module is pure: it
//! has no ledger, store or clock.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use keywright_core::{Entropy, SecretBytes, SecretString, UnixSeconds};
use keywright_store::StepError;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::MAX_CODES;
use super::code::{Canonical, draw};
use crate::recovery::code::Preset;
use crate::recovery::error::ImportError;

/// The label of the stored hashes, which separates them from other uses of HMAC (`docs/security.md`
/// § 5).
const LABEL: &[u8] = b"keywright/v1/recovery\0";

/// The length of a stored hash, in bytes.
pub(crate) const MAC: usize = 32;

/// A set of recovery codes in its stored form: one random key, an HMAC per code, and which codes
/// are used. It is not `Serialize`: only this crate's sealed record contains it.
pub struct CodeSet {
    pub(crate) preset: Preset,
    pub(crate) key: SecretBytes<32>,
    /// The hashes, concatenated.
    pub(crate) macs: Zeroizing<Vec<u8>>,
    /// The used codes: bit `n` is set if code `n` is used.
    pub(crate) used: u32,
    /// When the set was made or imported.
    pub(crate) made: UnixSeconds,
    /// Whether the codes were imported as SHA-256 digests. If so, the text of the digest is hashed
    /// instead of the symbols.
    pub(crate) digests: bool,
}

/// The result of comparing a guess, before anything is charged or spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "a verdict; no caller should need a wildcard arm that grants")]
pub enum Matched {
    /// The guess is an unused code; spend it with [`CodeSet::spend`].
    Unused(Spend),
    /// The guess is a used code.
    Used,
    /// The guess is not a code of the set.
    Wrong,
    /// The text does not have the form of the set's codes.
    Malformed,
}

/// An unused code that matched, to be passed to [`CodeSet::spend`]. Only [`CodeSet::judge`] creates
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spend(u32);

impl CodeSet {
    /// Draws a set, and returns it with the codes, which are to be shown once.
    ///
    /// # Errors
    /// Returns [`StepError::Entropy`] if the generator fails.
    pub fn make(entropy: &dyn Entropy, preset: Preset, now: UnixSeconds) -> Result<(Self, RecoveryCodes), StepError> {
        let mut codes = Vec::with_capacity(preset.count().into());
        for _ in 0..preset.count() {
            codes.push(draw(preset, entropy)?);
        }
        let mut set = Self::empty(entropy, preset, now, codes.len())?;
        for code in &codes {
            let canonical = Canonical::parse(preset, code.expose()).ok_or(StepError::Crypto)?;
            set.add(&canonical)?;
        }
        Ok((set, RecoveryCodes { preset, codes: codes.into_boxed_slice() }))
    }

    /// Creates a set of the given codes, all unused.
    ///
    /// # Errors
    /// Returns an [`ImportError`] if the number of codes is out of bounds, a code is malformed or
    /// occurs twice, or the generator fails.
    pub fn import(
        entropy: &dyn Entropy,
        preset: Preset,
        now: UnixSeconds,
        codes: &[&str],
    ) -> Result<Self, ImportError> {
        Self::import_as(entropy, preset, now, codes, |code| Canonical::parse(preset, code))
    }

    /// Creates a set of Rocket.Chat's codes from the form in which it stores them, lower-case hex
    /// SHA-256 each (`docs/protocols/rocket-chat.md` § 8), all unused. The codes themselves are
    /// never seen here, so the set keeps the keyed hash of that text.
    ///
    /// # Errors
    /// Returns an [`ImportError`] if the number of digests is out of bounds, a digest is malformed
    /// or occurs twice, or the generator fails.
    pub fn import_digests(entropy: &dyn Entropy, now: UnixSeconds, digests: &[&str]) -> Result<Self, ImportError> {
        let mut set = Self::import_as(entropy, Preset::RocketChat, now, digests, Canonical::parse_digest)?;
        set.digests = true;
        Ok(set)
    }

    fn import_as(
        entropy: &dyn Entropy,
        preset: Preset,
        now: UnixSeconds,
        codes: &[&str],
        read: impl Fn(&str) -> Option<Canonical>,
    ) -> Result<Self, ImportError> {
        if codes.is_empty() || codes.len() > MAX_CODES {
            return Err(ImportError::Count(codes.len()));
        }
        let mut set = Self::empty(entropy, preset, now, codes.len())?;
        for (index, code) in codes.iter().enumerate() {
            let canonical = read(code).ok_or(ImportError::Malformed { index })?;
            if set.find(&canonical)? != 0 {
                return Err(ImportError::Duplicate { index });
            }
            set.add(&canonical)?;
        }
        Ok(set)
    }

    fn empty(entropy: &dyn Entropy, preset: Preset, made: UnixSeconds, count: usize) -> Result<Self, StepError> {
        let macs = Zeroizing::new(Vec::with_capacity(count.saturating_mul(MAC)));
        Ok(Self { preset, key: SecretBytes::random(entropy)?, macs, used: 0, made, digests: false })
    }

    fn add(&mut self, code: &Canonical) -> Result<(), StepError> {
        let mac = self.mac(code)?;
        self.macs.extend_from_slice(mac.as_slice());
        Ok(())
    }

    /// Compares typed text with the set. The text is parsed, hashed once, and compared in constant
    /// time with all hashes, including those of used codes.
    ///
    /// # Errors
    /// Returns [`StepError::Crypto`] if the hash fails; with a sound primitive this does not
    /// happen.
    pub fn judge(&self, typed: &str) -> Result<Matched, StepError> {
        match Canonical::parse(self.preset, typed) {
            Some(code) => self.look(&code),
            None => Ok(Matched::Malformed),
        }
    }

    pub(crate) fn look(&self, code: &Canonical) -> Result<Matched, StepError> {
        let found = if self.digests { self.find(&code.digest()?)? } else { self.find(code)? };
        Ok(match (found, found & self.used) {
            (0, _) => Matched::Wrong,
            (_, 0) => Matched::Unused(Spend(found)),
            (_, _) => Matched::Used,
        })
    }

    /// Returns the bits of the codes that match. Two codes of one set are equal with a probability
    /// of at most 2⁻⁴⁰; then both are spent together.
    fn find(&self, code: &Canonical) -> Result<u32, StepError> {
        let mac = self.mac(code)?;
        Ok(find(&self.macs, &mac))
    }

    fn mac(&self, code: &Canonical) -> Result<Zeroizing<[u8; MAC]>, StepError> {
        keyed_hash(&self.key, code.expose())
    }

    /// Spends the code that [`judge`](Self::judge) found in this set.
    pub const fn spend(&mut self, code: Spend) {
        self.used |= code.0;
    }

    /// Returns a second copy. This is a method instead of `Clone` so that each copy can be audited.
    pub(crate) fn duplicate(&self) -> Self {
        Self {
            preset: self.preset,
            key: self.key.duplicate(),
            macs: self.macs.clone(),
            used: self.used,
            made: self.made,
            digests: self.digests,
        }
    }

    /// Returns the form of the codes.
    #[must_use]
    pub const fn preset(&self) -> Preset {
        self.preset
    }

    /// Returns the number of codes, used or not.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.macs.chunks_exact(MAC).len()).unwrap_or(u32::MAX)
    }

    /// Returns the number of codes that still work.
    #[must_use]
    pub fn remaining(&self) -> u8 {
        u8::try_from(self.count().saturating_sub(self.used.count_ones())).unwrap_or(u8::MAX)
    }
}

/// Returns the hash of a code under the key of its set.
pub(crate) fn keyed_hash(key: &SecretBytes<32>, code: &[u8]) -> Result<Zeroizing<[u8; MAC]>, StepError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).map_err(|_| StepError::Crypto)?;
    mac.update(LABEL);
    mac.update(code);
    Ok(Zeroizing::new(mac.finalize().into_bytes().into()))
}

/// Returns the bits of the concatenated hashes that are equal to one, in constant time.
pub(crate) fn find(macs: &[u8], mac: &[u8; MAC]) -> u32 {
    let mac = Zeroizing::new(words(mac));
    macs.chunks_exact(MAC).zip(0_u32..).fold(0, |found, (stored, at)| {
        let hit = u32::from(words(stored).ct_eq(mac.as_slice()).unwrap_u8());
        found | hit.checked_shl(at).unwrap_or(0)
    })
}

/// Returns a hash as four words: `subtle` takes a step for each word instead of each byte.
fn words(hash: &[u8]) -> [u64; 4] {
    let mut words = [0; 4];
    let (eights, _) = hash.as_chunks::<8>();
    words.iter_mut().zip(eights).for_each(|(word, eight)| *word = u64::from_ne_bytes(*eight));
    words
}

impl fmt::Debug for CodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeSet")
            .field("preset", &self.preset)
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}

/// The codes of a new set, to be shown once. They are wiped when dropped and cannot be retrieved
/// again.
pub struct RecoveryCodes {
    preset: Preset,
    codes: Box<[SecretString]>,
}

impl RecoveryCodes {
    /// Returns the codes as they are printed.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.codes.iter().map(SecretString::expose)
    }

    /// Returns the number of codes.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.codes.len()
    }

    /// Returns the form of the codes.
    #[must_use]
    pub const fn preset(&self) -> Preset {
        self.preset
    }
}

impl fmt::Debug for RecoveryCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveryCodes")
            .field("preset", &self.preset)
            .field("count", &self.codes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keywright_core::LocalRng;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn rng(seed: u64) -> LocalRng<ChaCha20Rng> {
        LocalRng::new(ChaCha20Rng::seed_from_u64(seed))
    }

    /// `docs/security.md` § 16.
    #[test]
    fn the_stored_hash_is_the_known_answer() {
        let mut set = CodeSet::empty(&rng(1), Preset::Default, UnixSeconds::EPOCH, 1).unwrap();
        set.key = SecretBytes::from_slice(&[7; 32]).unwrap();
        set.add(&Canonical::parse(Preset::Default, "000000-000000-0001ZV").unwrap()).unwrap();
        let known = "7ec72cfca66b2cb21f9bae759bf03ecaef2e1b03bae42bc2b7371609b0116c6e";
        assert_eq!(hex::encode(set.macs.as_slice()), known);
    }

    #[test]
    fn a_set_is_of_its_kind_and_each_code_works_once() {
        for (preset, count) in
            [(Preset::Default, 10), (Preset::Nist, 10), (Preset::RocketChat, 12), (Preset::LibrePass, 1)]
        {
            let (mut set, codes) = CodeSet::make(&rng(2), preset, UnixSeconds::EPOCH).unwrap();
            assert_eq!(
                (codes.count(), codes.iter().len(), codes.preset(), set.preset()),
                (count, count, preset, preset)
            );
            assert_eq!(usize::from(set.remaining()), count);
            for (code, used) in codes.iter().zip(1..) {
                let Matched::Unused(spend) = set.judge(code).unwrap() else { panic!("{preset:?}") };
                set.spend(spend);
                assert_eq!(set.judge(code).unwrap(), Matched::Used);
                assert_eq!(usize::from(set.remaining()), count - used);
            }
            let (other, foreign) = CodeSet::make(&rng(3), preset, UnixSeconds::EPOCH).unwrap();
            assert!(foreign.iter().all(|code| set.judge(code).unwrap() == Matched::Wrong));
            assert!(!other.key.ct_eq(set.key.expose()));
        }
    }

    #[test]
    fn strengths_and_sizes() {
        use keywright_core::Strength::{Guessable, Unguessable};
        for (preset, bits, strength) in [
            (Preset::Default, 80, Unguessable),
            (Preset::Nist, 115, Unguessable),
            (Preset::RocketChat, 46, Guessable),
            (Preset::LibrePass, 122, Unguessable),
        ] {
            assert_eq!((preset.bits(), preset.strength()), (bits, strength));
        }
    }

    #[test]
    fn imports_name_the_place_and_never_the_code() {
        let import = |codes: &[&str]| CodeSet::import(&rng(4), Preset::RocketChat, UnixSeconds::EPOCH, codes);
        let set = import(&["23456789", "abcdefgh", "ABCDEFGH"]).unwrap();
        assert_eq!(set.remaining(), 3);
        assert!(matches!(set.judge("ABCDEFGH"), Ok(Matched::Unused(Spend(4)))));
        assert_eq!(set.judge("AbCDEFGH").unwrap(), Matched::Wrong);
        assert_eq!(import(&[]).unwrap_err(), ImportError::Count(0));
        assert_eq!(import(&["23456789", "planted"]).unwrap_err(), ImportError::Malformed { index: 1 });
        assert_eq!(import(&["23456789", "abcdefgh", "23456789"]).unwrap_err(), ImportError::Duplicate { index: 2 });
        let many: Vec<String> = (0..33).map(|n| format!("{n:08}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(import(&many).unwrap_err(), ImportError::Count(33));
        let set = import(&many[..32]).unwrap();
        assert!(matches!(set.judge(many[31]), Ok(Matched::Unused(Spend(bit))) if bit == 1 << 31));
        let shown = format!("{:?} {}", ImportError::Malformed { index: 1 }, ImportError::Malformed { index: 1 });
        assert!(!shown.contains("planted"));
        let digests = ["0".repeat(64), "F".repeat(64), "f".repeat(63)];
        for (bad, index) in [(1, 1), (2, 1), (0, 1)] {
            let list = [digests[0].as_str(), digests[bad].as_str()];
            let error = CodeSet::import_digests(&rng(5), UnixSeconds::EPOCH, &list).unwrap_err();
            assert_eq!(error == ImportError::Malformed { index }, bad != 0, "{error}");
        }
        // Two spellings of one code are one code.
        let twice = ["000000-000000-000001", "OOOOOOOOOOOOOOOOOi"];
        let same = CodeSet::import(&rng(5), Preset::Default, UnixSeconds::EPOCH, &twice);
        assert_eq!(same.unwrap_err(), ImportError::Duplicate { index: 1 });
    }

    /// Every bit of a hash counts.
    #[test]
    fn a_hash_that_differs_in_one_bit_is_another() {
        let (mut set, codes) = CodeSet::make(&rng(8), Preset::Default, UnixSeconds::EPOCH).unwrap();
        let last = codes.iter().last().unwrap();
        for at in 9 * MAC..10 * MAC {
            for bit in 0..8 {
                set.macs[at] ^= 1 << bit;
                assert_eq!(set.judge(last).unwrap(), Matched::Wrong);
                set.macs[at] ^= 1 << bit;
            }
        }
        assert!(matches!(set.judge(last), Ok(Matched::Unused(Spend(512)))));
    }

    /// Two alike in one set are spent together.
    #[test]
    fn alike_codes_are_one() {
        let mut set = CodeSet::import(&rng(6), Preset::RocketChat, UnixSeconds::EPOCH, &["23456789"]).unwrap();
        set.add(&Canonical::parse(Preset::RocketChat, "23456789").unwrap()).unwrap();
        let Matched::Unused(spend) = set.judge("23456789").unwrap() else { panic!("unused") };
        set.spend(spend);
        assert_eq!((set.judge("23456789").unwrap(), set.remaining()), (Matched::Used, 0));
    }

    #[test]
    fn nothing_shows_a_code_or_a_key() {
        let (set, codes) = CodeSet::make(&rng(7), Preset::Default, UnixSeconds::EPOCH).unwrap();
        let first = codes.iter().next().unwrap().to_string();
        let judged = set.judge(&first);
        let shown = format!("{set:?} {codes:?} {judged:?} {:?}", Canonical::parse(Preset::Default, &first));
        assert!(codes.iter().all(|code| !shown.contains(code) && !shown.contains(&code.replace('-', ""))), "{shown}");
        assert!(!shown.contains(&format!("{}, {}", set.key.expose()[0], set.key.expose()[1])));
    }
}
