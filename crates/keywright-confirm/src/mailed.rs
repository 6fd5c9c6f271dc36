//! The pure transitions of mailed codes.

use keywright_core::{DeviceTag, EventKind, Reason, Refusal, UnixSeconds};
use keywright_store::guess::{self, Guess, Guesser, Look, check};
use keywright_store::{Draft, StepError, Tentative};

use crate::action::{Binding, Place};
use crate::code::{CancelToken, Code, Label, MailedCode, draw_mailed, is_six_digits};
use crate::outbox::{Asker, Held};
use crate::outcome::{Confirmation, Denial, Sending};
use crate::policy::{ConfirmPolicy, DOOR, STRENGTH};
use crate::state::{Confirmations, Moment, Pending, Style};
use crate::step::{Grant, deny, grant, stale};

/// Asks for a mailed code: a fresh one, if a mail may go out now. Else what is pending stays as it is.
pub(crate) fn ask(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    binding: &Binding,
) -> Result<Sending<Tentative<MailedCode>>, StepError> {
    let moment = Moment::of(draft)?;
    let mut list = Confirmations::read(draft)?;
    if let Err(held) = admit(draft, policy, &mut list, &binding.place, &moment, Asker::Login)? {
        return Ok(match held {
            Held::NotYet(retry_after) => Sending::NotYet { retry_after },
            Held::Exhausted(retry_after) => Sending::Exhausted { retry_after },
        });
    }
    let expires = moment.now.plus(policy.mailed_seconds);
    let (mail, code) = draw(draft, expires)?;
    list.mail.book(&binding.place, moment.now, expires, Asker::Login);
    let pending = Pending::new(binding, &moment, Style::MailedCode { code }, expires);
    list.insert(policy, &moment, pending, &mail.cancel);
    list.put(draft)?;
    draft.event(EventKind::ConfirmationAsked { action: binding.action.into() });
    Ok(Sending::Send(draft.tentative(mail)))
}

/// Sends a fresh code for what an authenticated request started; anything else does nothing. Which pending confirmation:
/// that of a place, or the newest of an action. The fresh code ends when the one before would have.
pub(crate) fn resend(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    action: &'static str,
    place: Option<&Place>,
) -> Result<Option<Tentative<MailedCode>>, StepError> {
    let moment = Moment::of(draft)?;
    let mut list = Confirmations::read(draft)?;
    let Some((place, expires)) = newest(&mut list, action, place, &moment) else { return Ok(None) };
    if admit(draft, policy, &mut list, &place, &moment, Asker::Stranger)?.is_err() {
        return Ok(None);
    }
    let (mail, code) = draw(draft, expires)?;
    list.mail.book(&place, moment.now, expires, Asker::Stranger);
    if let Some(pending) = list.at(&place) {
        pending.renew(code, &moment);
        pending.allow_cancel(&mail.cancel);
    }
    list.put(draft)?;
    draft.event(EventKind::ConfirmationAsked { action: action.into() });
    Ok(Some(draft.tentative(mail)))
}

/// Whether [`resend`] would do anything. After the clock went back it would, if only by storing that.
pub(crate) fn may_resend(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    action: &'static str,
    place: Option<&Place>,
) -> Result<bool, StepError> {
    let moment = Moment::of(draft)?;
    let mut list = Confirmations::read(draft)?;
    let Some((place, _)) = newest(&mut list, action, place, &moment) else { return Ok(false) };
    let went_back = list.mail.settle(policy, moment.now);
    Ok(went_back || list.mail.admit(policy, &place, moment.now, Asker::Stranger).is_ok())
}

/// Where a mailed code of an action is pending, and until when: at a place, or the newest.
fn newest(
    list: &mut Confirmations,
    action: &'static str,
    place: Option<&Place>,
    moment: &Moment,
) -> Option<(Place, UnixSeconds)> {
    let wanted = |pending: &Pending| {
        pending.action == action
            && place.is_none_or(|place| pending.place == *place)
            && matches!(pending.style, Style::MailedCode { .. })
            && pending.void(moment).is_none()
    };
    let newest = list.iter_mut().rev().find(|pending| wanted(pending));
    newest.map(|pending| (pending.place, pending.expires))
}

/// Judges a mailed code against the one that is pending for this (action, session), never against any of several.
pub(crate) fn confirm(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    binding: &Binding,
    typed: &str,
    tag: Option<DeviceTag>,
) -> Result<Confirmation<Grant>, StepError> {
    let moment = Moment::of(draft)?;
    let mut list = Confirmations::read(draft)?;
    let live = list
        .at(&binding.place)
        .filter(|pending| is_six_digits(typed) && pending.void(&moment).is_none())
        .filter(|pending| matches!(pending.style, Style::MailedCode { .. }));
    let Some(pending) = live else {
        // A wait is said before anything is looked at, whether a code is pending or not.
        if let Some(refusal) = refused(draft, policy, tag)? {
            return Ok(Confirmation::Refused(refusal));
        }
        if !is_six_digits(typed) {
            return Ok(Confirmation::Denied(Denial::FREE));
        }
        return stale(draft, list, &moment, binding, Label::Mailed, typed);
    };
    let mut reason = Reason::Wrong;
    let guess = check(draft, &policy.ledger, &guesser(tag), |_| {
        let Style::MailedCode { code } = &pending.style else { return Ok(Look::Wrong) };
        let bound = pending.is_bound_to(binding);
        if !bool::from(bound) {
            reason = Reason::Unbound;
        }
        let right = code.matches(Label::Mailed, typed.as_bytes()) & bound;
        Ok(if right.into() { Look::Right(()) } else { Look::Wrong })
    })?;
    match guess {
        Guess::Right(()) => {
            pending.spend(true);
            list.mail.pass(&binding.place);
            list.put(draft)?;
            grant(draft, binding).map(Confirmation::Granted)
        }
        Guess::Wrong(charge) => {
            let last = list.mail.miss(policy, &binding.place);
            if let Some(pending) = list.at(&binding.place).filter(|_| last) {
                pending.spend(false);
            }
            list.put(draft)?;
            deny(draft, binding, reason);
            Ok(Confirmation::Denied(Denial { charge: Some(charge), last }))
        }
        Guess::Refused(refusal) => Ok(Confirmation::Refused(refusal)),
        Guess::Replayed => Err(StepError::Misuse("a live code was never replayed")),
    }
}

/// When the code ends that is pending for this very action, target, parameters and session.
pub(crate) fn pending(draft: &mut Draft<'_>, binding: &Binding) -> Result<Option<UnixSeconds>, StepError> {
    let moment = Moment::of(draft)?;
    let mut list = Confirmations::read(draft)?;
    let live = list
        .at(&binding.place)
        .filter(|pending| matches!(pending.style, Style::MailedCode { .. }) && pending.void(&moment).is_none());
    Ok(live.filter(|pending| pending.is_bound_to(binding).into()).map(|pending| pending.expires))
}

/// What every mailed code is refused with now: said before one is looked at.
pub(crate) fn refused(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    tag: Option<DeviceTag>,
) -> Result<Option<Refusal>, StepError> {
    guess::refused(draft, &policy.ledger, &guesser(tag))
}

const fn guesser(tag: Option<DeviceTag>) -> Guesser {
    Guesser { door: DOOR, strength: STRENGTH, tag, passes_as: tag }
}

/// Whether a mail may go out. A refusal writes nothing, but for the one time after the clock went back.
fn admit(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    list: &mut Confirmations,
    place: &Place,
    moment: &Moment,
    asker: Asker,
) -> Result<Result<(), Held>, StepError> {
    let went_back = list.mail.settle(policy, moment.now);
    let admitted = list.mail.admit(policy, place, moment.now, asker);
    if went_back && admitted.is_err() {
        list.put(draft)?;
    }
    Ok(admitted)
}

fn draw(draft: &Draft<'_>, expires: UnixSeconds) -> Result<(MailedCode, Code), StepError> {
    let text = draw_mailed(draft.entropy())?;
    let code = Code::new(draft.entropy(), Label::Mailed, text.expose())?;
    let cancel = CancelToken::random(draft.entropy())?;
    Ok((MailedCode { text, cancel, expires }, code))
}
