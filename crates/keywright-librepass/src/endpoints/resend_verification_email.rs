//! `GET auth/resendVerificationEmail?email=E`: a fresh link; the one before is void.

use keywright_store::names::NameIndex;
use keywright_store::{Draft, StepError, TransactError};

use super::Sending;
use crate::UserId;
use crate::account::{Credential, Verification};
use crate::error::ApiError;
use crate::host::Host;
use crate::mails::{self, Kind};
use crate::request::Input;
use crate::service::{Answered, Parts};

pub(crate) async fn run<H: Host>(parts: &Parts<H>, input: &Input<'_>) -> Answered {
    let code: [u8; 16] = keywright_core::random_bytes(&**parts.driver.entropy()).map_err(TransactError::from)?;
    let step = |draft: &mut Draft<'_>, name: &NameIndex| -> Result<Sending, StepError> {
        let Some(mut credential) = Credential::read_named(draft, name)? else {
            return Ok(Sending::Not(ApiError::USER_NOT_FOUND));
        };
        if credential.is_verified() {
            return Ok(Sending::Not(ApiError::ALREADY_VERIFIED));
        }
        let account = draft.partition().as_account().ok_or(StepError::NoAccount)?;
        let user = UserId::of_account(&account).map_err(|_| StepError::NoAccount)?;
        let now = draft.now();
        if let Err(seconds) = credential.book_mail(now) {
            return Ok(Sending::Not(ApiError::too_many(seconds)));
        }
        credential.verification = Verification::waiting(parts.code_hash(&user, &code), now);
        credential.put(draft)?;
        let link = parts.verification_link(&user, &code);
        let task = mails::add_in(draft, &credential.address()?, Kind::VerifyAddress { link })?;
        Ok(Sending::Due(vec![task]))
    };
    parts.mail_on_request(input, step).await
}
