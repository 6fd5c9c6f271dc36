//! The two resets. For the caller's own account, proof and reset are one commit. For another user's
//! account, the order is the caller's proof, the notice, the target's reset (`docs/decisions.md`
//! 14, 24); a crash in between costs a code and resets nothing.

use keywright_confirm::policy::{MAILED_CODE, MAILED_GENERATION};
use keywright_core::{AccountId, Client};
use keywright_store::due::{self, NewTask};
use keywright_store::{Draft, StepError, Tentative, guess};
use keywright_twofactor::SLOTS;

use crate::act::Act;
use crate::answer::{Answered, Failure, success};
use crate::context::{Caller, Context, END_LOGINS, REMOVE_KEYS};
use crate::error::ApiError;
use crate::events::{END_TO_END_KEYS_RESET, LOGINS_ENDED};
use crate::guard::{Authorized, Guard};
use crate::host::{Endpoint, Host, Mail, Permission, User};
use crate::method::Demand;
use crate::request::{Input, Target};

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>, endpoint: Endpoint) -> Answered {
    let target = input.target()?.clone();
    let own = target == Target::Own;
    let guard = Guard { cx, caller, sent: &input.sent, act: Act::new(endpoint, target), demand: demand(endpoint) };
    if own {
        guard.run(|draft, proof| reset_own(cx, draft, proof, caller.client(draft))).await?;
        return Ok(success());
    }
    let proof = guard.run(|_, proof| Ok(proof)).await?;
    reset_other(cx, proof).await
}

/// Resets the caller's own account, in the commit that spends the code.
fn reset_own<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    proof: Tentative<Authorized>,
    client: Client,
) -> Result<Tentative<()>, StepError> {
    // The proof's own endpoint decides what is reset.
    let mut endpoint = None;
    let done = proof.map(|proof| endpoint = Some(proof.into_parts().1.endpoint));
    let endpoint = endpoint.ok_or(StepError::Misuse("a proof without an act"))?;
    reset(cx, draft, endpoint, client)?;
    Ok(done)
}

/// Resets another user's account, or the caller's own by name. The permission is checked before the
/// look-up, so that a caller without it does not learn who exists. A federated account is refused
/// before a notice announces a reset that will not happen.
async fn reset_other<H: Host>(cx: &Context<H>, proof: Authorized) -> Answered {
    let (caller, act) = proof.into_parts();
    let user = find_target(cx, &caller, &act).await?;
    if !user.verified_emails.is_empty()
        && let Err(error) = cx.host.mail(&user, notice(act.endpoint)).await
    {
        tracing::error!(error = &error as &dyn std::error::Error, "a notice was not mailed");
        return Err(ApiError::mail_failed(function(act.endpoint), error.shown()).into());
    }
    let is_operators = user.account != caller && act.endpoint == Endpoint::ResetTotp;
    cx.step(&user.account, SLOTS, |draft| {
        reset(cx, draft, act.endpoint, Client::unknown())?;
        // This is an operator's act: an owner who has only mailed codes has no other way out of a
        // limit that other clients caused (`docs/security.md` § 6). E-mail itself stays on, as the
        // protocol requires.
        if is_operators {
            guess::unlock(draft, MAILED_CODE, MAILED_GENERATION)?;
        }
        Ok(())
    })
    .await?;
    Ok(success())
}

async fn find_target<H: Host>(cx: &Context<H>, caller: &AccountId, act: &Act) -> Result<User, Failure> {
    if !cx.host.permitted(caller, permission(act.endpoint)).await? {
        return Err(ApiError::not_allowed().into());
    }
    let Some(named) = act.target.named() else { return Err(ApiError::blank_target().into()) };
    let Some(user) = cx.host.find_user(named).await? else { return Err(ApiError::unknown_target().into()) };
    if user.is_federated { Err(ApiError::federated().into()) } else { Ok(user) }
}

/// Performs the reset: what this crate keeps is removed now, what the host keeps becomes due in the
/// same commit. All logins end, so the credential epoch moves: nothing that a login has begun or
/// proven is left, and none that was looked up before can act.
fn reset<H: Host>(cx: &Context<H>, draft: &mut Draft<'_>, endpoint: Endpoint, client: Client) -> Result<(), StepError> {
    draft.move_credential_epoch()?;
    let work = if endpoint == Endpoint::ResetTotp {
        cx.factors.remove_all_in(draft, client)?;
        END_LOGINS
    } else {
        draft.event(&END_TO_END_KEYS_RESET);
        REMOVE_KEYS
    };
    due::add(draft, NewTask::new(work, Vec::new()).reserved())?;
    draft.event(&LOGINS_ENDED);
    Ok(())
}

const fn demand(endpoint: Endpoint) -> Demand {
    match endpoint {
        Endpoint::ResetTotp => Demand::Enrolled,
        _ => Demand::Offered,
    }
}

const fn permission(endpoint: Endpoint) -> Permission {
    match endpoint {
        Endpoint::ResetTotp => Permission::EditOtherUserTotp,
        _ => Permission::EditOtherUserE2ee,
    }
}

const fn notice(endpoint: Endpoint) -> Mail<'static> {
    match endpoint {
        Endpoint::ResetTotp => Mail::TotpReset,
        _ => Mail::KeysReset,
    }
}

/// Returns the name in an error's details. The first is upstream's spelling, and part of the wire
/// protocol.
const fn function(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::ResetTotp => "resetTOTP",
        _ => "resetUserE2EEncriptionKey",
    }
}
