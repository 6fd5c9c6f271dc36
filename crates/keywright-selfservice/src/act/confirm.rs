//! Confirmation of the host's actions.

use keywright_confirm::{Confirmation, Confirmed, SLOTS, TypedCode, Wait, WaitOutcome};
use keywright_store::Draft;

use super::password::{self, Checked};
use super::proof::Refused;
use crate::answer::Failure;
use crate::context::Context;
use crate::host::{Caller, ConfirmStyle, Host, HostAction, OwnerAction};

/// What the owner has to do next.
pub(crate) enum Step {
    Type(TypedCode),
    Wait(Wait),
}

/// What came of an attempt to confirm.
pub(crate) enum Attempted {
    Granted(Confirmed<OwnerAction>),
    /// The code was wrong, or none is valid.
    Denied,
    /// It was too early or too late; this is the new wait.
    Waits(Wait),
    /// The password was not right. What was begun stays.
    Refused(Refused),
}

/// Returns the host's action with this id.
pub(crate) async fn find<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    id: &str,
    language: &str,
) -> Result<HostAction, Failure> {
    let actions = cx.host.actions(caller, language).await?;
    actions.into_iter().find(|action| action.id == id).ok_or(Failure::NotFound)
}

/// Begins the confirmation of an action.
pub(crate) async fn begin<H: Host>(cx: &Context<H>, caller: &Caller, action: &HostAction) -> Result<Step, Failure> {
    let (confirmations, own) = (&cx.confirmations, OwnerAction::new(&action.id));
    Ok(match action.style {
        ConfirmStyle::TypedCode => Step::Type(confirmations.begin_code(&caller.account, &own, caller.session).await?),
        ConfirmStyle::PasswordAndWait => {
            Step::Wait(confirmations.begin_wait(&caller.account, &own, caller.session).await?)
        }
    })
}

/// Confirms an action with the code or the password that was typed.
pub(crate) async fn attempt<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    action: &HostAction,
    typed: &str,
) -> Result<Attempted, Failure> {
    match action.style {
        ConfirmStyle::TypedCode => {
            let own = OwnerAction::new(&action.id);
            let verdict = cx.confirmations.confirm_code(&caller.account, own, caller.session, typed.trim()).await?;
            Ok(match verdict {
                Confirmation::Granted(proof) => Attempted::Granted(proof),
                Confirmation::Denied(_) => Attempted::Denied,
                Confirmation::Refused(refusal) => Attempted::Refused(Refused::of_refusal(&refusal)),
            })
        }
        ConfirmStyle::PasswordAndWait if typed.is_empty() => Ok(Attempted::Refused(Refused::Missing)),
        ConfirmStyle::PasswordAndWait => {
            let steps = cx.confirmations.steps();
            let grant =
                |draft: &mut Draft<'_>| steps.confirm_wait_in(draft, OwnerAction::new(&action.id), caller.session);
            Ok(match password::check(cx, caller, typed, SLOTS, grant).await? {
                Checked::Right(WaitOutcome::Granted(proof)) => Attempted::Granted(proof),
                Checked::Right(WaitOutcome::Begun(wait)) => Attempted::Waits(wait),
                Checked::Wrong(charge) => Attempted::Refused(Refused::of_charge(charge.as_ref())),
                Checked::Refused(refusal) => Attempted::Refused(Refused::of_refusal(&refusal)),
            })
        }
    }
}
