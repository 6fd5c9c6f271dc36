//! `GET me`: what the caller is called, and what it has enrolled.

use keywright_store::Plain;
use keywright_twofactor::SLOTS;
use keywright_wire::Reply;
use serde_json::json;

use crate::answer::{Failure, ok};
use crate::context::{Caller, Context};
use crate::error::ApiError;
use crate::host::Host;
use crate::issue::{Shown, me};

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller) -> Result<Reply, Failure> {
    let profile = cx.host.profile(&caller.user.account).await?.ok_or_else(ApiError::unauthorized)?;
    let shown = cx
        .step_for(caller, SLOTS, |draft| {
            // Nothing is written, but the answer is only for a login that is still valid: the batch
            // consists of checks alone.
            drop(draft.tentative(()));
            Shown::of(cx, draft).map(Plain)
        })
        .await?;
    let mut body = me(&profile, &shown);
    if let Some(members) = body.as_object_mut() {
        members.insert("success".into(), json!(true));
    }
    Ok(ok(&body))
}
