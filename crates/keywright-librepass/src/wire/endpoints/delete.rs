//! `DELETE user/delete`: deletes the account and everything in it.
//!
//! It requires two proofs, the password's first, then the second factor's if there is one. Neither
//! is spent or forgiven if the other was wrong. The recovery code is not accepted (protocol § 7).

use keywright_core::{Client, Purpose};
use keywright_store::guess::LEDGER;
use keywright_store::names::{self, NAMES, Released};
use keywright_store::{Draft, SlotName, StepError, Tentative};
use keywright_twofactor::VerifyOutcome;
use keywright_wire::Network;
use keywright_wire::Reply;
use serde::Deserialize;

use crate::account::credential::{CREDENTIAL, Credential};
use crate::account::guard::{KeyCheck, Proof, Sender};
use crate::account::mails::{self, Kind};
use crate::account::tokens::{self, Login};
use crate::protocol::error::ApiError;
use crate::protocol::keys::SharedKey;
use crate::wire::answer::{Failure, empty};
use crate::wire::claim;
use crate::wire::context::{Caller, Context};
use crate::wire::host::Host;
use crate::wire::request::Input;

/// The purpose that a code is accepted for, where the policy accepts it once for each purpose.
pub(crate) const PURPOSE: Purpose = Purpose::new("librepass/delete");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    shared_key: String,
    /// The code. Absent, null and empty count as none: clients send an empty one where there is no
    /// second factor.
    code: Option<String>,
}

/// The end of a deletion, in its commit: the names to tidy up, or the refusal.
type Ended = Result<Tentative<Vec<Released>>, ApiError>;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Result<Reply, Failure> {
    let body: Body = input.json()?;
    let sent = SharedKey::from_hex(&body.shared_key).map_err(|_| ApiError::SHARED_KEY)?;
    let code = body.code.as_deref().unwrap_or_default();
    let network = cx.network(input);
    let own = [caller.login.slot(), CREDENTIAL.name(), NAMES.name(), LEDGER.name()];
    let slots: Vec<SlotName> = own.iter().chain(keywright_twofactor::SLOTS).copied().collect();
    let step =
        |draft: &mut Draft<'_>, check: &KeyCheck<'_>| delete_in(cx, draft, check, caller, &sent, (code, network));
    for name in &cx.with_shared_key(caller.account(), &slots, step).await?? {
        claim::drop_claim(cx, name).await;
    }
    Ok(empty())
}

fn delete_in<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    check: &KeyCheck<'_>,
    caller: &Caller,
    sent: &SharedKey,
    (code, network): (&str, Option<Network>),
) -> Result<Ended, StepError> {
    let Some(login) = tokens::verify_in(draft, &caller.token)?.filter(Login::may_act) else {
        return Ok(Err(ApiError::INVALID_TOKEN));
    };
    let Some(credential) = Credential::read(draft)? else { return Ok(Err(ApiError::INVALID_TOKEN)) };
    let sender = Sender { client: login.client(draft, network), network };
    let password = draft.judge(|draft| check.judge_in(draft, &credential, sent, &sender))?;
    match *password.outcome() {
        Proof::Right => {}
        Proof::Wrong | Proof::Refused { .. } => {
            return Ok(Err(match draft.stage(password)? {
                Proof::Refused { retry_after } => {
                    // One request learns of one wait: the longer of the two.
                    let code = code_refusal(cx, draft, code, sender.client)?;
                    ApiError::too_many(code.map_or(retry_after, |seconds| seconds.max(retry_after)))
                }
                _ => ApiError::SHARED_KEY,
            }));
        }
    }
    if cx.factors.enrolled_in(draft)?.has_factor()
        && let Some(error) = prove_to_delete(cx, draft, code, sender.client)?
    {
        return Ok(Err(error));
    }
    // The erasure removes everything, including the ledger, so the password's verdict cannot be
    // recorded.
    let released = names::release_all(draft)?;
    draft.erase(&[])?;
    // Anybody can register and delete, over and over, so the remains must be removed in time. A
    // notice that fails delays that.
    draft.expire_erased(draft.now().plus(cx.driver.events_kept()))?;
    mails::notice_in(draft, &credential.address()?, Kind::AccountDeleted)?;
    Ok(Ok(released))
}

/// Returns for how many seconds a code is not checked from now on, if it is well formed and there
/// is a second factor.
fn code_refusal<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    code: &str,
    client: Client,
) -> Result<Option<u64>, StepError> {
    let enrolled = cx.factors.enrolled_in(draft)?;
    let refusal = if enrolled.has_totp() {
        enrolled.is_form_of_totp(code).then(|| cx.factors.totp_refused_in(draft, client))
    } else {
        let is_checked = enrolled.has_factor() && enrolled.is_form_of_recovery(code);
        is_checked.then(|| cx.factors.recovery_refused_in(draft, client))
    };
    Ok(refusal.transpose()?.flatten().map(|refusal| refusal.retry_after()))
}

/// Checks a code. Returns the refusal, or `None` if the code is right. A malformed or absent code
/// is not charged. A recovery code counts only where there is a passkey and no device.
fn prove_to_delete<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    code: &str,
    client: Client,
) -> Result<Option<ApiError>, StepError> {
    let verdict = if cx.factors.enrolled_in(draft)?.has_totp() {
        cx.factors.verify_totp_in(draft, code, &PURPOSE, client)?
    } else {
        cx.factors.verify_recovery_in(draft, code, &PURPOSE, client)?
    };
    Ok(match verdict {
        VerifyOutcome::Granted(_) => None,
        VerifyOutcome::Refused(refusal) => Some(ApiError::too_many(refusal.retry_after())),
        VerifyOutcome::Denied(_) | VerifyOutcome::Malformed | VerifyOutcome::NotEnrolled => Some(ApiError::TWO_FACTOR),
    })
}
