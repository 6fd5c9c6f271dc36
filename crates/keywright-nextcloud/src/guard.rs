//! The checks before an endpoint: the gate, the waits of guesses, and the cost of a wrong proof.

use keywright_challenge::Verification;
use keywright_core::{Attempt, Charge, Refusal};
use keywright_store::due::{self, NewTask};
use keywright_store::{Draft, SlotName, StepError, guess};

use crate::client::token_tag;
use crate::context::{Caller, Context, END_TOKEN};
use crate::error::ApiError;
use crate::events::APP_TOKEN_ENDED;
use crate::failures::{self, TOKEN_FAILURES};
use crate::host::{Host, Login};
use crate::session::Session;
use crate::unlock;

/// The slots that a proof of the challenge needs.
pub(crate) const PROOF: &[SlotName] = &[TOKEN_FAILURES.name()];

/// The gate (protocol § 2.3): an account with a challenge requires an authorized session. Returns
/// whether the account has a challenge.
pub(crate) fn gate<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    session: &Session,
) -> Result<Result<bool, ApiError>, StepError> {
    let exists = cx.challenges.exists_in(draft)?;
    Ok(if exists && !session.is_authorized() { Err(ApiError::SESSION_REQUIRED) } else { Ok(exists) })
}

/// Returns the refusal of a login by password that must wait. It is checked before anything else
/// (protocol § 2.5). An app token learns of its wait when it proves (`docs/decisions.md` 22).
pub(crate) fn held_up<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    draft: &mut Draft<'_>,
    session: &Session,
) -> Result<Option<ApiError>, StepError> {
    if caller.login != Login::Password {
        return Ok(None);
    }
    let client = caller.prover(draft, session);
    let Some(attempt) = cx.challenges.attempt_in(draft, client)? else { return Ok(None) };
    match guess::refuse(draft, &attempt)? {
        Some(refusal) => refused(caller, draft, &attempt, &refusal).map(Some),
        None => Ok(None),
    }
}

/// Returns the answer to a guess that was not checked. The owner may be mailed.
fn refused(
    caller: &Caller,
    draft: &mut Draft<'_>,
    attempt: &Attempt,
    refusal: &Refusal,
) -> Result<ApiError, StepError> {
    unlock::note_refusal(draft, attempt, refusal, caller.network)?;
    Ok(ApiError::refused(refusal))
}

/// Like [`refused`], for a proof of the challenge.
pub(crate) fn proof_refused<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    draft: &mut Draft<'_>,
    session: &Session,
    refusal: &Refusal,
) -> Result<ApiError, StepError> {
    let client = caller.prover(draft, session);
    match cx.challenges.attempt_in(draft, client)? {
        Some(attempt) => refused(caller, draft, &attempt, refusal),
        None => Ok(ApiError::refused(refusal)),
    }
}

/// Returns the answer to a wrong proof: `error`, and how long the client must wait now. The fifth
/// wrong proof of one app token ends the token (`docs/decisions.md` 22). A login by password has no
/// token to lose, and never gets the answer that makes applications forget their login.
pub(crate) fn denied(
    draft: &mut Draft<'_>,
    caller: &Caller,
    charge: &Charge,
    error: ApiError,
) -> Result<ApiError, StepError> {
    let mut error = error;
    if let Login::AppToken(token) = &caller.login {
        let tag = token_tag(draft, token);
        if failures::count(draft, tag)? {
            error = ApiError::TOO_MANY;
            match due::add(draft, NewTask::new(END_TOKEN, token.0.as_bytes().to_vec())) {
                Ok(_) => {
                    failures::forget(draft, tag)?;
                    draft.event(&APP_TOKEN_ENDED);
                }
                // Too much work is due already. The charge counts all the same: nothing after a
                // wrong proof may undo it.
                Err(StepError::TooMuchDue) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(charge.next().map_or(error, |next| error.retry_after(next.retry_after())))
}

/// Returns what a proof of the challenge yielded, or the answer to one that was not right.
pub(crate) fn granted<H: Host, K>(
    cx: &Context<H>,
    caller: &Caller,
    draft: &mut Draft<'_>,
    session: &Session,
    verification: Verification<K>,
) -> Result<Result<K, ApiError>, StepError> {
    match verification {
        Verification::Granted(key) => Ok(Ok(key)),
        Verification::Denied(charge) => denied(draft, caller, &charge, ApiError::PASSPHRASE_INVALID).map(Err),
        Verification::Refused(refusal) => proof_refused(cx, caller, draft, session, &refusal).map(Err),
        // The endpoints look for a challenge before, in the same draft. Nothing was proven.
        Verification::NoChallenge => Ok(Err(ApiError::PASSPHRASE_INVALID)),
    }
}

/// Records a right proof: the token's wrong ones are forgotten.
pub(crate) fn proven(draft: &mut Draft<'_>, caller: &Caller) -> Result<(), StepError> {
    match &caller.login {
        Login::AppToken(token) => failures::forget(draft, token_tag(draft, token)),
        Login::Password => Ok(()),
    }
}
