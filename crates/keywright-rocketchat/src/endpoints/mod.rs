//! One file per endpoint. Each consists of a step over an account's draft, and the answer made from
//! what was committed.

mod disable_email;
mod enable_email;
mod fetch_keys;
mod info;
mod login;
mod logout;
mod logout_other_clients;
mod logout_user;
mod me;
mod redeem_login_code;
mod remove_other_tokens;
mod reset_e2e_key;
mod reset_totp;
mod send_challenge_code;
mod send_email_code;
mod set_keys;
mod totp_codes_remaining;
mod totp_disable;
mod totp_enable;
mod totp_regenerate_codes;
mod totp_validate;
mod verify_challenge;

use keywright_wire::Network;

use crate::answer::Answered;
use crate::context::{Caller, Context};
use crate::host::Host;
use crate::request::{CallerCall, OpenCall, SentCode};

/// Runs an endpoint that needs no login.
pub(crate) async fn run_open<H: Host>(
    cx: &Context<H>,
    network: Option<Network>,
    sent: &SentCode,
    call: &OpenCall,
) -> Answered {
    match call {
        OpenCall::SendEmailCode { email_or_username } => send_email_code::run(cx, email_or_username).await,
        OpenCall::Login(form) => login::run(cx, network, sent, form).await,
        OpenCall::SendChallengeCode { id } => send_challenge_code::run(cx, network, id).await,
        OpenCall::VerifyChallenge { id, code } => verify_challenge::run(cx, network, id, code).await,
        OpenCall::RedeemLoginCode(code) => redeem_login_code::run(cx, code).await,
        OpenCall::Info => Ok(info::run(cx)),
    }
}

/// Runs an endpoint for a caller who is logged in.
pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, sent: &SentCode, call: &CallerCall) -> Answered {
    match call {
        CallerCall::ResetE2eKey(target) => reset_e2e_key::run(cx, caller, sent, target).await,
        CallerCall::ResetTotp(target) => reset_totp::run(cx, caller, sent, target).await,
        CallerCall::TotpEnable => totp_enable::run(cx, caller, sent).await,
        CallerCall::TotpValidate(code) => totp_validate::run(cx, caller, code).await,
        CallerCall::TotpDisable(code) => totp_disable::run(cx, caller, code).await,
        CallerCall::TotpRegenerateCodes(code) => totp_regenerate_codes::run(cx, caller, code).await,
        CallerCall::TotpCodesRemaining => totp_codes_remaining::run(cx, caller).await,
        CallerCall::EnableEmail => enable_email::run(cx, caller, sent).await,
        CallerCall::DisableEmail => disable_email::run(cx, caller, sent).await,
        CallerCall::Logout => logout::run(cx, caller).await,
        CallerCall::Me => me::run(cx, caller).await,
        CallerCall::LogoutOtherClients => logout_other_clients::run(cx, caller, sent).await,
        CallerCall::RemoveOtherTokens(id) => remove_other_tokens::run(cx, caller, id.as_deref()).await,
        CallerCall::LogoutUser(id) => logout_user::run(cx, caller, id.as_deref()).await,
        CallerCall::SetKeys { keys, replace } => set_keys::run(cx, caller, keys, *replace).await,
        CallerCall::FetchKeys => fetch_keys::run(cx, caller).await,
    }
}
