//! `GET auth/resendVerificationEmail?email=E`: mails a fresh link, which voids the one before.
//!
//! If several registrations wait for the address, the link is for the one that came from the same
//! network, else for the newest. The mail states where that registration came from.

use keywright_core::AccountId;
use keywright_store::due::DUE;
use keywright_store::{Draft, TransactError};
use keywright_wire::Reply;

use crate::account::credential::{CREDENTIAL, Credential, Verification};
use crate::account::mails::{self, Kind};
use crate::account::waiting::{self, WAITING};
use crate::policy::LINK_SECONDS;
use crate::protocol::error::ApiError;
use crate::protocol::user::UserId;
use crate::wire::answer::{Failure, empty};
use crate::wire::context::Context;
use crate::wire::host::{Host, Subject};
use crate::wire::request::Input;

pub(crate) async fn run<H: Host>(cx: &Context<H>, input: &Input<'_>) -> Result<Reply, Failure> {
    let address = input.email()?.ok_or(ApiError::VALIDATION)?;
    cx.admit(input, Subject::Address(address.as_str()))?;
    if !cx.policy.verify_email {
        // There is nothing to verify, whoever asks (protocol § 13).
        return Ok(empty());
    }
    if cx.is_taken(&address.index(cx.driver.keyring())).await? {
        return cx.promised(&address, 2, Err(ApiError::ALREADY_VERIFIED)).await;
    }
    let partition = address.waiting_partition(cx.driver.keyring());
    let network = cx.network(input);
    let renew = |draft: &mut Draft<'_>| waiting::renew_in(draft, network);
    // A fresh link takes two commits: the one that counts it, and the account's.
    match cx.driver.transact(&partition, &[WAITING.name()], renew).await? {
        None => cx.promised(&address, 2, Err(ApiError::USER_NOT_FOUND)).await,
        Some(Err(seconds)) => cx.promised(&address, 2, Err(ApiError::too_many_mails(seconds))).await,
        Some(Ok(account)) => {
            let sent = send_anew(cx, &account).await?;
            cx.promised(&address, u8::from(sent.is_err()), sent).await
        }
    }
}

async fn send_anew<H: Host>(cx: &Context<H>, account: &AccountId) -> Result<Result<(), ApiError>, Failure> {
    let code: [u8; 16] = keywright_core::random_bytes(&**cx.driver.entropy()).map_err(TransactError::from)?;
    let Ok(user) = UserId::of_account(account) else { return Ok(Err(ApiError::USER_NOT_FOUND)) };
    let step = |draft: &mut Draft<'_>| {
        let Some(mut credential) = Credential::read(draft)? else { return Ok(Err(ApiError::USER_NOT_FOUND)) };
        let Verification::Waiting { origin, .. } = &credential.verification else {
            return Ok(Err(ApiError::USER_NOT_FOUND));
        };
        let (now, origin) = (draft.now(), origin.clone());
        let until = now.plus(LINK_SECONDS);
        credential.verification = Verification::waiting(cx.code_hash(&user, &code), origin.clone(), now);
        credential.put(draft)?;
        draft.expire_partition(until)?;
        let link = cx.verification_link(&user, &code);
        mails::asked_in(draft, &credential.address()?, Kind::VerifyAddress { link, origin }, until)?;
        Ok(Ok(()))
    };
    Ok(cx.step(account, &[CREDENTIAL.name(), DUE.name()], step).await?)
}
