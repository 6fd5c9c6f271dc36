//! `POST loginCode.redeem`: lets the bearer of a login code in.

use keywright_core::SecretString;
use keywright_wire::Reply;
use serde_json::json;

use crate::answer::{Failure, ok};
use crate::context::Context;
use crate::host::Host;
use crate::login_code::redeem;

pub(crate) async fn run<H: Host>(cx: &Context<H>, code: &SecretString) -> Result<Reply, Failure> {
    let issued = redeem(cx, code).await?;
    Ok(ok(&json!({"success": true, "loginToken": issued.token.expose(), "userId": issued.profile.user_id})))
}
