//! The contents of a root: its entry for each record.

use keywright_core::UnixSeconds;

use crate::revision::Revision;
use crate::slot::SlotName;

/// The root's entry for one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The revision under which the record was last written. The record opens under no other.
    pub(crate) revision: Revision,
    /// The moment from which the record may be missing; `None` for a record that lasts.
    pub(crate) expiry: Option<UnixSeconds>,
}

/// A root's entries for all records, sorted by slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contents(Vec<(SlotName, Entry)>);

impl Contents {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Takes entries that are sorted by name and have no name twice.
    pub(crate) const fn from_sorted(entries: Vec<(SlotName, Entry)>) -> Self {
        Self(entries)
    }

    /// Names and entries, in the order of the names.
    pub(crate) const fn as_slice(&self) -> &[(SlotName, Entry)] {
        self.0.as_slice()
    }

    fn find(&self, name: &SlotName) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.cmp(name))
    }

    pub(crate) fn get(&self, name: &SlotName) -> Option<&Entry> {
        self.find(name).ok().and_then(|at| self.0.get(at)).map(|(_, entry)| entry)
    }

    pub(crate) fn contains_key(&self, name: &SlotName) -> bool {
        self.find(name).is_ok()
    }

    pub(crate) fn insert(&mut self, name: SlotName, entry: Entry) {
        match self.find(&name) {
            Ok(at) => {
                if let Some(slot) = self.0.get_mut(at) {
                    slot.1 = entry;
                }
            }
            Err(at) => self.0.insert(at, (name, entry)),
        }
    }

    pub(crate) fn remove(&mut self, name: &SlotName) {
        if let Ok(at) = self.find(name) {
            self.0.remove(at);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &SlotName> {
        self.0.iter().map(|(name, _)| name)
    }

    /// Names and entries, in the order of the names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(SlotName, Entry)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::KindName;

    #[test]
    fn the_names_stay_sorted() {
        let name = |id: u8| SlotName::new(KindName::new("a"), Some([id; 16]));
        let entry = Entry { revision: Revision::ZERO, expiry: None };
        let mut contents = Contents::new();
        for id in [3, 1, 2, 1] {
            contents.insert(name(id), entry);
        }
        assert_eq!(contents.keys().copied().collect::<Vec<_>>(), [1, 2, 3].map(name));
        contents.remove(&name(2));
        contents.remove(&name(9));
        assert!(contents.contains_key(&name(1)) && !contents.contains_key(&name(2)) && contents.len() == 2);
        assert!(contents.get(&name(3)).is_some());
        contents.clear();
        assert!(contents.is_empty());
    }
}
