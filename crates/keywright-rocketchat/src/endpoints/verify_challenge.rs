//! `POST twoFactorChallenges.verifyChallenge`: lets a user in whose first factor the host has seen.

use keywright_core::SecretString;
use keywright_wire::{Network, Reply};
use serde_json::json;

use crate::answer::{Failure, ok};
use crate::challenge::Request;
use crate::context::Context;
use crate::host::Host;

pub(crate) async fn run<H: Host>(
    cx: &Context<H>,
    network: Option<Network>,
    id: &str,
    code: &SecretString,
) -> Result<Reply, Failure> {
    let issued = Request::of(cx, id, network).await?.verify(code).await?;
    Ok(ok(&json!({"success": true, "loginToken": issued.token.expose(), "userId": issued.profile.user_id})))
}
