//! What the ledger answers.

use super::{DeviceTag, Door, Strength};
use crate::{EventKind, UnixSeconds};

/// Whether a guess may be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a guess that was not admitted must not be looked at"]
#[expect(
    clippy::exhaustive_enums,
    reason = "a decision has two sides; no caller should need a wildcard arm that admits"
)]
pub enum Admission {
    /// Look at the guess, then charge or forgive this lane.
    Open(Lane),
    /// Do not look at the guess.
    Refused(Refusal),
}

/// The caller's lane at a door, open for one guess. Only [`GuessLedger::admit`](super::GuessLedger::admit) makes it, so
/// nothing is charged or forgiven that was not admitted. It is no state: it is not stored, and a step that runs again
/// asks again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    pub(super) door: Door,
    pub(super) strength: Strength,
    pub(super) tag: Option<DeviceTag>,
    pub(super) known: bool,
}

impl Lane {
    /// The secret.
    #[must_use]
    pub const fn door(&self) -> Door {
        self.door
    }

    /// The caller's credential, as given to `admit`.
    #[must_use]
    pub const fn tag(&self) -> Option<DeviceTag> {
        self.tag
    }

    /// True for a known device, false for a stranger.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.known
    }
}

/// Why and until when a guess is not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub(super) retry_after: u64,
    pub(super) locked: bool,
    pub(super) changed: bool,
}

impl Refusal {
    /// Whole seconds, at least 1, for `Retry-After`.
    ///
    /// For a wait or a full load: exactly the time until this lane opens by itself, if nobody guesses meanwhile and the
    /// clock runs on. A lock has no such time; then it is the policy's longest wait, so that a client asks rarely.
    #[must_use]
    pub const fn retry_after(&self) -> u64 {
        self.retry_after
    }

    /// True if no time opens this lane, only [`GuessLedger::unlock`](super::GuessLedger::unlock).
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        self.locked
    }

    /// True if the clock went back and the wait was begun anew at the present moment: store the ledger. Otherwise a
    /// refusal has changed nothing and must write nothing, else a flood makes conflicts for the owner.
    #[must_use]
    pub const fn changed(&self) -> bool {
        self.changed
    }
}

/// A guess that was counted. Keep it until the host has judged the guess, for
/// [`GuessLedger::give_back`](super::GuessLedger::give_back).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    pub(super) lane: Lane,
    pub(super) streak: u16,
    pub(super) forgotten: bool,
    pub(super) at: UnixSeconds,
    /// Which of the door's lives it was charged to.
    pub(super) unlocks: u32,
    pub(super) next: Option<Refusal>,
}

impl Charge {
    /// The lane it was charged to.
    #[must_use]
    pub const fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Wrong guesses of this lane since its last right one, this one included. `5` is the "fifth charged failure" of the
    /// Nextcloud wire.
    #[must_use]
    pub const fn streak(&self) -> u16 {
        self.streak
    }

    /// What the caller meets if it guesses again at this very moment; `None`: the guess would be looked at.
    #[must_use]
    pub const fn next(&self) -> Option<&Refusal> {
        self.next.as_ref()
    }

    /// The end of the wait (or full load) that this charge began for its lane, if it began one.
    #[must_use]
    pub fn paused_until(&self) -> Option<UnixSeconds> {
        let next = self.next.as_ref().filter(|next| !next.locked && !self.forgotten)?;
        Some(self.at.plus(next.retry_after))
    }

    /// True if this charge locked the door to strangers.
    #[must_use]
    pub fn locked(&self) -> bool {
        !self.lane.known && self.next.as_ref().is_some_and(Refusal::is_locked)
    }

    /// True if this charge made a known device a stranger again.
    #[must_use]
    pub const fn forgotten(&self) -> bool {
        self.forgotten
    }

    /// The one event of the wait or lock that this charge began. Refusals during it have none.
    #[must_use]
    pub fn event(&self) -> Option<EventKind> {
        let door = self.lane.door;
        if self.locked() {
            return Some(EventKind::DoorLocked { door });
        }
        self.paused_until().map(|until| EventKind::DoorPaused { door, until })
    }
}
