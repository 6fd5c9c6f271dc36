//! The results that the ledger returns.

use super::place::Place;
use crate::ledger::client::{Attempt, Client};
use crate::ledger::secret::{Generation, SecretKind, SecretName};
use crate::time::UnixSeconds;

/// Whether a guess may be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a guess that was not admitted must not be looked at"]
#[expect(
    clippy::exhaustive_enums,
    reason = "a decision has two sides; no caller should need a wildcard arm that admits"
)]
pub enum Admission {
    /// The guess may be checked. Charge or forgive this attempt afterwards, in the same commit.
    Open(AdmittedAttempt),
    /// The guess must not be checked.
    Refused(Refusal),
}

/// A guess that was admitted: its secret, its client, and the counter to which a wrong guess is
/// charged.
///
/// Only [`GuessLedger::admit`](super::GuessLedger::admit) creates one, so a guess that was not
/// admitted can be neither charged nor forgiven. It is not stored; a step that runs again has to
/// call `admit` again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmittedAttempt {
    pub(super) attempt: Attempt,
    pub(super) place: Place,
    pub(super) known: bool,
}

impl AdmittedAttempt {
    /// Returns the kind of secret.
    #[must_use]
    pub const fn secret(&self) -> SecretKind {
        self.attempt.secret
    }

    /// Returns the generation of the secret.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.attempt.generation
    }

    /// Returns the client, as it was given to `admit`.
    #[must_use]
    pub const fn client(&self) -> Client {
        self.attempt.client
    }

    /// Whether the client is a known one.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.known
    }

    /// Whether the guess is one of an admission's tries. A known client can be admitted as well.
    #[must_use]
    pub const fn is_admitted(&self) -> bool {
        matches!(self.place, Place::Admitted(_))
    }
}

/// Why, and for how long, a guess is not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub(super) retry_after: u64,
    pub(super) locked: bool,
    pub(super) unjudged: bool,
    pub(super) changed: bool,
}

impl Refusal {
    /// Returns the whole seconds, at least 1, after which a guess of this client will be checked,
    /// for `Retry-After`. The number holds unless somebody else guesses in the meantime; no other
    /// client can make a known client wait.
    ///
    /// If only an act ends the refusal ([`is_locked`](Self::is_locked)), it is 86,400.
    #[must_use]
    pub const fn retry_after(&self) -> u64 {
        self.retry_after
    }

    /// Whether the refusal does not end with time, but only with a right guess of another client,
    /// an admission or an unlock.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        self.locked
    }

    /// Whether the only reason is that the host has not judged earlier guesses yet. The refusal
    /// usually ends when a verdict arrives, so a server may let the request wait for a moment. The
    /// other values of this refusal assume the worst case, in which every unjudged guess is wrong.
    #[must_use]
    pub const fn is_unjudged(&self) -> bool {
        self.unjudged
    }

    /// Whether the ledger has to be stored, because a moment that lay too far in the future was
    /// clamped. This happens once. Otherwise a refusal changes nothing and must write nothing, or a
    /// flood would cause write conflicts for the owner.
    #[must_use]
    pub const fn changed(&self) -> bool {
        self.changed
    }
}

/// A wrong guess that was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    pub(super) admitted: AdmittedAttempt,
    pub(super) streak: u16,
    pub(super) at: UnixSeconds,
    pub(super) next: Option<Refusal>,
}

impl Charge {
    /// Returns the attempt that was charged.
    #[must_use]
    pub const fn admitted(&self) -> &AdmittedAttempt {
        &self.admitted
    }

    /// Returns the number of wrong guesses since the last right one, this one included. They are
    /// those of the client if it is known, and those of all unknown clients if it is not. For an
    /// admission, it is the number of tries that are used up.
    #[must_use]
    pub const fn streak(&self) -> u16 {
        self.streak
    }

    /// Returns the refusal that the client would get if it guessed again immediately, or `None` if
    /// that guess would be checked.
    #[must_use]
    pub const fn next(&self) -> Option<&Refusal> {
        self.next.as_ref()
    }

    /// Returns the end of the client's present wait or pause, if there is one that ends with time.
    #[must_use]
    pub fn paused_until(&self) -> Option<UnixSeconds> {
        let next = self.next.as_ref().filter(|next| !next.locked)?;
        Some(self.at.plus(next.retry_after))
    }

    /// Whether the client is now locked out until somebody acts.
    #[must_use]
    pub fn locked(&self) -> bool {
        self.next.as_ref().is_some_and(Refusal::is_locked)
    }
}

/// A guess that the host is to judge. Keep it until the verdict, for
/// [`settle_wrong`](super::GuessLedger::settle_wrong) or
/// [`settle_right`](super::GuessLedger::settle_right).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a guess that is not settled is charged after a while"]
pub struct PendingGuess {
    pub(super) admitted: AdmittedAttempt,
    pub(super) id: [u8; 8],
}

impl PendingGuess {
    /// Returns the attempt for which the guess counts.
    #[must_use]
    pub const fn admitted(&self) -> &AdmittedAttempt {
        &self.admitted
    }

    /// Returns the id under which the guess is stored.
    #[must_use]
    pub const fn id(&self) -> [u8; 8] {
        self.id
    }
}

/// Whether a client was admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a client may not have been admitted"]
#[expect(clippy::exhaustive_enums, reason = "a decision has two sides")]
pub enum ClientAdmission {
    /// The client's next guesses are checked, whatever others have done.
    Admitted {
        /// The end of the admission.
        until: UnixSeconds,
    },
    /// The account has used up its admissions for now.
    TooMany {
        /// The whole seconds, at least 1, after which an admission is available again.
        retry_after: u64,
    },
}

/// What a mail to a locked-out owner reports about the wrong guesses of the unknown clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockoutSummary {
    /// The number of wrong guesses since the last right one.
    pub wrong_guesses: u16,
    /// When the first of them was made.
    pub since: UnixSeconds,
}

/// A kind of denial that gets at most one event an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DenialKind {
    /// A wrong guess.
    Wrong,
    /// A code that was used before.
    Replayed,
}

/// Whether a denial gets an event of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a denial must be reported or stored"]
#[expect(clippy::exhaustive_enums, reason = "a decision has two sides")]
pub enum DenialReport {
    /// Write an event.
    Now {
        /// The denials of the same kind since the previous event, which were only counted. If there
        /// are any, first write one event for all of them.
        earlier: u32,
    },
    /// The denial was counted. There is no event to write, but the ledger has changed and has to be
    /// stored.
    Counted,
}

/// Denials that were counted but have not been reported in an event yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnreportedDenials {
    /// The name of the secret.
    pub secret: SecretName,
    /// The kind of denial.
    pub what: DenialKind,
    /// How many denials there were.
    pub times: u32,
}

/// The ticket of a mailed link, as it is stored.
#[derive(Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Ticket(pub(super) [u8; 16]);

crate::redacted_debug!(Ticket);
