//! Time as a value. Pure code takes `now: UnixSeconds`; a [`Clock`] appears only at the outermost
//! layer.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// The largest value is the end of the year 9999. A larger number is a mistake (usually
/// milliseconds) and is refused where it enters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct UnixSeconds(u64);

impl UnixSeconds {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// 9999-12-31T23:59:59Z.
    pub const MAX: Self = Self(253_402_300_799);

    /// Creates a time from a count of seconds.
    ///
    /// # Errors
    /// Returns [`TimeError`] if the time is beyond the year 9999.
    pub const fn new(seconds: u64) -> Result<Self, TimeError> {
        if seconds > Self::MAX.0 { Err(TimeError) } else { Ok(Self(seconds)) }
    }

    /// Returns the count of seconds.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the moment `seconds` later, at most [`Self::MAX`].
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        let sum = self.0.saturating_add(seconds);
        if sum > Self::MAX.0 { Self::MAX } else { Self(sum) }
    }

    /// Returns the moment `seconds` earlier, at least [`Self::EPOCH`].
    #[must_use]
    pub const fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// Returns the seconds from `earlier` to this moment, or 0 if `earlier` is in fact later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Debug for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnixSeconds({})", self.0)
    }
}

impl fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl TryFrom<u64> for UnixSeconds {
    type Error = TimeError;
    fn try_from(seconds: u64) -> Result<Self, Self::Error> {
        Self::new(seconds)
    }
}

impl From<UnixSeconds> for u64 {
    fn from(time: UnixSeconds) -> Self {
        time.0
    }
}

/// A count of seconds is beyond the year 9999. Most likely it is in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time is beyond the year 9999; are these milliseconds?")]
pub struct TimeError;

/// The source from which the outermost layer reads the time. Pure code never holds one.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Returns the present moment.
    ///
    /// # Errors
    /// Returns [`ClockError`] if the clock shows a time before 1970 or after 9999. The caller must
    /// deny the request then.
    fn now(&self) -> Result<UnixSeconds, ClockError>;
}

/// The clock does not show a usable time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the clock shows a time before 1970 or after the year 9999")]
pub struct ClockError;

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Result<UnixSeconds, ClockError> {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::SystemTime::UNIX_EPOCH).map_err(|_| ClockError)?;
        UnixSeconds::new(since.as_secs()).map_err(|_| ClockError)
    }
}

/// A clock that does not move until it is set. It is for tests, including those of hosts.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// Creates a clock that shows `now`.
    #[must_use]
    pub const fn new(now: UnixSeconds) -> Self {
        Self(AtomicU64::new(now.0))
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, now: UnixSeconds) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Moves the clock forward by `seconds`.
    pub fn advance(&self, seconds: u64) {
        let now = UnixSeconds(self.0.load(Ordering::SeqCst));
        self.set(now.plus(seconds));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Result<UnixSeconds, ClockError> {
        UnixSeconds::new(self.0.load(Ordering::SeqCst)).map_err(|_| ClockError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_refused() {
        assert_eq!(UnixSeconds::new(1_700_000_000_000), Err(TimeError));
        assert_eq!(UnixSeconds::new(UnixSeconds::MAX.get()), Ok(UnixSeconds::MAX));
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(UnixSeconds::MAX.plus(1), UnixSeconds::MAX);
        assert_eq!(UnixSeconds::EPOCH.minus(1), UnixSeconds::EPOCH);
        assert_eq!(UnixSeconds::EPOCH.since(UnixSeconds::MAX), 0);
        assert_eq!(UnixSeconds::MAX.plus(u64::MAX), UnixSeconds::MAX);
    }
}
