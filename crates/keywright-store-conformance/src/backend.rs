//! Two handles of one store, as two servers would hold it.

use std::sync::Arc;

use keywright_store::{RecordStore, Upkeep, VaultStore};

use crate::violation::Violation;

/// A whole backend: records, vault and upkeep. Whatever has the three has this.
pub trait Backend: VaultStore + Upkeep {}

impl<S: VaultStore + Upkeep + ?Sized> Backend for S {}

/// Two handles of **one** store, as two servers would hold it: two connections, two pools, two openings of one file.
///
/// A store that lives in one process has one handle only; [`shared`](Self::shared) takes it twice.
#[derive(Debug, Clone)]
pub struct Handles {
    records: [Arc<dyn RecordStore>; 2],
    upkeep: [Arc<dyn Upkeep>; 2],
    vault: Option<[Arc<dyn VaultStore>; 2]>,
}

impl Handles {
    /// Two handles of a whole backend.
    #[must_use]
    pub fn new<S: Backend + 'static>(first: Arc<S>, second: Arc<S>) -> Self {
        let vault: [Arc<dyn VaultStore>; 2] = [Arc::<S>::clone(&first), Arc::<S>::clone(&second)];
        Self { vault: Some(vault), ..Self::without_vault(first, second) }
    }

    /// The one handle of a store in memory, twice.
    #[must_use]
    pub fn shared<S: Backend + 'static>(store: Arc<S>) -> Self {
        Self::new(Arc::clone(&store), store)
    }

    /// Two handles of a backend that keeps no vault.
    #[must_use]
    pub fn without_vault<S: RecordStore + Upkeep + 'static>(first: Arc<S>, second: Arc<S>) -> Self {
        let upkeep: [Arc<dyn Upkeep>; 2] = [Arc::<S>::clone(&first), Arc::<S>::clone(&second)];
        Self { records: [first, second], upkeep, vault: None }
    }

    /// The first handle alone, twice: what a suite would see that never opens a store a second time.
    #[must_use]
    pub fn first_alone(self) -> Self {
        let [records, _] = self.records;
        let [upkeep, _] = self.upkeep;
        let vault = self.vault.map(|[vault, _]| [Arc::clone(&vault), vault]);
        Self { records: [Arc::clone(&records), records], upkeep: [Arc::clone(&upkeep), upkeep], vault }
    }

    /// A handle as a store of records; handles are counted from 0, and every even number is the first.
    #[must_use]
    pub fn records(&self, number: usize) -> &Arc<dyn RecordStore> {
        pick(&self.records, number)
    }

    /// A handle as a store to keep house in.
    #[must_use]
    pub fn upkeep(&self, number: usize) -> &Arc<dyn Upkeep> {
        pick(&self.upkeep, number)
    }

    /// A handle as a store of vaults, if the backend keeps any.
    #[must_use]
    pub fn vault(&self, number: usize) -> Option<&Arc<dyn VaultStore>> {
        self.vault.as_ref().map(|vault| pick(vault, number))
    }

    pub(crate) fn needs_vault(&self, number: usize) -> Result<&Arc<dyn VaultStore>, Violation> {
        self.vault(number).ok_or_else(|| Violation::suite("a case of the vault was run on a backend without one"))
    }
}

fn pick<T: ?Sized>([first, second]: &[Arc<T>; 2], number: usize) -> &Arc<T> {
    if number.is_multiple_of(2) { first } else { second }
}
