//! `POST users.totp.disable`: removes all devices and recovery codes, with a code of either kind. A wrong one is no error
//! but `false`.

use keywright_core::SecretString;
use keywright_twofactor::{SLOTS, Verdict};
use serde_json::json;

use super::end_other_logins_by_policy;
use crate::caller::Caller;
use crate::error::{ApiError, Wait};
use crate::host::{Endpoint, Host};
use crate::service::{Answered, Parts, Reply};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller, code: &SecretString) -> Answered {
    let judged = parts
        .step_for(caller, SLOTS, |draft| {
            Ok(match parts.verify_code(draft, caller, code, Endpoint::TotpDisable)? {
                Verdict::Granted(proof) => {
                    parts.factors.remove_all_in(draft, caller.client(draft))?;
                    end_other_logins_by_policy(parts, draft, caller)?;
                    Ok(Some(proof))
                }
                Verdict::Refused(refusal) => Err(ApiError::too_many(Wait::from(draft.now(), refusal.retry_after()))),
                _ => Ok(None),
            })
        })
        .await?;
    let disabled = match judged {
        Ok(Some(_spent)) => true,
        Ok(None) => false,
        Err(error) => return Ok(Err(error)),
    };
    Ok(Ok(Reply::ok(&json!({"success": true, "disabled": disabled}))))
}
