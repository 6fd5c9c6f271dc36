//! `POST users.resetTOTP`: removes TOTP devices and recovery codes, the caller's own or another
//! user's, and ends all their owner's logins.

use keywright_wire::Reply;

use crate::answer::Failure;
use crate::context::{Caller, Context};
use crate::error::ApiError;
use crate::host::{Endpoint, Host};
use crate::params::Target;
use crate::request::SentCode;
use crate::reset;

pub(crate) async fn run<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    sent: &SentCode,
    target: &Target,
) -> Result<Reply, Failure> {
    if !cx.policy.enabled {
        return Err(ApiError::two_factor_off().into());
    }
    reset::run(cx, caller, sent, target, Endpoint::ResetTotp).await
}
