//! Keyrings from elsewhere than a file, such as a secret manager, and keys that are added while a
//! server runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{KeySource, KeySourceError, Keyring, Reread, SealKey};

/// A source that was just read is not read again for a key id that it lacks, because somebody who
/// writes to the store can put any key id there.
const PAUSE: Duration = Duration::from_secs(1);

impl Keyring {
    /// Returns the keyring with the source that it was read from. When a key id turns up that the
    /// keyring lacks, it reads the source once more before it denies. So a key that another server
    /// uses already is known here without a restart.
    #[must_use]
    pub fn with_source(mut self, source: Arc<dyn KeySource>) -> Self {
        self.source = Some(Reread { source, last: Mutex::new(None) });
        self
    }

    /// Reads the source again, and takes over its seal keys in their order, so that its newest key
    /// seals what is written next. Keys that it lacks are kept for opening. Returns whether any key
    /// was new. Without a source, nothing happens.
    ///
    /// # Errors
    /// Returns [`KeySourceError`] if the source cannot be read, or if it has another index key or
    /// belongs to another store. The keys stay as they were.
    pub fn refresh(&self) -> Result<bool, KeySourceError> {
        let Some(reread) = &self.source else { return Ok(false) };
        let read = reread.source.read()?;
        let other_store = matches!((read.store, self.store), (Some(theirs), Some(ours)) if theirs != ours);
        if read.index_key_id() != self.index_key_id() || other_store {
            return Err(KeySourceError::new("it has become the keyring of another store"));
        }
        let (ours, theirs) = (self.current(), read.current());
        let lacks = |keys: &[SealKey], key: &SealKey| keys.iter().all(|other| other.kid != key.kid);
        let gained = theirs.iter().any(|key| lacks(&ours, key));
        let kept = ours.iter().filter(|key| lacks(&theirs, key));
        let keys: Vec<SealKey> = theirs.iter().chain(kept).map(SealKey::duplicate).collect();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
        Ok(gained)
    }

    /// Reads the source again if it was not just read. Returns whether there are new keys.
    pub(super) fn read_again(&self) -> bool {
        let Some(reread) = &self.source else { return false };
        {
            let mut last = reread.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_some_and(|last| last.elapsed() < PAUSE) {
                return false;
            }
            *last = Some(Instant::now());
        }
        self.refresh().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;
    use crate::{SealContext, SystemEntropy};

    /// A text that a test changes.
    #[derive(Debug)]
    struct Shelf(Mutex<(String, u32)>);

    impl KeySource for Shelf {
        fn read(&self) -> Result<Keyring, KeySourceError> {
            let mut shelf = self.0.lock().unwrap();
            shelf.1 = shelf.1.wrapping_add(1);
            Keyring::from_text(&shelf.0).map_err(KeySourceError::new)
        }
    }

    #[test]
    fn a_key_id_that_is_not_known_is_looked_for_once_more() {
        let first = Keyring::generate(&SystemEntropy).unwrap();
        let text = first.to_text();
        let shelf = Arc::new(Shelf(Mutex::new((String::from(text.expose()), 0))));
        let reads = || shelf.0.lock().unwrap().1;
        let server = Keyring::from_text(text.expose()).unwrap().with_source(Arc::clone(&shelf) as Arc<_>);
        let place = SealContext::new(b"user-1", "challenge", [7; 16]);
        let old = server.seal(&SystemEntropy, &place, 1, b"old").unwrap();

        // Another server has the new key, and writes with it.
        let rotated = first.rotated(&SystemEntropy).unwrap();
        shelf.0.lock().unwrap().0 = String::from(rotated.to_text().expose());
        let new = rotated.seal(&SystemEntropy, &place, 1, b"new").unwrap();
        assert_eq!(server.open(&place, &old).unwrap().1.as_slice(), b"old");
        assert_eq!(reads(), 0, "known keys cost no read");
        assert_eq!(server.open(&place, &new).unwrap().1.as_slice(), b"new");
        assert_eq!(reads(), 1);
        assert_eq!(server.key_ids().next(), rotated.key_ids().next(), "it writes with the new key now");
        assert!(!server.is_current(&old) && server.is_current(&new));

        // Made-up key ids do not make it read again and again.
        let foreign = Keyring::generate(&SystemEntropy).unwrap().seal(&SystemEntropy, &place, 1, b"x").unwrap();
        for _ in 0..100 {
            assert!(server.open(&place, &foreign).unwrap_err().is_unknown_key());
        }
        assert_eq!(reads(), 1);
    }

    #[test]
    fn another_keyring_in_its_place_is_not_taken_over() {
        let first = Keyring::generate(&SystemEntropy).unwrap();
        let other = Keyring::generate(&SystemEntropy).unwrap();
        let shelf = Arc::new(Shelf(Mutex::new((String::from(other.to_text().expose()), 0))));
        let before: Vec<_> = first.key_ids().collect();
        let server = first.with_source(shelf as Arc<_>);
        assert!(server.refresh().is_err());
        assert_eq!(server.key_ids().collect::<Vec<_>>(), before);
    }
}
