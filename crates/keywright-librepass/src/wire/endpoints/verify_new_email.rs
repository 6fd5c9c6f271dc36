//! `GET user/verifyNewEmail?user=UUID&code=STRING`: the link that was mailed to a new address.
//!
//! It takes three commits: the account's intent, the address's claim, and a last one. In the last
//! commit the account takes the address, the held vault becomes the vault, the new key becomes the
//! key, every login ends, and the change no longer waits. The code is checked before the first and
//! in the last. If the process stops before the last commit, nothing has changed, and the link
//! opens once more.
//!
//! The code has 256 bits, so guesses are not counted: a wrong one changes nothing. A refusal writes
//! nothing.

use keywright_core::AccountId;
use keywright_rekey::{CheckedStage, Coverage, Promotion};
use keywright_store::names::{NameIndex, Released};
use keywright_store::{Draft, Partition, Receipt, Release, StepError, Tentative, WrongReceipt};
use keywright_wire::Reply;

use crate::account::claim::{Taking, move_in};
use crate::account::credential::Credential;
use crate::account::pending::{self, Opened};
use crate::protocol::error::ApiError;
use crate::wire::answer::Failure;
use crate::wire::change::SLOTS;
use crate::wire::claim::{self, TRIES};
use crate::wire::context::Context;
use crate::wire::host::{Host, Subject};
use crate::wire::pages::verified;
use crate::wire::request::Input;

/// The outcome of the last commit.
enum Opening<R> {
    /// The account was moved; the old name is to be dropped, if it is another.
    Moved(Option<R>),
    /// The intent was overtaken, by another click on the link or by another account.
    Overtaken,
    /// Another click on the link has moved the account before.
    Before,
    Refused(ApiError),
}

impl<R: Release> Release for Opening<R> {
    type Released = Opening<R::Released>;
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Moved(released) => Opening::Moved(released.release(receipt)?),
            Self::Overtaken => Opening::Overtaken,
            Self::Before => Opening::Before,
            Self::Refused(error) => Opening::Refused(error),
        })
    }
}

pub(crate) async fn run<H: Host>(cx: &Context<H>, input: &Input<'_>) -> Result<Reply, Failure> {
    let user = input.user()?;
    let code = input.parameter("code")?;
    cx.admit(input, Subject::Named(user.account()))?;
    let code = pending::code_hash(&cx.links, &user, &code);
    for _ in 0..TRIES {
        let Some(name) = new_address(cx, user.account(), &code).await? else { return Ok(verified(cx, input)) };
        let checked = match cx.vaults.covered(user.account()).await? {
            Coverage::Covered(checked) => checked,
            uncovered => {
                // Another click may have opened the link meanwhile. Otherwise the sweep removed
                // rows, by the clock of another server, or the vault has changed: the promotion
                // could only conflict.
                if new_address(cx, user.account(), &code).await?.is_none() {
                    return Ok(verified(cx, input));
                }
                let is_gone = matches!(uncovered, Coverage::Nothing);
                return Err(if is_gone { ApiError::EMAIL_CODE } else { ApiError::MISSING_CIPHER }.into());
            }
        };
        let taking = claim::claim_address(cx, user.account(), &name).await?;
        if matches!(taking, Taking::Taken) {
            // The address may have been taken by this very account, if the link was opened twice at
            // the same time.
            return match new_address(cx, user.account(), &code).await? {
                None => Ok(verified(cx, input)),
                Some(_) => Err(ApiError::DUPLICATED.into()),
            };
        }
        match open(cx, user.account(), &code, &name, &taking, &checked).await? {
            Opening::Moved(released) => {
                if let Some(released) = released {
                    claim::drop_claim(cx, &released).await;
                }
                return Ok(verified(cx, input));
            }
            Opening::Before => return Ok(verified(cx, input)),
            Opening::Overtaken => {}
            Opening::Refused(error) => return Err(error.into()),
        }
    }
    Err(ApiError::BUSY.into())
}

/// Returns the address that a code opens, or `None` if it was opened before. Changes nothing.
async fn new_address<H: Host>(
    cx: &Context<H>,
    account: &AccountId,
    code: &[u8; 32],
) -> Result<Option<NameIndex>, Failure> {
    let look = |draft: &mut Draft<'_>| {
        let head = cx.vaults.steps().revision_in(draft);
        Ok(match pending::opened_in(draft, head, code)? {
            Opened::Change(change) => Ok(Some(change.address()?)),
            Opened::Done => Ok(None),
            Opened::Refused(error) => Err(error),
        })
    };
    let address = cx.driver.observe(&Partition::account(account), &SLOTS, look).await??;
    Ok(address.map(|address| address.index(cx.driver.keyring())))
}

/// Makes the commit that changes everything, or nothing.
async fn open<H: Host>(
    cx: &Context<H>,
    account: &AccountId,
    code: &[u8; 32],
    name: &NameIndex,
    taking: &Taking,
    checked: &CheckedStage,
) -> Result<Opening<Released>, Failure> {
    let step = |draft: &mut Draft<'_>| {
        let judged = draft.judge(|draft| open_in(cx, draft, code, name, taking, checked))?;
        match judged.outcome() {
            Opening::Moved(_) => draft.stage(judged),
            Opening::Overtaken => Ok(Opening::Overtaken),
            Opening::Before => Ok(Opening::Before),
            Opening::Refused(error) => Ok(Opening::Refused(*error)),
        }
    };
    Ok(cx.step(account, &SLOTS, step).await?)
}

fn open_in<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    code: &[u8; 32],
    name: &NameIndex,
    taking: &Taking,
    checked: &CheckedStage,
) -> Result<Opening<Tentative<Released>>, StepError> {
    let head = cx.vaults.steps().revision_in(draft);
    let change = match pending::opened_in(draft, head, code)? {
        Opened::Change(change) => change,
        Opened::Done => return Ok(Opening::Before),
        Opened::Refused(error) => return Ok(Opening::Refused(error)),
    };
    let address = change.address()?;
    let Some(credential) = Credential::read(draft)? else { return Ok(Opening::Refused(ApiError::USER_NOT_FOUND)) };
    // Another change with another address may have replaced this one, though not with the same
    // code.
    if address.index(draft.keyring()) != *name {
        return Ok(Opening::Overtaken);
    }
    if !taking.take_in(draft, name)? {
        return Ok(Opening::Overtaken);
    }
    match cx.vaults.steps().promote_in(draft, checked)? {
        Promotion::Done { .. } => {
            let moved = move_in(draft, credential, &address, &change.public_key, &change.asked_by)?;
            pending::finish_in(draft, code)?;
            Ok(Opening::Moved(moved))
        }
        Promotion::Other => Ok(Opening::Overtaken),
        Promotion::Void | Promotion::Nothing => Ok(Opening::Refused(ApiError::EMAIL_CODE)),
    }
}
