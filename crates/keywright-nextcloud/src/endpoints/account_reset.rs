//! `GET`, `POST account/reset`: a shown code typed back, or the login password and a random wait. A GET may ask; it never
//! resets, and a code in a query is never looked at.

use http::{Method, Request};
use keywright_confirm::{Action, Confirmation, Confirmed, TypedCode, Waiting};
use keywright_core::{AccountId, Door};
use keywright_store::{Draft, Slot, StepError, Tentative, due, guess};
use serde_json::json;

use super::{gate, refuse};
use crate::error::ApiError;
use crate::host::{Host, Unproven};
use crate::login::{Verdict, check_password};
use crate::policy::ResetStyle;
use crate::request::{Params, body, query_names};
use crate::service::{Answer, Caller, ERASE, Failure, Parts, Reply};
use crate::session::Session;

/// Resetting the whole account.
struct ResetAccount {
    account: AccountId,
}

impl Action for ResetAccount {
    const NAME: &'static str = "nextcloud.account-reset";

    fn target(&self) -> &str {
        self.account.as_str()
    }

    fn parameters(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// What a reset's step decided.
enum Decision {
    Code(Tentative<TypedCode>),
    Wait(Tentative<keywright_confirm::Wait>),
    Reset(Tentative<()>),
}

const SLOTS: [Slot; 6] = [Slot::Challenge, Slot::Confirmations, Slot::Ledger, Slot::Due, Slot::Factors, Slot::Recovery];

pub(super) async fn run<H: Host, B: AsRef<[u8]>>(
    parts: &Parts<H>,
    caller: &Caller,
    request: &Request<B>,
) -> Result<Answer, Failure> {
    let by_get = request.method() == Method::GET;
    let params = if by_get {
        None
    } else {
        match body(request, parts.policy.max_body) {
            Ok(params) => Some(params),
            Err(error) => return refuse(parts, caller, error).await,
        }
    };
    match (parts.policy.reset, params) {
        (ResetStyle::Code, params) => {
            let code = match sent_code(params.as_ref(), by_get && query_names(request.uri().query(), "code")) {
                Ok(code) => code,
                Err(error) => return gated(parts, caller, error).await,
            };
            by_code(parts, caller, code).await
        }
        (ResetStyle::Wait, Some(params)) => by_wait(parts, caller, &params).await,
        (ResetStyle::Wait, None) => refuse(parts, caller, ApiError::METHOD).await,
    }
}

/// The code to be judged: `None` asks for one. In a GET's query it is not looked at, and the pending one stays.
fn sent_code(params: Option<&Params>, in_query: bool) -> Result<Option<&str>, ApiError> {
    match params {
        _ if in_query => Err(ApiError::RESET_CODE_INVALID),
        None => Ok(None),
        Some(params) => params.text("code").map_err(|_| ApiError::RESET_CODE_INVALID),
    }
}

/// An error behind the gate: the gate's own comes first.
async fn gated<H: Host>(parts: &Parts<H>, caller: &Caller, error: ApiError) -> Result<Answer, Failure> {
    let stepped = parts
        .step(caller, &[Slot::Challenge], |draft, session| Ok(gate(parts, draft, session)?.err().unwrap_or(error)))
        .await?;
    stepped.answer(|error, _| Ok(Err(error)))
}

async fn by_code<H: Host>(parts: &Parts<H>, caller: &Caller, code: Option<&str>) -> Result<Answer, Failure> {
    let permitted = parts.host.permit(&caller.account, &caller.login, Unproven::ResetAccount).await?;
    let stepped = parts
        .step(caller, &SLOTS, |draft, session| {
            if let Some(error) = refusal(parts, draft, session, permitted)? {
                return Ok(Err(error));
            }
            let action = ResetAccount { account: caller.account.clone() };
            let Some(code) = code else {
                let Some(selector) = keep(draft, session)? else { return Ok(Err(ApiError::BUSY)) };
                let code = parts.confirmations.ask_code_in(draft, &action, &selector)?;
                return Ok(Ok(Decision::Code(code)));
            };
            let Some(selector) = session.selector().copied() else { return Ok(Err(ApiError::RESET_CODE_INVALID)) };
            match parts.confirmations.confirm_code_in(draft, action, &selector, code)? {
                Confirmation::Granted(proof) => reset(draft, session, proof).map(Ok),
                _ => Ok(Err(ApiError::RESET_CODE_INVALID)),
            }
        })
        .await?;
    answer(stepped)
}

async fn by_wait<H: Host>(parts: &Parts<H>, caller: &Caller, params: &Params) -> Result<Answer, Failure> {
    let permitted = parts.host.permit(&caller.account, &caller.login, Unproven::ResetAccount).await?;
    let checked = parts.step(caller, &SLOTS, |draft, session| refusal(parts, draft, session, permitted)).await?;
    if let Some(error) = checked.value {
        return refuse(parts, caller, error).await;
    }
    let Ok(Some(password)) = params.text("password") else {
        return refuse(parts, caller, ApiError::BAD_REQUEST).await;
    };
    let password = keywright_core::SecretString::new(password.into());
    let (account, presented) = (Some(&caller.account), caller.presented.as_ref());
    match check_password(parts, account, caller.account.as_str(), presented, &password).await? {
        Verdict::Right => {}
        // A wrong password leaves a pending wait alone (`decisions.md` 22b).
        Verdict::Wrong => return refuse(parts, caller, ApiError::PASSWORD_INVALID).await,
        Verdict::Refused { retry_after } => {
            return refuse(parts, caller, ApiError::LOGIN_NOT_ALLOWED.retry_after(retry_after)).await;
        }
    }
    let stepped = parts
        .step(caller, &SLOTS, |draft, session| {
            if let Some(error) = refusal(parts, draft, session, permitted)? {
                return Ok(Err(error));
            }
            let Some(selector) = keep(draft, session)? else { return Ok(Err(ApiError::BUSY)) };
            let action = ResetAccount { account: caller.account.clone() };
            match parts.confirmations.confirm_wait_in(draft, action, &selector)? {
                Waiting::Granted(proof) => reset(draft, session, proof).map(Ok),
                Waiting::Begun(wait) => Ok(Ok(Decision::Wait(wait))),
                _ => Err(StepError::Misuse("a wait with an unknown outcome")),
            }
        })
        .await?;
    answer(stepped)
}

/// The gate, and the host's own for an account that has nothing to prove.
fn refusal<H: Host>(
    parts: &Parts<H>,
    draft: &mut Draft<'_>,
    session: &Session,
    permitted: bool,
) -> Result<Option<ApiError>, StepError> {
    Ok(match gate(parts, draft, session)? {
        Err(error) => Some(error),
        Ok(false) if !permitted => Some(ApiError::LOGIN_NOT_ALLOWED),
        Ok(_) => None,
    })
}

/// The selector that a pending confirmation is bound to; a session without a record gets one.
fn keep(draft: &mut Draft<'_>, session: &mut Session) -> Result<Option<[u8; 16]>, StepError> {
    if session.selector().is_none() {
        session.save(draft, false, None)?;
    }
    Ok(session.selector().copied())
}

/// The reset itself: every record goes but the ledger (without the challenge's entry), what is due, and the confirmations,
/// which are void in the new epoch but still count the day's mail; the host's part
/// becomes due in the same commit.
fn reset(
    draft: &mut Draft<'_>,
    session: &mut Session,
    proof: Tentative<Confirmed<ResetAccount>>,
) -> Result<Decision, StepError> {
    // The account is taken from the proof: it is the one whose records this draft can touch, or nothing is reset.
    if Some(proof.peek(draft)?.account()) != draft.partition().as_account().as_ref() {
        return Err(StepError::Misuse("a proof of another account"));
    }
    // The second factor is the account's, not this protocol's (`decisions.md` 27c): a reset, which an app token may do
    // where there is no challenge, must not take it off the other protocols.
    draft.erase(&[Slot::Ledger, Slot::Due, Slot::Confirmations, Slot::Factors, Slot::Recovery])?;
    guess::clear(draft, Door::Challenge)?;
    due::add(draft, ERASE, Vec::new())?;
    session.forget();
    Ok(Decision::Reset(proof.map(drop)))
}

fn answer(stepped: crate::service::Stepped<Result<Decision, ApiError>>) -> Result<Answer, Failure> {
    stepped.answer(|decision, receipt| {
        Ok(match decision {
            Ok(Decision::Code(code)) => {
                let code = code.release(receipt)?;
                Ok(Reply::accepted(&json!({"status": "accepted", "code": code.expose()})))
            }
            Ok(Decision::Wait(wait)) => {
                let wait = wait.release(receipt)?;
                Ok(Reply::accepted(&json!({"status": "accepted", "wait": wait.seconds()})))
            }
            Ok(Decision::Reset(done)) => {
                let () = done.release(receipt)?;
                Ok(Reply::ok(&json!({"status": "ok"})))
            }
            Err(error) => Err(error),
        })
    })
}
