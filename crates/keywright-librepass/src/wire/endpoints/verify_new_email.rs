//! `GET user/verifyNewEmail?user=UUID&code=STRING`: the link that was mailed to a new address.
//!
//! Three commits: the account's intent, the address's claim, and one in which the account takes the address, the held
//! vault becomes the vault, the new key is the key, every login ends and the change waits no more. The code is looked at
//! before the first and in the last; whoever stops before the last leaves everything as it was, and the link opens once
//! more.
//!
//! The code has 256 bits, so guesses are not counted: a wrong one changes nothing. Nothing that is refused is written.

use keywright_core::AccountId;
use keywright_rekey::{CheckedStage, Coverage, Promotion};
use keywright_store::names::{self, ClaimOutcome, NAMES, NameIndex, Released};
use keywright_store::{Draft, Partition, Receipt, Release, StepError, Tentative, WrongReceipt};

use crate::account::change::{self, SLOTS, Taking};
use crate::account::credential::{CREDENTIAL, Credential};
use crate::account::pending;
use crate::wire::endpoints::change_email::TRIES;
use crate::wire::endpoints::register;
use crate::wire::error::ApiError;
use crate::wire::host::{Host, Subject};
use crate::wire::request::Input;
use crate::wire::service::{Answered, Failure, Parts, Reply};

/// What became of the last commit.
enum Opening<R> {
    /// Moved; the old name is to be dropped, if it is another.
    Moved(Option<R>),
    /// The intent was overtaken: by another click on the link, or by another account.
    Overtaken,
    Refused(ApiError),
}

impl<R: Release> Release for Opening<R> {
    type Released = Opening<R::Released>;
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Moved(released) => Opening::Moved(released.release(receipt)?),
            Self::Overtaken => Opening::Overtaken,
            Self::Refused(error) => Opening::Refused(error),
        })
    }
}

pub(crate) async fn run<H: Host>(parts: &Parts<H>, input: &Input<'_>) -> Answered {
    let user = input.user()?;
    let code = input.parameter("code")?;
    parts.admit(input, Subject::Named(user.account()))?;
    let code = pending::code_hash(&parts.links, &user, &code);
    for _ in 0..TRIES {
        let name = parts.new_address(user.account(), &code).await?;
        let checked = match parts.vaults.covered(user.account()).await? {
            Coverage::Covered(checked) => checked,
            uncovered => {
                // Opened meanwhile, by another click: then nothing waits any more. Else the sweep took rows, by the clock
                // of another server, or the vault has changed: the promotion could only conflict.
                parts.new_address(user.account(), &code).await?;
                let is_gone = matches!(uncovered, Coverage::Nothing);
                return Err(if is_gone { ApiError::EMAIL_CODE } else { ApiError::MISSING_CIPHER }.into());
            }
        };
        let taking = parts.claim_address(user.account(), &name).await?;
        if matches!(taking, Taking::Taken) {
            // By this very account, if the link was opened twice at once: then nothing waits any more.
            parts.new_address(user.account(), &code).await?;
            return Err(ApiError::DUPLICATED.into());
        }
        match parts.open(user.account(), &code, &name, &taking, &checked).await? {
            Opening::Moved(released) => {
                if let Some(released) = released {
                    parts.drop_claim(&released).await;
                }
                return Ok(Reply::Verified);
            }
            Opening::Overtaken => {}
            Opening::Refused(error) => return Err(error.into()),
        }
    }
    Err(ApiError::BUSY.into())
}

impl<H: Host> Parts<H> {
    /// The first two of the three commits that take an address: the account's intent and the address's claim
    /// (`keywright_store::names`). Stopped at any moment they leave everybody with what they had.
    pub(super) async fn claim_address(&self, account: &AccountId, name: &NameIndex) -> Result<Taking, Failure> {
        let step = |draft: &mut Draft<'_>| match Credential::read(draft)? {
            Some(_) => names::intend(draft, name).map(Some),
            None => Ok(None),
        };
        let intended = self.act(account, &[CREDENTIAL.name(), NAMES.name()], step).await?;
        let Some(intent) = intended.ok_or(ApiError::USER_NOT_FOUND)? else { return Ok(Taking::Owned) };
        Ok(match self.names.claim_with(&intent, &register::ORPHAN_SLOTS, register::erase_orphan).await? {
            ClaimOutcome::Ours(claimed) => Taking::Claimed(claimed),
            ClaimOutcome::Void => Taking::Overtaken,
            _ => Taking::Taken,
        })
    }

    /// The address that a code opens. Changes nothing.
    async fn new_address(&self, account: &AccountId, code: &[u8; 32]) -> Result<NameIndex, Failure> {
        let look = |draft: &mut Draft<'_>| {
            let head = self.vaults.steps().revision_in(draft);
            Ok(match pending::opened_in(draft, head, code)? {
                Ok(change) => Ok(change.address()?),
                Err(error) => Err(error),
            })
        };
        let address = self.driver.observe(&Partition::account(account), &SLOTS, look).await??;
        Ok(address.index(self.driver.keyring()))
    }

    /// The commit that changes everything, or nothing.
    async fn open(
        &self,
        account: &AccountId,
        code: &[u8; 32],
        name: &NameIndex,
        taking: &Taking,
        checked: &CheckedStage,
    ) -> Result<Opening<Released>, Failure> {
        let step = |draft: &mut Draft<'_>| {
            let judged = draft.judge(|draft| self.open_in(draft, code, name, taking, checked))?;
            match judged.outcome() {
                Opening::Moved(_) => draft.stage(judged),
                Opening::Overtaken => Ok(Opening::Overtaken),
                Opening::Refused(error) => Ok(Opening::Refused(*error)),
            }
        };
        self.act(account, &SLOTS, step).await
    }

    fn open_in(
        &self,
        draft: &mut Draft<'_>,
        code: &[u8; 32],
        name: &NameIndex,
        taking: &Taking,
        checked: &CheckedStage,
    ) -> Result<Opening<Tentative<Released>>, StepError> {
        let head = self.vaults.steps().revision_in(draft);
        let change = match pending::opened_in(draft, head, code)? {
            Ok(change) => change,
            Err(error) => return Ok(Opening::Refused(error)),
        };
        let address = change.address()?;
        let Some(credential) = Credential::read(draft)? else { return Ok(Opening::Refused(ApiError::USER_NOT_FOUND)) };
        // Another change with another address may have taken its place, not with the same code.
        if address.index(draft.keyring()) != *name {
            return Ok(Opening::Overtaken);
        }
        if !taking.take_in(draft, name)? {
            return Ok(Opening::Overtaken);
        }
        match self.vaults.steps().promote_in(draft, checked)? {
            Promotion::Done { .. } => {
                let moved = change::move_in(draft, credential, &address, &change.public_key, &change.asked_by);
                moved.map(Opening::Moved)
            }
            Promotion::Other => Ok(Opening::Overtaken),
            _ => Ok(Opening::Refused(ApiError::EMAIL_CODE)),
        }
    }
}
