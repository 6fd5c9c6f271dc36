//! The client half, which re-encrypts every cipher of a vault on all cores.
//!
//! The old and the new key, and the contents of a cipher, are known only to two closures of the
//! caller. Decrypted text exists only between them and is wiped. One cipher that cannot be
//! decrypted fails the whole: a server accepts all or none, and omitting one would lose it.
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

/// The type of the callback, which is called after each cipher with the numbers of ciphers done and
/// in total.
type Progress<'v> = &'v mut (dyn FnMut(usize, usize) + Send + 'v);

/// The re-encryption of a vault.
#[must_use = "it does nothing until `run`"]
pub struct Reencryption<'v, P = fn(usize, usize)> {
    vault: &'v [(CipherId, String)],
    progress: Option<P>,
}

impl<'v> Reencryption<'v> {
    /// Creates the re-encryption of every cipher with its old text, in any order.
    pub const fn of(vault: &'v [(CipherId, String)]) -> Self {
        Self { vault, progress: None }
    }
}

impl<'v, P> Reencryption<'v, P> {
    /// Calls `progress` after each cipher with the numbers of ciphers done and in total. Calls come
    /// one at a time, from any thread, and the first number grows by one each time.
    pub fn on_progress<Q: FnMut(usize, usize) + Send>(self, progress: Q) -> Reencryption<'v, Q> {
        Reencryption { vault: self.vault, progress: Some(progress) }
    }
}

impl<P: FnMut(usize, usize) + Send> Reencryption<'_, P> {
    /// Decrypts and encrypts every cipher, in parallel on rayon's current pool. Returns the new
    /// texts in the order of the old ones. `encrypt` must draw a new nonce each time: a server
    /// refuses a nonce that occurs twice or is unchanged.
    ///
    /// # Errors
    /// Returns a [`ReencryptionError`] for the first cipher, in the vault's order, that cannot be
    /// decrypted or encrypted. Then no texts are returned.
    pub fn run<D, E, F>(mut self, decrypt: D, encrypt: E) -> Result<Vec<(CipherId, String)>, ReencryptionError<F>>
    where
        D: Fn(CipherId, &str) -> Result<Vec<u8>, F> + Sync,
        E: Fn(CipherId, &[u8]) -> Result<String, F> + Sync,
        F: Send,
    {
        let total = self.vault.len();
        let progress = self.progress.as_mut().map(|progress| Mutex::new((0_usize, progress as Progress<'_>)));
        // The index of the first failure so far. Ciphers after it need not be processed. Those
        // before it must be, so that the reported failure is the first one regardless of how the
        // threads ran.
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
        // A text is missing only after a failure before it, which ends the collection.
        texts.into_iter().flatten().collect()
    }
}

impl<P> fmt::Debug for Reencryption<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reencryption({} ciphers)", self.vault.len())
    }
}

/// The step that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Decrypting the old text: the key is wrong, or the text is damaged.
    Decrypt,
    /// Encrypting the new text.
    Encrypt,
}

/// A cipher that could not be re-encrypted. Nothing was sent: the vault on the server is unchanged.
#[derive(Debug, thiserror::Error)]
#[error("the cipher {id:?} could not be {}", if *.step == Step::Decrypt { "decrypted" } else { "encrypted" })]
#[non_exhaustive]
pub struct ReencryptionError<F> {
    /// The cipher's id.
    pub id: CipherId,
    /// The step that failed.
    pub step: Step,
    /// The error of the closure. It is not part of the message, because it is the caller's own and
    /// may quote a text.
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
