//! One file per endpoint.

mod admit_client;
mod change_email;
mod change_password;
mod cipher_one;
mod cipher_sync;
mod ciphers;
mod collections;
mod confirm_login;
mod delete;
mod info;
mod oauth;
mod password_hint;
mod pre_login;
mod register;
mod resend_verification_email;
mod setup_two_factor;
mod verify_email;
mod verify_new_email;

use crate::protocol::error::ApiError;
use crate::wire::answer::Answered;
use crate::wire::context::{Caller, Context};
use crate::wire::host::{Endpoint, Host};
use crate::wire::request::Input;

/// Runs an endpoint, with a caller whose token is valid, or without one where the route needs none.
pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: Option<&Caller>, input: &Input<'_>) -> Answered {
    match (input.endpoint, caller) {
        (Endpoint::PreLogin, _) => pre_login::run(cx, input).await,
        (Endpoint::Register, _) => register::run(cx, input).await,
        (Endpoint::VerifyEmail, _) => verify_email::run(cx, input).await,
        (Endpoint::OAuth, _) => oauth::run(cx, input).await,
        (Endpoint::ResendVerificationEmail, _) => resend_verification_email::run(cx, input).await,
        (Endpoint::PasswordHint, _) => password_hint::run(cx, input).await,
        (Endpoint::VerifyNewEmail, _) => verify_new_email::run(cx, input).await,
        (Endpoint::AdmitClient, _) => admit_client::run(cx, input).await,
        (Endpoint::ConfirmLogin, _) => confirm_login::run(cx, input).await,
        (Endpoint::Info, _) => info::run(cx, input).await,
        (Endpoint::CipherSync, Some(caller)) => cipher_sync::run(cx, caller, input).await,
        (Endpoint::Ciphers, Some(caller)) => ciphers::run(cx, caller, input).await,
        (Endpoint::Cipher, Some(caller)) => cipher_one::run(cx, caller, input).await,
        (Endpoint::Collections, Some(caller)) => collections::run(cx, caller, input).await,
        (Endpoint::Collection, Some(caller)) => collections::run_one(cx, caller, input).await,
        (Endpoint::ChangeEmail, Some(caller)) => change_email::run(cx, caller, input).await,
        (Endpoint::ChangePassword, Some(caller)) => change_password::run(cx, caller, input).await,
        (Endpoint::SetupTwoFactor, Some(caller)) => setup_two_factor::run(cx, caller, input).await,
        (Endpoint::Delete, Some(caller)) => delete::run(cx, caller, input).await,
        (_, None) => Err(ApiError::INVALID_TOKEN.into()),
    }
}
