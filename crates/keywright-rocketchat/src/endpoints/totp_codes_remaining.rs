//! `GET users.totpCodesRemaining`: returns how many recovery codes are unused.

use keywright_store::Plain;
use keywright_twofactor::SLOTS;
use keywright_wire::Reply;
use serde_json::json;

use crate::answer::{Failure, ok};
use crate::context::{Caller, Context};
use crate::host::Host;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller) -> Result<Reply, Failure> {
    let remaining = cx
        .step_for(caller, SLOTS, |draft| {
            // Nothing is written, but the answer is only for a login that is still valid: the batch
            // consists of checks alone.
            drop(draft.tentative(()));
            Ok(Plain(cx.factors.enrolled_in(draft)?.recovery.unwrap_or(0)))
        })
        .await?;
    Ok(ok(&json!({"success": true, "remaining": remaining})))
}
