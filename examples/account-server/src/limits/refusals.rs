//! Answers to those who are turned away again and again come late. Otherwise a client that sends its
//! next request once the last is answered would be refused as fast as this server can work, and the
//! others would wait in one line with all of its requests.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::limits::per_network::PerNetwork;

/// How many refusals a network gets at once.
const AT_ONCE: NonZeroU32 = NonZeroU32::new(20).unwrap();
/// How many refusals a network gets at once in a minute after that.
const A_MINUTE: NonZeroU32 = NonZeroU32::new(20).unwrap();
/// How late the others come. A thousand connections are then a thousand requests a second at most.
const LATE: Duration = Duration::from_secs(1);

/// The networks whose requests were refused.
pub(crate) struct Refusals(Option<PerNetwork>);

impl Refusals {
    pub(crate) fn new(limited: bool) -> Self {
        Self(limited.then(|| PerNetwork::new(AT_ONCE, A_MINUTE)))
    }

    /// Counts a refusal, and returns how late its answer is to come, if it is.
    pub(crate) fn lateness(&self, client: IpAddr) -> Option<Duration> {
        let refused = self.0.as_ref()?;
        (!refused.take(client)).then_some(LATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_refusals_are_answered_at_once() {
        let refusals = Refusals::new(true);
        let (here, there) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        // On a slow machine one or two more may come at once.
        let at_once = (0..100).take_while(|_| refusals.lateness(here).is_none()).count();
        assert!((20..30).contains(&at_once), "{at_once}");
        assert_eq!(refusals.lateness(there), None, "another network");
        let off = Refusals::new(false);
        assert!((0..100).all(|_| off.lateness(here).is_none()));
    }
}
