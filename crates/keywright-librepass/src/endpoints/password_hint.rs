//! `GET auth/passwordHint?email=E`: mails the hint to the address, if somebody reads it who has verified it.

use keywright_store::names::NameIndex;
use keywright_store::{Draft, StepError};

use super::Sending;
use crate::account::Credential;
use crate::error::ApiError;
use crate::host::Host;
use crate::mails::{self, Kind};
use crate::request::Input;
use crate::service::{Answered, Parts};

pub(crate) async fn run<H: Host>(parts: &Parts<H>, input: &Input<'_>) -> Answered {
    let step = |draft: &mut Draft<'_>, name: &NameIndex| -> Result<Sending, StepError> {
        let Some(mut credential) = Credential::read_named(draft, name)? else {
            return Ok(Sending::Not(ApiError::USER_NOT_FOUND));
        };
        // What a stranger wrote at a registration with somebody else's address is not mailed there.
        if parts.policy.verify_email && !credential.is_verified() {
            return Ok(Sending::Due(Vec::new()));
        }
        if let Err(seconds) = credential.book_mail(draft.now()) {
            return Ok(Sending::Not(ApiError::too_many(seconds)));
        }
        credential.put(draft)?;
        let kind = Kind::PasswordHint { hint: credential.hint.clone() };
        Ok(Sending::Due(vec![mails::add_in(draft, &credential.address()?, kind)?]))
    };
    parts.mail_on_request(input, step).await
}
