//! `GET auth/verifyEmail?user=UUID&code=UUID`: the link that was mailed at registration.
//!
//! The address is claimed here: the account's intent, the name's claim, and a commit in which the
//! account takes the name and becomes permanent. Of several registrations that wait for an address,
//! the first to get here has it; the others are dropped.

use keywright_core::AccountId;
use keywright_store::names::{NAMES, NameIndex};
use keywright_store::{Draft, Partition, StepError, released_as_is};
use keywright_wire::Reply;

use crate::account::claim::Taking;
use crate::account::credential::{CREDENTIAL, Credential, Verification};
use crate::account::waiting::{self, WAITING};
use crate::events::{ADDRESS_VERIFIED, REGISTRATION_SUPERSEDED};
use crate::protocol::address::Address;
use crate::protocol::error::ApiError;
use crate::protocol::user::UserId;
use crate::wire::answer::{Answered, Failure};
use crate::wire::claim::{self, TRIES};
use crate::wire::context::Context;
use crate::wire::host::{Host, Subject};
use crate::wire::pages::verified;
use crate::wire::request::Input;

/// What a code opens.
enum Opened<W> {
    /// A registration that waits.
    Waiting(W),
    /// Nothing any more, because it is verified.
    Verified,
    Refused(ApiError),
}

/// The outcome of the last commit.
enum Verifying {
    Done,
    /// The intent was overtaken, by another click on the link or by another account.
    Overtaken,
    Refused(ApiError),
}

released_as_is!(Verifying);

pub(crate) async fn run<H: Host>(cx: &Context<H>, input: &Input<'_>) -> Result<Reply, Failure> {
    let user = input.user()?;
    // Any UUID has 16 bytes, and so has a code.
    let code = UserId::parse(&input.parameter("code")?).map_err(|_| ApiError::ARGUMENT_TYPE)?;
    cx.admit(input, Subject::Named(user.account()))?;
    let hash = cx.code_hash(&user, code.as_bytes());
    for _ in 0..TRIES {
        let address = match opened(cx, user.account(), &hash).await? {
            Opened::Waiting(address) => address,
            Opened::Verified => return Ok(verified(cx, input)),
            Opened::Refused(error) => return Err(error.into()),
        };
        let name = address.index(cx.driver.keyring());
        let taking = claim::claim_address(cx, user.account(), &name).await?;
        if matches!(taking, Taking::Taken) {
            // The address may have been taken by this very account, if the link was opened twice at
            // the same time; then it no longer waits.
            return if supersede(cx, user.account()).await? {
                Err(ApiError::DUPLICATED.into())
            } else {
                answer_late(cx, input, user.account(), &hash).await
            };
        }
        match verify(cx, user.account(), &hash, &name, &taking).await? {
            Verifying::Done => {
                drop_others(cx, user.account(), &address).await;
                return Ok(verified(cx, input));
            }
            Verifying::Overtaken => {}
            Verifying::Refused(error) => return Err(error.into()),
        }
    }
    Err(ApiError::BUSY.into())
}

/// Returns the address that a code opens. Changes nothing, so a wrong code waits for no other
/// request.
async fn opened<H: Host>(cx: &Context<H>, account: &AccountId, hash: &[u8; 32]) -> Result<Opened<Address>, Failure> {
    let look = |draft: &mut Draft<'_>| {
        Ok(match opened_in(draft, hash)? {
            Opened::Waiting(credential) => Opened::Waiting(credential.address()?),
            Opened::Verified => Opened::Verified,
            Opened::Refused(error) => Opened::Refused(error),
        })
    };
    Ok(cx.driver.observe(&Partition::account(account), &[CREDENTIAL.name()], look).await?)
}

async fn answer_late<H: Host>(cx: &Context<H>, input: &Input<'_>, account: &AccountId, hash: &[u8; 32]) -> Answered {
    match opened(cx, account, hash).await? {
        Opened::Verified => Ok(verified(cx, input)),
        Opened::Waiting(_) => Err(ApiError::BUSY.into()),
        Opened::Refused(error) => Err(error.into()),
    }
}

/// Makes the commit in which the account takes the address and becomes permanent.
async fn verify<H: Host>(
    cx: &Context<H>,
    account: &AccountId,
    hash: &[u8; 32],
    name: &NameIndex,
    taking: &Taking,
) -> Result<Verifying, Failure> {
    let step = |draft: &mut Draft<'_>| {
        let mut credential = match opened_in(draft, hash)? {
            Opened::Waiting(credential) => credential,
            Opened::Verified => return Ok(Verifying::Done),
            Opened::Refused(error) => return Ok(Verifying::Refused(error)),
        };
        if !taking.take_in(draft, name)? {
            return Ok(Verifying::Overtaken);
        }
        credential.verification = Verification::Verified;
        credential.put(draft)?;
        draft.make_permanent()?;
        draft.event(&ADDRESS_VERIFIED);
        Ok(Verifying::Done)
    };
    Ok(cx.step(account, &[CREDENTIAL.name(), NAMES.name()], step).await?)
}

/// Drops a registration whose address another account has by now. Returns whether it still waited.
async fn supersede<H: Host>(cx: &Context<H>, account: &AccountId) -> Result<bool, Failure> {
    Ok(cx.driver.run(&Partition::account(account), &[CREDENTIAL.name()], supersede_in).await?)
}

/// Drops all other registrations that wait for an address, best effort: nobody can verify them any
/// more.
async fn drop_others<H: Host>(cx: &Context<H>, verified: &AccountId, address: &Address) {
    let dropped = async {
        let partition = address.waiting_partition(cx.driver.keyring());
        let close = |draft: &mut Draft<'_>| waiting::close_in(draft, verified);
        for other in cx.driver.transact(&partition, &[WAITING.name()], close).await? {
            supersede(cx, &other).await?;
        }
        Ok::<_, Failure>(())
    };
    if let Err(error) = dropped.await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "registrations that lost their address are left to the sweep");
    }
}
/// Returns the record that a code opens.
fn opened_in(draft: &mut Draft<'_>, hash: &[u8; 32]) -> Result<Opened<Credential>, StepError> {
    let Some(credential) = Credential::read(draft)? else { return Ok(Opened::Refused(ApiError::USER_NOT_FOUND)) };
    if credential.is_verified() {
        return Ok(Opened::Verified);
    }
    let (now, fence) = (draft.now(), draft.keyring().fence());
    Ok(if credential.verification.is_opened_by(hash, now, fence) {
        Opened::Waiting(credential)
    } else if credential.verification.is_superseded(hash) {
        Opened::Refused(ApiError::DUPLICATED)
    } else {
        Opened::Refused(ApiError::EMAIL_CODE)
    })
}

fn supersede_in(draft: &mut Draft<'_>) -> Result<bool, StepError> {
    let Some(mut credential) = Credential::read(draft)? else { return Ok(false) };
    if !credential.verification.supersede() {
        return Ok(false);
    }
    credential.hint = None;
    credential.put(draft)?;
    draft.event(&REGISTRATION_SUPERSEDED);
    Ok(true)
}
