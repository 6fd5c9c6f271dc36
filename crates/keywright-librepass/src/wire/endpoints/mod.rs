//! One file an endpoint.

mod admit_client;
mod change_email;
mod change_password;
mod cipher_one;
mod cipher_sync;
mod ciphers;
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

use keywright_core::AccountId;
use keywright_store::names::{NAMES, NameIndex};
use keywright_store::{Draft, Partition, StepError};

use crate::account::credential::CREDENTIAL;
use crate::protocol::address::Address;
use crate::wire::error::ApiError;
use crate::wire::host::{Endpoint, Host};
use crate::wire::request::Input;
use crate::wire::service::{Answered, Caller, Failure, Parts};

/// Runs an endpoint that needs no token.
pub(crate) async fn run_open<H: Host>(parts: &Parts<H>, input: &Input<'_>) -> Answered {
    match input.endpoint {
        Endpoint::PreLogin => pre_login::run(parts, input).await,
        Endpoint::Register => register::run(parts, input).await,
        Endpoint::VerifyEmail => verify_email::run(parts, input).await,
        Endpoint::OAuth => oauth::run(parts, input).await,
        Endpoint::ResendVerificationEmail => resend_verification_email::run(parts, input).await,
        Endpoint::PasswordHint => password_hint::run(parts, input).await,
        Endpoint::VerifyNewEmail => verify_new_email::run(parts, input).await,
        Endpoint::AdmitClient => admit_client::run(parts, input).await,
        Endpoint::Info => info::run(),
        _ => Err(ApiError::NOT_FOUND.into()),
    }
}

/// Runs an endpoint for a caller whose token is good.
pub(crate) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller, input: &Input<'_>) -> Answered {
    match input.endpoint {
        Endpoint::CipherSync => cipher_sync::run(parts, caller, input).await,
        Endpoint::Ciphers => ciphers::run(parts, caller, input).await,
        Endpoint::Cipher => cipher_one::run(parts, caller, input).await,
        Endpoint::ChangeEmail => change_email::run(parts, caller, input).await,
        Endpoint::ChangePassword => change_password::run(parts, caller, input).await,
        Endpoint::SetupTwoFactor => setup_two_factor::run(parts, caller, input).await,
        Endpoint::Delete => delete::run(parts, caller, input).await,
        _ => Err(ApiError::NOT_FOUND.into()),
    }
}

impl<H: Host> Parts<H> {
    /// The account that an address belongs to. It proves nothing: the account must say so in the commit that acts.
    async fn find(&self, address: &Address) -> Result<(NameIndex, Option<AccountId>), Failure> {
        let name = address.index(self.driver.keyring());
        let account = self.names.find(&name).await?;
        Ok((name, account))
    }

    /// A look at the account of an address; `None` if it has none.
    async fn look<T: Send>(
        &self,
        address: &Address,
        mut look: impl FnMut(&mut Draft<'_>, &NameIndex) -> Result<T, StepError> + Send,
    ) -> Result<Option<T>, Failure> {
        let (name, Some(account)) = self.find(address).await? else { return Ok(None) };
        let slots = [CREDENTIAL.name(), NAMES.name()];
        let seen = self.driver.observe(&Partition::account(&account), &slots, |draft| look(draft, &name)).await?;
        Ok(Some(seen))
    }
}
