//! `POST twoFactorChallenges.sendEmailCode`: mails a code for a log-in that waits for its second
//! factor.

use keywright_wire::{Network, Reply};

use crate::answer::{Failure, success};
use crate::challenge::Request;
use crate::context::Context;
use crate::host::Host;

pub(crate) async fn run<H: Host>(cx: &Context<H>, network: Option<Network>, id: &str) -> Result<Reply, Failure> {
    Request::of(cx, id, network).await?.send_code().await?;
    Ok(success())
}
