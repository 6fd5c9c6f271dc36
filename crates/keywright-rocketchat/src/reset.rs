//! The two resets. For the caller's own account, proof and reset are one commit. For another user's
//! account, the order is the caller's proof, the notice, the target's reset (`docs/decisions.md`
//! 14, 24); a crash in between costs a code and resets nothing. A notice that fails does not cost the
//! code (28a).

use keywright_confirm::policy::{MAILED_CODE, MAILED_GENERATION};
use keywright_core::{AccountId, Client};
use keywright_store::due::{self, NewTask};
use keywright_store::{Draft, StepError, Tentative, guess};
use keywright_twofactor::SLOTS;
use keywright_wire::HostError;

use crate::act::Act;
use crate::answer::{Answered, Failure, success};
use crate::context::{Caller, Context, END_LOGINS, REMOVE_KEYS};
use crate::error::ApiError;
use crate::events::{END_TO_END_KEYS_RESET, LOGINS_ENDED};
use crate::guard::{Authorized, Guard};
use crate::host::{Endpoint, Host, Mail, Permission};
use crate::method::Demand;
use crate::params::Target;
use crate::request::SentCode;
use crate::user::User;

pub(crate) async fn run<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    sent: &SentCode,
    target: &Target,
    endpoint: Endpoint,
) -> Answered {
    let act = Act::new(endpoint, target.clone());
    let guard = Guard { cx, caller, sent, act, demand: demand(endpoint) };
    if *target == Target::Own {
        guard.run(|draft, proof| reset_own(cx, draft, proof, caller.client(draft))).await?;
        return Ok(success());
    }
    let proof = guard.run(|_, proof| Ok(proof)).await?;
    let (caller, act, until) = proof.into_parts();
    let user = match prepare(cx, &caller, &act).await {
        Ok(user) => user,
        Err(stopped) => {
            // Nothing has changed, and what stopped it was not the caller's fault: the same code
            // passes again.
            if stopped.is_for_now {
                guard.keep_credit(until).await;
            }
            return Err(stopped.failure);
        }
    };
    reset_other(cx, &caller, &act, &user).await
}

/// Why another user's account was not reset.
struct Stopped {
    failure: Failure,
    /// Whether it may go well the next time.
    is_for_now: bool,
}

impl From<ApiError> for Stopped {
    fn from(error: ApiError) -> Self {
        Self { failure: error.into(), is_for_now: false }
    }
}

impl From<HostError> for Stopped {
    fn from(error: HostError) -> Self {
        Self { failure: error.into(), is_for_now: true }
    }
}

/// Resets the caller's own account, in the commit that spends the code.
fn reset_own<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    proof: Tentative<Authorized>,
    client: Client,
) -> Result<Tentative<()>, StepError> {
    // The proof's own endpoint decides what is reset.
    let endpoint = proof.peek(draft)?.act().endpoint;
    reset(cx, draft, endpoint, client)?;
    Ok(proof.map(drop))
}

/// Finds the target, which may be the caller by name, and mails the notice. The permission is checked
/// before the look-up, so that a caller without it does not learn who exists. A federated account is
/// refused before a notice announces a reset that will not happen.
async fn prepare<H: Host>(cx: &Context<H>, caller: &AccountId, act: &Act) -> Result<User, Stopped> {
    if !cx.host.permitted(caller, permission(act.endpoint)).await? {
        return Err(ApiError::not_allowed().into());
    }
    let Some(named) = act.target.named() else { return Err(ApiError::blank_target().into()) };
    let Some(user) = cx.host.find_user(named).await? else { return Err(ApiError::unknown_target().into()) };
    if user.is_federated {
        return Err(ApiError::federated().into());
    }
    if !user.verified_emails.is_empty()
        && let Err(error) = cx.host.mail(&user, notice(act.endpoint)).await
    {
        tracing::error!(error = &error as &dyn std::error::Error, "a notice was not mailed");
        let failure = ApiError::mail_failed(function(act.endpoint), error.shown()).into();
        return Err(Stopped { failure, is_for_now: true });
    }
    Ok(user)
}

/// Resets the target, in a commit of its own.
async fn reset_other<H: Host>(cx: &Context<H>, caller: &AccountId, act: &Act, user: &User) -> Answered {
    let is_operators = user.account != *caller && act.endpoint == Endpoint::ResetTotp;
    cx.step(&user.account, SLOTS, |draft| {
        // The caller's client must not become known for the target's next factors.
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
