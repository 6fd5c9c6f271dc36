//! Confirmation by a code that is mailed and typed back.

use keywright_core::{Client, Refusal, UnixSeconds};
use keywright_store::guess::{self, AttemptOutcome, Comparison};
use keywright_store::{Draft, StepError, Tentative};

use crate::action::{Binding, Place};
use crate::code::{CancelToken, Code, Label, MailedCode, draw_mailed, mailed_form};
use crate::context::{Context, Grant};
use crate::events::Reason;
use crate::outbox::{Held, Requester};
use crate::outcome::{Confirmation, Denial, SendOutcome};
use crate::policy::{ConfirmPolicy, mailed_attempt};
use crate::state::{Now, Pending, PendingList, Style};

/// Requests a code. If a mail may be sent now, the code is new; otherwise what is pending stays as
/// it is.
pub(crate) fn ask(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    binding: &Binding,
) -> Result<SendOutcome<Tentative<MailedCode>>, StepError> {
    let mut context = Context::read(draft)?;
    if let Err(held) = admit(draft, policy, &mut context, &binding.place, Requester::LoggedIn)? {
        return Ok(match held {
            Held::NotYet(retry_after) => SendOutcome::NotYet { retry_after },
            Held::Exhausted(retry_after) => SendOutcome::Exhausted { retry_after },
        });
    }
    let now = context.now;
    let expires = now.at.plus(policy.mailed_seconds);
    let (mail, code) = draw(draft, expires)?;
    context.counts.mail.book(&binding.place, now.at, expires, Requester::LoggedIn);
    let pending = Pending::new(binding, &now, Style::MailedCode { code }, expires);
    context.begin(draft, policy, pending, &mail.cancel)?;
    Ok(SendOutcome::Send(draft.tentative(mail)))
}

/// Sends a new code for a confirmation that an authenticated request started; in any other state it
/// does nothing. The confirmation is the one pending at the given place, or the newest of the
/// action. The new code expires when the previous one would have.
pub(crate) fn resend(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    action: &'static str,
    place: Option<&Place>,
) -> Result<Option<Tentative<MailedCode>>, StepError> {
    let mut context = Context::read(draft)?;
    let now = context.now;
    let Some((place, expires)) = newest(&mut context.list, action, place, &now) else { return Ok(None) };
    if admit(draft, policy, &mut context, &place, Requester::Anonymous)?.is_err() {
        return Ok(None);
    }
    let (mail, code) = draw(draft, expires)?;
    context.counts.mail.book(&place, now.at, expires, Requester::Anonymous);
    if let Some(pending) = context.list.at(&place) {
        pending.renew(code, &now);
        pending.allow_cancel(&mail.cancel);
    }
    context.asked(draft, action);
    context.put(draft)?;
    Ok(Some(draft.tentative(mail)))
}

/// Checks a code against the one that is pending for this (action, session), never against any of
/// several.
pub(crate) fn confirm(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    binding: &Binding,
    typed: &str,
    client: Client,
) -> Result<Confirmation<Grant>, StepError> {
    let mut context = Context::read(draft)?;
    let now = context.now;
    let typed = mailed_form(typed);
    let live =
        context.list.at(&binding.place).filter(|pending| pending.void(&now).is_none()).zip(typed.as_ref()).and_then(
            |(pending, typed)| match &pending.style {
                Style::MailedCode { code } => Some((code, typed, pending.is_bound_to(binding))),
                _ => None,
            },
        );
    let Some((code, text, bound)) = live else {
        // A wait is reported before anything is checked, whether a code is pending or not.
        if let Some(refusal) = refuse(draft, client)? {
            return Ok(Confirmation::Refused(refusal));
        }
        if typed.is_none() {
            return Ok(Confirmation::Denied(Denial::FREE));
        }
        return context.stale(draft, binding, Label::Mailed, typed.as_ref());
    };
    guess::for_purpose(draft, binding.action);
    let outcome = guess::check(draft, &mailed_attempt(client), |_| {
        let right = code.matches(Label::Mailed, text.expose().as_bytes()) & bound;
        Ok(if right.into() { Comparison::Right(()) } else { Comparison::Wrong })
    })?;
    match outcome {
        AttemptOutcome::Right(()) => {
            context.counts.mail.pass(&binding.place);
            context.grant(draft, binding).map(Confirmation::Granted)
        }
        AttemptOutcome::Wrong(charge) => {
            let last = context.counts.mail.miss(policy, &binding.place);
            if let Some(pending) = context.list.at(&binding.place).filter(|_| last) {
                pending.spend(false);
            }
            context.denied(draft, binding, if bound.into() { Reason::Wrong } else { Reason::Unbound });
            context.put(draft)?;
            Ok(Confirmation::Denied(Denial { charge: Some(charge), last }))
        }
        AttemptOutcome::Refused(refusal) => Ok(Confirmation::Refused(refusal)),
    }
}

/// Returns when the code that is pending for this very action, target, parameters and session
/// expires.
pub(crate) fn pending(draft: &mut Draft<'_>, binding: &Binding) -> Result<Option<UnixSeconds>, StepError> {
    let Context { now, mut list, .. } = Context::read(draft)?;
    let live = list
        .at(&binding.place)
        .filter(|pending| matches!(pending.style, Style::MailedCode { .. }) && pending.void(&now).is_none());
    Ok(live.filter(|pending| pending.is_bound_to(binding).into()).map(|pending| pending.expires))
}

/// Returns in how many seconds, at least `after`, a caller with this binding has a code or can be
/// sent one.
pub(crate) fn ready(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    binding: &Binding,
    after: u64,
) -> Result<u64, StepError> {
    let now = draft.now();
    let later = now.plus(after);
    if pending(draft, binding)?.is_some_and(|expires| later < expires) {
        return Ok(after);
    }
    let mut context = Context::read(draft)?;
    if context.counts.mail.settle(policy, now) {
        // If this were not stored, the reported wait would begin again with each request.
        context.counts.put(draft)?;
    }
    context.counts.mail.settle(policy, later);
    Ok(match context.counts.mail.admit(policy, &binding.place, later, Requester::LoggedIn) {
        Ok(()) => after,
        Err(Held::NotYet(more) | Held::Exhausted(more)) => after.saturating_add(more),
    })
}

/// Returns the refusal that every mailed code of a client gets now.
pub(crate) fn refuse(draft: &mut Draft<'_>, client: Client) -> Result<Option<Refusal>, StepError> {
    guess::refuse(draft, &mailed_attempt(client))
}

/// Returns where a mailed code of an action is pending, and until when: at the given place, or the
/// newest.
fn newest(
    list: &mut PendingList,
    action: &'static str,
    place: Option<&Place>,
    now: &Now,
) -> Option<(Place, UnixSeconds)> {
    let wanted = |pending: &Pending| {
        pending.action == action
            && place.is_none_or(|place| pending.place == *place)
            && matches!(pending.style, Style::MailedCode { .. })
            && pending.void(now).is_none()
    };
    let newest = list.iter_mut().rev().find(|pending| wanted(pending));
    newest.map(|pending| (pending.place, pending.expires))
}

/// Whether a mail may be sent. A refusal writes nothing, except once after the clock went back.
fn admit(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    context: &mut Context,
    place: &Place,
    requester: Requester,
) -> Result<Result<(), Held>, StepError> {
    let now = context.now.at;
    let went_back = context.counts.mail.settle(policy, now);
    let admitted = context.counts.mail.admit(policy, place, now, requester);
    if went_back && admitted.is_err() {
        context.counts.put(draft)?;
    }
    Ok(admitted)
}

fn draw(draft: &Draft<'_>, expires: UnixSeconds) -> Result<(MailedCode, Code), StepError> {
    let text = draw_mailed(draft.entropy())?;
    let code = Code::new(draft.entropy(), Label::Mailed, text.expose())?;
    let cancel = CancelToken::random(draft.entropy())?;
    Ok((MailedCode { text, cancel, expires }, code))
}
