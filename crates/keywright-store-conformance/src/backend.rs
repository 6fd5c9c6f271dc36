//! Two handles of one store, as two servers would hold it.

use std::sync::Arc;

use keywright_store::{RecordStore, Store, Upkeep, VaultStore};

use crate::violation::Violation;

/// Two handles of **one** store, as two servers would hold it: two connections, two pools, or the
/// same file opened twice.
///
/// A store that lives in one process has only one handle, which [`shared`](Self::shared) uses
/// twice.
#[derive(Debug, Clone)]
pub struct Handles {
    records: [Arc<dyn RecordStore>; 2],
    upkeep: [Arc<dyn Upkeep>; 2],
    vault: Option<[Arc<dyn VaultStore>; 2]>,
}

impl Handles {
    /// Returns two handles of a whole backend.
    #[must_use]
    pub fn new<S: Store + 'static>(first: Arc<S>, second: Arc<S>) -> Self {
        let vault: [Arc<dyn VaultStore>; 2] = [Arc::<S>::clone(&first), Arc::<S>::clone(&second)];
        Self { vault: Some(vault), ..Self::without_vault(first, second) }
    }

    /// Returns the one handle of a store in memory, twice.
    #[must_use]
    pub fn shared<S: Store + 'static>(store: Arc<S>) -> Self {
        Self::new(Arc::clone(&store), store)
    }

    /// Returns two handles of a backend that keeps no vault.
    #[must_use]
    pub fn without_vault<S: RecordStore + Upkeep + 'static>(first: Arc<S>, second: Arc<S>) -> Self {
        let upkeep: [Arc<dyn Upkeep>; 2] = [Arc::<S>::clone(&first), Arc::<S>::clone(&second)];
        Self { records: [first, second], upkeep, vault: None }
    }

    /// Returns the first handle twice. A suite that never opened a store a second time would see
    /// only this.
    #[must_use]
    pub fn first_alone(self) -> Self {
        let [records, _] = self.records;
        let [upkeep, _] = self.upkeep;
        let vault = self.vault.map(|[vault, _]| [Arc::clone(&vault), vault]);
        Self { records: [Arc::clone(&records), records], upkeep: [Arc::clone(&upkeep), upkeep], vault }
    }

    /// Returns a handle as a store of records. Handles are counted from 0, and every even number is
    /// the first.
    #[must_use]
    pub fn records(&self, number: usize) -> &Arc<dyn RecordStore> {
        pick(&self.records, number)
    }

    /// Returns a handle as a store for upkeep.
    #[must_use]
    pub fn upkeep(&self, number: usize) -> &Arc<dyn Upkeep> {
        pick(&self.upkeep, number)
    }

    /// Returns a handle as a store of vaults, if the backend keeps any.
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
