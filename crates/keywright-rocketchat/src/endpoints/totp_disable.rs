//! `POST users.disableTotp`: removes all devices and recovery codes, with a code of either kind. A
//! wrong code is not an error; the answer is `false`.

use keywright_core::SecretString;
use keywright_twofactor::{SLOTS, VerifyOutcome};
use keywright_wire::Reply;
use serde_json::json;

use crate::answer::{Failure, ok};
use crate::context::{Caller, Context};
use crate::error::{ApiError, Wait};
use crate::factors::{self, end_other_logins_by_policy};
use crate::host::{Endpoint, Host};
use crate::method::Demand;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, code: &SecretString) -> Result<Reply, Failure> {
    let prover = cx.prover(caller);
    let judged = cx
        .step_for(caller, SLOTS, |draft| {
            Ok(match factors::verify_code(cx, draft, &prover, code, Endpoint::TotpDisable, Demand::Enrolled)? {
                VerifyOutcome::Granted(proof) => {
                    cx.factors.remove_all_in(draft, caller.client(draft))?;
                    end_other_logins_by_policy(cx, draft, caller)?;
                    Ok(Some(proof))
                }
                VerifyOutcome::Refused(refusal) => {
                    Err(ApiError::too_many(Wait::from(draft.now(), refusal.retry_after())))
                }
                _ => Ok(None),
            })
        })
        .await?;
    let disabled = judged?.is_some();
    Ok(ok(&json!({"success": true, "disabled": disabled})))
}
