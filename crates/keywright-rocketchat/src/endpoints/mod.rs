//! One file per endpoint. Each consists of a step over an account's draft, and the answer made from
//! what was committed.

mod disable_email;
mod enable_email;
mod reset_e2e_key;
mod reset_totp;
mod send_email_code;
mod totp_codes_remaining;
mod totp_disable;
mod totp_enable;
mod totp_regenerate_codes;
mod totp_validate;

use keywright_store::StepError;

use crate::answer::Answered;
use crate::context::{Caller, Context};
use crate::host::{Endpoint, Host};
use crate::request::Input;

/// Runs an endpoint, with the caller who is logged in, or without one where the route needs none.
pub(crate) async fn run<H: Host>(
    cx: &Context<H>,
    endpoint: Endpoint,
    caller: Option<&Caller>,
    input: &Input<'_>,
) -> Answered {
    match (endpoint, caller) {
        (Endpoint::ResetE2eKey, Some(caller)) => reset_e2e_key::run(cx, caller, input).await,
        (Endpoint::ResetTotp, Some(caller)) => reset_totp::run(cx, caller, input).await,
        (Endpoint::TotpEnable, Some(caller)) => totp_enable::run(cx, caller, input).await,
        (Endpoint::TotpValidate, Some(caller)) => totp_validate::run(cx, caller, input).await,
        (Endpoint::TotpDisable, Some(caller)) => totp_disable::run(cx, caller, input).await,
        (Endpoint::TotpRegenerateCodes, Some(caller)) => totp_regenerate_codes::run(cx, caller, input).await,
        (Endpoint::TotpCodesRemaining, Some(caller)) => totp_codes_remaining::run(cx, caller, input).await,
        (Endpoint::EnableEmail, Some(caller)) => enable_email::run(cx, caller, input).await,
        (Endpoint::DisableEmail, Some(caller)) => disable_email::run(cx, caller, input).await,
        (Endpoint::SendEmailCode, _) => send_email_code::run(cx, input).await,
        (_, None) => Err(StepError::Misuse("an endpoint that needs a login was run without one").into()),
    }
}
