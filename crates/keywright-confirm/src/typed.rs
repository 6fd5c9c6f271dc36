//! Confirmation by a code that is shown and typed back.

use keywright_store::{Draft, StepError, Tentative, guess};

use crate::action::Binding;
use crate::code::{CancelToken, Code, Label, TypedCode, draw_typed, typed_form};
use crate::context::{Context, Grant};
use crate::events::Reason;
use crate::outcome::{Confirmation, Denial};
use crate::policy::ConfirmPolicy;
use crate::state::{Pending, Style};

/// Requests a code, always a new one, whatever was pending for this (action, session).
pub(crate) fn ask(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    binding: &Binding,
) -> Result<Tentative<TypedCode>, StepError> {
    let mut context = Context::read(draft)?;
    let expires = context.now.at.plus(policy.code_seconds);
    let text = draw_typed(draft.entropy())?;
    let code = Code::new(draft.entropy(), Label::Typed, text.expose())?;
    let cancel = CancelToken::random(draft.entropy())?;
    let pending = Pending::new(binding, &context.now, Style::TypedCode { code, tries: 0 }, expires);
    context.begin(draft, policy, pending, &cancel)?;
    Ok(draft.tentative(TypedCode { text, cancel, expires }))
}

/// Checks a code. Blanks and hyphens are ignored (`docs/decisions.md` 67); otherwise the text is
/// compared as it is, and case matters.
pub(crate) fn confirm(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    binding: &Binding,
    typed: &str,
) -> Result<Confirmation<Grant>, StepError> {
    // In a host's transaction a rollback would erase the count of the attempt, so reading the
    // ledger fails there, as for every guess that the ledger counts.
    draft.read(guess::LEDGER)?;
    let mut context = Context::read(draft)?;
    let now = context.now;
    let typed = typed_form(typed);
    let live = context.list.at(&binding.place).filter(|pending| pending.void(&now).is_none());
    let Some((pending, right, bound)) = live.and_then(|pending| {
        let Style::TypedCode { code, .. } = &pending.style else { return None };
        // A text of another length is wrong without a comparison, so an attacker's megabytes are
        // not hashed.
        let right = typed.as_ref().is_some_and(|typed| code.matches(Label::Typed, typed.expose().as_bytes()).into());
        let bound = bool::from(pending.is_bound_to(binding));
        Some((pending, right, bound))
    }) else {
        return context.stale(draft, binding, Label::Typed, typed.as_ref());
    };
    if right & bound {
        return context.grant(draft, binding).map(Confirmation::Granted);
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
    context.denied(draft, binding, if bound { Reason::Wrong } else { Reason::Unbound });
    context.put(draft)?;
    Ok(Confirmation::Denied(Denial { charge: None, last }))
}
