//! `POST users.resetTOTP`: removes TOTP devices and recovery codes, the caller's own or another
//! user's, and ends all their owner's logins.

use keywright_wire::Reply;

use crate::answer::Failure;
use crate::context::{Caller, Context};
use crate::error::ApiError;
use crate::host::{Endpoint, Host};
use crate::request::Input;
use crate::reset;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Result<Reply, Failure> {
    if !cx.policy.enabled {
        return Err(ApiError::two_factor_off().into());
    }
    reset::run(cx, caller, input, Endpoint::ResetTotp).await
}
