//! Revisions, which every commit compares.

use std::fmt;

use keywright_core::{EntropyError, SystemEntropy, random_bytes};
use serde::{Deserialize, Serialize};

/// The revision of a partition's root: 128 random bits, drawn afresh for every attempt.
///
/// A revision is never reused. A partition that was changed and changed back therefore does not
/// satisfy an old guard, and after a lost reply it can be determined whether the commit happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Revision([u8; 16]);

impl Revision {
    /// Represents an absent root in lists of revisions.
    pub const ZERO: Self = Self([0; 16]);

    /// Draws a revision from the operating system, whichever generator a step is given. A generator
    /// that repeats itself (a seeded test, or a cloned virtual machine with a generator of its own)
    /// must not repeat a revision.
    ///
    /// # Errors
    /// Returns [`EntropyError`] if the system's generator fails.
    pub fn draw() -> Result<Self, EntropyError> {
        random_bytes(&SystemEntropy).map(Self)
    }

    /// Returns the revision with these stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the revision's bytes.
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

/// How many revisions before its own a root records.
pub const RECENT: usize = 16;

/// The revisions that a root has had before its own, newest first. Every write of a root, including
/// that of a fence, adds the revision that it replaces. The creation of a root adds
/// [`Revision::ZERO`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recent(Vec<Revision>);

impl Recent {
    /// Creates an empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Takes a stored list, newest first. Returns `None` if it is longer than [`RECENT`].
    pub(crate) fn from_newest_first(revisions: Vec<Revision>) -> Option<Self> {
        (revisions.len() <= RECENT).then_some(Self(revisions))
    }

    /// Adds the revision that is being replaced. The oldest beyond [`RECENT`] is dropped.
    pub fn push(&mut self, replaced: Revision) {
        self.0.insert(0, replaced);
        self.0.truncate(RECENT);
    }

    /// Returns the revisions, newest first.
    #[must_use]
    pub fn as_slice(&self) -> &[Revision] {
        &self.0
    }

    /// Whether they can be the past of a root of this revision: there are at most [`RECENT`], and
    /// all differ.
    pub(crate) fn is_sound(&self, own: Revision) -> bool {
        self.0.len() <= RECENT && (self.differ_at_first_sight(own) || self.differ(own))
    }

    /// Whether ten bits of each are enough to tell all of them apart, as they are for seven roots
    /// of eight. Comparing all pairs takes longer than anything else that is done with a root,
    /// except its cipher.
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
        /// Few different bytes, so that ten-bit prefixes and whole revisions collide often.
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
