//! The numbers that are policy.

use keywright_core::{Door, LedgerPolicy, Strength};

/// The secret's door in the guess ledger. Every endpoint that takes the secret charges it.
pub(crate) const DOOR: Door = Door::Challenge;

/// A secret that follows from a password is guessable, however long it is.
pub(crate) const STRENGTH: Strength = Strength::Guessable;

/// How guesses at the secret are limited.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ChallengePolicy {
    /// The guess ledger's numbers; default: `security.md` § 6.
    pub ledger: LedgerPolicy,
}
