//! How the time of a change is spent.

use std::fmt;
use std::time::{Duration, Instant};

/// How long each part of a password or e-mail change took, in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// The number of ciphers in the vault.
    pub ciphers: usize,
    /// Reading the vault: request, answer, JSON.
    pub read: Duration,
    /// Deriving the new keys: Argon2id.
    pub derive: Duration,
    /// Decrypting and encrypting every cipher.
    pub reencrypt: Duration,
    /// Writing the body.
    pub encode: Duration,
    /// The size of the body in bytes.
    pub bytes: usize,
    /// Sending the body, and waiting until the server has validated, swapped and stored it.
    pub change: Duration,
}

impl Timings {
    /// Returns the total time.
    #[must_use]
    pub fn total(&self) -> Duration {
        [self.read, self.derive, self.reencrypt, self.encode, self.change].iter().sum()
    }
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ciphers, a body of {} bytes", self.ciphers, self.bytes)?;
        for (what, time) in [
            ("reading the vault", self.read),
            ("deriving the new keys", self.derive),
            ("encrypting anew", self.reencrypt),
            ("writing the body", self.encode),
            ("the server's change", self.change),
            ("in all", self.total()),
        ] {
            writeln!(f, "{what:<22} {:>7.1} ms", time.as_secs_f64() * 1_000.0)?;
        }
        Ok(())
    }
}

/// Returns the time since the last mark, and sets a new mark.
pub(crate) fn lap(mark: &mut Instant) -> Duration {
    let passed = mark.elapsed();
    *mark = Instant::now();
    passed
}
