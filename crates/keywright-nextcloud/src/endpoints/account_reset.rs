//! `GET`, `POST account/reset`: a shown code that is typed back, or the login password and a random
//! wait. A GET may request a code; it never resets, and a code in a query is never checked.

use http::Method;
use keywright_challenge::{CHALLENGE_SECRET, SLOTS as CHALLENGE};
use keywright_confirm::{
    Action, Confirmation, Confirmed, KEEP_ON_ERASE, SLOTS as CONFIRMATIONS, TypedCode, Wait, WaitOutcome,
};
use keywright_core::{AccountId, PendingGuess, SecretString, SessionId};
use keywright_store::due::{self, DUE, NewTask};
use keywright_store::{Draft, Partition, Plain, Receipt, Release, SlotName, StepError, Tentative, WrongReceipt, guess};
use keywright_twofactor::SLOTS as FACTORS;
use keywright_wire::Reply;
use keywright_wire::queue::Requester;
use serde_json::json;

use crate::answer::{Answered, Failure, accepted, ok};
use crate::body::{Input, Params, query_names};
use crate::context::{Caller, Context, ERASE, Stepped};
use crate::error::ApiError;
use crate::guard::gate;
use crate::host::{Host, Unproven};
use crate::login::{self, Begun};
use crate::open_checks::OpenCheck;
use crate::policy::ResetStyle;
use crate::request::member;
use crate::session::Session;
use crate::session::list;

/// The act of resetting the whole account.
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

/// The decision of a reset's step. Inside the step its contents are tentative.
enum Decision<C, W, R> {
    Code(C),
    Wait(W),
    Reset(R),
}

type Decided = Decision<Tentative<TypedCode>, Tentative<Wait>, Tentative<()>>;

impl<C: Release, W: Release, R: Release> Release for Decision<C, W, R> {
    type Released = Decision<C::Released, W::Released, R::Released>;

    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Code(code) => Decision::Code(code.release(receipt)?),
            Self::Wait(wait) => Decision::Wait(wait.release(receipt)?),
            Self::Reset(done) => Decision::Reset(done.release(receipt)?),
        })
    }
}

/// The ledger is among the confirmations' slots.
const SLOTS: [&[SlotName]; 3] = [CHALLENGE, CONFIRMATIONS, FACTORS];

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Result<Reply, Failure> {
    let by_get = *input.method == Method::GET;
    let params = if by_get { None } else { Some(input.params()?) };
    match (cx.policy.reset, params) {
        (ResetStyle::Code, params) => {
            let code = match sent_code(params.as_ref(), by_get && query_names(input.query, member::CODE)) {
                Ok(code) => code,
                Err(error) => return gated(cx, caller, error).await,
            };
            by_code(cx, caller, code).await
        }
        (ResetStyle::Wait, Some(params)) => by_wait(cx, caller, &params).await,
        (ResetStyle::Wait, None) => Err(ApiError::METHOD.into()),
    }
}

/// Returns the code to be checked; `None` requests one. A code in a GET's query is not checked, and
/// the pending one stays.
fn sent_code(params: Option<&Params>, in_query: bool) -> Result<Option<&str>, ApiError> {
    match params {
        _ if in_query => Err(ApiError::RESET_CODE_INVALID),
        None => Ok(None),
        Some(params) => params.text(member::CODE).map_err(|_| ApiError::RESET_CODE_INVALID),
    }
}

/// Returns an error of an endpoint behind the gate: the gate's own error takes precedence.
async fn gated<H: Host>(cx: &Context<H>, caller: &Caller, error: ApiError) -> Answered {
    let stepped = cx
        .step(caller, &[CHALLENGE], |draft, session| Ok(Plain(gate(cx, draft, session)?.err().unwrap_or(error))))
        .await?;
    stepped.answer(Err)
}

async fn by_code<H: Host>(cx: &Context<H>, caller: &Caller, code: Option<&str>) -> Answered {
    let permitted = cx.host.permit(&caller.account, &caller.login, Unproven::ResetAccount).await?;
    let stepped = cx
        .step(caller, &SLOTS, |draft, session| {
            if let Some(error) = refusal(cx, draft, session, permitted)? {
                return Ok(Err(error));
            }
            let action = ResetAccount { account: caller.account.clone() };
            let Some(code) = code else {
                let selector = match keep(draft, session)? {
                    Ok(selector) => selector,
                    Err(error) => return Ok(Err(error)),
                };
                let code = cx.confirmations.begin_code_in(draft, &action, SessionId::new(selector))?;
                return Ok(Ok(Decision::Code(code)));
            };
            let Some(selector) = session.selector().copied() else { return Ok(Err(ApiError::RESET_CODE_INVALID)) };
            match cx.confirmations.confirm_code_in(draft, action, SessionId::new(selector), code)? {
                Confirmation::Granted(proof) => reset(draft, session, &proof).map(Ok),
                Confirmation::Denied(_) | Confirmation::Refused(_) => Ok(Err(ApiError::RESET_CODE_INVALID)),
            }
        })
        .await?;
    answer(stepped)
}

async fn by_wait<H: Host>(cx: &Context<H>, caller: &Caller, params: &Params) -> Answered {
    let permitted = cx.host.permit(&caller.account, &caller.login, Unproven::ResetAccount).await?;
    let password = params.text(member::PASSWORD).ok().flatten().map(|password| SecretString::new(password.into()));
    let (guess, judging, password) = begin(cx, caller, permitted, password).await?;
    let requester = Requester::of_guess(Partition::account(&caller.account), &guess);
    let right = login::judged(cx, Some(&caller.account), &password, &requester, &guess).await?;
    let stepped = cx
        .step(caller, &SLOTS, |draft, session| {
            // A wrong password leaves a pending wait unchanged (`docs/decisions.md` 22b).
            if !login::settle(draft, &guess, right)? {
                return Ok(Err(ApiError::PASSWORD_INVALID));
            }
            if let Some(error) = refusal(cx, draft, session, permitted)? {
                return Ok(Err(error));
            }
            let selector = match keep(draft, session)? {
                Ok(selector) => selector,
                Err(error) => return Ok(Err(error)),
            };
            let action = ResetAccount { account: caller.account.clone() };
            match cx.confirmations.confirm_wait_in(draft, action, SessionId::new(selector))? {
                WaitOutcome::Granted(proof) => reset(draft, session, &proof).map(Ok),
                WaitOutcome::Begun(wait) => Ok(Ok(Decision::Wait(wait))),
            }
        })
        .await?;
    drop(judging);
    answer(stepped)
}

/// Begins a guess at the login password, behind the gate. The password is checked later, outside of
/// any commit.
async fn begin<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    permitted: bool,
    mut password: Option<SecretString>,
) -> Result<(PendingGuess, OpenCheck, SecretString), Failure> {
    loop {
        let judging = cx.open_checks.announce(&Partition::account(&caller.account));
        let given = password.is_some();
        let stepped = cx
            .step(caller, &SLOTS, |draft, session| {
                let begun: Result<Begun, ApiError> = match refusal(cx, draft, session, permitted)? {
                    Some(error) => Err(error),
                    None if !given => Err(ApiError::BAD_REQUEST),
                    None => Ok(login::begin(draft, Some(&caller.account), &caller.origin())?.0),
                };
                Ok(Plain(begun))
            })
            .await?;
        let error = match &stepped.value {
            Err(error) => *error,
            Ok(Ok(guess)) => match password.take() {
                Some(password) => return Ok((*guess, judging, password)),
                None => ApiError::BAD_REQUEST,
            },
            Ok(Err(refused)) if refused.may_try_again(judging).await => continue,
            Ok(Err(refused)) => ApiError::refused(&refused.refusal),
        };
        return Err(stepped.refuse(error));
    }
}

/// Returns the refusal of the gate, or of the host for an account that has nothing to prove.
fn refusal<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    session: &Session,
    permitted: bool,
) -> Result<Option<ApiError>, StepError> {
    Ok(match gate(cx, draft, session)? {
        Err(error) => Some(error),
        Ok(false) if !permitted => Some(ApiError::LOGIN_NOT_ALLOWED),
        Ok(_) => None,
    })
}

/// Returns the selector that a pending confirmation is bound to; a session without a record gets
/// one.
fn keep(draft: &mut Draft<'_>, session: &mut Session) -> Result<Result<[u8; 16], ApiError>, StepError> {
    if let Some(selector) = session.selector() {
        return Ok(Ok(*selector));
    }
    let saved = session.save(draft, list::Unproven::Asking)?;
    Ok(saved.map_err(|none| ApiError::no_session(none.retry_after)))
}

/// Resets the account. Every record is removed except the ledger (without the challenge's entry),
/// the due work, the counts of the day's mail and the second factor. The host's part becomes due in
/// the same commit.
fn reset(
    draft: &mut Draft<'_>,
    session: &mut Session,
    proof: &Tentative<Confirmed<ResetAccount>>,
) -> Result<Decided, StepError> {
    // The account comes from the proof: it must be the one whose records this draft can change, or
    // nothing is reset.
    if Some(proof.peek(draft)?.account()) != draft.partition().as_account().as_ref() {
        // Checked here although no caller mixes them up, because a slip would erase an account.
        return Err(StepError::Misuse("a proof of another account"));
    }
    // The second factor belongs to the account, not to this protocol (`docs/decisions.md` 27c): a
    // reset, which an app token may do where there is no challenge, must not take it away from the
    // other protocols.
    let kept = [[guess::LEDGER.name(), DUE.name()].as_slice(), KEEP_ON_ERASE, FACTORS].concat();
    draft.erase(&kept)?;
    guess::forget(draft, CHALLENGE_SECRET)?;
    due::add(draft, NewTask::new(ERASE, Vec::new()).reserved().blocking())?;
    session.forget();
    Ok(Decision::Reset(draft.tentative(())))
}

fn answer(stepped: Stepped<Result<Decision<TypedCode, Wait, ()>, ApiError>>) -> Answered {
    stepped.answer(|decision| {
        decision.map(|decision| match decision {
            Decision::Code(code) => accepted(&json!({"status": "accepted", "code": code.expose()})),
            Decision::Wait(wait) => accepted(&json!({"status": "accepted", "wait": wait.seconds()})),
            Decision::Reset(()) => ok(&json!({"status": "ok"})),
        })
    })
}
