//! The pure transitions of typed codes, waits and cancelling. Mailed codes are in `mailed.rs`.

use keywright_core::{EventKind, GuessLedger, Reason, below};
use keywright_store::{Draft, Slot, StepError, Tentative};

use crate::action::Binding;
use crate::code::{CancelToken, Code, Label, TYPED_LEN, TypedCode, Wait, draw_typed};
use crate::outcome::{Confirmation, Denial, Waiting};
use crate::policy::ConfirmPolicy;
use crate::state::{Confirmations, Moment, Pending, Style};

/// A grant, before the proof is made of it.
pub(crate) type Grant = Tentative<()>;

/// Asks for a typed code: a new one, whatever was pending in this place.
pub(crate) fn ask_code(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    binding: &Binding,
) -> Result<Tentative<TypedCode>, StepError> {
    let moment = Moment::of(draft)?;
    let expires = moment.now.plus(policy.code_seconds);
    let text = draw_typed(draft.entropy())?;
    let code = Code::new(draft.entropy(), Label::Typed, text.expose())?;
    let cancel = begin(draft, policy, &moment, binding, Style::TypedCode { code, tries: 0 }, expires)?;
    Ok(draft.tentative(TypedCode { text, cancel, expires }))
}

/// Judges a typed code. The text is compared as it is: nothing is trimmed and case matters.
pub(crate) fn confirm_code(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    binding: &Binding,
    typed: &str,
) -> Result<Confirmation<Grant>, StepError> {
    // A host's rollback would erase the try: refused there, as for every guess that the ledger counts.
    draft.read::<GuessLedger>(Slot::Ledger)?;
    let moment = Moment::of(draft)?;
    let mut list = Confirmations::read(draft)?;
    let live = list.at(&binding.place).filter(|pending| pending.void(&moment).is_none());
    let Some((pending, right, bound)) = live.and_then(|pending| {
        let Style::TypedCode { code, .. } = &pending.style else { return None };
        // A text of another length is wrong without a look: an attacker's megabytes are not hashed.
        let right = typed.len() == TYPED_LEN && code.matches(Label::Typed, typed.as_bytes()).into();
        let bound = bool::from(pending.is_bound_to(binding));
        Some((pending, right, bound))
    }) else {
        return stale(draft, list, &moment, binding, Label::Typed, typed);
    };
    if right & bound {
        pending.spend(true);
        list.put(draft)?;
        return grant(draft, binding).map(Confirmation::Granted);
    }
    let last = match &mut pending.style {
        Style::TypedCode { tries, .. } => {
            *tries = tries.saturating_add(1);
            *tries >= policy.code_tries
        }
        _ => true,
    };
    if last {
        pending.spend(false);
    }
    list.put(draft)?;
    deny(draft, binding, if bound { Reason::Wrong } else { Reason::Unbound });
    Ok(Confirmation::Denied(Denial { charge: None, last }))
}

/// Denies where no code waits to be typed. Nothing is charged; only the first attempt on what has expired, was made void
/// or spent is an event, so a flood of them writes nothing.
pub(crate) fn stale(
    draft: &mut Draft<'_>,
    mut list: Confirmations,
    moment: &Moment,
    binding: &Binding,
    label: Label,
    typed: &str,
) -> Result<Confirmation<Grant>, StepError> {
    let reason = list.at(&binding.place).and_then(|pending| match pending.void(moment) {
        Some(reason) => Some(reason),
        // The longest code has 19 bytes; more is no replay.
        None => (typed.len() <= TYPED_LEN && pending.is_replay(label, typed.as_bytes())).then_some(Reason::Replayed),
    });
    if let Some(reason) = reason {
        if reason != Reason::Replayed {
            list.remove(&binding.place);
        }
        list.put(draft)?;
        deny(draft, binding, reason);
    }
    Ok(Confirmation::Denied(Denial::FREE))
}

/// Begins a wait from now, whatever was pending in this place.
pub(crate) fn begin_wait(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    binding: &Binding,
) -> Result<Tentative<Wait>, StepError> {
    let moment = Moment::of(draft)?;
    let spread = policy.wait_max_seconds.saturating_sub(policy.wait_min_seconds).saturating_add(1);
    let bound = u32::try_from(spread).unwrap_or(u32::MAX);
    let seconds = policy.wait_min_seconds.saturating_add(below(draft.entropy(), bound)?.into());
    let earliest = moment.now.plus(seconds);
    let latest = earliest.plus(policy.wait_valid_seconds);
    let cancel = begin(draft, policy, &moment, binding, Style::Wait { earliest }, latest)?;
    Ok(draft.tentative(Wait { seconds, earliest, latest, cancel }))
}

/// Confirms after a wait, or begins a new one. The caller has checked the password.
pub(crate) fn confirm_wait(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    binding: &Binding,
) -> Result<Waiting<Grant, Tentative<Wait>>, StepError> {
    let moment = Moment::of(draft)?;
    let mut list = Confirmations::read(draft)?;
    if let Some(pending) = list.at(&binding.place)
        && let Style::Wait { earliest } = pending.style
    {
        let reason = match pending.void(&moment) {
            Some(reason) => Some(reason),
            None if !bool::from(pending.is_bound_to(binding)) => Some(Reason::Unbound),
            None => (moment.now < earliest).then_some(Reason::Early),
        };
        let Some(reason) = reason else {
            pending.spend(true);
            list.put(draft)?;
            return grant(draft, binding).map(Waiting::Granted);
        };
        deny(draft, binding, reason);
    }
    begin_wait(draft, policy, binding).map(Waiting::Begun)
}

/// Withdraws what a token belongs to. A wrong token changes nothing.
pub(crate) fn cancel(draft: &mut Draft<'_>, token: &CancelToken) -> Result<bool, StepError> {
    let moment = Moment::of(draft)?;
    let mut list = Confirmations::read(draft)?;
    let Some(action) = list.cancel(&moment, token) else { return Ok(false) };
    list.put(draft)?;
    draft.event(EventKind::ConfirmationCancelled { action });
    Ok(true)
}

/// Makes a confirmation pending and gives its cancel token.
fn begin(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    moment: &Moment,
    binding: &Binding,
    style: Style,
    expires: keywright_core::UnixSeconds,
) -> Result<CancelToken, StepError> {
    let mut list = Confirmations::read(draft)?;
    let cancel = CancelToken::random(draft.entropy())?;
    list.insert(policy, moment, Pending::new(binding, moment, style, expires), &cancel);
    list.put(draft)?;
    draft.event(EventKind::ConfirmationAsked { action: binding.action.into() });
    Ok(cancel)
}

/// Grants. The caller has put the spent state.
pub(crate) fn grant(draft: &mut Draft<'_>, binding: &Binding) -> Result<Grant, StepError> {
    draft.event(EventKind::ConfirmationGranted { action: binding.action.into() });
    Ok(draft.tentative(()))
}

pub(crate) fn deny(draft: &mut Draft<'_>, binding: &Binding, reason: Reason) {
    draft.event(EventKind::ConfirmationDenied { action: binding.action.into(), reason });
}
