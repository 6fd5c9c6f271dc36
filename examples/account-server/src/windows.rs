//! Request limits per client address and endpoint, as Rocket.Chat has them; an IPv6 network is one client. They save work;
//! what protects secrets is the guess ledger.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use keywright::UnixSeconds;
use keywright::rocketchat::{Admittance, Endpoint, Quota};

/// Calls in a window (`docs/protocols/rocket-chat.md` § 13).
const LIMIT: u32 = 10;
/// Length of a window, in seconds (there too).
const WINDOW: u64 = 60;
/// The bits of an IPv6 address that name a network. The other 64 name an interface (RFC 4291 § 2.5.1), and who has a
/// network can call from any of them.
const NETWORK: u128 = !0 << 64;

/// Fixed windows, in the memory of this process.
#[derive(Default)]
pub(crate) struct Windows {
    present: Mutex<Present>,
}

#[derive(Default)]
struct Present {
    /// Which window this is: forgotten as a whole when the next one begins, so it holds a minute's callers at most.
    number: u64,
    calls: HashMap<(IpAddr, Endpoint), u32>,
}

impl Windows {
    /// Counted, then compared: ten pass, the eleventh is refused.
    pub(crate) fn admit(&self, address: IpAddr, endpoint: Endpoint, now: UnixSeconds) -> Admittance {
        let now = now.get();
        let (number, passed) = (now.div_euclid(WINDOW), now.rem_euclid(WINDOW));
        let left = WINDOW.saturating_sub(passed);
        let reset = now.saturating_add(left).saturating_mul(1_000);
        // Nothing panics while it is held; were it otherwise, counts are still counts.
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.number != number {
            *present = Present { number, calls: HashMap::new() };
        }
        let calls = present.calls.entry((caller(address), endpoint)).or_default();
        *calls = calls.saturating_add(1);
        let quota = Quota { limit: LIMIT, remaining: LIMIT.saturating_sub(*calls), reset };
        if *calls > LIMIT { Admittance::Full { quota, retry_after: left } } else { Admittance::Counted(quota) }
    }
}

/// Who counts as one caller: an IPv4 address, written as either kind, or an IPv6 network.
pub(crate) fn caller(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    #[test]
    fn ten_pass_in_a_window_and_nobody_else_is_held_up() {
        let windows = Windows::default();
        let at = |second| UnixSeconds::new(second).unwrap();
        for remaining in (0..10).rev() {
            let quota = Quota { limit: 10, remaining, reset: 1_800_000_060_000 };
            assert_eq!(windows.admit(HERE, Endpoint::ResetTotp, at(1_800_000_017)), Admittance::Counted(quota));
        }
        let quota = Quota { limit: 10, remaining: 0, reset: 1_800_000_060_000 };
        let full = Admittance::Full { quota, retry_after: 1 };
        assert_eq!(windows.admit(HERE, Endpoint::ResetTotp, at(1_800_000_059)), full);
        for (address, endpoint, second) in [
            (THERE, Endpoint::ResetTotp, 1_800_000_059),
            (HERE, Endpoint::ResetE2eKey, 1_800_000_059),
            (HERE, Endpoint::ResetTotp, 1_800_000_060),
        ] {
            assert!(matches!(
                windows.admit(address, endpoint, at(second)),
                Admittance::Counted(Quota { remaining: 9, .. })
            ));
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_caller_and_a_mapped_address_is_its_ipv4() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for (one, other, same) in [
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("192.0.2.1", "192.0.2.2", false),
            ("::1", "127.0.0.1", false),
        ] {
            assert_eq!(caller(address(one)) == caller(address(other)), same, "{one} {other}");
        }
        let windows = Windows::default();
        let now = UnixSeconds::new(1_800_000_017).unwrap();
        for host in 1..=10_u16 {
            let address = address(&format!("2001:db8:1:2::{host:x}"));
            assert!(matches!(windows.admit(address, Endpoint::ResetTotp, now), Admittance::Counted(_)));
        }
        let eleventh = windows.admit(address("2001:db8:1:2::b"), Endpoint::ResetTotp, now);
        assert!(matches!(eleventh, Admittance::Full { .. }));
    }
}
