//! One file per endpoint: a step over an account's draft, and the answer made of what was committed.

mod disable_email;
mod enable_email;
mod reset;
mod reset_e2e_key;
mod reset_totp;
mod send_email_code;
mod totp_codes_remaining;
mod totp_disable;
mod totp_enable;
mod totp_regenerate_codes;
mod totp_validate;

use http::Request;
use keywright_core::SecretString;
use keywright_store::due::{self, NewTask};
use keywright_store::{Draft, StepError};
use keywright_twofactor::recovery::RecoveryCodes;
use serde_json::json;

use crate::caller::Caller;
use crate::error::ApiError;
use crate::events::OTHER_LOGINS_ENDED;
use crate::host::{Endpoint, Host};
use crate::request::{self, SentCode, Target};
use crate::service::{Answered, END_LOGINS, Failure, Parts, Reply};

pub(crate) use send_email_code::run as send_email_code;

/// What a request's body holds, its shape checked.
pub(crate) enum Input {
    /// An empty object, or nothing.
    Nothing,
    /// `userId`, `username`, `user`.
    Target(Target),
    /// `code`
    Code(SecretString),
    /// `emailOrUsername`
    EmailOrUsername(String),
}

impl Input {
    pub(crate) fn read<B: AsRef<[u8]>>(
        endpoint: Endpoint,
        request: &Request<B>,
        most: usize,
    ) -> Result<Self, ApiError> {
        let params = request::body(request, most)?;
        match endpoint {
            Endpoint::ResetE2eKey | Endpoint::ResetTotp => params.target().map(Self::Target),
            Endpoint::TotpValidate | Endpoint::TotpDisable | Endpoint::TotpRegenerateCodes => {
                params.only("code").map(|code| Self::Code(SecretString::new(code.into())))
            }
            Endpoint::SendEmailCode => params.only("emailOrUsername").map(|name| Self::EmailOrUsername(name.into())),
            Endpoint::TotpEnable | Endpoint::TotpCodesRemaining | Endpoint::EnableEmail | Endpoint::DisableEmail => {
                params.strings(&[]).map(|()| Self::Nothing)
            }
        }
    }
}

/// Runs an endpoint for a caller who is logged in.
pub(crate) async fn run<H: Host>(
    parts: &Parts<H>,
    caller: &Caller,
    sent: &SentCode,
    endpoint: Endpoint,
    input: &Input,
) -> Answered {
    match (endpoint, input) {
        (Endpoint::ResetE2eKey, Input::Target(target)) => reset_e2e_key::run(parts, caller, sent, target.clone()).await,
        (Endpoint::ResetTotp, Input::Target(target)) => reset_totp::run(parts, caller, sent, target.clone()).await,
        (Endpoint::TotpEnable, Input::Nothing) => totp_enable::run(parts, caller, sent).await,
        (Endpoint::TotpValidate, Input::Code(code)) => totp_validate::run(parts, caller, code).await,
        (Endpoint::TotpDisable, Input::Code(code)) => totp_disable::run(parts, caller, code).await,
        (Endpoint::TotpRegenerateCodes, Input::Code(code)) => totp_regenerate_codes::run(parts, caller, code).await,
        (Endpoint::TotpCodesRemaining, Input::Nothing) => totp_codes_remaining::run(parts, caller).await,
        (Endpoint::EnableEmail, Input::Nothing) => enable_email::run(parts, caller, sent).await,
        (Endpoint::DisableEmail, Input::Nothing) => disable_email::run(parts, caller, sent).await,
        _ => Err(Failure::from(StepError::Misuse("an endpoint with another's input"))),
    }
}

/// Makes it due that all other logins end, if the policy has a change of factors end them. The change moved an epoch.
fn end_other_logins_by_policy<H: Host>(
    parts: &Parts<H>,
    draft: &mut Draft<'_>,
    caller: &Caller,
) -> Result<(), StepError> {
    if parts.policy.two_factor.ends_other_logins() { end_other_logins(draft, caller) } else { Ok(()) }
}

/// Makes it due that all other logins end: a factor was added, which moved an epoch.
fn end_other_logins(draft: &mut Draft<'_>, caller: &Caller) -> Result<(), StepError> {
    due::add(draft, NewTask::new(END_LOGINS, caller.token.0.as_bytes().to_vec()))?;
    draft.event(&OTHER_LOGINS_ENDED);
    Ok(())
}

/// Recovery codes, shown once.
fn codes(codes: &RecoveryCodes) -> Reply {
    let codes: Vec<&str> = codes.iter().collect();
    Reply::ok(&json!({"success": true, "codes": codes}))
}
