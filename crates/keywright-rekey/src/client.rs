//! The client half: every cipher of a vault decrypted and encrypted anew, on all cores.
//!
//! The old and the new key, and what a cipher is inside, stay with the caller, in two closures. What is decrypted lives
//! only between them and is wiped. One cipher that does not decrypt ends it: a server takes all or none, and leaving one
//! out would lose it.
//!
//! ```
//! use keywright_rekey::client::Reencryption;
//! use keywright_store::CipherId;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A toy: the "key" is the first letter.
//! let vault = [(CipherId([1; 16]), "aone".to_owned()), (CipherId([2; 16]), "atwo".to_owned())];
//! let decrypt = |_: CipherId, text: &str| text.strip_prefix('a').map(|text| text.as_bytes().to_vec()).ok_or("no key");
//! let encrypt = |_: CipherId, plain: &[u8]| Ok(format!("b{}", String::from_utf8_lossy(plain)));
//!
//! let mut seen = 0;
//! let new = Reencryption::of(&vault).on_progress(|done, _total| seen = done).run(decrypt, encrypt)?;
//! assert_eq!(new, [(CipherId([1; 16]), "bone".to_owned()), (CipherId([2; 16]), "btwo".to_owned())]);
//! assert_eq!(seen, 2);
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use keywright_store::CipherId;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use zeroize::Zeroizing;

/// Called after each cipher with how many are done and how many there are.
type Progress<'v> = &'v mut (dyn FnMut(usize, usize) + Send + 'v);

/// A vault to be encrypted anew.
#[must_use = "it does nothing until `run`"]
pub struct Reencryption<'v, P = fn(usize, usize)> {
    vault: &'v [(CipherId, String)],
    progress: Option<P>,
}

impl<'v> Reencryption<'v> {
    /// Of every cipher with its old text, in any order.
    pub const fn of(vault: &'v [(CipherId, String)]) -> Self {
        Self { vault, progress: None }
    }
}

impl<'v, P> Reencryption<'v, P> {
    /// Calls `progress` after each cipher with how many are done and how many there are: one call at a time, from any
    /// thread, the first number growing by one.
    pub fn on_progress<Q: FnMut(usize, usize) + Send>(self, progress: Q) -> Reencryption<'v, Q> {
        Reencryption { vault: self.vault, progress: Some(progress) }
    }
}

impl<P: FnMut(usize, usize) + Send> Reencryption<'_, P> {
    /// Decrypts and encrypts every cipher, in parallel on rayon's present pool. Returns the new texts in the order of the
    /// old ones. `encrypt` must draw a fresh nonce each time: a server refuses a nonce that occurs twice or is unchanged.
    ///
    /// # Errors
    /// [`ReencryptionError`]: the first cipher, in the vault's order, that fails. There are no texts then.
    pub fn run<D, E, F>(mut self, decrypt: D, encrypt: E) -> Result<Vec<(CipherId, String)>, ReencryptionError<F>>
    where
        D: Fn(CipherId, &str) -> Result<Vec<u8>, F> + Sync,
        E: Fn(CipherId, &[u8]) -> Result<String, F> + Sync,
        F: Send,
    {
        let total = self.vault.len();
        let progress = self.progress.as_mut().map(|progress| Mutex::new((0_usize, progress as Progress<'_>)));
        // The place of the first failure so far. What comes after it need not be done; what comes before it must, so that
        // the failure reported is the first, whatever the threads did.
        let failed = AtomicUsize::new(usize::MAX);
        let anew = |(place, (id, text)): (usize, &(CipherId, String))| {
            if place > failed.load(Ordering::Relaxed) {
                return None;
            }
            let done = decrypt(*id, text)
                .map_err(|cause| ReencryptionError { id: *id, step: Step::Decrypt, cause })
                .and_then(|plain| {
                    let plain = Zeroizing::new(plain);
                    encrypt(*id, &plain).map_err(|cause| ReencryptionError { id: *id, step: Step::Encrypt, cause })
                });
            if done.is_err() {
                failed.fetch_min(place, Ordering::Relaxed);
            } else if let Some(progress) = &progress {
                let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
                progress.0 = progress.0.saturating_add(1);
                let done = progress.0;
                (progress.1)(done, total);
            }
            Some(done.map(|text| (*id, text)))
        };
        let texts: Vec<Option<Result<_, _>>> = self.vault.par_iter().enumerate().map(anew).collect();
        // Nothing is left out without a failure before it, which ends the collection.
        texts.into_iter().flatten().collect()
    }
}

impl<P> fmt::Debug for Reencryption<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reencryption({} ciphers)", self.vault.len())
    }
}

/// What was being done when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Decrypting the old text: wrong key, or damaged.
    Decrypt,
    /// Encrypting the new one.
    Encrypt,
}

/// A cipher that could not be encrypted anew. Nothing was sent: the vault on the server is as it was.
#[derive(Debug, thiserror::Error)]
#[error("the cipher {id:?} could not be {}", if *.step == Step::Decrypt { "decrypted" } else { "encrypted" })]
#[non_exhaustive]
pub struct ReencryptionError<F> {
    /// Which.
    pub id: CipherId,
    /// What failed.
    pub step: Step,
    /// What the closure said. Not part of the message: it is the caller's own, and may quote a text.
    pub cause: F,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(ciphers: u16) -> Vec<(CipherId, String)> {
        (0..ciphers).map(|number| (id(number), format!("old {number}"))).collect()
    }

    fn id(number: u16) -> CipherId {
        let mut id = [0; 16];
        id[14..].copy_from_slice(&number.to_be_bytes());
        CipherId(id)
    }

    fn decrypt(_: CipherId, text: &str) -> Result<Vec<u8>, String> {
        text.strip_prefix("old ").map(|text| text.as_bytes().to_vec()).ok_or_else(|| format!("SECRET {text}"))
    }

    fn encrypt(_: CipherId, plain: &[u8]) -> Result<String, String> {
        Ok(format!("new {}", std::str::from_utf8(plain).unwrap()))
    }

    #[test]
    fn keeps_the_order_and_counts_up() {
        let mut calls = Vec::new();
        let new =
            Reencryption::of(&vault(500)).on_progress(|done, total| calls.push((done, total))).run(decrypt, encrypt);
        let wanted: Vec<_> = (0..500).map(|number| (id(number), format!("new {number}"))).collect();
        assert_eq!(new.unwrap(), wanted);
        assert_eq!(calls, (1..=500).map(|done| (done, 500)).collect::<Vec<_>>());
        assert_eq!(Reencryption::of(&[]).run(decrypt, encrypt).unwrap(), []);
    }

    #[test]
    fn names_the_first_failure_whatever_the_threads_do() {
        let mut vault = vault(2_000);
        for place in [777, 778, 1_999] {
            vault[place].1 = "damaged".to_owned();
        }
        for _ in 0..50 {
            let error = Reencryption::of(&vault).run(decrypt, encrypt).unwrap_err();
            assert_eq!((error.id, error.step), (id(777), Step::Decrypt));
            assert!(!error.to_string().contains("SECRET"), "{error}");
        }
        let refuse = |id: CipherId, plain: &[u8]| if plain == b"3" { Err("no".to_owned()) } else { encrypt(id, plain) };
        let error = Reencryption::of(&vault).run(decrypt, refuse).unwrap_err();
        assert_eq!((error.id, error.step, error.cause.as_str()), (id(3), Step::Encrypt, "no"));
    }
}
