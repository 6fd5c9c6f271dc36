//! `GET users.totp.codesRemaining`: how many recovery codes are unused.

use keywright_store::Plain;
use keywright_twofactor::SLOTS;
use serde_json::json;

use crate::caller::Caller;
use crate::host::Host;
use crate::service::{Answered, Parts, Reply};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller) -> Answered {
    let remaining = parts
        .step_for(caller, SLOTS, |draft| {
            // Nothing is written, but the answer is for a login that still stands: a batch that only checks.
            drop(draft.tentative(()));
            Ok(Plain(parts.factors.enrolled_in(draft)?.recovery.unwrap_or(0)))
        })
        .await?;
    Ok(Ok(Reply::ok(&json!({"success": true, "remaining": remaining}))))
}
