//! The revision and the nonces of one attempt, drawn from the operating system with one call.

use std::cell::RefCell;

use keywright_core::{Entropy, EntropyError, SystemEntropy};

use crate::revision::Revision;

/// The length of a nonce, in bytes.
const NONCE: usize = 24;

/// The bytes of the nonces that are drawn together with a revision: for the root and three records,
/// more than most batches put.
const BESIDE: usize = 4 * NONCE;

/// The nonces of one batch. They come from the operating system and never from the step's
/// generator: a generator that repeats itself must not repeat a nonce.
///
/// They are drawn together, because each call to the system costs as much as sealing a small
/// record. None is kept from one attempt to the next, so a copied process or virtual machine holds
/// none that was drawn earlier than the revision of its attempt.
#[derive(Debug, Default)]
pub(crate) struct Nonces(RefCell<Drawn>);

#[derive(Debug)]
struct Drawn {
    bytes: [u8; BESIDE],
    /// How many of them, counted from the front, are unused.
    left: usize,
}

impl Default for Drawn {
    fn default() -> Self {
        Self { bytes: [0; BESIDE], left: 0 }
    }
}

impl Nonces {
    /// Draws a fresh revision and the nonces that go with it.
    pub(crate) fn draw() -> Result<(Revision, Self), EntropyError> {
        let drawn: [u8; 16 + BESIDE] = keywright_core::random_bytes(&SystemEntropy)?;
        let (mut revision, mut bytes) = ([0; 16], [0; BESIDE]);
        let (head, tail) = drawn.split_at(revision.len());
        revision.copy_from_slice(head);
        bytes.copy_from_slice(tail);
        Ok((Revision::from_bytes(revision), Self(RefCell::new(Drawn { bytes, left: BESIDE }))))
    }
}

impl Entropy for Nonces {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        // No caller comes back while it is filled.
        let mut drawn = self.0.try_borrow_mut().map_err(|_| EntropyError)?;
        if out.len() > BESIDE {
            return SystemEntropy.fill(out);
        }
        if drawn.left < out.len() {
            drawn.left = 0;
            SystemEntropy.fill(&mut drawn.bytes)?;
            drawn.left = BESIDE;
        }
        let rest = drawn.left.saturating_sub(out.len());
        let taken = drawn.bytes.get_mut(rest..).and_then(|bytes| bytes.get_mut(..out.len())).ok_or(EntropyError)?;
        out.copy_from_slice(taken);
        // A nonce that was handed out cannot be handed out again.
        taken.fill(0);
        drawn.left = rest;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_byte_is_given_twice() {
        let mut seen = BTreeSet::new();
        for _ in 0..50 {
            let (revision, nonces) = Nonces::draw().unwrap();
            assert!(seen.insert(revision.to_bytes().to_vec()));
            for length in [24, 24, 24, 16, 24, 24, 200, 24, 24, 24, 24, 24] {
                let mut out = vec![0; length];
                nonces.fill(&mut out).unwrap();
                // In pieces of eight bytes: 10⁴ random ones collide with a probability of 2⁻³⁸.
                for piece in out.chunks(8) {
                    assert!(seen.insert(piece.to_vec()), "a byte was given twice");
                }
            }
        }
    }
}
