//! Request limits per user, as the protocols have them. They save work; secrets are protected by
//! the guess ledger.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use keywright::AccountId;
use keywright::nextcloud::{Admittance, Endpoint};

/// `session/open`: 10 in 30 s (`docs/protocols/nextcloud-passwords.md` § 2.7).
const OPENS: NonZeroU32 = NonZeroU32::new(10).unwrap();
const OPEN_EVERY: Duration = Duration::from_secs(3);

/// The limits of all users. A user that has made no request takes no space.
pub(crate) struct PerUserLimits {
    opens: Option<DefaultKeyedRateLimiter<AccountId>>,
}

impl PerUserLimits {
    /// Returns limits that are on.
    pub(crate) fn on() -> Self {
        Self { opens: Quota::with_period(OPEN_EVERY).map(|quota| RateLimiter::keyed(quota.allow_burst(OPENS))) }
    }

    /// Returns limits that are off.
    pub(crate) const fn off() -> Self {
        Self { opens: None }
    }

    pub(crate) fn admit(&self, account: &AccountId, endpoint: Endpoint) -> Admittance {
        let (Endpoint::SessionOpen, Some(opens)) = (endpoint, &self.opens) else { return Admittance::Open };
        match opens.check_key(account) {
            Ok(()) => Admittance::Open,
            Err(not_until) => {
                let wait = not_until.wait_time_from(opens.clock().now());
                // Whole seconds, rounded up, so that a client that waits that long is admitted.
                Admittance::Full { retry_after: wait.as_secs().saturating_add(1) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_opens_and_nobody_else_is_held_up() {
        let (alice, bob) = (AccountId::new("alice").unwrap(), AccountId::new("bob").unwrap());
        let limits = PerUserLimits::on();
        for _ in 0..10 {
            assert_eq!(limits.admit(&alice, Endpoint::SessionOpen), Admittance::Open);
        }
        let eleventh = limits.admit(&alice, Endpoint::SessionOpen);
        assert!(matches!(eleventh, Admittance::Full { retry_after: 1..=3 }), "{eleventh:?}");
        assert_eq!(limits.admit(&alice, Endpoint::SessionRequest), Admittance::Open);
        assert_eq!(limits.admit(&bob, Endpoint::SessionOpen), Admittance::Open);
        assert!((0..100).all(|_| PerUserLimits::off().admit(&alice, Endpoint::SessionOpen) == Admittance::Open));
    }
}
