//! Revisions: what the one guard of every commit compares.

use std::fmt;

use keywright_core::{EntropyError, SystemEntropy, random_bytes};
use serde::{Deserialize, Serialize};

/// The revision of a partition's root: 128 random bits, drawn afresh for every attempt. Never reused, so a partition that
/// was changed and changed back does not satisfy an old guard, and after a lost reply "did mine happen?" has an answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Revision([u8; 16]);

impl Revision {
    /// What stands for "there is no root" wherever revisions are listed.
    pub const ZERO: Self = Self([0; 16]);

    /// Draws one from the operating system, whatever generator a step is given: a generator that repeats itself (a seeded
    /// test, a cloned virtual machine with a generator of its own) must not repeat a revision.
    ///
    /// # Errors
    /// [`EntropyError`] if the system's generator fails.
    pub fn draw() -> Result<Self, EntropyError> {
        random_bytes(&SystemEntropy).map(Self)
    }

    /// From its stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Revision(")?;
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}

/// How many revisions before its own a root remembers.
pub const RECENT: usize = 16;

/// The revisions that a root has had before its own, newest first. Every put of a root pushes the one that it replaces,
/// the put of a fence too; the creation of a root pushes [`Revision::ZERO`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recent(Vec<Revision>);

impl Recent {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// From a stored list, newest first; `None` if it is longer than [`RECENT`].
    pub(crate) fn from_newest_first(revisions: Vec<Revision>) -> Option<Self> {
        (revisions.len() <= RECENT).then_some(Self(revisions))
    }

    /// Notes the revision that is being replaced; the oldest beyond [`RECENT`] is forgotten.
    pub fn push(&mut self, replaced: Revision) {
        self.0.insert(0, replaced);
        self.0.truncate(RECENT);
    }

    /// The revisions, newest first.
    #[must_use]
    pub fn as_slice(&self) -> &[Revision] {
        &self.0
    }

    /// Whether they can be the past of a root of this revision: at most [`RECENT`], all different.
    pub(crate) fn is_sound(&self, own: Revision) -> bool {
        self.0.len() <= RECENT && (self.differ_at_first_sight(own) || self.differ(own))
    }

    /// Whether ten bits of each already tell all of them apart, as they do for seven roots of eight. Looking for pairs takes
    /// longer than anything else that is done with a root but its cipher.
    fn differ_at_first_sight(&self, own: Revision) -> bool {
        let mut seen = [0_u64; 16];
        self.0.iter().chain([&own]).all(|Revision([word, bit, ..])| {
            let Some(word) = seen.get_mut(usize::from(word % 16)) else { return false };
            let bit = 1 << (bit % 64);
            let is_new = *word & bit == 0;
            *word |= bit;
            is_new
        })
    }

    fn differ(&self, own: Revision) -> bool {
        let repeated = |at: usize, revision: &Revision| self.0.iter().skip(at.saturating_add(1)).any(|r| r == revision);
        !self.0.contains(&own) && !self.0.iter().enumerate().any(|(at, revision)| repeated(at, revision))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Few different bytes, so that first sights and whole revisions meet often.
        #[test]
        fn what_differs_at_first_sight_differs(all in prop::collection::vec([0..3_u8, 0..3_u8, 0..2_u8], 1..18)) {
            let revision = |[a, b, c]: [u8; 3]| {
                let mut bytes = [0; 16];
                (bytes[0], bytes[1], bytes[15]) = (a.wrapping_mul(8), b.wrapping_mul(32), c);
                Revision::from_bytes(bytes)
            };
            let own = revision(all[0]);
            let recent = Recent(all[1..].iter().copied().map(revision).collect());
            prop_assert!(!recent.differ_at_first_sight(own) || recent.differ(own));
            prop_assert_eq!(recent.is_sound(own), recent.0.len() <= RECENT && recent.differ(own));
        }
    }
}
