//! The pure transitions of TOTP devices and of the e-mail method's switch. Recovery codes are in `recovery/`.

use alloc::string::String;

use keywright_core::{DeviceTag, EventKind, Refusal};
use keywright_store::guess::{self, Guess, Guesser, Look};
use keywright_store::{Draft, StepError, Tentative};

use crate::outcome::{Denial, Method, Proven, Verdict};
use crate::policy::{DOOR, ENROLMENT_TRIES, Once, STRENGTH, TwoFactorPolicy};
use crate::recovery;
use crate::state::{Factors, Pending, Sight, after_fence, is_name, purpose_digest, session_digest};
use crate::totp::code::{TotpVerifier, TypedCode};
use crate::totp::device::{Beginning, Confirming, DeviceId, Enrolled, Enrolling, PendingDevice};
use crate::totp::secret::TotpSecret;

pub(crate) fn enrolled(draft: &mut Draft<'_>) -> Result<Enrolled, StepError> {
    let factors = Factors::read(draft)?;
    let root = draft.root()?;
    let (now, fence, epochs) = (draft.now(), draft.keyring().fence(), root.epochs());
    Ok(Enrolled {
        devices: factors.devices.iter().map(crate::state::Device::info).collect(),
        pending: factors.pending.as_ref().is_some_and(|pending| pending.is_live(now, fence, epochs)),
        recovery: recovery::remaining(draft)?,
        recovery_form: recovery::preset(draft)?,
        email: factors.email,
    })
}

/// Begins the enrolment of a device with a secret of ours, in the place of one that was pending, whoever began that.
/// Nothing that is active changes.
pub(crate) fn begin(
    draft: &mut Draft<'_>,
    policy: &TwoFactorPolicy,
    session: &[u8],
    name: &str,
    replaces: Option<DeviceId>,
) -> Result<Beginning<Tentative<PendingDevice>>, StepError> {
    let session = session_digest(session)?;
    let mut factors = Factors::read(draft)?;
    if !is_name(name) {
        return Ok(Beginning::BadName);
    }
    match replaces {
        Some(id) if factors.device(id).is_none() => return Ok(Beginning::UnknownDevice),
        None if factors.devices.len() >= policy.devices => return Ok(Beginning::TooManyDevices),
        _ => {}
    }
    let secret = TotpSecret::random(draft.entropy())?;
    let (made, epochs, fence) = (draft.now(), draft.root()?.epochs(), draft.keyring().fence());
    // Told once for as long as one is pending: who begins over and over does not fill the log.
    let was_pending = factors.pending.as_ref().is_some_and(|pending| pending.is_live(made, fence, epochs));
    let expires = made.plus(policy.pending_seconds);
    let shown = PendingDevice { secret: secret.duplicate(), parameters: policy.parameters, expires };
    let parameters = policy.parameters;
    factors.pending =
        Some(Pending { name: name.into(), replaces, session, secret, parameters, made, expires, epochs, wrong: 0 });
    factors.put(draft)?;
    if !was_pending {
        draft.event(EventKind::FactorPending);
    }
    Ok(Beginning::Begun(draft.tentative(shown)))
}

/// Judges the enrolling code. Never charged; a right one spends its step. A session that did not begin the enrolment is
/// told that none is pending, and changes nothing.
pub(crate) fn confirm(
    draft: &mut Draft<'_>,
    policy: &TwoFactorPolicy,
    session: &[u8],
    code: &str,
) -> Result<Confirming, StepError> {
    let session = session_digest(session)?;
    let mut factors = Factors::read(draft)?;
    let (now, fence) = (draft.now(), draft.keyring().fence());
    let epochs = draft.root()?.epochs();
    let Some(mut pending) = factors.pending.take().filter(|pending| pending.is_of(&session)) else {
        return Ok(Confirming::NonePending);
    };
    if !pending.is_live(now, fence, epochs) {
        // Its secret is of no more use to anybody. Only the first attempt writes.
        factors.put(draft)?;
        return Ok(Confirming::NonePending);
    }
    let parameters = pending.parameters;
    let Some(typed) = TypedCode::parse(code).filter(|typed| typed.digits() == parameters.digits()) else {
        return Ok(Confirming::Malformed);
    };
    let next = after_fence(&parameters, fence);
    let codes = TotpVerifier::by_totp_rs(&pending.secret, parameters);
    let found = codes.judge(&typed, parameters.step_at(now), policy.enrolment_window, next);
    if !bool::from(found.fresh) {
        // Who enrols was shown the secret and needs no guesses: few are enough.
        pending.wrong = pending.wrong.saturating_add(1);
        factors.pending = Some(pending).filter(|pending| pending.wrong < ENROLMENT_TRIES);
        factors.put(draft)?;
        return Ok(Confirming::Wrong);
    }
    let replaced = pending.replaces.is_some_and(|id| factors.remove(id));
    if factors.devices.len() >= policy.devices {
        return Ok(Confirming::TooManyDevices);
    }
    if factors.devices.is_empty() {
        guess::retire(draft, DOOR)?;
    }
    // The code may be shown by other devices too (an imported twin): spent is spent, within the same wider window.
    let window = policy.enrolment_window;
    let sight = Sight { now, fence, window, once: Once::Account, purpose: purpose_digest("") };
    let seen = factors.look(&typed, &sight);
    factors.advance(&seen, &sight);
    let id = factors.new_id(draft)?;
    factors.add(id, pending.name, pending.secret, parameters, now, found.after);
    factors.put(draft)?;
    move_epoch(draft)?;
    draft.event(if replaced { EventKind::FactorReplaced } else { EventKind::FactorAdded });
    Ok(Confirming::Active(id))
}

/// Adds an active device with a secret from elsewhere: for seeding, and for what a user brings along.
pub(crate) fn import(
    draft: &mut Draft<'_>,
    policy: &TwoFactorPolicy,
    name: &str,
    secret: TotpSecret,
    parameters: crate::Parameters,
) -> Result<DeviceId, StepError> {
    if !is_name(name) {
        return Err(StepError::Misuse("a device's name has 1 to 64 characters, none a control character"));
    }
    if !policy.takes(&secret) {
        return Err(StepError::Misuse("an imported secret is shorter than `min_secret_bits`"));
    }
    if policy.guards(&parameters).is_err() {
        return Err(StepError::Misuse("codes with so few digits are not guarded by the ledger's policy"));
    }
    let mut factors = Factors::read(draft)?;
    if factors.devices.len() >= policy.devices {
        return Err(StepError::Misuse("the account has as many devices as the policy allows"));
    }
    // One that is enrolled cannot clash: its secret is drawn, and an import meanwhile voids the enrolment.
    if factors.clashes(&secret, &parameters) {
        return Err(StepError::Misuse("an active device has the imported secret with other parameters"));
    }
    let id = factors.new_id(draft)?;
    factors.add(id, name.into(), secret, parameters, draft.now(), 0);
    factors.put(draft)?;
    move_epoch(draft)?;
    draft.event(EventKind::FactorAdded);
    Ok(id)
}

/// Puts a device of a secret that the client brings in the place of all others, proven by a code of it. That code is
/// spent, as one that is verified is; it is not charged, for who brings a secret has nothing to guess.
pub(crate) fn enrol(
    draft: &mut Draft<'_>,
    policy: &TwoFactorPolicy,
    name: &str,
    secret: TotpSecret,
    parameters: crate::Parameters,
    code: &str,
) -> Result<Enrolling, StepError> {
    if !is_name(name) || !policy.takes(&secret) || policy.guards(&parameters).is_err() {
        return Err(StepError::Misuse("a device that the policy does not take"));
    }
    let (now, fence) = (draft.now(), draft.keyring().fence());
    let Some(typed) = TypedCode::parse(code).filter(|typed| typed.digits() == parameters.digits()) else {
        return Ok(Enrolling::Malformed);
    };
    let next = after_fence(&parameters, fence);
    let found =
        TotpVerifier::by_totp_rs(&secret, parameters).judge(&typed, parameters.step_at(now), policy.window, next);
    if !bool::from(found.fresh) {
        return Ok(Enrolling::Wrong);
    }
    let mut factors = Factors::read(draft)?;
    // The old devices may show the code too (the same secret once more): spent is spent.
    let sight = Sight { now, fence, window: policy.window, once: Once::Account, purpose: purpose_digest("") };
    let seen = factors.look(&typed, &sight);
    factors.advance(&seen, &sight);
    let ids: alloc::vec::Vec<DeviceId> = factors.devices.iter().map(|device| device.id).collect();
    let replaced = !ids.is_empty();
    for id in ids {
        factors.remove(id);
    }
    factors.pending = None;
    guess::retire(draft, DOOR)?;
    let id = factors.new_id(draft)?;
    factors.add(id, name.into(), secret, parameters, now, found.after);
    factors.put(draft)?;
    move_epoch(draft)?;
    draft.event(if replaced { EventKind::FactorReplaced } else { EventKind::FactorAdded });
    Ok(Enrolling::Active(id))
}

/// Removes one device. The last one takes the recovery codes with it.
pub(crate) fn remove(draft: &mut Draft<'_>, id: DeviceId) -> Result<bool, StepError> {
    let mut factors = Factors::read(draft)?;
    if !factors.remove(id) {
        return Ok(false);
    }
    draft.event(EventKind::FactorRemoved);
    finish_removal(draft, &factors, true)?;
    Ok(true)
}

/// Removes every device, the one that waits too, and the recovery codes.
pub(crate) fn remove_all(draft: &mut Draft<'_>) -> Result<bool, StepError> {
    let mut factors = Factors::read(draft)?;
    let pending = factors.pending.take().is_some();
    let ids: alloc::vec::Vec<DeviceId> = factors.devices.iter().map(|device| device.id).collect();
    for id in &ids {
        factors.remove(*id);
        draft.event(EventKind::FactorRemoved);
    }
    if ids.is_empty() && !pending {
        return recovery::remove(draft);
    }
    finish_removal(draft, &factors, !ids.is_empty())?;
    Ok(true)
}

/// `removed`: a device went, not only one that waited.
fn finish_removal(draft: &mut Draft<'_>, factors: &Factors, removed: bool) -> Result<(), StepError> {
    factors.put(draft)?;
    move_epoch(draft)?;
    if factors.devices.is_empty() {
        if removed {
            // The guesses were at secrets that are gone; a lock that outlived them would shut out the next one's owner.
            guess::retire(draft, DOOR)?;
        }
        recovery::remove(draft)?;
    }
    Ok(())
}

/// Switches mailed codes. Gives whether that changed anything.
pub(crate) fn set_email(draft: &mut Draft<'_>, on: bool) -> Result<bool, StepError> {
    let mut factors = Factors::read(draft)?;
    if factors.email == on {
        return Ok(false);
    }
    factors.email = on;
    factors.put(draft)?;
    move_epoch(draft)?;
    draft.event(if on { EventKind::EmailFactorOn } else { EventKind::EmailFactorOff });
    Ok(true)
}

/// Judges a time-based code.
pub(crate) fn verify(
    draft: &mut Draft<'_>,
    policy: &TwoFactorPolicy,
    code: &str,
    purpose: &str,
    tag: Option<DeviceTag>,
) -> Result<Verdict<Tentative<Proven>>, StepError> {
    let account = draft.partition().as_account().ok_or(StepError::NoAccount)?;
    let mut factors = Factors::read(draft)?;
    if factors.devices.is_empty() {
        return Ok(Verdict::NotEnrolled);
    }
    // No guess by its form: said at any time, also during a wait, and nothing is read of the account's secrets for it.
    let Some(typed) = TypedCode::parse(code).filter(|typed| factors.knows_length(typed)) else {
        return Ok(Verdict::Malformed);
    };
    let (now, fence, window) = (draft.now(), draft.keyring().fence(), policy.window);
    let sight = Sight { now, fence, window, once: policy.once, purpose: purpose_digest(purpose) };
    let guess = guess::check(draft, &policy.ledger, &guesser(tag), |_| {
        let seen = factors.look(&typed, &sight);
        Ok(match (seen.fresh, seen.any) {
            (true, _) => Look::Right(seen),
            (false, true) => Look::Replayed,
            (false, false) => Look::Wrong,
        })
    })?;
    Ok(match guess {
        Guess::Right(seen) => {
            factors.advance(&seen, &sight);
            factors.put(draft)?;
            draft.event(EventKind::TotpAccepted);
            let proven = Proven { drift: seen.drift, ..Proven::new(account, Method::Totp, String::from(purpose)) };
            Verdict::Granted(draft.tentative(proven))
        }
        Guess::Wrong(charge) => Verdict::Denied(Denial { charge: Some(charge) }),
        Guess::Replayed => Verdict::Denied(Denial { charge: None }),
        Guess::Refused(refusal) => Verdict::Refused(refusal),
    })
}

pub(crate) fn refusal(
    draft: &mut Draft<'_>,
    policy: &TwoFactorPolicy,
    tag: Option<DeviceTag>,
) -> Result<Option<Refusal>, StepError> {
    guess::refusal(draft, &policy.ledger, &guesser(tag))
}

pub(crate) fn refused(
    draft: &mut Draft<'_>,
    policy: &TwoFactorPolicy,
    tag: Option<DeviceTag>,
) -> Result<Option<Refusal>, StepError> {
    guess::refused(draft, &policy.ledger, &guesser(tag))
}

/// Lifts waits and lock of the door of time-based codes, by a factor that was proven in this draft.
pub(crate) fn unlock(draft: &mut Draft<'_>, proof: &Tentative<Proven>) -> Result<bool, StepError> {
    match proof.peek(draft)?.method() {
        Method::Totp | Method::Recovery => guess::unlock(draft, DOOR),
        Method::Password | Method::Mailed => Err(StepError::Misuse("only a factor unlocks a factor")),
    }
}

const fn guesser(tag: Option<DeviceTag>) -> Guesser {
    Guesser { door: DOOR, strength: STRENGTH, tag, passes_as: tag }
}

/// Voids step-ups and pending confirmations (`decisions.md` 6).
fn move_epoch(draft: &mut Draft<'_>) -> Result<(), StepError> {
    let mut root = draft.root()?;
    root.move_factor_epoch();
    draft.put_root(&root)
}
