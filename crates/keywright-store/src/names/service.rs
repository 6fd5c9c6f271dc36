//! The commits for unique names that concern partitions other than that of the account which takes
//! the name.

use std::fmt;

use keywright_core::AccountId;

use super::list::{CLAIM, ClaimState, Claimant, Intent, NAMES, NameIndex};
use super::{Claimed, Evicted, Released, evict, holding, release_all};
use crate::draft::Draft;
use crate::driver::{Driver, Erasure, TransactError};
use crate::due::list::DUE;
use crate::slot::SlotName;
use crate::step_error::StepError;

/// How often other accounts may overtake a claim before it fails with [`TransactError::Busy`]. Each
/// claimant overtakes once, so this many concurrent claimants all get an answer.
pub const MAX_OVERTAKEN: u32 = 64;

/// The result of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum ClaimOutcome {
    /// The name's partition names this account. Now [`take`](super::take) the name; nothing is
    /// owned yet.
    Ours(Claimed),
    /// Another account owns the name, or this one already does, under a later intent.
    Taken,
    /// The intent itself is no longer current: a later one replaced it, or somebody else was
    /// faster. Nothing is claimed.
    Void,
}

/// The result of one read of the name's partition.
enum Look {
    Ours,
    Held(Claimant),
}

/// Claims, looks up and releases names. It is cheap to clone.
#[derive(Clone)]
pub struct Names {
    driver: Driver,
}

impl Names {
    /// Creates the service over a driver.
    #[must_use]
    pub const fn new(driver: Driver) -> Self {
        Self { driver }
    }

    /// Writes the intent's account and ticket to the name's partition. This cancels another
    /// account's intent, and evicts an owner whose provisional time has run out, but never any
    /// other owner. It can be called again after any error.
    ///
    /// # Errors
    /// Returns [`TransactError`] if the claim failed. Nothing is owned then, whatever the error,
    /// but another account's intent may have been cancelled.
    pub async fn claim(&self, intent: &Intent) -> Result<ClaimOutcome, TransactError> {
        self.claim_with(intent, &[], |_, _| Ok(())).await
    }

    /// Claims as [`claim`](Self::claim) does, and runs `orphan` in the commit that evicts another
    /// account.
    ///
    /// `orphan` is a pure step in the partition of the evicted account. If that account has nothing
    /// but its registration, the step can erase it in the same commit, so that a crash cannot leave
    /// it behind. The step receives what is evicted, and must check what else the account has. It
    /// may run several times. `slots` are the slots that it reads or puts. If all of them are
    /// listed, one load is enough.
    ///
    /// # Errors
    /// Returns the errors of [`claim`](Self::claim), and the step's own.
    pub async fn claim_with<F>(
        &self,
        intent: &Intent,
        slots: &[SlotName],
        mut orphan: F,
    ) -> Result<ClaimOutcome, TransactError>
    where
        F: FnMut(&mut Draft<'_>, Evicted) -> Result<(), StepError> + Send,
    {
        // An intent that is void must cancel nobody's intent, not even a later one of the same
        // account.
        if self.look(&intent.claimant, intent.name()).await? == ClaimState::Void {
            return Ok(ClaimOutcome::Void);
        }
        // The claimant that is known to be permanently void. It may be replaced wherever it is
        // found.
        let mut void = None;
        for _ in 0..=MAX_OVERTAKEN {
            match self.place(intent, void.as_ref()).await? {
                Look::Ours => return Ok(ClaimOutcome::Ours(Claimed(intent.clone()))),
                Look::Held(by) => match self.judge(&by, intent.name(), slots, &mut orphan).await? {
                    ClaimState::Owned => return Ok(ClaimOutcome::Taken),
                    ClaimState::Void | ClaimState::Intended | ClaimState::Lapsed => void = Some(by),
                },
            }
        }
        Err(TransactError::Busy)
    }

    /// Returns the owner of the name: the account that the name's partition names, if that account
    /// agrees. The result may be outdated when it is returned; a commit that acts on it must call
    /// [`owns`](super::owns) again.
    ///
    /// # Errors
    /// Returns [`TransactError`] if a partition cannot be read.
    pub async fn find(&self, name: &NameIndex) -> Result<Option<AccountId>, TransactError> {
        let look = |draft: &mut Draft<'_>| draft.read(CLAIM);
        let Some(by) = self.driver.observe(&name.partition(), &[CLAIM.name()], look).await? else { return Ok(None) };
        let held = self.look(&by, name).await?;
        Ok(matches!(held, ClaimState::Owned | ClaimState::Lapsed).then_some(by.account))
    }

    /// Erases an account as [`Driver::erase_account`] does, and deletes the claims of its names, so
    /// that nothing of it stays behind in other partitions.
    ///
    /// # Errors
    /// Returns [`TransactError`] if the account was not erased. After [`TransactError::Unknown`] it
    /// may be erased; call this again. A claim that cannot be deleted is no error: its name is free
    /// all the same.
    pub async fn erase_account(&self, account: &AccountId) -> Result<Erasure, TransactError> {
        let expiry = self.driver.events_kept();
        let step = |draft: &mut Draft<'_>| {
            match draft.root() {
                Err(StepError::NoAccount) => return Ok(None),
                root => root?,
            };
            let released = release_all(draft)?;
            draft.erase(&[DUE.name()])?;
            draft.expire_erased(draft.now().plus(expiry))?;
            Ok(Some(released))
        };
        let Some(released) = self.driver.run(&account.into(), &[NAMES.name(), DUE.name()], step).await? else {
            return Ok(Erasure::NoAccount);
        };
        for name in &released {
            if let Err(error) = self.drop_claim(name).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the claim of a name that is free stays behind"
                );
            }
        }
        Ok(Erasure::Erased)
    }

    /// Deletes the claim of a name that its account has given up. Returns whether the claim was
    /// still there. If this is never called, the claim stays in the store without effect until
    /// somebody takes the name.
    ///
    /// # Errors
    /// Returns [`TransactError`] if the claim was not deleted.
    pub async fn drop_claim(&self, Released(given_up): &Released) -> Result<bool, TransactError> {
        let step = |draft: &mut Draft<'_>| {
            if draft.read(CLAIM)?.as_ref() != Some(&given_up.claimant) {
                return Ok(false);
            }
            draft.delete(CLAIM)?;
            // Nothing is left in the partition, so it may be swept as a whole.
            draft.expire_partition(draft.now())?;
            Ok(true)
        };
        self.driver.transact(&given_up.name().partition(), &[CLAIM.name()], step).await
    }

    /// Writes our claim if there is none, or over one that is void.
    async fn place(&self, intent: &Intent, void: Option<&Claimant>) -> Result<Look, TransactError> {
        let step = |draft: &mut Draft<'_>| {
            match draft.read(CLAIM)? {
                Some(by) if by == intent.claimant => return Ok(Look::Ours),
                Some(by) if Some(&by) != void => return Ok(Look::Held(by)),
                Some(_) | None => {}
            }
            draft.make_permanent()?;
            draft.put(CLAIM, &intent.claimant)?;
            Ok(Look::Ours)
        };
        self.driver.transact(&intent.name().partition(), &[CLAIM.name()], step).await
    }

    /// Returns the state of a claimant, after its intent was cancelled or its lapsed ownership
    /// ended.
    async fn judge<F>(
        &self,
        by: &Claimant,
        name: &NameIndex,
        slots: &[SlotName],
        orphan: &mut F,
    ) -> Result<ClaimState, TransactError>
    where
        F: FnMut(&mut Draft<'_>, Evicted) -> Result<(), StepError> + Send,
    {
        // A read comes first, so that requests for a name that is taken do not delay its owner.
        let held = self.look(by, name).await?;
        if matches!(held, ClaimState::Void | ClaimState::Owned) {
            return Ok(held);
        }
        let step = |draft: &mut Draft<'_>| evict(draft, name, by.ticket, orphan);
        let slots: Vec<SlotName> = slots.iter().copied().chain([NAMES.name()]).collect();
        self.driver.transact(&(&by.account).into(), &slots, step).await
    }

    async fn look(&self, by: &Claimant, name: &NameIndex) -> Result<ClaimState, TransactError> {
        let step = |draft: &mut Draft<'_>| holding(draft, name, by.ticket);
        self.driver.observe(&(&by.account).into(), &[NAMES.name()], step).await
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("driver", &self.driver).finish()
    }
}
