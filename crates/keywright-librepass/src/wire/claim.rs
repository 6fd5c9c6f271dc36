//! The commits by which an account takes an address, and gives one up.

use keywright_core::AccountId;
use keywright_store::names::{self, ClaimOutcome, Evicted, Intent, NAMES, NameIndex, Released};
use keywright_store::{Draft, SlotName, StepError, TransactError};

use crate::account::claim::{Taking, erase_if_nameless};
use crate::account::credential::{CREDENTIAL, Credential};
use crate::protocol::error::ApiError;
use crate::wire::answer::Failure;
use crate::wire::context::Context;
use crate::wire::host::Host;

/// How often a move starts again because its intent was overtaken, before the answer is "busy".
pub(crate) const TRIES: usize = 16;

/// Makes the first two of the three commits that take an address: the account's intent and the
/// address's claim (`keywright_store::names`). If they are interrupted at any moment, every account
/// keeps what it had.
pub(crate) async fn claim_address<H: Host>(
    cx: &Context<H>,
    account: &AccountId,
    name: &NameIndex,
) -> Result<Taking, Failure> {
    let step = |draft: &mut Draft<'_>| match Credential::read(draft)? {
        Some(_) => names::intend(draft, name).map(Some),
        None => Ok(None),
    };
    let intended = cx.step(account, &[CREDENTIAL.name(), NAMES.name()], step).await?;
    let Some(intent) = intended.ok_or(ApiError::USER_NOT_FOUND)? else { return Ok(Taking::Owned) };
    Ok(match claim(cx, &intent).await? {
        ClaimOutcome::Ours(claimed) => Taking::Claimed(claimed),
        ClaimOutcome::Void => Taking::Overtaken,
        ClaimOutcome::Taken => Taking::Taken,
    })
}

/// Tidies up behind an account that gave a name up. The name is free already.
pub(crate) async fn drop_claim<H: Host>(cx: &Context<H>, released: &Released) {
    if let Err(error) = cx.names.drop_claim(released).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "the claim of a name that is free stays behind");
    }
}

/// Claims a name for an account that intends to take it.
pub(crate) async fn claim<H: Host>(cx: &Context<H>, intent: &Intent) -> Result<ClaimOutcome, TransactError> {
    cx.names.claim_with(intent, &ORPHAN_SLOTS, erase_orphan).await
}

/// The slots that [`erase_orphan`] reads.
const ORPHAN_SLOTS: [SlotName; 2] = [CREDENTIAL.name(), NAMES.name()];

/// Ends an account in the very commit that takes its name away, if the name was all it had: a
/// registration without verification that crashed. An account that is about to move to the name
/// keeps its old name and everything else; one that waits for its link keeps waiting.
fn erase_orphan(draft: &mut Draft<'_>, _: Evicted) -> Result<(), StepError> {
    erase_if_nameless(draft)
}
