//! One file per endpoint. Each is a step over the account's draft, and the answer made of what was committed.

mod account_reset;
mod challenge_get;
mod challenge_set;
mod keychain_get;
mod keychain_set;
mod session_close;
mod session_keepalive;
mod session_open;
mod session_request;
mod token;

use http::Request;
use keywright_challenge::Salts;
use keywright_core::{Charge, Door, EventKind, LedgerPolicy, Strength};
use keywright_store::guess::{self, Guesser};
use keywright_store::{Draft, StepError, due};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::host::{Endpoint, Host, Login};
use crate::service::{Answer, Caller, END_TOKEN, Failure, Parts, Reply};
use crate::session::Session;

/// Runs an endpoint.
pub(crate) async fn run<H: Host, B: AsRef<[u8]>>(
    parts: &Parts<H>,
    caller: &Caller,
    endpoint: Endpoint,
    request: &Request<B>,
) -> Result<Answer, Failure> {
    match endpoint {
        Endpoint::SessionRequest => session_request::run(parts, caller).await,
        Endpoint::SessionOpen => session_open::run(parts, caller, request).await,
        Endpoint::SessionKeepalive => session_keepalive::run(parts, caller).await,
        Endpoint::SessionClose => session_close::run(parts, caller).await,
        Endpoint::ChallengeGet => challenge_get::run(parts, caller).await,
        Endpoint::ChallengeSet => challenge_set::run(parts, caller, request).await,
        Endpoint::AccountReset => account_reset::run(parts, caller, request).await,
        Endpoint::KeychainGet => keychain_get::run(parts, caller).await,
        Endpoint::KeychainSet => keychain_set::run(parts, caller, request).await,
    }
}

/// An error that needs no step, with the caller's session as ever.
async fn refuse<H: Host>(parts: &Parts<H>, caller: &Caller, error: ApiError) -> Result<Answer, Failure> {
    parts.step(caller, &[], |_, _| Ok(())).await?.answer(|(), _| Ok(Err(error)))
}

/// The gate (dossier § 2.3): an account with a challenge needs an authorized session. Gives whether it has a challenge.
fn gate<H: Host>(
    parts: &Parts<H>,
    draft: &mut Draft<'_>,
    session: &Session,
) -> Result<Result<bool, ApiError>, StepError> {
    let exists = parts.challenges.exists_in(draft)?;
    Ok(if exists && !session.is_authorized() { Err(ApiError::SESSION_REQUIRED) } else { Ok(exists) })
}

/// The lock-out of a login by password: before anything else is looked at, an authorized session included (dossier § 2.5).
/// An app token learns of its wait when it proves (`decisions.md` 22).
fn locked_out<H: Host>(
    parts: &Parts<H>,
    caller: &Caller,
    draft: &mut Draft<'_>,
) -> Result<Option<ApiError>, StepError> {
    if caller.login != Login::Password {
        return Ok(None);
    }
    let stranger = Guesser { door: Door::Challenge, strength: Strength::Guessable, tag: None, passes_as: None };
    let refusal = guess::refused(draft, &parts.policy.challenge.ledger, &stranger)?;
    Ok(refusal.map(|refusal| ApiError::LOGIN_NOT_ALLOWED.retry_after(refusal.retry_after())))
}

/// What a wrong proof is answered with: the fifth of a lane ends the app token that it came with (`decisions.md` 22).
fn denied(
    draft: &mut Draft<'_>,
    caller: &Caller,
    policy: &LedgerPolicy,
    charge: &Charge,
) -> Result<ApiError, StepError> {
    Ok(shut_out(draft, caller, policy, charge)?.unwrap_or(ApiError::PASSPHRASE_INVALID))
}

/// What the fifth failure of a lane is answered with, whatever was guessed at; `None` for any other.
fn shut_out(
    draft: &mut Draft<'_>,
    caller: &Caller,
    policy: &LedgerPolicy,
    charge: &Charge,
) -> Result<Option<ApiError>, StepError> {
    if charge.streak() != policy.free_tries() {
        return Ok(None);
    }
    if let Login::AppToken(token) = &caller.login {
        match due::add(draft, END_TOKEN, token.0.as_bytes().to_vec()) {
            Ok(_) => draft.event(EventKind::AppTokenEnded),
            // The host owes too much already. The charge counts all the same: nothing after a wrong proof may undo it.
            Err(StepError::TooMuchDue) => {}
            Err(error) => return Err(error),
        }
    }
    let wait = charge.next().map(keywright_core::Refusal::retry_after);
    Ok(Some(wait.map_or(ApiError::TOO_MANY, |seconds| ApiError::TOO_MANY.retry_after(seconds))))
}

fn challenge(salts: &Salts) -> Value {
    json!({"salts": salts.as_strs(), "type": "PWDv1r1"})
}

fn success() -> Reply {
    Reply::ok(&json!({"success": true}))
}
