//! Settling a lost reply: what another read of the root shows about a commit whose answer was lost.
//!
//! It is a pure function, so that the model checker (`keywright-model`) explores the very code that
//! the driver runs.

use crate::revision::Revision;

/// What is known about an attempt whose reply was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the driver must act on every answer")]
pub enum Settlement {
    /// The commit happened.
    Landed,
    /// The commit has not happened yet, but still can. Write the root again; once that succeeds,
    /// the attempt can never land.
    Fence,
    /// The commit did not happen and never can, because the root on which it was based is gone.
    NeverLanded,
    /// Too much has happened since to know.
    Unknown,
}

/// Judges an attempt by the root as it is now (`docs/security.md` § 7).
///
/// `current` is the root's revision and the revisions before it, newest first, or `None` if there
/// is no root. `ours` is the revision that the attempt would have given the root, and `loaded` the
/// one that it replaces. An absent root counts as [`Revision::ZERO`], which the creation of a root
/// records among the revisions before its own.
#[must_use]
pub fn settle(current: Option<(Revision, &[Revision])>, ours: Revision, loaded: Revision) -> Settlement {
    let (revision, recent) = current.unwrap_or((Revision::ZERO, &[]));
    if revision == ours || recent.contains(&ours) {
        Settlement::Landed
    } else if revision == loaded {
        Settlement::Fence
    } else if recent.contains(&loaded) {
        Settlement::NeverLanded
    } else {
        Settlement::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn revision(byte: u8) -> Revision {
        Revision::from_bytes([byte; 16])
    }

    #[test]
    fn every_answer_has_its_evidence() {
        let (ours, loaded, other) = (revision(1), revision(2), revision(3));
        let zero = Revision::ZERO;
        for (current, base, answer) in [
            (Some((ours, [loaded].as_slice())), loaded, Settlement::Landed),
            (Some((other, [ours, loaded].as_slice())), loaded, Settlement::Landed),
            (Some((loaded, [].as_slice())), loaded, Settlement::Fence),
            (Some((other, [loaded].as_slice())), loaded, Settlement::NeverLanded),
            (Some((other, [].as_slice())), loaded, Settlement::Unknown),
            // The partition is gone altogether, so nothing can be known.
            (None, loaded, Settlement::Unknown),
            // A creation.
            (None, zero, Settlement::Fence),
            (Some((other, [zero].as_slice())), zero, Settlement::NeverLanded),
            (Some((ours, [zero].as_slice())), zero, Settlement::Landed),
            (Some((other, [].as_slice())), zero, Settlement::Unknown),
        ] {
            assert_eq!(settle(current, ours, base), answer, "{current:?} {base:?}");
        }
    }
}
