//! `POST users.totp.regenerateCodes`: new recovery codes in the place of the old, with a code of either kind.

use keywright_core::SecretString;
use keywright_twofactor::{Verdict, recovery::Liveness};

use super::{FACTORS, codes};
use crate::caller::Caller;
use crate::error::{ApiError, Wait};
use crate::host::{Endpoint, Host};
use crate::service::{Answered, Parts};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller, code: &SecretString) -> Answered {
    let (judged, receipt) = parts
        .step_alone(caller, &FACTORS, |draft| {
            Ok(match parts.verify_code(draft, caller, code, Endpoint::TotpRegenerateCodes)? {
                Verdict::Granted(proof) => Ok((proof, parts.factors.make_recovery_in(draft, Liveness::Now)?)),
                Verdict::Refused(refusal) => Err(ApiError::too_many(Wait::from(draft.now(), refusal.retry_after()))),
                _ => Err(ApiError::invalid_totp()),
            })
        })
        .await?;
    Ok(match judged {
        Ok((proof, made)) => {
            let _spent = proof.release(&receipt)?;
            Ok(codes(&made.release(&receipt)?))
        }
        Err(error) => Err(error),
    })
}
