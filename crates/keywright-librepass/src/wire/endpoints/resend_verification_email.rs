//! `GET auth/resendVerificationEmail?email=E`: a fresh link; the one before is void.
//!
//! Of several registrations that wait for the address it is for the one that came from the same network, else for the
//! newest. The mail says where that one came from.

use keywright_core::AccountId;
use keywright_store::due::{DUE, DueList};
use keywright_store::{Draft, TransactError};

use crate::account::credential::{CREDENTIAL, Credential, Verification};
use crate::account::mails::{self, Kind};
use crate::account::waiting::{self, WAITING};
use crate::policy::LINK_SECONDS;
use crate::protocol::address::Address;
use crate::protocol::user::UserId;
use crate::wire::error::ApiError;
use crate::wire::host::{Host, Subject};
use crate::wire::request::Input;
use crate::wire::service::{Answered, Failure, Parts, Reply};

pub(crate) async fn run<H: Host>(parts: &Parts<H>, input: &Input<'_>) -> Answered {
    let address = input.email()?.ok_or(ApiError::VALIDATION)?;
    parts.admit(input, Subject::Address(address.as_str()))?;
    if parts.is_taken(&address.index(parts.driver.keyring())).await? {
        return parts.promised(&address, 2, Err(ApiError::ALREADY_VERIFIED)).await;
    }
    let partition = address.waiting_partition(parts.driver.keyring());
    let network = parts.network(input);
    let renew = |draft: &mut Draft<'_>| waiting::renew_in(draft, network);
    // A fresh link takes two commits: the one that counts it, and the account's.
    match parts.driver.transact(&partition, &[WAITING.name()], renew).await? {
        None => parts.promised(&address, 2, Err(ApiError::USER_NOT_FOUND)).await,
        Some(Err(seconds)) => parts.promised(&address, 2, Err(ApiError::too_many(seconds))).await,
        Some(Ok(account)) => {
            let sent = parts.send_anew(&account).await?;
            parts.promised(&address, u8::from(sent.is_err()), sent).await
        }
    }
}

impl<H: Host> Parts<H> {
    /// What is answered to whoever asks for a mail. Under [`Privacy::Uniform`](crate::Privacy::Uniform) it does not show
    /// whether anything went out; `missing`: the commits that a mail would have taken and this took not, which are made in
    /// a decoy's partition then, so that the time does not show it either.
    pub(super) async fn promised(&self, address: &Address, missing: u8, sent: Result<(), ApiError>) -> Answered {
        if self.is_uniform() {
            let partition = self.decoy_partition(address);
            for _ in 0..missing {
                let nothing = |draft: &mut Draft<'_>| draft.put(DUE, &DueList::default());
                self.driver.transact(&partition, &[DUE.name()], nothing).await?;
            }
            return Ok(Reply::empty());
        }
        sent.map_err(Failure::from).map(|()| Reply::empty())
    }

    async fn send_anew(&self, account: &AccountId) -> Result<Result<(), ApiError>, Failure> {
        let code: [u8; 16] = keywright_core::random_bytes(&**self.driver.entropy()).map_err(TransactError::from)?;
        let Ok(user) = UserId::of_account(account) else { return Ok(Err(ApiError::USER_NOT_FOUND)) };
        let step = |draft: &mut Draft<'_>| {
            let Some(mut credential) = Credential::read(draft)? else { return Ok(Err(ApiError::USER_NOT_FOUND)) };
            let Verification::Waiting { origin, .. } = &credential.verification else {
                return Ok(Err(ApiError::USER_NOT_FOUND));
            };
            let (now, origin) = (draft.now(), origin.clone());
            let until = now.plus(LINK_SECONDS);
            credential.verification = Verification::waiting(self.code_hash(&user, &code), origin.clone(), now);
            credential.put(draft)?;
            draft.expire_partition(until)?;
            let link = self.verification_link(&user, &code);
            mails::asked_in(draft, &credential.address()?, Kind::VerifyAddress { link, origin }, until)?;
            Ok(Ok(()))
        };
        self.act(account, &[CREDENTIAL.name(), DUE.name()], step).await
    }
}
