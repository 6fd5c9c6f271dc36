//! `GET auth/passwordHint?email=E`: mails the hint to the address, if the address belongs to an
//! account.

use keywright_store::due::DUE;
use keywright_store::names::NAMES;
use keywright_store::{Draft, StepError};
use keywright_wire::Reply;

use crate::account::credential::{CREDENTIAL, Credential};
use crate::account::mails::{self, Kind};
use crate::policy::LINK_SECONDS;
use crate::protocol::error::ApiError;
use crate::wire::answer::Failure;
use crate::wire::context::Context;
use crate::wire::host::{Host, Subject};
use crate::wire::request::Input;

pub(crate) async fn run<H: Host>(cx: &Context<H>, input: &Input<'_>) -> Result<Reply, Failure> {
    let address = input.email()?.ok_or(ApiError::VALIDATION)?;
    cx.admit(input, Subject::Address(address.as_str()))?;
    let (name, Some(account)) = cx.find(&address).await? else {
        // A hint from an unverified registration is not mailed: another person may have written it.
        let waits = cx.is_waited_for(&address).await?;
        return cx.promised(&address, 1, if waits { Ok(()) } else { Err(ApiError::USER_NOT_FOUND) }).await;
    };
    let step = |draft: &mut Draft<'_>| -> Result<Result<(), ApiError>, StepError> {
        let Some(mut credential) = Credential::read_named(draft, &name)? else {
            return Ok(Err(ApiError::USER_NOT_FOUND));
        };
        if let Err(seconds) = credential.book_mail_in(draft)? {
            return Ok(Err(ApiError::too_many_mails(seconds)));
        }
        let kind = Kind::PasswordHint { hint: credential.hint.clone() };
        // After a day it is of no more use than a fresh one.
        mails::asked_in(draft, &credential.address()?, kind, draft.now().plus(LINK_SECONDS))?;
        Ok(Ok(()))
    };
    let slots = [CREDENTIAL.name(), NAMES.name(), DUE.name()];
    let sent = cx.step(&account, &slots, step).await?;
    cx.promised(&address, u8::from(sent.is_err()), sent).await
}
