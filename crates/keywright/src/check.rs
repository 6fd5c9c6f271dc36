//! Checking a store: whether everything in it matches what the sealed roots authenticate.

use std::error::Error;
use std::fmt;

use keywright_core::{AccountId, EventChain};
use keywright_store::{LoadError, Partition, TransactError};

use crate::housekeeping::{Cursor, Housekeeping, HousekeepingError};

/// How many events are verified at a time.
const EVENTS: u32 = 256;

/// How many ciphers are opened at a time.
#[cfg(feature = "rekey")]
const CIPHERS: usize = 64;

/// How often an account is read again that changes during the check.
#[cfg(feature = "rekey")]
const READS: u32 = 8;

/// The result of checking one page of partitions.
#[derive(Debug)]
#[non_exhaustive]
pub struct Checked {
    /// How many partitions were checked.
    pub partitions: u64,
    /// How many records were opened.
    pub records: u64,
    /// How many ciphers were opened.
    pub ciphers: u64,
    /// The partitions in which something is damaged.
    pub damaged: Vec<Damaged>,
    /// Where to continue; `None` at the end of the store.
    pub next: Option<Cursor>,
}

/// A partition in which something is damaged, lost or altered. Its requests are denied.
#[derive(Debug)]
#[non_exhaustive]
pub struct Damaged {
    /// The partition: an account, a name, or the server's own records.
    pub partition: Partition,
    /// What is wrong, with each fault listed once.
    pub faults: Vec<Fault>,
}

/// One thing that is damaged, lost or altered. It identifies the record, chain or cipher, and
/// contains nothing of its content.
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
    /// Checks `limit` partitions from `after` on. For each, it opens the root and every record that
    /// the root lists, searches for records that the root does not list, and verifies both chains
    /// of events. It also compares each vault with its head and opens the vault's ciphers. Nothing
    /// is repaired.
    ///
    /// In memory, it holds at most one page of events, a few ciphers, and the marks of all rows of
    /// one vault.
    ///
    /// # Errors
    /// Returns [`HousekeepingError`] if the store cannot be read. Continue from the same cursor
    /// then. Damage is not an error.
    pub async fn check(&self, after: Option<Cursor>, limit: u32) -> Result<Checked, HousekeepingError> {
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
            // A blank root: a creation that was given up, or an account that was swept after it was
            // listed.
            Err(VaultError::Transact(TransactError::Step(keywright_store::StepError::NoAccount))) => return Ok(0),
            head => head?,
        };
        let manifest = match vaults.manifest(account).await {
            // A store without vaults.
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
            // A cipher that was deleted meanwhile has changed the head too.
            let contents = vaults.read(account, Which::Ids { ids, with_marks: false }).await?;
            let read = contents.map_or(0, |contents| contents.ciphers.len());
            opened = opened.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        }
        Ok(opened)
    }

    /// Checks that an account without a vault has no ciphers. No head authenticates them, so
    /// nothing reads them.
    #[cfg(feature = "rekey")]
    async fn check_for_stray_ciphers(
        &self,
        vaults: &keywright_rekey::Vaults,
        account: &AccountId,
    ) -> Result<(), Failed> {
        let partition = Partition::account(account);
        let mut suspected = None;
        for _ in 0..READS {
            let manifest = match self.store.manifest(&partition).await {
                Err(LoadError::Failed(error)) if error.is::<crate::no_vault::KeepsNone>() => return Ok(()),
                manifest => manifest.map_err(TransactError::Load)?,
            };
            // The account's first vault may have been created at this very moment; its ciphers then
            // belong to it.
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

/// Why one check of a partition failed.
enum Failed {
    /// The store could not be read.
    Store(HousekeepingError),
    /// The content of the partition is damaged.
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

/// Records damage, unless it was recorded before: if the root does not open, nothing of the
/// partition does.
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
