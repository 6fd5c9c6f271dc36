//! One file an endpoint.

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
use keywright_store::due::DueTask;
use keywright_store::names::NameIndex;
use keywright_store::{Draft, Partition, Slot, StepError};

use crate::address::Address;
use crate::error::ApiError;
use crate::host::{Endpoint, Host, Subject};
use crate::request::Input;
use crate::service::{Answered, Caller, Failure, Parts, Reply};

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

/// What a request for a mail comes to.
enum Sending {
    /// These go out; none, if there is nothing to say.
    Due(Vec<DueTask>),
    Not(ApiError),
}

impl<H: Host> Parts<H> {
    /// The account that an address belongs to. It proves nothing: the account must say so in the commit that acts.
    async fn find(&self, address: &Address) -> Result<(NameIndex, Option<AccountId>), Failure> {
        let name = address.index(self.driver.keyring())?;
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
        let slots = [Slot::Credential, Slot::Names];
        let seen = self.driver.observe(&Partition::account(&account), &slots, |draft| look(draft, &name)).await?;
        Ok(Some(seen))
    }

    /// Sends what somebody without a login may ask for. Under [`Privacy::Uniform`](crate::Privacy::Uniform) the answer
    /// does not tell whether anything went out.
    async fn mail_on_request(
        &self,
        input: &Input<'_>,
        mut step: impl FnMut(&mut Draft<'_>, &NameIndex) -> Result<Sending, StepError> + Send,
    ) -> Answered {
        let address = input.email()?.ok_or(ApiError::VALIDATION)?;
        self.admit(input, Subject::Address(address.as_str()))?;
        let sending = match self.find(&address).await? {
            (_, None) => Sending::Not(ApiError::USER_NOT_FOUND),
            (name, Some(account)) => {
                let slots = [Slot::Credential, Slot::Names, Slot::Due];
                let step = |draft: &mut Draft<'_>| step(draft, &name);
                let (sending, _) = self.driver.transact(&Partition::account(&account), &slots, step).await?;
                if let Sending::Due(tasks) = &sending {
                    self.send(&account, tasks).await;
                }
                sending
            }
        };
        match sending {
            Sending::Not(error) if !self.is_uniform() => Err(error.into()),
            _ => Ok(Reply::empty()),
        }
    }
}
