//! Looking at a guess: admit, look, charge or forgive, in one draft. Every domain crate that checks a secret goes through
//! here, so no door is charged in two ways.

use keywright_core::{
    Admission, Charge, DeviceTag, Door, EventKind, GuessLedger, LedgerPolicy, Reason, Refusal, Strength,
};

use crate::{Draft, Slot, StepError};

/// Who guesses at what.
#[derive(Debug, Clone, Copy)]
pub struct Guesser {
    /// The secret.
    pub door: Door,
    /// Whether its size alone defends it.
    pub strength: Strength,
    /// The credential the caller came with (an app token, a login token): a known device if it passed this door before.
    /// `None` for a stranger.
    pub tag: Option<DeviceTag>,
    /// The credential that becomes known at this door if the guess is right: [`tag`](Self::tag), as a rule, or the name
    /// that it has in the epoch which the step moves to.
    pub passes_as: Option<DeviceTag>,
}

/// What a look at a guess found.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the three ways a guess ends; a new one must be handled by every caller")]
pub enum Look<T> {
    /// It is right.
    Right(T),
    /// It is wrong: charged.
    Wrong,
    /// It matches something already spent: denied, not charged; an event of its own, one in
    /// [`REPLAY_NOTE_SECONDS`](keywright_core::ledger::REPLAY_NOTE_SECONDS) for a door.
    Replayed,
}

/// How a guess ended.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the four ways a guess ends; a new one must be handled by every caller")]
pub enum Guess<T> {
    /// It was right; the caller's lane is forgiven.
    Right(T),
    /// It was wrong and is charged.
    Wrong(Charge),
    /// It was spent before; not charged.
    Replayed,
    /// It was not looked at.
    Refused(Refusal),
}

/// Looks at a guess if the ledger admits it, and books the verdict. `look` must compare in constant time and change
/// nothing unless it says [`Look::Right`].
///
/// # Errors
/// [`StepError`]: nothing is charged.
pub fn check<'a, T>(
    draft: &mut Draft<'a>,
    policy: &LedgerPolicy,
    guesser: &Guesser,
    look: impl FnOnce(&mut Draft<'a>) -> Result<Look<T>, StepError>,
) -> Result<Guess<T>, StepError> {
    let (mut ledger, admission) = admit(draft, policy, guesser)?;
    let lane = match admission {
        Admission::Open(lane) => lane,
        Admission::Refused(refusal) => return Ok(Guess::Refused(refusal)),
    };
    match look(draft)? {
        Look::Right(value) => {
            if ledger.forgive(policy, &lane, guesser.passes_as) {
                draft.put(Slot::Ledger, &ledger, None)?;
            }
            Ok(Guess::Right(value))
        }
        Look::Wrong => {
            let charge = ledger.charge(policy, &lane, draft.now());
            draft.put(Slot::Ledger, &ledger, None)?;
            draft.event(EventKind::GuessDenied { door: guesser.door, reason: Reason::Wrong });
            charge.event().into_iter().for_each(|event| draft.event(event));
            Ok(Guess::Wrong(charge))
        }
        Look::Replayed => {
            // Told once a minute: a replay costs its sender nothing, so a flood of them must cost us nothing.
            if ledger.note_replay(guesser.door, draft.now()) {
                draft.put(Slot::Ledger, &ledger, None)?;
                draft.event(EventKind::GuessDenied { door: guesser.door, reason: Reason::Replayed });
            }
            Ok(Guess::Replayed)
        }
    }
}

/// Charges a guess that the **host** will judge, before it is asked: a first commit, so that parallel guesses cannot
/// outrun the limit. Give it back with [`give_back`] if it was right.
///
/// # Errors
/// [`StepError`]: nothing is charged.
pub fn charge_first(
    draft: &mut Draft<'_>,
    policy: &LedgerPolicy,
    guesser: &Guesser,
) -> Result<Result<Charge, Refusal>, StepError> {
    let (mut ledger, admission) = admit(draft, policy, guesser)?;
    match admission {
        Admission::Refused(refusal) => Ok(Err(refusal)),
        Admission::Open(lane) => {
            let charge = ledger.charge(policy, &lane, draft.now());
            draft.put(Slot::Ledger, &ledger, None)?;
            // A wait or a lock is told with the charge that begins it: a caller who is gone before the host has judged
            // must not shut a door unseen.
            charge.event().into_iter().for_each(|event| draft.event(event));
            Ok(Ok(charge))
        }
    }
}

/// Notes that the host found a guess wrong that was charged before.
pub fn confirm_charge(draft: &mut Draft<'_>, charge: &Charge) {
    draft.event(EventKind::GuessDenied { door: charge.lane().door(), reason: Reason::Wrong });
}

/// Gives a charge back: the host found the guess right. In the commit that grants.
///
/// # Errors
/// [`StepError`]: nothing is given back.
pub fn give_back(
    draft: &mut Draft<'_>,
    policy: &LedgerPolicy,
    charge: &Charge,
    tag: Option<DeviceTag>,
) -> Result<(), StepError> {
    let mut ledger = draft.read::<GuessLedger>(Slot::Ledger)?.unwrap_or_default();
    if ledger.give_back(policy, charge, tag) {
        draft.put(Slot::Ledger, &ledger, None)?;
    }
    Ok(())
}

/// What a guess would be refused with now, without looking at one and without any change. If [`Refusal::changed`] says
/// so, the clock went back and the wait must begin anew: do not answer by this look, judge a guess as ever.
///
/// # Errors
/// [`StepError`]; the caller denies.
pub fn refusal(draft: &mut Draft<'_>, policy: &LedgerPolicy, guesser: &Guesser) -> Result<Option<Refusal>, StepError> {
    let mut ledger = draft.read::<GuessLedger>(Slot::Ledger)?.unwrap_or_default();
    Ok(match ledger.admit(policy, guesser.door, guesser.strength, guesser.tag, draft.now()) {
        Admission::Open(_) => None,
        Admission::Refused(refusal) => Some(refusal),
    })
}

/// What every guess is refused with now, to be answered before one is looked at. Unlike [`refusal`], this begins a wait
/// anew, once, after the clock went back: answered by a mere look, it would begin anew at every look and never end.
///
/// # Errors
/// [`StepError`]; the caller denies.
pub fn refused(draft: &mut Draft<'_>, policy: &LedgerPolicy, guesser: &Guesser) -> Result<Option<Refusal>, StepError> {
    Ok(match admit(draft, policy, guesser)?.1 {
        Admission::Open(_) => None,
        Admission::Refused(refusal) => Some(refusal),
    })
}

/// Lifts waits and lock of a door. Only by an explicit act that the caller has proven: see
/// [`GuessLedger::unlock`](keywright_core::GuessLedger::unlock). Gives whether there was anything to lift.
///
/// # Errors
/// [`StepError`]: nothing is lifted.
pub fn unlock(draft: &mut Draft<'_>, door: Door) -> Result<bool, StepError> {
    let mut ledger = draft.read::<GuessLedger>(Slot::Ledger)?.unwrap_or_default();
    let lifted = ledger.unlock(door);
    if lifted {
        draft.put(Slot::Ledger, &ledger, None)?;
        draft.event(EventKind::DoorUnlocked { door });
    }
    Ok(lifted)
}

/// Empties a door's entry, because its secret is gone by a proven reset.
///
/// # Errors
/// [`StepError`]: nothing is emptied.
pub fn clear(draft: &mut Draft<'_>, door: Door) -> Result<(), StepError> {
    let mut ledger = draft.read::<GuessLedger>(Slot::Ledger)?.unwrap_or_default();
    if ledger.clear(door) {
        draft.put(Slot::Ledger, &ledger, None)?;
    }
    Ok(())
}

/// The same for a secret that is removed or replaced by one that nobody has guessed at: told, if there was a wait, a load or
/// a lock to lift. A lock that outlived its secret would shut out the owner of the next one. Only after an act that was
/// proven: guesses at a new secret begin at none.
///
/// # Errors
/// [`StepError`]: nothing is emptied.
pub fn retire(draft: &mut Draft<'_>, door: Door) -> Result<(), StepError> {
    unlock(draft, door)?;
    clear(draft, door)
}

fn admit(
    draft: &mut Draft<'_>,
    policy: &LedgerPolicy,
    guesser: &Guesser,
) -> Result<(GuessLedger, Admission), StepError> {
    let mut ledger = draft.read::<GuessLedger>(Slot::Ledger)?.unwrap_or_default();
    let admission = ledger.admit(policy, guesser.door, guesser.strength, guesser.tag, draft.now());
    if let Admission::Refused(refusal) = &admission
        && refusal.changed()
    {
        // The clock went back and the wait begins anew, once. Every other refusal writes nothing.
        draft.put(Slot::Ledger, &ledger, None)?;
    }
    Ok((ledger, admission))
}
