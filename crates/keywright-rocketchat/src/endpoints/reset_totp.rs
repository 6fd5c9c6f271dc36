//! `POST users.resetTOTP`: removes TOTP devices and recovery codes, one's own or another's, and ends all their owner's
//! logins.

use crate::caller::Caller;
use crate::error::ApiError;
use crate::host::{Endpoint, Host};
use crate::request::{SentCode, Target};
use crate::service::{Answered, Parts};

pub(super) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller, sent: &SentCode, target: Target) -> Answered {
    if !parts.policy.enabled {
        return Ok(Err(ApiError::two_factor_off()));
    }
    super::reset::run(parts, caller, sent, Endpoint::ResetTotp, target).await
}
