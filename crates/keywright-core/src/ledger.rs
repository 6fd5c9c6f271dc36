//! The guess ledger: how many wrong guesses a secret survives, from anywhere, in any order, under any clock.
//!
//! One [`GuessLedger`] per account, one entry per [`Door`]. A door is named for the secret, not for the endpoint, so
//! every endpoint that looks at a secret charges the same entry. The ledger is a pure machine: it stores nothing, reads
//! no clock and draws nothing. Keep it in the account's sealed record and commit it with the verdict it belongs to.
//!
//! ```
//! use keywright_core::{Admission, DeviceTag, Door, GuessLedger, LedgerPolicy, Strength, UnixSeconds};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = LedgerPolicy::default();
//! let mut ledger = GuessLedger::default();
//! let now = UnixSeconds::new(1_700_000_000)?;
//! let phone = DeviceTag::from_bytes([7; 16]);
//!
//! // The owner passes the door once: her phone is known there.
//! if let Admission::Open(lane) = ledger.admit(&policy, Door::Totp, Strength::Guessable, Some(phone), now) {
//!     ledger.forgive(&policy, &lane, Some(phone));
//! }
//!
//! // A stranger guesses. Five tries are free, then the door is shut to strangers for 30 seconds.
//! let mut looked_at = 0;
//! let refusal = loop {
//!     match ledger.admit(&policy, Door::Totp, Strength::Guessable, None, now) {
//!         Admission::Open(lane) => {
//!             looked_at += 1;
//!             ledger.charge(&policy, &lane, now); // the guess was wrong
//!         }
//!         Admission::Refused(refusal) => break refusal, // the guess is not looked at
//!     }
//! };
//! assert_eq!((looked_at, refusal.retry_after(), refusal.is_locked()), (5, 30, false));
//!
//! // The phone is not held up.
//! assert!(ledger.peek(&policy, Door::Totp, Strength::Guessable, Some(phone), now).is_none());
//! # Ok(())
//! # }
//! ```
//!
//! # The rules (`security.md` § 6)
//! - A caller is a **stranger** or one of at most five **known devices**: a credential that passed this very door
//!   before. All strangers share one lane; each known device has its own.
//! - A wrong guess adds one to its lane's streak and one to the door's load, and from the fifth on begins a wait: 30 s,
//!   1, 2, 4, 8, 16, 32 min, then 1 h each time. A right guess clears its own lane, not the load, not other lanes.
//! - The load leaks one a day. Strangers are refused at a load of 50, known devices at 100.
//! - Strangers are **locked** at a streak of 50; a device is forgotten at 10 and is a stranger then. 50 + 5 × 10 = 100
//!   is NIST's ceiling of consecutive failures (SP 800-63B-4 § 3.2.2). It is counted, not timed: no clock lifts it.
//! - So a door has at most 100 + 1 a day wrong guesses looked at, 465 in its first year, whatever the owner does between.
//! - A secret of 64 random bits or more ([`Strength::Unguessable`]) waits but is never locked and has no load limit.
//! - Every refusal has its way out: a wait and a load end after [`Refusal::retry_after`]; a lock ends by
//!   [`GuessLedger::unlock`], an explicit act that the caller must have proven.
//!
//! # Where the guess is checked
//! A secret of ours: admit, compare, then `charge` or `forgive`, all in one commit. A secret that the host checks
//! slowly: admit and [`charge`](GuessLedger::charge) in a first commit, ask the host, and on success
//! [`give_back`](GuessLedger::give_back) in a second. A fault in between costs the attempt, never the ceiling.
//!
//! # The clock (`security.md` § 12)
//! Back: a wait that is now further away than its own length begins once more at the present moment; a load does not leak
//! until the clock is past where it stood. Forward: waits and loads pass, the counted ceilings stay. No day leaks twice.

mod entry;
mod outcome;
pub mod policy;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use core::fmt;

use serde::{Deserialize, Serialize};

use self::entry::{Entry, StoredLedger};
pub use self::outcome::{Admission, Charge, Lane, Refusal};
pub use self::policy::{GuessOdds, LedgerPolicy, LedgerPolicyBuilder, LedgerPolicyError};
use crate::UnixSeconds;

/// A door's replays are told at most once in so many seconds. Ours: often enough for a log, seldom enough for a flood.
pub const REPLAY_NOTE_SECONDS: u64 = 60;

/// The secret that guesses are charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Door {
    /// The PWDv1r1 secret.
    Challenge,
    /// The host's login password.
    LoginPassword,
    /// The LibrePass shared key.
    SharedKey,
    /// All TOTP devices of the account together.
    Totp,
    /// Recovery codes.
    Recovery,
    /// Mailed codes.
    Mailed,
}

/// How hard the secret behind a door is to guess: decides whether the door can lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strength {
    /// Chosen by a person, or fewer than 64 random bits: the full ledger.
    Guessable,
    /// At least 64 random bits. Waits, but no lock and no load limit: it is the way out when other doors are shut, and
    /// its length is its protection (one guess an hour for a century finds one of 2⁶⁴ with 2⁻⁴⁴).
    Unguessable,
}

impl Strength {
    /// The strength of a secret of `bits` bits, drawn uniformly by a secure generator. What a person chose is
    /// [`Self::Guessable`] at any length, and so is what was derived from it.
    #[must_use]
    pub const fn of_random_bits(bits: u32) -> Self {
        if bits >= policy::NEVER_LOCKS_BITS { Self::Unguessable } else { Self::Guessable }
    }
}

/// Names a credential that passed a door: an app token, a login token, a session; for wires without one, by policy, the
/// client's address.
///
/// The index HMAC of the credential **and the present epoch**, cut to 16 bytes, so that a credential from before a
/// change is a stranger. Not a secret, but no look-up of the credential either.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeviceTag([u8; 16]);

impl DeviceTag {
    /// Takes 16 bytes of an HMAC.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Debug for DeviceTag {
    /// The first four bytes: enough to tell devices apart in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "DeviceTag({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

/// The wrong guesses of one account, door by door. Small (about 140 bytes for a full door), made to be stored whole.
///
/// Its stored form is hostile input: more than five devices at a door, a device or a door named twice, doors out of
/// order or a time beyond the year 9999 are errors of the decoder. Any numbers inside those bounds are safe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredLedger")]
pub struct GuessLedger {
    #[serde(serialize_with = "entry::in_order")]
    doors: BTreeMap<Door, Entry>,
}

impl GuessLedger {
    /// Asks whether a guess at `door` may be looked at, **before** looking at it. `tag` names the caller's credential;
    /// without one, or with one that never passed this door, the caller is a stranger.
    ///
    /// Opening changes nothing. Nor does a refusal, with one exception: after the clock went back, the wait begins once
    /// more at `now`. [`Refusal::changed`] says so; only then is there something to store.
    pub fn admit(
        &mut self,
        policy: &LedgerPolicy,
        door: Door,
        strength: Strength,
        tag: Option<DeviceTag>,
        now: UnixSeconds,
    ) -> Admission {
        let mut lane = Lane { door, strength, tag, known: false };
        let Some(entry) = self.doors.get_mut(&door) else {
            return Admission::Open(lane);
        };
        lane.known = entry.is_known(policy, tag);
        match entry.refusal(policy, strength, tag, now) {
            None => Admission::Open(lane),
            Some(mut refusal) => {
                refusal.changed = !refusal.locked && entry.reanchor(policy, tag, now);
                Admission::Refused(refusal)
            }
        }
    }

    /// What [`admit`](Self::admit) would refuse with at this moment, without any change: for an endpoint that tells of a
    /// wait but takes no guess.
    #[must_use]
    pub fn peek(
        &self,
        policy: &LedgerPolicy,
        door: Door,
        strength: Strength,
        tag: Option<DeviceTag>,
        now: UnixSeconds,
    ) -> Option<Refusal> {
        self.doors.get(&door)?.refusal(policy, strength, tag, now)
    }

    /// Counts a wrong guess, or one that the host has yet to judge: streak + 1, load + 1, the wait begins at `now`.
    ///
    /// Not for malformed input, replays, the *new* secret of a change or an enrolling code: those are not guesses.
    /// `lane` is what [`admit`](Self::admit) opened in this same step.
    pub fn charge(&mut self, policy: &LedgerPolicy, lane: &Lane, now: UnixSeconds) -> Charge {
        let entry = self.doors.entry(lane.door).or_default();
        let (known, streak, forgotten) = entry.charge(policy, lane.tag, now);
        Charge {
            lane: Lane { known, ..*lane },
            streak,
            forgotten,
            at: now,
            unlocks: entry.unlocks,
            next: entry.refusal(policy, lane.strength, lane.tag, now),
        }
    }

    /// Books a right guess: the lane's own streak and wait are cleared, `passed` becomes known (the device that passed
    /// longest ago makes room), the load stays. True if there is something to store.
    ///
    /// `passed` is the tag of the credential that will knock next time: [`Lane::tag`], as a rule, or that of the session
    /// or token issued now. `None` makes nobody known.
    ///
    /// Devices are ordered by their last right guess, not by a clock and not by wrong guesses. So who lacks the secret can
    /// neither make a device known, nor push the owner's out, nor keep a stolen one from growing old.
    pub fn forgive(&mut self, policy: &LedgerPolicy, lane: &Lane, passed: Option<DeviceTag>) -> bool {
        self.update(lane.door, |entry| entry.forgive(policy, lane, passed))
    }

    /// Undoes a [`charge`](Self::charge) that turned out to be for a right guess, and [forgives](Self::forgive): the load
    /// too is as if the charge had never been, and a device that the charge made forgotten is known again. Guesses
    /// charged in between stay on the load. True if there is something to store.
    ///
    /// Call it once for a charge, in the commit that grants. After an [`unlock`](Self::unlock) or
    /// [`clear`](Self::clear) in between, the charge is gone already and no other one is taken off in its place.
    pub fn give_back(&mut self, policy: &LedgerPolicy, charge: &Charge, passed: Option<DeviceTag>) -> bool {
        self.update(charge.lane.door, |entry| {
            if entry.unlocks == charge.unlocks {
                entry.load.level = entry.load.level.saturating_sub(1);
            }
            entry.forgive(policy, &charge.lane, passed);
        })
    }

    /// Whether a replay at `door` is to be told now: one in [`REPLAY_NOTE_SECONDS`], so that who repeats a used code, which
    /// is never charged, neither fills the log nor keeps the account's record busy. True if there is something to store.
    pub fn note_replay(&mut self, door: Door, now: UnixSeconds) -> bool {
        self.update(door, |entry| entry.note_replay(now))
    }

    /// Clears the streaks, waits and load of a door; known devices stay known. True if there was anything to clear: then
    /// it is an event ([`EventKind::DoorUnlocked`](crate::EventKind::DoorUnlocked)).
    ///
    /// Only by an explicit act: of the operator; of a session of the account with a fresh proof of the same or a
    /// stronger factor (NIST SP 800-63B-4 § 3.2.2); for [`Door::Totp`] also with a recovery code. Never by a mailed code
    /// for a factor.
    pub fn unlock(&mut self, door: Door) -> bool {
        self.doors.get_mut(&door).is_some_and(Entry::unlock)
    }

    /// Forgets a door, its devices too: its secret was replaced by a proven reset. True if there was anything to forget.
    ///
    /// Not for a code that was merely sent anew: that must not refill the tries (NIST SP 800-63B-4 § 3.1.3.2).
    pub fn clear(&mut self, door: Door) -> bool {
        self.doors.get_mut(&door).is_some_and(Entry::clear)
    }

    /// Changes a door's entry; one that would say nothing is not made.
    fn update(&mut self, door: Door, change: impl FnOnce(&mut Entry)) -> bool {
        let before = self.doors.get(&door).cloned().unwrap_or_default();
        let mut after = before.clone();
        change(&mut after);
        if after == before {
            return false;
        }
        self.doors.insert(door, after);
        true
    }
}
