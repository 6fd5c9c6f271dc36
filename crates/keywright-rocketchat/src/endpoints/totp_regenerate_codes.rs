//! `POST users.totp.regenerateCodes`: new recovery codes in the place of the old, with a code of either kind.

use keywright_core::SecretString;
use keywright_twofactor::{SLOTS, Verdict, recovery::Liveness};

use super::{codes, end_other_logins_by_policy};
use crate::caller::Caller;
use crate::error::{ApiError, Wait};
use crate::host::{Endpoint, Host};
use crate::service::{Answered, Parts};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller, code: &SecretString) -> Answered {
    let judged = parts
        .step_for(caller, SLOTS, |draft| {
            Ok(match parts.verify_code(draft, caller, code, Endpoint::TotpRegenerateCodes)? {
                Verdict::Granted(proof) => {
                    let made = parts.factors.make_recovery_in(draft, Liveness::Now, caller.client(draft))?;
                    end_other_logins_by_policy(parts, draft, caller)?;
                    Ok((proof, made))
                }
                Verdict::Refused(refusal) => Err(ApiError::too_many(Wait::from(draft.now(), refusal.retry_after()))),
                _ => Err(ApiError::invalid_totp()),
            })
        })
        .await?;
    Ok(match judged {
        Ok((_spent, made)) => Ok(codes(&made)),
        Err(error) => Err(error),
    })
}
