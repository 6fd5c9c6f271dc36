//! Checking a store: whether everything in it is what the sealed roots vouch for.

use std::error::Error;
use std::fmt;

use keywright_core::{AccountId, EventChain};
use keywright_store::{LoadError, Partition, TransactError};

use crate::housekeeping::{Housekeeping, HousekeepingError, Place};

/// Events that are verified in one go.
const EVENTS: u32 = 256;

/// Ciphers that are opened in one go.
#[cfg(feature = "rekey")]
const CIPHERS: usize = 64;

/// How often an account is looked at that changes while it is.
#[cfg(feature = "rekey")]
const LOOKS: u32 = 8;

/// One stretch of a check.
#[derive(Debug)]
#[non_exhaustive]
pub struct Checked {
    /// How many partitions were looked at.
    pub partitions: u64,
    /// How many records were opened.
    pub records: u64,
    /// How many ciphers were opened.
    pub ciphers: u64,
    /// What is damaged.
    pub damaged: Vec<Damaged>,
    /// Where to go on; `None` at the end of the store.
    pub next: Option<Place>,
}

/// A partition in which something is damaged, lost or altered. Its requests are denied.
#[derive(Debug)]
#[non_exhaustive]
pub struct Damaged {
    /// The partition: an account, a name, or the server's own records.
    pub partition: Partition,
    /// What is wrong, each thing once.
    pub faults: Vec<Fault>,
}

/// One thing that is damaged, lost or altered. It says which record, chain or cipher it is; it holds nothing of its content.
#[derive(Debug)]
pub struct Fault(Box<dyn Error + Send + Sync>);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut error: &dyn Error = &*self.0;
        write!(f, "{error}")?;
        while let Some(source) = error.source() {
            write!(f, ": {source}")?;
            error = source;
        }
        Ok(())
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl Housekeeping {
    /// Looks at `limit` partitions after a place: opens the root and every record that it names, looks for records that it does
    /// not name, verifies both chains of events, and compares each vault with its head and opens its ciphers. Nothing is
    /// repaired. It holds one page of events or a few
    /// ciphers at a time, and of a vault the marks of all rows.
    ///
    /// # Errors
    /// [`HousekeepingError`] if the store cannot be read; go on from the same place. Damage is no error.
    pub async fn check(&self, after: Option<Place>, limit: u32) -> Result<Checked, HousekeepingError> {
        let (page, next) = self.page(after, limit).await?;
        let mut checked = Checked { partitions: 0, records: 0, ciphers: 0, damaged: Vec::new(), next };
        for partition in page {
            let mut faults = Vec::new();
            let opened = self.driver.observe(&partition, &[], |draft| draft.open_all()).await;
            let opened = found(opened.map_err(Failed::from), &mut faults)?.unwrap_or_default();
            checked.records = checked.records.saturating_add(u64::try_from(opened).unwrap_or(u64::MAX));
            let strays = self.driver.check_slots(&*self.store, &partition).await;
            found(strays.map_err(Failed::from), &mut faults)?;
            if let Some(account) = partition.as_account() {
                for chain in [EventChain::Changes, EventChain::Denials] {
                    found(self.check_events(&account, chain).await, &mut faults)?;
                }
                let ciphers = found(self.check_vault(&account).await, &mut faults)?.unwrap_or_default();
                checked.ciphers = checked.ciphers.saturating_add(ciphers);
            }
            checked.partitions = checked.partitions.saturating_add(1);
            if !faults.is_empty() {
                checked.damaged.push(Damaged { partition, faults });
            }
        }
        Ok(checked)
    }

    async fn check_events(&self, account: &AccountId, chain: EventChain) -> Result<(), Failed> {
        let mut cursor = None;
        loop {
            cursor = self.driver.events(account, chain, cursor.as_ref(), EVENTS).await?.next;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    #[cfg(feature = "rekey")]
    async fn check_vault(&self, account: &AccountId) -> Result<u64, Failed> {
        use keywright_rekey::{VaultError, VaultPolicy, Vaults};
        use keywright_store::Which;

        let vaults = Vaults::new(self.driver.clone(), self.store.clone(), VaultPolicy::default());
        let head = match vaults.head(account).await {
            // A blank root: a creation that was given up, or an account that was swept since it was listed.
            Err(VaultError::Transact(TransactError::Step(keywright_store::StepError::NoAccount))) => return Ok(0),
            head => head?,
        };
        let manifest = match vaults.manifest(account).await {
            // A store that keeps no vaults.
            Err(VaultError::Load(LoadError::Failed(_))) if head.is_none() => return Ok(0),
            manifest => manifest?,
        };
        if head.is_none() {
            self.check_for_stray_ciphers(&vaults, account).await?;
        }
        let ids: Vec<_> = manifest.rows().iter().map(|row| row.id).collect();
        drop(manifest);
        let mut opened = 0_u64;
        for ids in ids.chunks(CIPHERS) {
            // Whoever deleted one meanwhile has changed the head with it.
            let contents = vaults.read(account, Which::Ids { ids, with_marks: false }).await?;
            let read = contents.map_or(0, |contents| contents.ciphers.len());
            opened = opened.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        }
        Ok(opened)
    }

    /// Sees that an account without a vault has no ciphers: no head vouches for them, so nothing reads them.
    #[cfg(feature = "rekey")]
    async fn check_for_stray_ciphers(
        &self,
        vaults: &keywright_rekey::Vaults,
        account: &AccountId,
    ) -> Result<(), Failed> {
        let partition = Partition::account(account);
        let mut suspected = None;
        for _ in 0..LOOKS {
            let manifest = match self.store.manifest(&partition).await {
                Err(LoadError::Failed(error)) if error.is::<crate::no_vault::KeepsNone>() => return Ok(()),
                manifest => manifest.map_err(TransactError::Load)?,
            };
            // The account's first vault, perhaps, made this moment: what is there is its own then.
            if manifest.rows.is_empty() || vaults.head(account).await?.is_some() {
                return Ok(());
            }
            if suspected == Some(manifest.root) {
                return Err(keywright_rekey::VaultError::Damaged.into());
            }
            suspected = Some(manifest.root);
        }
        Err(TransactError::Busy.into())
    }

    #[cfg(not(feature = "rekey"))]
    async fn check_vault(&self, _: &AccountId) -> Result<u64, Failed> {
        Ok(0)
    }
}

/// Why one look at a partition came to nothing.
enum Failed {
    /// The store could not be read.
    Store(HousekeepingError),
    /// What is there is damaged.
    Damaged(Fault),
}

impl From<TransactError> for Failed {
    fn from(error: TransactError) -> Self {
        match &error {
            TransactError::Step(step) if step.is_damage() => Self::Damaged(Fault(error.into())),
            TransactError::Load(LoadError::Corrupt(_)) => Self::Damaged(Fault(error.into())),
            _ => Self::Store(error.into()),
        }
    }
}

#[cfg(feature = "rekey")]
impl From<keywright_rekey::VaultError> for Failed {
    fn from(error: keywright_rekey::VaultError) -> Self {
        use keywright_rekey::VaultError;
        match error {
            VaultError::Transact(error) => error.into(),
            VaultError::Load(LoadError::Corrupt(_)) | VaultError::Damaged | VaultError::Open(_) => {
                Self::Damaged(Fault(error.into()))
            }
            VaultError::Load(error) => Self::Store(error.into()),
            _ => Self::Store(TransactError::Busy.into()),
        }
    }
}

/// Notes damage, unless it was noted before: where the root does not open, nothing of the partition does.
fn found<T>(look: Result<T, Failed>, faults: &mut Vec<Fault>) -> Result<Option<T>, HousekeepingError> {
    match look {
        Ok(value) => Ok(Some(value)),
        Err(Failed::Store(error)) => Err(error),
        Err(Failed::Damaged(fault)) => {
            if faults.iter().all(|known| known.to_string() != fault.to_string()) {
                faults.push(fault);
            }
            Ok(None)
        }
    }
}
