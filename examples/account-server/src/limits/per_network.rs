//! A token bucket for each network, or for each site. One that has made no request takes no space.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::limits::caller::{caller, site};

/// How many calls pass before buckets that are full again are dropped. They are not looked at whenever
/// there are many, or each request of a flood from many networks would look at all of them.
const FORGET_EVERY: u32 = 8_192;

/// The buckets of all networks.
pub(crate) struct PerNetwork {
    buckets: DefaultKeyedRateLimiter<IpAddr>,
    calls: AtomicU32,
    /// Which addresses share a bucket.
    key: fn(IpAddr) -> IpAddr,
}

impl PerNetwork {
    /// Returns buckets that hold `at_once` tokens and get `a_minute` more.
    pub(crate) fn new(at_once: NonZeroU32, a_minute: NonZeroU32) -> Self {
        Self::by(caller, at_once, a_minute)
    }

    /// Returns the same for whole sites, which may have many networks.
    pub(crate) fn of_sites(at_once: NonZeroU32, a_minute: NonZeroU32) -> Self {
        Self::by(site, at_once, a_minute)
    }

    fn by(key: fn(IpAddr) -> IpAddr, at_once: NonZeroU32, a_minute: NonZeroU32) -> Self {
        let quota = Quota::per_minute(a_minute).allow_burst(at_once);
        Self { buckets: RateLimiter::keyed(quota), calls: AtomicU32::new(0), key }
    }

    /// Takes a token from the bucket of an address. Returns whether there was one.
    pub(crate) fn take(&self, address: IpAddr) -> bool {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if calls.checked_rem(FORGET_EVERY) == Some(0) {
            self.buckets.retain_recent();
        }
        self.buckets.check_key(&(self.key)(address)).is_ok()
    }
}
