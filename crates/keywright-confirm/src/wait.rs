//! Confirmation by a wait of random length, after a password that the caller has checked.

use keywright_core::below;
use keywright_store::{Draft, StepError, Tentative};

use crate::action::Binding;
use crate::code::{CancelToken, Wait};
use crate::context::{Context, Grant};
use crate::events::Reason;
use crate::outcome::WaitOutcome;
use crate::policy::ConfirmPolicy;
use crate::state::{Pending, Style};

/// Begins a wait from now, whatever was pending for this (action, session).
pub(crate) fn begin(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    binding: &Binding,
) -> Result<Tentative<Wait>, StepError> {
    let context = Context::read(draft)?;
    begin_anew(draft, policy, binding, context)
}

/// Confirms after a wait, or begins a new one.
pub(crate) fn confirm(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    binding: &Binding,
) -> Result<WaitOutcome<Grant, Tentative<Wait>>, StepError> {
    let mut context = Context::read(draft)?;
    let now = context.now;
    if let Some(pending) = context.list.at(&binding.place)
        && let Style::Wait { earliest } = pending.style
    {
        let reason = match pending.void(&now) {
            Some(reason) => Some(reason),
            None if !bool::from(pending.is_bound_to(binding)) => Some(Reason::Unbound),
            None => (now.at < earliest).then_some(Reason::Early),
        };
        let Some(reason) = reason else {
            return context.grant(draft, binding).map(WaitOutcome::Granted);
        };
        context.denied(draft, binding, reason);
    }
    begin_anew(draft, policy, binding, context).map(WaitOutcome::Begun)
}

fn begin_anew(
    draft: &mut Draft<'_>,
    policy: &ConfirmPolicy,
    binding: &Binding,
    mut context: Context,
) -> Result<Tentative<Wait>, StepError> {
    let spread = policy.wait_max_seconds.saturating_sub(policy.wait_min_seconds).saturating_add(1);
    let bound = u32::try_from(spread).unwrap_or(u32::MAX);
    let seconds = policy.wait_min_seconds.saturating_add(below(draft.entropy(), bound)?.into());
    let earliest = context.now.at.plus(seconds);
    let latest = earliest.plus(policy.wait_valid_seconds);
    let cancel = CancelToken::random(draft.entropy())?;
    let pending = Pending::new(binding, &context.now, Style::Wait { earliest }, latest);
    context.begin(draft, policy, pending, &cancel)?;
    Ok(draft.tentative(Wait { seconds, earliest, latest, cancel }))
}
