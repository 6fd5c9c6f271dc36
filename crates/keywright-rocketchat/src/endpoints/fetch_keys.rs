//! `GET e2e.fetchMyKeys`: returns the caller's end-to-end key pair; without one, neither member.

use keywright_wire::Reply;
use serde_json::json;

use crate::answer::{Failure, ok};
use crate::context::{Caller, Context};
use crate::host::Host;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller) -> Result<Reply, Failure> {
    let keys = cx.host.fetch_keys(&caller.user.account).await?;
    // The answer is only for a login that is still valid.
    cx.step_for(caller, &[], |draft| Ok(draft.tentative(()))).await?;
    Ok(match keys {
        Some(keys) => {
            let private = keys.private_key.expose();
            ok(&json!({"success": true, "public_key": keys.public_key, "private_key": private}))
        }
        None => ok(&json!({"success": true})),
    })
}
