//! Unique names (an e-mail address, a login name) without a commit that crosses partitions.
//!
//! An account's partition and a name's may lie on different shards, so no batch can change both.
//! Three commits do it, and a process that stops between two of them blocks nobody:
//!
//! 1. The account records an intent with [`intend`], a pure step. It draws a ticket that is never
//!    used again.
//! 2. `Names::claim` writes {account, ticket} to the name's own partition.
//! 3. The account takes the name with [`take`], a pure step, but only if its intent is still
//!    current. The step composes with what the name is taken for (a new credential, for example)
//!    and with [`release`] of the old name, in **one** batch.
//!
//! A client that finds a name held by another account checks that account. If the account owns the
//! name, the name is taken. If the account only intends to take it, the client first cancels that
//! intent, by a commit in the holder's partition that checks it there, and only then replaces the
//! claim. A claim is therefore never removed while its intent or ownership is current, and of all
//! accounts at most one owns a name. An intent is not a reservation: if two accounts race, the one
//! that claims later may win; [`take`] then returns `false` to the other.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use keywright_core::{AccountId, Keyring, SystemEntropy};
//! use keywright_store::names::{self, ClaimOutcome, NAMES, NameIndex, Names};
//! use keywright_store::{Draft, Driver, MemoryStore, Partition};
//!
//! # futures_lite::future::block_on(async {
//! let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
//! let address = NameIndex::derive(&keyring, "address", b"ada@example.org");
//! let driver = Driver::builder(Arc::new(MemoryStore::new()), keyring).build()?;
//! let service = Names::new(driver.clone());
//! let account = AccountId::new("user-1")?;
//! driver.ensure_account(&account).await?;
//! let partition = Partition::account(&account);
//!
//! // 1: the account records its intent.
//! let step = |draft: &mut Draft<'_>| names::intend(draft, &address);
//! let intent = driver.run(&partition, &[NAMES.name()], step).await?.ok_or("owned already")?;
//! // 2: the name's partition records the claim.
//! let ClaimOutcome::Ours(claimed) = service.claim(&intent).await? else { return Err("taken".into()) };
//! assert_eq!(service.find(&address).await?, None, "a claim is not yet ownership");
//! // 3: the account takes the name, together with what it is taken for.
//! assert!(driver.run(&partition, &[NAMES.name()], |draft| names::take(draft, &claimed)).await?);
//! assert_eq!(service.find(&address).await?, Some(account));
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # What a crash leaves behind
//! | the process stops | what is left | what the next account that wants the name does |
//! |---|---|---|
//! | after 1 | an intent, one of at most [`MAX_INTENDED`] | takes it: nothing contradicts it |
//! | after 2 | an intent, and a claim without ownership | cancels the intent, replaces the claim |
//! | after an intent of another was cancelled | the other's claim, which can come to nothing | replaces it |
//! | after 3, which released an old name | the old name's claim, which is void | replaces it |
//! | after an account was erased | its claims, likewise | replaces them |
//!
//! An account that owned an old name owns it until the very commit that takes the new one. A lost
//! reply is a stop like any other: the change either happened or did not, and every call can be
//! repeated.
//!
//! # What it does not do
//! This module does not canonicalise names; do that first. It does not report to the loser of a
//! race who won. Its timing reveals whether a name is claimed, because `Names::find` reads a second
//! partition only if it is. Somebody who can write to the database without the keyring can make an
//! account lose its names, just as they can delete the account.

use keywright_core::{AccountId, UnixSeconds};

use crate::draft::Draft;
use crate::release::Tentative;
use crate::step_error::StepError;

pub(crate) mod list;
mod service;

use list::{ClaimState, Entry, EntryState, Ticket};
pub use list::{Intent, MAX_INTENDED, MAX_OWNED, NAMES, NameIndex, NameList};
pub use service::{ClaimOutcome, MAX_OVERTAKEN, Names};

/// Proof that a name was claimed: its partition contained the account and the ticket of a committed
/// intent. Only `Names::claim` creates one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed(Intent);

impl Claimed {
    /// Returns the intent for which the name was claimed.
    #[must_use]
    pub const fn intent(&self) -> &Intent {
        &self.0
    }
}

/// A name that an account has given up. It is a tentative value until that commit, so the claim
/// cannot be deleted earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released(Intent);

impl Released {
    /// Returns the name.
    #[must_use]
    pub const fn name(&self) -> &NameIndex {
        self.0.name()
    }
}

impl NameList {
    fn read(draft: &mut Draft<'_>) -> Result<Self, StepError> {
        Ok(draft.read(NAMES)?.unwrap_or_default())
    }

    fn put(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        draft.put(NAMES, self)
    }
}

/// Records that the account is about to take a name. Returns `None` if it owns the name already. A
/// second intent for one name replaces the first; beyond [`MAX_INTENDED`] the oldest is dropped.
///
/// # Errors
/// Returns [`StepError::NoAccount`] outside an account's partition. Otherwise returns the errors of
/// [`Draft::read`].
pub fn intend(draft: &mut Draft<'_>, name: &NameIndex) -> Result<Option<Tentative<Intent>>, StepError> {
    let account = account(draft)?;
    let mut list = NameList::read(draft)?;
    if list.of(name).is_some_and(Entry::is_owned) {
        return Ok(None);
    }
    list.entries.retain(|entry| entry.name != *name);
    list.make_room();
    let entry =
        Entry { name: *name, ticket: Ticket(draft.random()?), since: draft.now(), standing: EntryState::Intended };
    let intent = entry.claimant(&account);
    list.entries.push(entry);
    list.put(draft)?;
    Ok(Some(draft.tentative(intent)))
}

/// Makes the account the owner of the name, if the intent is still current. Returns `false` if
/// another account was faster, or the intent was dropped. Then nothing is changed, and the caller
/// must not change anything either. Calling it again after success returns `true` again.
///
/// # Errors
/// Returns [`StepError::Misuse`] for the name was claimed by another account, or beyond
/// [`MAX_OWNED`]. Otherwise returns the errors of [`Draft::read`].
pub fn take(draft: &mut Draft<'_>, claimed: &Claimed) -> Result<bool, StepError> {
    take_as(draft, claimed, None)
}

/// Makes the account the owner of the name as [`take`] does, but provisionally, for an account that
/// has not been verified yet. From `until` on (by the clock of the server that checks), another
/// account that takes the name may evict it, unless [`make_permanent`] came first.
///
/// # Errors
/// Returns the errors of [`take`].
pub fn take_provisional(draft: &mut Draft<'_>, claimed: &Claimed, until: UnixSeconds) -> Result<bool, StepError> {
    take_as(draft, claimed, Some(until))
}

fn take_as(
    draft: &mut Draft<'_>,
    Claimed(intent): &Claimed,
    provisional_until: Option<UnixSeconds>,
) -> Result<bool, StepError> {
    if account(draft)? != intent.claimant.account {
        return Err(StepError::Misuse("the name was claimed by another account"));
    }
    let now = draft.now();
    let mut list = NameList::read(draft)?;
    let owned = list.entries.iter().filter(|entry| entry.is_owned()).count();
    let Some(entry) = list.entries.iter_mut().find(|entry| entry.claimant(&intent.claimant.account) == *intent) else {
        return Ok(false);
    };
    if entry.is_owned() {
        return Ok(true);
    }
    if owned >= MAX_OWNED {
        return Err(StepError::Misuse("the account owns too many names"));
    }
    entry.since = now;
    entry.standing = EntryState::Owned { provisional_until };
    list.put(draft)?;
    Ok(true)
}

/// Makes a provisional ownership permanent, because the account has been verified. Returns `false`
/// if the account does not own the name, because it was evicted or never owned it.
///
/// # Errors
/// Returns the errors of [`Draft::read`].
pub fn make_permanent(draft: &mut Draft<'_>, name: &NameIndex) -> Result<bool, StepError> {
    let mut list = NameList::read(draft)?;
    let Some(entry) = list.entries.iter_mut().find(|entry| entry.name == *name && entry.is_owned()) else {
        return Ok(false);
    };
    let permanent = EntryState::Owned { provisional_until: None };
    if entry.standing != permanent {
        entry.standing = permanent;
        list.put(draft)?;
    }
    Ok(true)
}

/// Whether the account owns the name, provisionally or permanently. A step that acts on the result
/// of `Names::find` must check this again.
///
/// # Errors
/// Returns the errors of [`Draft::read`].
pub fn owns(draft: &mut Draft<'_>, name: &NameIndex) -> Result<bool, StepError> {
    Ok(NameList::read(draft)?.of(name).is_some_and(Entry::is_owned))
}

/// Returns the names that the account owns, in the order in which they were taken.
///
/// # Errors
/// Returns the errors of [`Draft::read`].
pub fn owned(draft: &mut Draft<'_>) -> Result<Vec<NameIndex>, StepError> {
    Ok(NameList::read(draft)?.entries.iter().filter(|entry| entry.is_owned()).map(|entry| entry.name).collect())
}

/// Releases a name that the account owns or intends to take. Returns `None` if it does neither. The
/// name is free once this is committed. Pass the returned value to `Names::drop_claim`, which
/// deletes the claim.
///
/// # Errors
/// Returns the errors of [`Draft::read`].
pub fn release(draft: &mut Draft<'_>, name: &NameIndex) -> Result<Option<Tentative<Released>>, StepError> {
    let account = account(draft)?;
    let mut list = NameList::read(draft)?;
    let Some(at) = list.entries.iter().position(|entry| entry.name == *name) else { return Ok(None) };
    let released = Released(list.entries.remove(at).claimant(&account));
    list.put(draft)?;
    Ok(Some(draft.tentative(released)))
}

/// Releases all names of the account. Call it before [`Draft::erase`], which deletes the list of
/// names; the claims would otherwise remain until other accounts claim the names.
///
/// # Errors
/// Returns the errors of [`Draft::read`].
pub fn release_all(draft: &mut Draft<'_>) -> Result<Tentative<Vec<Released>>, StepError> {
    let account = account(draft)?;
    let list = NameList::read(draft)?;
    let released = list.entries.iter().map(|entry| Released(entry.claimant(&account))).collect();
    if !list.entries.is_empty() {
        NameList::default().put(draft)?;
    }
    Ok(draft.tentative(released))
}

fn account(draft: &Draft<'_>) -> Result<AccountId, StepError> {
    draft.partition().as_account().ok_or(StepError::NoAccount)
}

/// What an account loses when another account claims a name that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evicted {
    /// An intent. The account may be in use under another name, or the intent may be all that a
    /// crashed registration left behind.
    Intent,
    /// A provisional ownership whose time had run out.
    Provisional,
}

fn holding(draft: &mut Draft<'_>, name: &NameIndex, ticket: Ticket) -> Result<ClaimState, StepError> {
    match draft.root() {
        // The account never existed, or is gone with all its records.
        Err(StepError::NoAccount) => return Ok(ClaimState::Void),
        root => root?,
    };
    let list = NameList::read(draft)?;
    let entry = list.of(name).filter(|entry| entry.ticket == ticket);
    Ok(entry.map_or(ClaimState::Void, |entry| entry.holding(draft.now())))
}

/// Ends the holder's state, in the holder's partition, if it may be ended. Returns the state that
/// the holder was in. `orphan` is what else that commit does with the account.
fn evict(
    draft: &mut Draft<'_>,
    name: &NameIndex,
    ticket: Ticket,
    orphan: &mut impl FnMut(&mut Draft<'_>, Evicted) -> Result<(), StepError>,
) -> Result<ClaimState, StepError> {
    let held = holding(draft, name, ticket)?;
    let evicted = match held {
        ClaimState::Void | ClaimState::Owned => return Ok(held),
        ClaimState::Intended => Evicted::Intent,
        ClaimState::Lapsed => Evicted::Provisional,
    };
    let mut list = NameList::read(draft)?;
    list.entries.retain(|entry| entry.name != *name);
    list.put(draft)?;
    orphan(draft, evicted)?;
    Ok(held)
}
