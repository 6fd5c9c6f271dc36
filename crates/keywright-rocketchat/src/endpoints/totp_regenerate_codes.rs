//! `POST users.regenerateTotpCodes`: replaces the recovery codes, with a code of either kind.

use keywright_core::SecretString;
use keywright_twofactor::{SLOTS, VerifyOutcome, recovery::Liveness};
use keywright_wire::Reply;

use crate::answer::{Failure, codes};
use crate::context::{Caller, Context};
use crate::error::{ApiError, Wait};
use crate::factors::{self, end_other_logins_by_policy};
use crate::host::{Endpoint, Host};
use crate::method::Demand;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, code: &SecretString) -> Result<Reply, Failure> {
    let prover = cx.prover(caller);
    let judged = cx
        .step_for(caller, SLOTS, |draft| {
            Ok(match factors::verify_code(cx, draft, &prover, code, Endpoint::TotpRegenerateCodes, Demand::Enrolled)? {
                VerifyOutcome::Granted(proof) => {
                    let made = cx.factors.make_recovery_in(draft, Liveness::Now, caller.client(draft))?;
                    end_other_logins_by_policy(cx, draft, caller)?;
                    Ok((proof, made))
                }
                VerifyOutcome::Refused(refusal) => {
                    Err(ApiError::too_many(Wait::from(draft.now(), refusal.retry_after())))
                }
                _ => Err(ApiError::invalid_totp()),
            })
        })
        .await?;
    let (_spent, made) = judged?;
    Ok(codes(&made))
}
