//! `GET` and `POST logout`: ends the login that the request came with.

use keywright_wire::Reply;
use serde_json::json;

use crate::answer::{Failure, ok};
use crate::context::{Caller, Context};
use crate::host::{EndLogins, Host};

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller) -> Result<Reply, Failure> {
    cx.host.end_logins(&caller.user.account, &EndLogins::Only(caller.token.clone())).await?;
    Ok(ok(&json!({"status": "success", "data": {"message": "You've been logged out!"}})))
}
