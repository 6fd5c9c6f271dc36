//! One store, any number of servers, and the acts that a wire makes of the protocol.

use std::ops::Deref;
use std::sync::Arc;

use keywright_core::{AccountId, Keyring, UnixSeconds};
use keywright_store::names::{self, ClaimOutcome, Claimed, Evicted, Intent, NameIndex, Names};
use keywright_store::{Draft, Driver, Partition, RecordStore, SlotName, StepError, TransactError};
use keywright_testing::{WorldBuilder, seeded};

pub(crate) fn memory() -> WorldBuilder {
    keywright_testing::World::builder()
}

pub(crate) fn sqlite() -> WorldBuilder {
    keywright_testing::World::builder().sqlite()
}

pub(crate) fn id(account: &str) -> AccountId {
    AccountId::new(account).unwrap()
}

pub(crate) const NAMES: &[SlotName] = &[names::NAMES.name()];

/// How an attempt to get a name ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Took,
    /// Somebody owned it.
    Taken,
    /// Somebody was faster.
    Overtaken,
}

/// What is shared by all servers. `store` is what lies beneath any faults.
pub(crate) struct World {
    base: keywright_testing::World,
    truth: Server,
    pub(crate) name: NameIndex,
    pub(crate) old: NameIndex,
}

impl Deref for World {
    type Target = keywright_testing::World;

    fn deref(&self) -> &Self::Target {
        &self.base
    }
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) driver: Driver,
    pub(crate) names: Names,
}

impl World {
    /// With a keyring of its own.
    pub(crate) fn new(seed: u64, builder: WorldBuilder) -> Self {
        let base = builder.seed(seed).keyring(Keyring::generate(&*seeded(seed)).unwrap()).open();
        let name = NameIndex::derive(&base.keyring, "address", b"ada@example.org");
        let old = NameIndex::derive(&base.keyring, "address", b"old@example.org");
        let truth = Server::new(base.driver.clone());
        Self { base, truth, name, old }
    }

    /// The server that no fault meets.
    pub(crate) const fn truth(&self) -> &Server {
        &self.truth
    }

    /// A further server, with a queue of its own.
    pub(crate) fn server(&self, store: Arc<dyn RecordStore>) -> Server {
        Server::new(self.server_on(store, &self.keyring, self.next_seed()).build().unwrap())
    }

    /// Of these accounts at most one owns the name, and the look-up says the same. Returns the owner.
    pub(crate) async fn owner(&self, accounts: &[AccountId]) -> Option<AccountId> {
        let mut owners = Vec::new();
        for account in accounts {
            if self.truth.owns(account, &self.name).await {
                owners.push(account.clone());
            }
        }
        assert!(owners.len() <= 1, "two own the name: {owners:?}");
        assert_eq!(self.truth.names.find(&self.name).await.unwrap(), owners.first().cloned(), "the look-up lies");
        owners.pop()
    }

    /// A late comer gets the name unless one of these owns it. Returns whether it did.
    pub(crate) async fn nobody_is_stranded(&self, accounts: &[AccountId]) -> bool {
        let owner = self.owner(accounts).await;
        let late = id("late");
        self.truth.create(&late).await;
        let ended = self.truth.acquire(&late, self.name, None).await.unwrap();
        assert_eq!(ended == Ended::Took, owner.is_none(), "{ended:?} beside {owner:?}");
        let mut all = accounts.to_vec();
        all.push(late.clone());
        assert_eq!(self.owner(&all).await, Some(owner.unwrap_or(late)));
        ended == Ended::Took
    }
}

impl Server {
    fn new(driver: Driver) -> Self {
        Self { names: Names::new(driver.clone()), driver }
    }

    pub(crate) async fn create(&self, account: &AccountId) {
        let partition = Partition::account(account);
        let made = self.driver.transact(&partition, NAMES, |draft| draft.create_account().map(drop));
        made.await.unwrap();
    }

    pub(crate) async fn owns(&self, account: &AccountId, name: &NameIndex) -> bool {
        let look = |draft: &mut Draft<'_>| Ok(draft.exists() && names::owns(draft, name)?);
        self.driver.observe(&account.into(), NAMES, look).await.unwrap()
    }

    pub(crate) async fn intend(&self, account: &AccountId, name: NameIndex) -> Result<Intent, TransactError> {
        let partition = Partition::account(account);
        let intent = self.driver.run(&partition, NAMES, |draft| names::intend(draft, &name)).await?;
        Ok(intent.unwrap())
    }

    pub(crate) async fn claim(&self, intent: &Intent) -> Result<Claimed, Ended> {
        match self.names.claim(intent).await.unwrap() {
            ClaimOutcome::Ours(claimed) => Ok(claimed),
            _ => Err(Ended::Taken),
        }
    }

    pub(crate) async fn take(&self, account: &AccountId, claimed: &Claimed) -> Result<bool, TransactError> {
        self.driver.transact(&account.into(), NAMES, |draft| names::take(draft, claimed)).await
    }

    /// All of it: intend, claim, take and release, let go.
    pub(crate) async fn acquire(
        &self,
        account: &AccountId,
        name: NameIndex,
        old: Option<NameIndex>,
    ) -> Result<Ended, TransactError> {
        let intent = self.intend(account, name).await?;
        let ClaimOutcome::Ours(claimed) = self.names.claim(&intent).await? else { return Ok(Ended::Taken) };
        let step = |draft: &mut Draft<'_>| {
            if !names::take(draft, &claimed)? {
                return Ok(None);
            }
            let released = match old {
                Some(old) => names::release(draft, &old)?,
                None => None,
            };
            Ok(Some(released))
        };
        let taken = self.driver.run(&account.into(), NAMES, step).await?;
        let Some(released) = taken else { return Ok(Ended::Overtaken) };
        if let Some(released) = released {
            // Best effort: what it fails at, the next taker does.
            let _ = self.names.drop_claim(&released).await;
        }
        Ok(Ended::Took)
    }

    /// A registration: the account and its intent in one commit, and the name provisionally. An
    /// evicted account that owns nothing is erased by that commit.
    pub(crate) async fn register(
        &self,
        account: &AccountId,
        name: NameIndex,
        until: UnixSeconds,
    ) -> Result<Ended, TransactError> {
        let step = |draft: &mut Draft<'_>| {
            draft.create_account()?;
            names::intend(draft, &name)
        };
        let intent = self.driver.run(&account.into(), NAMES, step).await?.unwrap();
        let ClaimOutcome::Ours(claimed) = self.names.claim_with(&intent, &[], erase_orphan).await? else {
            return Ok(Ended::Taken);
        };
        let step = |draft: &mut Draft<'_>| names::take_provisional(draft, &claimed, until);
        let took = self.driver.transact(&account.into(), NAMES, step).await?;
        Ok(if took { Ended::Took } else { Ended::Overtaken })
    }
}

/// An account that owns nothing after it was evicted was never more than its registration.
pub(crate) fn erase_orphan(draft: &mut Draft<'_>, _: Evicted) -> Result<(), StepError> {
    if names::owned(draft)?.is_empty() { draft.erase(&[]).map(drop) } else { Ok(()) }
}
