//! `GET auth/verifyEmail?user=UUID&code=UUID`: the link that was mailed at registration.

use keywright_core::EventKind;
use keywright_store::{Draft, Partition, Slot, StepError, names};

use crate::UserId;
use crate::account::{Credential, Verification};
use crate::error::ApiError;
use crate::host::{Host, Subject};
use crate::request::Input;
use crate::service::{Answered, Parts, Reply};

pub(crate) async fn run<H: Host>(parts: &Parts<H>, input: &Input<'_>) -> Answered {
    let user = input.user()?;
    // Any UUID has 16 bytes, and so has a code.
    let code = UserId::parse(&input.parameter("code")?).map_err(|_| ApiError::ARGUMENT_TYPE)?;
    parts.admit(input, Subject::Named(user.account()))?;
    let hash = parts.code_hash(&user, code.as_bytes());
    let (partition, slots) = (Partition::account(user.account()), [Slot::Credential, Slot::Names]);
    // A look without a turn: a wrong code takes no place in the owner's queue.
    let look = |draft: &mut Draft<'_>| Ok(waiting(draft, &hash)?.map(drop));
    if let Err(verdict) = parts.driver.observe(&partition, &slots, look).await? {
        verdict?;
        return Ok(Reply::Verified);
    }
    let step = |draft: &mut Draft<'_>| {
        let mut credential = match waiting(draft, &hash)? {
            Ok(credential) => credential,
            Err(verdict) => return Ok(verdict),
        };
        let Ok(name) = credential.address()?.index(draft.keyring()) else { return Ok(Err(ApiError::FAILED)) };
        // Whoever took the name meanwhile has ended this account.
        if !names::firm_up(draft, &name)? {
            return Ok(Err(ApiError::USER_NOT_FOUND));
        }
        credential.verification = Verification::Verified;
        credential.put(draft)?;
        draft.event(EventKind::AddressVerified);
        Ok(Ok(()))
    };
    let (verdict, _) = parts.driver.transact(&partition, &slots, step).await?;
    verdict?;
    Ok(Reply::Verified)
}

/// The record that a code opens; else what is answered: it is verified already, or nothing is opened.
fn waiting(draft: &mut Draft<'_>, hash: &[u8; 32]) -> Result<Result<Credential, Result<(), ApiError>>, StepError> {
    let Some(credential) = Credential::read(draft)? else { return Ok(Err(Err(ApiError::USER_NOT_FOUND))) };
    if credential.is_verified() {
        return Ok(Err(Ok(())));
    }
    let (now, fence) = (draft.now(), draft.keyring().fence());
    let opens = credential.verification.is_opened_by(hash, now, fence);
    Ok(if opens { Ok(credential) } else { Err(Err(ApiError::EMAIL_CODE)) })
}
