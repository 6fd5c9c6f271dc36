//! The commits of the unique names that lie outside the taker's own partition.

use std::fmt;

use keywright_core::AccountId;

use super::list::{CLAIM, ClaimState, Claimant, Intent, NAMES, NameIndex};
use super::{Claimed, Evicted, Released, evict, holding};
use crate::draft::Draft;
use crate::driver::{Driver, TransactError};
use crate::slot::SlotName;
use crate::step_error::StepError;

/// How often a claim is overtaken by another's before the answer is "busy". Each claimer overtakes once, so of this many
/// at once all are served.
pub const MAX_OVERTAKEN: u32 = 64;

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum ClaimOutcome {
    /// The name says us. Now [`take`](super::take) it; nothing is owned yet.
    Ours(Claimed),
    /// Another account owns the name, or this one does by now, under a later intent.
    Taken,
    /// The intent itself stands no more: a later one took its place, or somebody else was faster. Nothing is claimed.
    Void,
}

/// What one look at the name's partition came to.
enum Look {
    Ours,
    Held(Claimant),
}

/// Claims, looks up and lets go of names. Cheap to clone.
#[derive(Clone)]
pub struct Names {
    driver: Driver,
}

impl Names {
    /// Over a driver.
    #[must_use]
    pub const fn new(driver: Driver) -> Self {
        Self { driver }
    }

    /// Makes the name's partition say what the intent says. Cancels another's intent and evicts an owner whose
    /// provisional time has run out; never anybody else. Can be called again after any error.
    ///
    /// # Errors
    /// [`TransactError`]. Nothing is owned by it, whatever the error; another's intent may have been cancelled.
    pub async fn claim(&self, intent: &Intent) -> Result<ClaimOutcome, TransactError> {
        self.claim_with(intent, &[], |_, _| Ok(())).await
    }

    /// The same. `orphan` is a pure step in the partition of whoever is evicted and part of the very commit that evicts: to
    /// erase an account that was never more than its registration, so that no crash leaves it behind. It is told what is
    /// evicted and must look for itself what else the account has. It may run several times. `slots` are those that it
    /// reads or puts in that partition: name them all, and one load does.
    ///
    /// # Errors
    /// As [`claim`](Self::claim), and the step's own.
    pub async fn claim_with<F>(
        &self,
        intent: &Intent,
        slots: &[SlotName],
        mut orphan: F,
    ) -> Result<ClaimOutcome, TransactError>
    where
        F: FnMut(&mut Draft<'_>, Evicted) -> Result<(), StepError> + Send,
    {
        // An intent that is void must cancel nobody's: not the account's own later one either.
        if self.look(&intent.claimant, intent.name()).await? == ClaimState::Void {
            return Ok(ClaimOutcome::Void);
        }
        // What is known to be void, once and for ever: it may be replaced wherever it is found.
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

    /// Who owns the name: the account that its partition names, if that account says the same. What comes back may be
    /// old when it arrives: a commit that acts on it asks [`owns`](super::owns) again.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn find(&self, name: &NameIndex) -> Result<Option<AccountId>, TransactError> {
        let look = |draft: &mut Draft<'_>| draft.read(CLAIM);
        let Some(by) = self.driver.observe(&name.partition(), &[CLAIM.name()], look).await? else { return Ok(None) };
        let held = self.look(&by, name).await?;
        Ok(matches!(held, ClaimState::Owned | ClaimState::Lapsed).then_some(by.account))
    }

    /// Deletes the claim of a name that its account has given up, if it is still there. Gives whether it was. Best
    /// effort: without it the claim stays, believed by nobody, until somebody takes the name.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn drop_claim(&self, Released(given_up): &Released) -> Result<bool, TransactError> {
        let step = |draft: &mut Draft<'_>| {
            if draft.read(CLAIM)?.as_ref() != Some(&given_up.claimant) {
                return Ok(false);
            }
            draft.delete(CLAIM)?;
            // Nothing is left of it: the partition may go as a whole.
            draft.expire_partition(draft.now())?;
            Ok(true)
        };
        self.driver.transact(&given_up.name().partition(), &[CLAIM.name()], step).await
    }

    /// Puts our claim over none, or over one that is void.
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

    /// How a claimant stands, after its intent was cancelled or its lapsed ownership ended.
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
        // A look first: whoever asks for a name that is taken does not stand in its owner's way.
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
