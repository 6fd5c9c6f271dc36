//! One file per endpoint, or per group of small ones. Each consists of a step over the account's draft, and the answer made
//! from what was committed.

mod account_reset;
mod challenge_get;
mod challenge_set;
mod keychain_get;
mod keychain_set;
mod session_close;
mod session_keepalive;
mod session_open;
mod session_request;
mod settings;
mod token_request;

use crate::answer::Answered;
use crate::body::Input;
use crate::context::{Caller, Context};
use crate::host::{Endpoint, Host};

/// Runs an endpoint. All of them need a login.
pub(crate) async fn run<H: Host>(cx: &Context<H>, endpoint: Endpoint, caller: &Caller, input: &Input<'_>) -> Answered {
    match endpoint {
        Endpoint::SessionRequest => session_request::run(cx, caller, input).await,
        Endpoint::SessionOpen => session_open::run(cx, caller, input).await,
        Endpoint::SessionKeepalive => session_keepalive::run(cx, caller, input).await,
        Endpoint::SessionClose => session_close::run(cx, caller, input).await,
        Endpoint::ChallengeGet => challenge_get::run(cx, caller, input).await,
        Endpoint::ChallengeSet => challenge_set::run(cx, caller, input).await,
        Endpoint::AccountReset => account_reset::run(cx, caller, input).await,
        Endpoint::KeychainGet => keychain_get::run(cx, caller, input).await,
        Endpoint::KeychainSet => keychain_set::run(cx, caller, input).await,
        Endpoint::TokenRequest => token_request::run(cx, caller, input).await,
        Endpoint::SettingsGet => settings::get(cx, caller, input).await,
        Endpoint::SettingsList => settings::list(cx, caller, input).await,
        Endpoint::SettingsSet => settings::set(cx, caller, input).await,
        Endpoint::SettingsReset => settings::reset(cx, caller, input).await,
    }
}
