//! The two resets. One's own: proof and reset in one commit. Another's: the caller's proof, the notice, the target's
//! reset, in that order (`decisions.md` 14, 24); a crash between costs a code and resets nothing.

use keywright_confirm::policy::{MAILED_CODE, MAILED_GENERATION};
use keywright_core::{AccountId, Client};
use keywright_store::due::{self, NewTask};
use keywright_store::{Draft, StepError, Tentative, guess};
use keywright_twofactor::SLOTS;

use crate::caller::Caller;
use crate::error::ApiError;
use crate::events::{END_TO_END_KEYS_RESET, LOGINS_ENDED};
use crate::factors::Demand;
use crate::guard::{Act, Authorized, Guard};
use crate::host::{Endpoint, Host, Mail, Permission, User};
use crate::request::{SentCode, Target};
use crate::service::{Answered, END_LOGINS, Failure, Parts, REMOVE_KEYS, Reply};

pub(super) async fn run<H: Host>(
    parts: &Parts<H>,
    caller: &Caller,
    sent: &SentCode,
    endpoint: Endpoint,
    target: Target,
) -> Answered {
    let own = target == Target::Own;
    let guard = Guard { parts, caller, sent, act: Act::new(endpoint, target), demand: demand(endpoint) };
    if own {
        let reset = guard.run(|draft, proof| reset_own(parts, draft, proof, caller.client(draft))).await?;
        return Ok(reset.map(|()| Reply::success()));
    }
    match guard.run(|_, proof| Ok(proof)).await? {
        Ok(proof) => reset_other(parts, proof).await,
        Err(error) => Ok(Err(error)),
    }
}

/// The caller's own, in the commit that spends the code.
fn reset_own<H: Host>(
    parts: &Parts<H>,
    draft: &mut Draft<'_>,
    proof: Tentative<Authorized>,
    client: Client,
) -> Result<Tentative<()>, StepError> {
    // What is reset goes by the proof's own endpoint.
    let mut endpoint = None;
    let done = proof.map(|proof| endpoint = Some(proof.into_parts().1.endpoint));
    let endpoint = endpoint.ok_or(StepError::Misuse("a proof without an act"))?;
    reset(parts, draft, endpoint, client)?;
    Ok(done)
}

/// Another's account, or one's own by name: permission before look-up, so that nobody without it learns who exists; a
/// federated account is refused before a notice announces a reset that will not be.
async fn reset_other<H: Host>(parts: &Parts<H>, proof: Authorized) -> Answered {
    let (caller, act) = proof.into_parts();
    let user = match find_target(parts, &caller, &act).await? {
        Ok(user) => user,
        Err(error) => return Ok(Err(error)),
    };
    if !user.verified_emails.is_empty()
        && let Err(error) = parts.host.mail(&user, notice(act.endpoint)).await
    {
        tracing::error!(error = &error as &dyn std::error::Error, "a notice was not mailed");
        return Ok(Err(ApiError::mail_failed(function(act.endpoint), error.shown())));
    }
    let is_operators = user.account != caller && act.endpoint == Endpoint::ResetTotp;
    parts
        .step(&user.account, SLOTS, |draft| {
            reset(parts, draft, act.endpoint, Client::unknown())?;
            // An operator's act: an owner who has nothing but mailed codes has no other way out of a limit that others
            // brought about (`security.md` § 6). E-mail itself stays on, as the protocol has it.
            if is_operators {
                guess::unlock(draft, MAILED_CODE, MAILED_GENERATION)?;
            }
            Ok(())
        })
        .await?;
    Ok(Ok(Reply::success()))
}

async fn find_target<H: Host>(
    parts: &Parts<H>,
    caller: &AccountId,
    act: &Act,
) -> Result<Result<User, ApiError>, Failure> {
    if !parts.host.permitted(caller, permission(act.endpoint)).await? {
        return Ok(Err(ApiError::not_allowed()));
    }
    let Some(named) = act.target.named() else { return Ok(Err(ApiError::blank_target())) };
    let Some(user) = parts.host.find_user(named).await? else { return Ok(Err(ApiError::unknown_target())) };
    Ok(if user.is_federated { Err(ApiError::federated()) } else { Ok(user) })
}

/// The reset itself: what is ours goes now, what is the host's becomes due in the same commit. All logins end, so the
/// credential epoch moves: nothing that one of them has begun or proven is left, and none that was looked up before acts.
fn reset<H: Host>(
    parts: &Parts<H>,
    draft: &mut Draft<'_>,
    endpoint: Endpoint,
    client: Client,
) -> Result<(), StepError> {
    draft.move_credential_epoch()?;
    let work = if endpoint == Endpoint::ResetTotp {
        parts.factors.remove_all_in(draft, client)?;
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

/// The name in an error's details. The first is upstream's spelling, and part of the wire.
const fn function(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::ResetTotp => "resetTOTP",
        _ => "resetUserE2EEncriptionKey",
    }
}
