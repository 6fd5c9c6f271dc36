//! Randomness as a parameter: a trait with one method, an adapter for any `rand_core` generator,
//! and the operating system's generator as the default.

use core::cell::RefCell;

use rand_core::TryCryptoRng;

/// A source of cryptographically secure random bytes.
///
/// It takes `&self`, so that one source serves a whole server.
pub trait Entropy {
    /// Fills `out` with random bytes.
    ///
    /// # Errors
    /// Returns [`EntropyError`] if the source fails. `out` must not be used then, and the caller
    /// must deny the request.
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError>;
}

/// The random number generator failed. Nothing was drawn, and nothing may be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the random number generator failed")]
pub struct EntropyError;

impl<E: Entropy + ?Sized> Entropy for &E {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        (**self).fill(out)
    }
}

impl<E: Entropy + ?Sized> Entropy for std::sync::Arc<E> {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        (**self).fill(out)
    }
}

/// Draws `N` random bytes.
///
/// Use it only for values that are **not** secret (nonces, revisions, ids).
/// [`SecretBytes::random`](crate::SecretBytes::random) draws a secret in place.
///
/// # Errors
/// Returns [`EntropyError`] if the source fails.
pub fn random_bytes<const N: usize>(entropy: &(impl Entropy + ?Sized)) -> Result<[u8; N], EntropyError> {
    let mut out = [0_u8; N];
    entropy.fill(&mut out)?;
    Ok(out)
}

/// Draws a uniformly distributed number from `0..bound`. It uses rejection sampling, so there is no
/// modulo bias. Returns 0 if `bound` is 0.
///
/// # Errors
/// Returns [`EntropyError`] if the source fails, or if 128 draws in a row are rejected. Each draw
/// is rejected with a probability below one half, so this happens to a sound source with a
/// probability of 2⁻¹²⁸.
pub fn below(entropy: &(impl Entropy + ?Sized), bound: u32) -> Result<u32, EntropyError> {
    // Draws at or above the largest multiple of `bound` below 2³² are rejected.
    let Some(multiple) = (1_u64 << 32).checked_div(u64::from(bound)).map(|times| times.wrapping_mul(u64::from(bound)))
    else {
        return Ok(0);
    };
    for _ in 0..128 {
        let draw = u32::from_be_bytes(random_bytes(entropy)?);
        if u64::from(draw) < multiple {
            return Ok(draw.checked_rem(bound).unwrap_or(0));
        }
    }
    Err(EntropyError)
}

/// The operating system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        #[expect(clippy::disallowed_methods, reason = "the one place that asks the operating system")]
        getrandom::fill(out).map_err(|_| EntropyError)
    }
}

/// Any `rand_core` generator behind a mutex, for a server with its own generator and for seeded
/// tests.
pub struct SharedRng<R>(std::sync::Mutex<R>);

impl<R: TryCryptoRng> SharedRng<R> {
    /// Wraps `rng`.
    pub const fn new(rng: R) -> Self {
        Self(std::sync::Mutex::new(rng))
    }
}

impl<R: TryCryptoRng> Entropy for SharedRng<R> {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        // A generator that panicked half way through is not trusted again.
        self.0.lock().map_err(|_| EntropyError)?.try_fill_bytes(out).map_err(|_| EntropyError)
    }
}

crate::redacted_debug!(impl[R] SharedRng<R>);

/// Any `rand_core` generator, for use on one thread. It needs no `std`.
pub struct LocalRng<R>(RefCell<R>);

impl<R: TryCryptoRng> LocalRng<R> {
    /// Wraps `rng`.
    pub const fn new(rng: R) -> Self {
        Self(RefCell::new(rng))
    }
}

impl<R: TryCryptoRng> Entropy for LocalRng<R> {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        self.0.try_borrow_mut().map_err(|_| EntropyError)?.try_fill_bytes(out).map_err(|_| EntropyError)
    }
}

crate::redacted_debug!(impl[R] LocalRng<R>);

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    struct Broken;
    impl Entropy for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
            Err(EntropyError)
        }
    }

    struct AllOnes;
    impl Entropy for AllOnes {
        fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
            out.fill(0xff);
            Ok(())
        }
    }

    #[test]
    fn below_is_uniform_and_bounded() -> Result<(), EntropyError> {
        let rng = LocalRng::new(ChaCha20Rng::seed_from_u64(1));
        let mut seen = [0_u32; 6];
        for _ in 0..6_000 {
            seen[below(&rng, 6)? as usize] += 1;
        }
        assert!(seen.iter().all(|&count| (850..1150).contains(&count)), "{seen:?}");
        Ok(())
    }

    #[test]
    fn below_rejects_the_biased_tail() {
        // 2³² is no multiple of 10⁶, so the draw 2³² − 1 must be rejected, for ever.
        assert_eq!(below(&AllOnes, 1_000_000), Err(EntropyError));
        assert_eq!(below(&AllOnes, 1 << 16), Ok((1 << 16) - 1));
        assert_eq!(below(&AllOnes, 0), Ok(0));
    }

    #[test]
    fn failure_is_an_error() {
        assert_eq!(random_bytes::<4>(&Broken), Err(EntropyError));
        assert_eq!(below(&Broken, 10), Err(EntropyError));
    }
}
