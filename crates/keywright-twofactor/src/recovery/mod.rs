//! Recovery codes: each works once, and they come in sets.
//!
//! Free functions over a draft, for [`TwoFactorSteps`](crate::TwoFactorSteps) and for steps of a host's own; under them
//! [`CodeSet`], the pure state. They check a code; they never send one, and never show one twice.
//!
//! ```
//! use keywright_core::{SystemEntropy, UnixSeconds};
//! use keywright_twofactor::recovery::{CodeSet, Matched, Preset};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (mut set, codes) = CodeSet::make(&SystemEntropy, Preset::Default, UnixSeconds::EPOCH)?;
//! let typed = codes.iter().next().map(str::to_lowercase).unwrap_or_default(); // XXXXXX-XXXXXX-XXXXXX
//! if let Matched::Unused(code) = set.judge(&typed)? {
//!     set.spend(code);
//! }
//! assert_eq!(set.remaining(), 9);
//! assert_eq!(set.judge(&typed)?, Matched::Used);
//! # Ok(())
//! # }
//! ```
//!
//! # A set
//! Kept as one random key and an HMAC-SHA-256 per code, inside the sealed record (`security.md` § 5). A guess is hashed
//! once and compared with all, the used ones too, so that a replay is told from a wrong guess in the log. A replay and a
//! malformed code are not charged; a wrong one is, at the door [`Door::Recovery`], which waits but never locks where a
//! code has 64 bits or more.
//!
//! # Going live
//! A set made with [`Liveness::OnAcknowledgement`] waits until [`acknowledge`], ten minutes by default
//! ([`PENDING_SECONDS`](crate::policy::PENDING_SECONDS), as an enrolment waits); the one before works until then. A newer
//! one takes its place. It is void after a change of password, challenge or factors (a device that is added counts, so
//! make codes after it), after a restore, and while the clock stands before the moment it was made.
//!
//! # What a thief gets
//! From a dump nothing. From a dump and the keyring, one of ten default codes for 2⁷⁶·⁷ hashes; a Rocket.Chat code falls
//! **in about two hours** at 10¹⁰ hashes a second, so prefer another preset wherever the wire allows one.
//!
//! # After a restore
//! Used codes return with an old backup. They are taken, and each use of a set older than the keyring's fence is told by
//! [`EventKind::RecoveryCodesStale`]: the owner should make new ones, however many are left.

mod code;
mod error;
mod set;
mod state;

use keywright_core::{DeviceTag, Door, EventKind, LedgerPolicy, Refusal, Strength};
use keywright_store::guess::{self, Guess, Guesser, Look};
use keywright_store::{Draft, Slot, StepError, Tentative};
use serde::{Deserialize, Serialize};

use self::code::Canonical;
use self::state::{Pending, Recovery};
use crate::{Denial, Method, Proven, Verdict};

pub use self::error::ImportError;
pub use self::set::{CodeSet, Matched, RecoveryCodes, Spend};

/// Codes of one set, at most: what an import may bring. The presets make 1, 10 and 12.
pub const MAX_CODES: usize = 32;

/// Unused codes from which on each use asks the owner to make new ones (`security.md` § 5: the last three).
pub const LOW: u8 = 3;

/// The kind of a set's codes.
// Stored by its place: a new one goes to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Preset {
    /// Ten of 80 bits with two check symbols: `XXXXXX-XXXXXX-XXXXXX`. Typed in either case, with any spaces and hyphens;
    /// I and L count as 1, O as 0. The check catches every wrong symbol and every swap of two, so a slip of the finger is
    /// malformed, not a wrong guess.
    #[default]
    Default,
    /// Ten of 115 bits, above the 112 of NIST SP 800-63B-4 § 3.1.2.2 that need no slow hash:
    /// `XXXXX-XXXXX-XXXXX-XXXXX-XXXXX`, typed as forgivingly.
    Nist,
    /// Twelve of eight symbols out of 55, as Rocket.Chat's clients know them. 46 bits, so the door locks. Compared
    /// exactly, no check: any eight ASCII letters and digits are a guess.
    RocketChat,
    /// One random UUID, lower case with hyphens, as LibrePass clients know it. 122 bits. Compared exactly.
    LibrePass,
}

impl Preset {
    /// Random bits of one code, rounded down.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Default => 80,
            Self::Nist => 115,
            // log₂ 55⁸ = 46.25.
            Self::RocketChat => 46,
            Self::LibrePass => 122,
        }
    }

    /// Whether the door can lock.
    #[must_use]
    pub const fn strength(self) -> Strength {
        Strength::of_random_bits(self.bits())
    }

    /// Codes of a set.
    #[must_use]
    pub const fn count(self) -> u8 {
        match self {
            Self::Default | Self::Nist => 10,
            Self::RocketChat => 12,
            Self::LibrePass => 1,
        }
    }

    /// Whether a text has the form of such a code: spaces, case and check as [`verify`] takes them. Tells nothing of any
    /// account; for wires that tell codes of several kinds apart by their form.
    #[must_use]
    pub fn is_form_of(self, typed: &str) -> bool {
        Canonical::parse(self, typed).is_some()
    }
}

/// When a new set takes the place of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a set is live or waits for the owner's word; there is no third")]
pub enum Liveness {
    /// In the commit that shows it: for wires without an acknowledgement (`decisions.md` 23).
    Now,
    /// When the owner says that it is kept: see [`acknowledge`].
    OnAcknowledgement,
}

/// Makes a set and gives its codes, to be shown once. The caller has asked for a fresh step-up. `pending_seconds` is how
/// long a set waits to be acknowledged; [`PENDING_SECONDS`](crate::policy::PENDING_SECONDS) by default.
///
/// # Errors
/// [`StepError`]: nothing was made.
pub fn make(
    draft: &mut Draft<'_>,
    preset: Preset,
    liveness: Liveness,
    pending_seconds: u64,
) -> Result<Tentative<RecoveryCodes>, StepError> {
    let mut recovery = Recovery::read(draft)?;
    let (set, codes) = CodeSet::make(draft.entropy(), preset, draft.now())?;
    draft.event(EventKind::RecoveryCodesMade);
    match liveness {
        Liveness::Now => go_live(draft, set)?,
        Liveness::OnAcknowledgement => {
            let (epochs, expires) = (draft.root()?.epochs(), set.made.plus(pending_seconds));
            recovery.pending = Some(Pending { set, epochs, expires });
            recovery.put(draft)?;
        }
    }
    Ok(draft.tentative(codes))
}

/// The owner has kept the codes: the pending set goes live, the one before is void. False if none waits, or if what waits
/// is void or waited too long; then the one before stays live.
///
/// # Errors
/// [`StepError`]: the set still waits.
pub fn acknowledge(draft: &mut Draft<'_>) -> Result<bool, StepError> {
    let Some(pending) = Recovery::read(draft)?.pending else { return Ok(false) };
    if !pending.holds(draft)? {
        return Ok(false);
    }
    go_live(draft, pending.set)?;
    Ok(true)
}

/// Takes over codes that were made elsewhere, all unused, live at once; they replace what the account has.
///
/// # Errors
/// [`ImportError`]: nothing was taken over.
pub fn import(draft: &mut Draft<'_>, preset: Preset, codes: &[&str]) -> Result<(), ImportError> {
    let set = CodeSet::import(draft.entropy(), preset, draft.now(), codes)?;
    Ok(go_live(draft, set)?)
}

/// The same, from the form in which Rocket.Chat stores its codes: lower-case hex SHA-256 each. For a host that moves its
/// accounts here.
///
/// # Errors
/// [`ImportError`]: nothing was taken over.
pub fn import_digests(draft: &mut Draft<'_>, digests: &[&str]) -> Result<(), ImportError> {
    let set = CodeSet::import_digests(draft.entropy(), draft.now(), digests)?;
    Ok(go_live(draft, set)?)
}

/// Judges a code, and spends it if it is right. A wait or a lock is said before the code is compared; a text that is no
/// code of the live set's kind is [`Verdict::Malformed`] at any time, and an account without a live set is
/// [`Verdict::NotEnrolled`]: neither writes anything.
///
/// # Errors
/// [`StepError`]; the caller denies. Nothing is charged and nothing spent.
pub fn verify(
    draft: &mut Draft<'_>,
    policy: &LedgerPolicy,
    code: &str,
    purpose: &str,
    tag: Option<DeviceTag>,
) -> Result<Verdict<Tentative<Proven>>, StepError> {
    let account = draft.partition().as_account().ok_or(StepError::Misuse("recovery codes belong to an account"))?;
    let mut recovery = Recovery::read(draft)?;
    let Some(live) = &mut recovery.live else { return Ok(Verdict::NotEnrolled) };
    let Some(typed) = Canonical::parse(live.preset(), code) else { return Ok(Verdict::Malformed) };
    let guesser = guesser(live.preset(), tag);
    let guess = guess::check(draft, policy, &guesser, |_| {
        Ok(match live.look(&typed)? {
            Matched::Unused(code) => Look::Right(code),
            Matched::Used => Look::Replayed,
            Matched::Wrong | Matched::Malformed => Look::Wrong,
        })
    })?;
    let spend = match guess {
        Guess::Right(spend) => spend,
        Guess::Wrong(charge) => return Ok(Verdict::Denied(Denial { charge: Some(charge) })),
        Guess::Replayed => return Ok(Verdict::Denied(Denial { charge: None })),
        Guess::Refused(refusal) => return Ok(Verdict::Refused(refusal)),
    };
    live.spend(spend);
    let (remaining, made) = (live.remaining(), live.made);
    recovery.put(draft)?;
    draft.event(EventKind::RecoveryCodeUsed { remaining });
    if remaining == 0 {
        draft.event(EventKind::RecoveryCodesExhausted);
    } else if remaining <= LOW {
        draft.event(EventKind::RecoveryCodesLow { remaining });
    }
    if made < draft.keyring().fence() {
        draft.event(EventKind::RecoveryCodesStale { remaining });
    }
    Ok(Verdict::Granted(draft.tentative(Proven::new(account, Method::Recovery, purpose.into()))))
}

/// What a code would be refused with now, unseen; `None` also if the account has no live set.
///
/// # Errors
/// [`StepError`]; the caller denies.
pub fn refusal(
    draft: &mut Draft<'_>,
    policy: &LedgerPolicy,
    tag: Option<DeviceTag>,
) -> Result<Option<Refusal>, StepError> {
    match Recovery::read(draft)?.live {
        Some(live) => guess::refusal(draft, policy, &guesser(live.preset(), tag)),
        None => Ok(None),
    }
}

/// What every code is refused with now, to be answered before one is looked at; `None` also if the account has no live
/// set. Unlike [`refusal`] it begins a wait anew, once, after the clock went back.
///
/// # Errors
/// [`StepError`]; the caller denies.
pub fn refused(
    draft: &mut Draft<'_>,
    policy: &LedgerPolicy,
    tag: Option<DeviceTag>,
) -> Result<Option<Refusal>, StepError> {
    match Recovery::read(draft)?.live {
        Some(live) => guess::refused(draft, policy, &guesser(live.preset(), tag)),
        None => Ok(None),
    }
}

/// Unused codes of the live set; `None` without one.
///
/// # Errors
/// [`StepError`]: the record does not open.
pub fn remaining(draft: &mut Draft<'_>) -> Result<Option<u8>, StepError> {
    Ok(Recovery::read(draft)?.live.map(|live| live.remaining()))
}

/// The kind of the live set's codes; `None` without one.
pub(crate) fn preset(draft: &mut Draft<'_>) -> Result<Option<Preset>, StepError> {
    Ok(Recovery::read(draft)?.live.map(|live| live.preset()))
}

/// Removes the live set and what waits, and with the set what was guessed at it. Gives whether there was anything.
///
/// # Errors
/// [`StepError`]: nothing was removed.
pub fn remove(draft: &mut Draft<'_>) -> Result<bool, StepError> {
    let recovery = Recovery::read(draft)?;
    if recovery.is_empty() {
        return Ok(false);
    }
    if recovery.live.is_some() {
        guess::retire(draft, Door::Recovery)?;
    }
    draft.delete(Slot::Recovery)?;
    move_epoch(draft)?;
    draft.event(EventKind::RecoveryCodesRemoved);
    Ok(true)
}

/// The set takes the place of all the account has. What was guessed was another's codes: a lock that outlived them would
/// shut out who holds the new ones.
fn go_live(draft: &mut Draft<'_>, set: CodeSet) -> Result<(), StepError> {
    guess::retire(draft, Door::Recovery)?;
    Recovery { live: Some(set), pending: None }.put(draft)?;
    move_epoch(draft)?;
    draft.event(EventKind::RecoveryCodesLive);
    Ok(())
}

fn move_epoch(draft: &mut Draft<'_>) -> Result<(), StepError> {
    let mut root = draft.root()?;
    root.move_factor_epoch();
    draft.put_root(&root)
}

const fn guesser(preset: Preset, tag: Option<DeviceTag>) -> Guesser {
    Guesser { door: Door::Recovery, strength: preset.strength(), tag, passes_as: tag }
}
