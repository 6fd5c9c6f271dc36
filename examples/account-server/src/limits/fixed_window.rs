//! Request limits per client address and endpoint, as Rocket.Chat has them. An IPv6 network is one
//! client. The limits save work; secrets are protected by the guess ledger.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use keywright::UnixSeconds;
use keywright::rocketchat::{Admittance, Endpoint, Quota};

use crate::limits::caller::caller;

/// The length of a window, in seconds (same section).
const WINDOW: u64 = 60;

/// Fixed windows, in the memory of this process.
#[derive(Default)]
pub(crate) struct FixedWindows {
    current: Mutex<CurrentWindow>,
}

#[derive(Default)]
struct CurrentWindow {
    /// The number of the window. It is dropped as a whole when the next one starts, so it holds at
    /// most a minute's callers.
    number: u64,
    calls: HashMap<(IpAddr, Endpoint), u32>,
}

impl FixedWindows {
    /// Counts, then compares: ten calls of most endpoints pass, and the eleventh is refused.
    pub(crate) fn admit(&self, address: IpAddr, endpoint: Endpoint, now: UnixSeconds) -> Admittance {
        let now = now.get();
        let (number, passed) = (now.div_euclid(WINDOW), now.rem_euclid(WINDOW));
        let left = WINDOW.saturating_sub(passed);
        let reset = now.saturating_add(left).saturating_mul(1_000);
        // Nothing panics while the lock is held. If something did, counts would still be counts.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.number != number {
            *current = CurrentWindow { number, calls: HashMap::new() };
        }
        let calls = current.calls.entry((caller(address), endpoint)).or_default();
        *calls = calls.saturating_add(1);
        let limit = endpoint.calls_per_minute();
        let quota = Quota { limit, remaining: limit.saturating_sub(*calls), reset };
        if *calls > limit { Admittance::Full { quota, retry_after: left } } else { Admittance::Counted(quota) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    #[test]
    fn ten_pass_in_a_window_and_nobody_else_is_held_up() {
        let limits = FixedWindows::default();
        let at = |second| UnixSeconds::new(second).unwrap();
        for remaining in (0..10).rev() {
            let quota = Quota { limit: 10, remaining, reset: 1_800_000_060_000 };
            assert_eq!(limits.admit(HERE, Endpoint::ResetTotp, at(1_800_000_017)), Admittance::Counted(quota));
        }
        let quota = Quota { limit: 10, remaining: 0, reset: 1_800_000_060_000 };
        let full = Admittance::Full { quota, retry_after: 1 };
        assert_eq!(limits.admit(HERE, Endpoint::ResetTotp, at(1_800_000_059)), full);
        for (address, endpoint, second) in [
            (THERE, Endpoint::ResetTotp, 1_800_000_059),
            (HERE, Endpoint::ResetE2eKey, 1_800_000_059),
            (HERE, Endpoint::ResetTotp, 1_800_000_060),
        ] {
            assert!(matches!(
                limits.admit(address, endpoint, at(second)),
                Admittance::Counted(Quota { remaining: 9, .. })
            ));
        }
    }

    #[test]
    fn codes_of_a_challenge_are_five_in_a_window() {
        let (limits, now) = (FixedWindows::default(), UnixSeconds::new(1_800_000_017).unwrap());
        for remaining in (0..5).rev() {
            let quota = Quota { limit: 5, remaining, reset: 1_800_000_060_000 };
            assert_eq!(limits.admit(HERE, Endpoint::VerifyChallenge, now), Admittance::Counted(quota));
        }
        assert!(matches!(limits.admit(HERE, Endpoint::VerifyChallenge, now), Admittance::Full { .. }));
    }

    #[test]
    fn a_network_of_ipv6_is_held_up_as_one_caller() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let limits = FixedWindows::default();
        let now = UnixSeconds::new(1_800_000_017).unwrap();
        for host in 1..=10_u16 {
            let address = address(&format!("2001:db8:1:2::{host:x}"));
            assert!(matches!(limits.admit(address, Endpoint::ResetTotp, now), Admittance::Counted(_)));
        }
        let eleventh = limits.admit(address("2001:db8:1:2::b"), Endpoint::ResetTotp, now);
        assert!(matches!(eleventh, Admittance::Full { .. }));
    }
}
