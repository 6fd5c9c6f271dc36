//! `POST users.totp.disable`: removes all devices and recovery codes, with a code of either kind. A wrong one is no error
//! but `false`.

use keywright_core::SecretString;
use keywright_twofactor::Verdict;
use serde_json::json;

use super::FACTORS;
use crate::caller::Caller;
use crate::error::{ApiError, Wait};
use crate::host::{Endpoint, Host};
use crate::service::{Answered, Parts, Reply};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller, code: &SecretString) -> Answered {
    let (judged, receipt) = parts
        .step_alone(caller, &FACTORS, |draft| {
            Ok(match parts.verify_code(draft, caller, code, Endpoint::TotpDisable)? {
                Verdict::Granted(proof) => {
                    parts.factors.remove_all_in(draft)?;
                    Ok(Some(proof))
                }
                Verdict::Refused(refusal) => Err(ApiError::too_many(Wait::from(draft.now(), refusal.retry_after()))),
                _ => Ok(None),
            })
        })
        .await?;
    let disabled = match judged {
        Ok(Some(proof)) => {
            let _spent = proof.release(&receipt)?;
            true
        }
        Ok(None) => false,
        Err(error) => return Ok(Err(error)),
    };
    Ok(Ok(Reply::ok(&json!({"success": true, "disabled": disabled}))))
}
