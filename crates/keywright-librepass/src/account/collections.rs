//! The user's collections: ids and names (`docs/decisions.md` 58). A cipher names its collection by
//! itself, so nothing in the vault depends on this list.

use keywright_store::{CipherId, Draft, Record, Slot, StepError};
use serde::{Deserialize, Serialize};

use crate::policy::{MAX_COLLECTION_NAME, MAX_COLLECTIONS};

/// The slot of the list.
pub(crate) const COLLECTIONS: Slot<Collections> = Slot::lasting("lp-collections");

/// All collections, sorted by id. It is not `Debug`: the names are the user's.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Collections {
    entries: Vec<Collection>,
}

/// A collection.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Collection {
    id: [u8; 16],
    pub(crate) name: String,
}

impl Record for Collections {
    const SCHEMA: u16 = 1;
}

impl Collection {
    /// Returns a collection, or `None` if the name is too long.
    pub(crate) fn new(id: CipherId, name: &str) -> Option<Self> {
        (name.chars().count() <= MAX_COLLECTION_NAME).then(|| Self { id: id.0, name: name.to_owned() })
    }

    pub(crate) const fn id(&self) -> CipherId {
        CipherId(self.id)
    }
}

impl Collections {
    pub(crate) fn read(draft: &mut Draft<'_>) -> Result<Self, StepError> {
        Ok(draft.read(COLLECTIONS)?.unwrap_or_default())
    }

    /// Returns all collections, sorted by id.
    pub(crate) fn into_entries(self) -> Vec<Collection> {
        self.entries
    }

    fn place(&self, id: CipherId) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&id.0, |entry| entry.id)
    }

    /// Inserts a collection, or renames it. Returns `false` if there are too many.
    fn put(&mut self, collection: Collection) -> bool {
        match self.place(collection.id()) {
            Ok(at) => self.entries.splice(at..=at, [collection]).for_each(drop),
            Err(_) if self.entries.len() >= MAX_COLLECTIONS => return false,
            Err(at) => self.entries.insert(at, collection),
        }
        true
    }

    /// Removes a collection. Returns whether it was there.
    fn remove(&mut self, id: CipherId) -> bool {
        self.place(id).map(|at| self.entries.remove(at)).is_ok()
    }
}

/// Stores a collection, new or renamed. Returns `false`, and stores nothing, if there are too many.
pub(crate) fn put_in(draft: &mut Draft<'_>, collection: &Collection) -> Result<bool, StepError> {
    let mut collections = Collections::read(draft)?;
    let put = collections.put(collection.clone());
    if put {
        draft.put(COLLECTIONS, &collections)?;
    }
    Ok(put)
}

/// Removes a collection. Ciphers that name it stay as they are. Returns whether it was there.
pub(crate) fn remove_in(draft: &mut Draft<'_>, id: CipherId) -> Result<bool, StepError> {
    let mut collections = Collections::read(draft)?;
    let removed = collections.remove(id);
    if removed {
        draft.put(COLLECTIONS, &collections)?;
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_sorted_and_bounded() {
        let collection = |n: u8| Collection::new(CipherId([n; 16]), &n.to_string()).unwrap();
        let mut list = Collections::default();
        for n in (0..100).rev() {
            assert!(list.put(collection(n)));
        }
        assert!(!list.put(collection(100)), "full");
        assert!(list.put(Collection::new(CipherId([7; 16]), "renamed").unwrap()), "a new name needs no room");
        assert!(!list.remove(CipherId([100; 16])) && list.remove(CipherId([3; 16])));
        assert!(list.put(collection(100)));
        let names: Vec<String> = list.into_entries().into_iter().map(|entry| entry.name).collect();
        assert_eq!((&names[2..4], &names[6]), (&["2".to_owned(), "4".to_owned()][..], &"renamed".to_owned()));
        assert_eq!(names.len(), MAX_COLLECTIONS);
        assert!(Collection::new(CipherId([0; 16]), &"ä".repeat(MAX_COLLECTION_NAME)).is_some());
        assert!(Collection::new(CipherId([0; 16]), &"a".repeat(MAX_COLLECTION_NAME + 1)).is_none());
    }
}
