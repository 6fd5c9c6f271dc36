//! `POST login`: lets a user in by name and password, and the second factor where one is enrolled;
//! or continues a login by its token.

use keywright_core::SecretString;
use keywright_store::due::DUE;
use keywright_store::{Draft, Partition, TransactError};
use keywright_twofactor::SLOTS;
use keywright_wire::{Network, Reply, frame};

use crate::answer::{Failure, ok};
use crate::context::{Context, has_due};
use crate::error::ApiError;
use crate::host::Host;
use crate::issue::{Shown, logged_in};
use crate::login::LogIn;
use crate::params::LoginForm;
use crate::request::SentCode;

pub(crate) async fn run<H: Host>(
    cx: &Context<H>,
    network: Option<Network>,
    sent: &SentCode,
    form: &LoginForm,
) -> Result<Reply, Failure> {
    match form {
        LoginForm::Resume(token) => resume(cx, token).await,
        LoginForm::Password { name, password, code } => {
            let code = code.as_ref().or(sent.code.as_ref());
            let issued = LogIn { cx, network, name, password, code, method: sent.method }.run().await?;
            Ok(ok(&logged_in(&issued.token, &issued.profile, &issued.enrolled)))
        }
    }
}

/// Continues a login. Tokens are random, so they are looked up and not charged. The look-up counts
/// only if it comes after the work that ends logins.
async fn resume<H: Host>(cx: &Context<H>, token: &SecretString) -> Result<Reply, Failure> {
    let look_up = async || cx.host.resume(token).await;
    let first = look_up().await?.ok_or_else(ApiError::login_refused)?;
    let account = &first.user.account;
    let look = |draft: &mut Draft<'_>| Ok((has_due(draft)?, Shown::of(cx, draft)?));
    let slots = [SLOTS, &[DUE.name()]].concat();
    let (due, enrolled) = cx.driver.observe(&Partition::account(account), &slots, look).await?;
    if due {
        frame::finish_needed(&cx.driver, account, cx).await?;
        return Err(TransactError::Busy.into());
    }
    let login = look_up().await?.filter(|login| login.user.account == *account);
    let login = login.ok_or_else(ApiError::login_refused)?;
    if login.user.username.is_none() {
        return Err(ApiError::no_username().into());
    }
    let profile = cx.host.profile(account).await?.filter(|profile| profile.active);
    let profile = profile.ok_or_else(ApiError::login_refused)?;
    Ok(ok(&logged_in(token, &profile, &enrolled)))
}
