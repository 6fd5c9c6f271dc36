//! Unique names (an e-mail address, a login name) without a commit that crosses partitions.
//!
//! An account's partition and a name's may lie on different shards, so no batch can change both. Three commits do, and
//! whoever stops between two of them strands nobody:
//!
//! 1. The account notes an intent: [`intend`], a pure step. It draws a ticket that is never used again.
//! 2. The name's own partition is made to say {account, ticket}: `Names::claim`.
//! 3. The account takes the name, only if its intent still stands: [`take`], a pure step. It composes with what the name is
//!    taken for (a new credential, say) and with [`release`] of the old name, in **one** batch.
//!
//! Whoever finds a name held by another looks there. Owned: it is taken. Only intended: the taker first cancels that
//! intent, by a commit in the holder's partition that judges it there, and only then replaces the claim. So a claim
//! never goes while its intent or ownership stands, and of all accounts at most one owns a name. An intent is no
//! reservation: of two that race, the one that claims later may win; the other's [`take`] says no.
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
//! // 1: the account notes what it is about to do.
//! let step = |draft: &mut Draft<'_>| names::intend(draft, &address);
//! let intent = driver.run(&partition, &[NAMES.name()], step).await?.ok_or("owned already")?;
//! // 2: the name says who.
//! let ClaimOutcome::Ours(claimed) = service.claim(&intent).await? else { return Err("taken".into()) };
//! assert_eq!(service.find(&address).await?, None, "a claim is not yet ownership");
//! // 3: the account takes it, together with whatever it is taken for.
//! assert!(driver.run(&partition, &[NAMES.name()], |draft| names::take(draft, &claimed)).await?);
//! assert_eq!(service.find(&address).await?, Some(account));
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # What a crash leaves behind
//! | it stops | it leaves | who wants the name next |
//! |---|---|---|
//! | after 1 | an intent, one of at most [`MAX_INTENDED`] | takes it: nothing says otherwise |
//! | after 2 | an intent, and a claim that nobody believes | cancels the intent, replaces the claim |
//! | after an intent of another was cancelled | the other's claim, which can come to nothing | replaces it |
//! | after 3, which released an old name | the old name's claim, which nobody believes | replaces it |
//! | after an account was erased | its claims, likewise | replaces them |
//!
//! An account that owned an old name owns it until the very commit that takes the new one. A reply that is lost is a stop
//! like any other: what it was about either stands or does not, and every call can be made again.
//!
//! # What it does not do
//! It does not know texts: canonicalise the name first. It does not tell the loser of a race who won. It does not hide by
//! its timing whether a name is claimed: `Names::find` looks at a second partition only if so.
//! Who can write the database without the keyring can make an account lose its names, as it can delete the account.

use keywright_core::{AccountId, UnixSeconds};

use crate::draft::Draft;
use crate::release::Tentative;
use crate::step_error::StepError;

pub(crate) mod list;
mod service;

use list::{ClaimState, Entry, EntryState, Ticket};
pub use list::{Intent, MAX_INTENDED, MAX_OWNED, NAMES, NameIndex, NameList};
pub use service::{ClaimOutcome, MAX_OVERTAKEN, Names};

/// Proof that the name's partition said {account, ticket} after the intent was committed. Only `Names::claim` makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed(Intent);

impl Claimed {
    /// The intent that was claimed for.
    #[must_use]
    pub const fn intent(&self) -> &Intent {
        &self.0
    }
}

/// A name that an account has given up. Only the receipt of that commit gives it out, so no claim goes before that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released(Intent);

impl Released {
    /// The name.
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

/// Notes that the account is about to take a name. `None` if it owns the name already. A second intent for one name
/// replaces the first; beyond [`MAX_INTENDED`] the oldest goes.
///
/// # Errors
/// [`StepError::NoAccount`] outside an account; else as reading does.
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

/// Makes the name the account's own, if the intent still stands. `false`: somebody was faster, or the intent was dropped;
/// nothing is changed, and the caller changes nothing either. Asked again after it was granted, it is granted.
///
/// # Errors
/// [`StepError::Misuse`] for what another account has claimed, or beyond [`MAX_OWNED`]; else as reading does.
pub fn take(draft: &mut Draft<'_>, claimed: &Claimed) -> Result<bool, StepError> {
    take_as(draft, claimed, None)
}

/// The same, for an account that has not proven itself yet: from `until` on (by the clock of the server that looks) a
/// taker may evict it, unless [`make_permanent`] came first.
///
/// # Errors
/// As [`take`].
pub fn take_provisional(draft: &mut Draft<'_>, claimed: &Claimed, until: UnixSeconds) -> Result<bool, StepError> {
    take_as(draft, claimed, Some(until))
}

fn take_as(
    draft: &mut Draft<'_>,
    Claimed(intent): &Claimed,
    provisional_until: Option<UnixSeconds>,
) -> Result<bool, StepError> {
    if account(draft)? != intent.claimant.account {
        return Err(StepError::Misuse("a name that another account has claimed"));
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
        return Err(StepError::Misuse("an account that owns too many names"));
    }
    entry.since = now;
    entry.standing = EntryState::Owned { provisional_until };
    list.put(draft)?;
    Ok(true)
}

/// Ends the provisional time: the account has proven itself. `false` if it does not own the name, because it was evicted
/// or never had it.
///
/// # Errors
/// As reading does.
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

/// Whether the account owns the name, provisionally or for good. Ask it in the commit that acts on a look-up.
///
/// # Errors
/// As reading does.
pub fn owns(draft: &mut Draft<'_>, name: &NameIndex) -> Result<bool, StepError> {
    Ok(NameList::read(draft)?.of(name).is_some_and(Entry::is_owned))
}

/// The names that the account owns, those taken first first.
///
/// # Errors
/// As reading does.
pub fn owned(draft: &mut Draft<'_>) -> Result<Vec<NameIndex>, StepError> {
    Ok(NameList::read(draft)?.entries.iter().filter(|entry| entry.is_owned()).map(|entry| entry.name).collect())
}

/// Gives a name up, owned or only intended. `None` if it is neither. From the commit on the name is free; hand what the
/// receipt releases to `Names::drop_claim`, which tidies up.
///
/// # Errors
/// As reading does.
pub fn release(draft: &mut Draft<'_>, name: &NameIndex) -> Result<Option<Tentative<Released>>, StepError> {
    let account = account(draft)?;
    let mut list = NameList::read(draft)?;
    let Some(at) = list.entries.iter().position(|entry| entry.name == *name) else { return Ok(None) };
    let released = Released(list.entries.remove(at).claimant(&account));
    list.put(draft)?;
    Ok(Some(draft.tentative(released)))
}

/// Gives all names up: before [`Draft::erase`], which drops the list and would leave the claims to the next taker.
///
/// # Errors
/// As reading does.
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

/// What a taker ends in the holder's partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evicted {
    /// An intent. The account may be in use under another name; or it may be all that a crashed registration has left.
    Intent,
    /// A provisional ownership whose time had run out.
    Provisional,
}

fn holding(draft: &mut Draft<'_>, name: &NameIndex, ticket: Ticket) -> Result<ClaimState, StepError> {
    match draft.root() {
        // The account never was, or is gone with all its records.
        Err(StepError::NoAccount) => return Ok(ClaimState::Void),
        root => root?,
    };
    let list = NameList::read(draft)?;
    let entry = list.of(name).filter(|entry| entry.ticket == ticket);
    Ok(entry.map_or(ClaimState::Void, |entry| entry.holding(draft.now())))
}

/// Ends what may be ended, in the holder's partition, and says how the holder stood. `orphan` is what else that commit
/// does with the account.
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
