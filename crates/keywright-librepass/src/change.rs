//! What a change of password and one of address have in common: the body, the keys, the batch, and the end of it.
//!
//! The body is read in one pass and borrowed from. Then, in this order (`decisions.md` 29): the old key, which is charged
//! if it is wrong; the new key; the batch, against the vault outside of any draft. At last one commit, in which token,
//! old key and vault are looked at once more. A batch that was made of another vault is refused, and never checked anew
//! against the present one: that would overwrite a cipher that somebody wrote meanwhile.

mod body;

use keywright_core::{AccountId, EventKind};
use keywright_rekey::{Difference, Fault, Planning, SealedSwap, Submission};
use keywright_store::due::DueTask;
use keywright_store::names::{self, Claimed, NameIndex, Released};
use keywright_store::{Draft, Receipt, Revision, Slot, StageId, StepError, Tentative, WrongReceipt};

pub(crate) use body::{ChangeOfAddress, ChangeOfPassword, Keys};

use crate::account::{Credential, Verification};
use crate::address::Address;
use crate::error::ApiError;
use crate::guard::{Proof, SharedDoor};
use crate::host::Host;
use crate::mails::{self, Kind};
use crate::service::{Caller, Failure, Parts};
use crate::tokens::{self, Login};
use crate::{PublicKey, pending};

/// What a change touches, but for the token itself.
pub(crate) const SLOTS: [Slot; 8] = [
    Slot::Credential,
    Slot::Ledger,
    Slot::VaultHead,
    Slot::Held,
    Slot::PendingAddress,
    Slot::Names,
    Slot::Tokens,
    Slot::Due,
];

/// What became of a request behind the old key.
enum Entry<T> {
    /// The key is right, and so is what was done.
    Done(T),
    /// The key is wrong and charged, or was not looked at: this is committed.
    Denied(ApiError),
    /// Refused for another reason: nothing is written.
    Refused(ApiError),
}

/// The vault's revision that a batch must be of: the one that the token has read last (`decisions.md` 28). Of a token
/// that never read it is that of the request's arrival, so that even there nothing is overwritten that somebody writes
/// while the change is made.
#[derive(Clone, Copy)]
pub(crate) struct Known(Option<Revision>);

impl Known {
    fn at(draft: &mut Draft<'_>, login: &Login) -> Result<Self, StepError> {
        let arrival = draft.revision(Slot::VaultHead)?;
        Ok(Self(login.head().or(arrival)))
    }
}

/// Who may take an address.
pub(crate) enum Taking {
    /// The account has it already: only the text that its owner types, and so the key, is new.
    Owned,
    /// Nobody else, as long as the intent stands.
    Claimed(Claimed),
    /// Another account has it.
    Taken,
}

/// What an account that has moved to an address leaves to do.
pub(crate) struct Moved {
    pub(crate) tasks: Vec<DueTask>,
    released: Option<Tentative<Released>>,
}

impl<H: Host> Parts<H> {
    /// The old key, then the new one. A right one is told after a commit only, which writes nothing; it is forgiven with
    /// the change. `look` says what else is to be known of the account.
    pub(crate) async fn check_keys<T: Copy + Send>(
        &self,
        caller: &Caller,
        keys: &Keys,
        look: impl Fn(&mut Draft<'_>) -> Result<T, StepError> + Send + Sync,
    ) -> Result<(Known, T), Failure> {
        let step = |draft: &mut Draft<'_>, door: &SharedDoor<'_>| {
            let judged = draft.judge(|draft| {
                self.enter(draft, door, caller, keys, |draft, login, _| {
                    Ok(Ok((Known::at(draft, login)?, look(draft)?)))
                })
            })?;
            match judged.outcome() {
                Entry::Denied(_) => draft.stage(judged),
                Entry::Refused(error) => Ok(Entry::Refused(*error)),
                Entry::Done(seen) => Ok(Entry::Done(*seen)),
            }
        };
        let (entry, _) = self.with_shared_key(caller.account(), &slots(caller), step).await?;
        let seen = entry.granted()?;
        // It opens nothing yet, so a wrong one is not charged.
        if !self.are_a_pair(&keys.new_public, &keys.new_shared).await? {
            return Err(ApiError::SHARED_KEY.into());
        }
        Ok(seen)
    }

    /// The batch against the vault as it is, which must be the one that is known; sealed.
    pub(crate) async fn check_batch(
        &self,
        caller: &Caller,
        known: Known,
        batch: &Submission<'_>,
    ) -> Result<SealedSwap, Failure> {
        match self.vaults.plan(caller.account(), batch, known.0).await? {
            Planning::Ready(sealed) => Ok(sealed),
            Planning::Refused(difference) => Err(verdict(&difference).into()),
            _ => Err(StepError::Misuse("a plan of an unknown kind").into()),
        }
    }

    /// Commits a change: token and old key are looked at again, then `act` makes it. What `act` refuses writes nothing.
    pub(crate) async fn commit_change<T: Send>(
        &self,
        caller: &Caller,
        keys: &Keys,
        act: impl Fn(&mut Draft<'_>, &Login, Credential) -> Result<Result<T, ApiError>, StepError> + Send + Sync,
    ) -> Result<(T, Receipt), Failure> {
        let step = |draft: &mut Draft<'_>, door: &SharedDoor<'_>| {
            let judged = draft.judge(|draft| self.enter(draft, door, caller, keys, &act))?;
            match judged.outcome() {
                Entry::Refused(error) => Ok(Entry::Refused(*error)),
                Entry::Done(_) | Entry::Denied(_) => draft.stage(judged),
            }
        };
        let (entry, receipt) = self.with_shared_key(caller.account(), &slots(caller), step).await?;
        Ok((entry.granted()?, receipt))
    }

    /// Token, old key, then `act`.
    fn enter<T>(
        &self,
        draft: &mut Draft<'_>,
        door: &SharedDoor<'_>,
        caller: &Caller,
        keys: &Keys,
        act: impl Fn(&mut Draft<'_>, &Login, Credential) -> Result<Result<T, ApiError>, StepError>,
    ) -> Result<Entry<T>, StepError> {
        let login = tokens::verify_in(draft, &caller.token)?.filter(Login::may_act);
        let Some(login) = login else { return Ok(Entry::Refused(ApiError::INVALID_TOKEN)) };
        let Some(credential) = Credential::read(draft)? else { return Ok(Entry::Refused(ApiError::INVALID_TOKEN)) };
        let tag = Some(self.token_tag(login.id()));
        Ok(match door.judge_in(draft, &credential.public_key, &keys.old, tag, tag)? {
            Proof::Wrong => Entry::Denied(ApiError::SHARED_KEY),
            Proof::Refused { retry_after } => Entry::Denied(ApiError::too_many(retry_after)),
            Proof::Right => match act(draft, &login, credential)? {
                Ok(done) => Entry::Done(done),
                Err(error) => Entry::Refused(error),
            },
        })
    }

    /// Takes a staged vault away that nothing holds any more. If it cannot be taken, the sweep does it.
    pub(crate) async fn unstage(&self, account: &AccountId, stage: Option<StageId>) {
        let Some(stage) = stage else { return };
        if let Err(error) = self.vaults.unstage(account, stage).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a staged vault is left to the sweep");
        }
    }

    /// Sends what is due, and tidies up behind a move. Neither undoes it.
    pub(crate) async fn finish_move(
        &self,
        account: &AccountId,
        moved: Moved,
        receipt: &Receipt,
    ) -> Result<(), WrongReceipt> {
        self.send(account, &moved.tasks).await;
        if let Some(released) = moved.released {
            let released = released.release(receipt)?;
            if let Err(error) = self.names.let_go(&released).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an old address is left claimed; nobody believes it"
                );
            }
        }
        Ok(())
    }
}

impl<T> Entry<T> {
    fn granted(self) -> Result<T, Failure> {
        match self {
            Self::Done(done) => Ok(done),
            Self::Denied(error) | Self::Refused(error) => Err(error.into()),
        }
    }
}

impl Taking {
    /// Makes the address the account's own, in the commit that moves it there. `false`: another request or account was
    /// faster, and nothing is changed.
    pub(crate) fn take_in(&self, draft: &mut Draft<'_>, name: &NameIndex) -> Result<bool, StepError> {
        match self {
            Self::Owned => names::owns(draft, name),
            Self::Claimed(claimed) => names::take(draft, claimed),
            Self::Taken => Ok(false),
        }
    }
}

/// Moves an account to an address that it owns by now: in the draft that swaps or promotes the vault. All logins end.
pub(crate) fn move_in(
    draft: &mut Draft<'_>,
    mut credential: Credential,
    address: &Address,
    public_key: &PublicKey,
) -> Result<Moved, StepError> {
    let old = credential.address()?;
    credential.set_address(address);
    credential.public_key = public_key.duplicate();
    credential.verification = Verification::Verified;
    credential.put(draft)?;
    tokens::end_all_in(draft)?;
    pending::drop_in(draft)?;
    draft.event(EventKind::AddressChanged);
    if old == *address {
        return Ok(Moved { tasks: Vec::new(), released: None });
    }
    let name = old.index(draft.keyring()).map_err(|_| StepError::Crypto)?;
    let released = names::release(draft, &name)?;
    Ok(Moved { tasks: vec![mails::add_in(draft, &old, Kind::AddressChanged)?], released })
}

/// Whether a plan still holds for what the token knows: it may have read or written since.
pub(crate) fn is_known(login: &Login, sealed: &SealedSwap) -> bool {
    login.head().is_none() || login.head() == sealed.head()
}

fn slots(caller: &Caller) -> Vec<Slot> {
    SLOTS.into_iter().chain([Slot::Token(*caller.login.id())]).collect()
}

/// The code of a batch that does not fit (`decisions.md` 35).
fn verdict(difference: &Difference) -> ApiError {
    let has = |fault| difference.count(fault) > 0;
    if has(Fault::WrongType) {
        return ApiError::NOT_READABLE;
    }
    let malformed = [Fault::MalformedId, Fault::MalformedText, Fault::Duplicate, Fault::Unchanged, Fault::ReusedNonce];
    // What is missing or stale is mended by reading the vault anew, so it is said first.
    if !malformed.into_iter().any(has) || has(Fault::Stale) { ApiError::MISSING_CIPHER } else { ApiError::CIPHER }
}
