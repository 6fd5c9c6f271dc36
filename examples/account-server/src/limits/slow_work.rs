//! A limit on slow hashes for unknown clients, per network and before anything is hashed. Clients
//! that are known, by their session or because they have logged in from that network before, are not
//! counted.

use std::future::Future;
use std::net::IpAddr;
use std::num::NonZeroU32;

use keywright::nextcloud::queue::{Requester, Standing};
use keywright::store::Partition;
use sha2::{Digest, Sha256};

use crate::limits::caller::site;
use crate::limits::per_network::PerNetwork;

/// How many hashes a network may have at once. A log-in by a new client takes one, and a hash takes 30
/// ms or more, so the bursts of a few networks are over within a second.
const AT_ONCE: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// How many hashes a network may have in a minute after that.
const A_MINUTE: NonZeroU32 = NonZeroU32::new(20).unwrap();

/// The same for a site, which may have thousands of networks of IPv6.
const AT_ONCE_OF_SITE: NonZeroU32 = NonZeroU32::new(20).unwrap();
const A_MINUTE_OF_SITE: NonZeroU32 = NonZeroU32::new(80).unwrap();

tokio::task_local! {
    static CALLER: IpAddr;
}

/// Runs a request, for which `address` counts.
pub(crate) async fn on_behalf_of<F: Future>(address: Option<IpAddr>, request: F) -> F::Output {
    match address {
        Some(address) => CALLER.scope(address, request).await,
        None => request.await,
    }
}

/// The networks that have had slow hashes.
pub(crate) struct SlowWork {
    limits: Option<Limits>,
}

struct Limits {
    networks: PerNetwork,
    sites: PerNetwork,
}

impl SlowWork {
    pub(crate) fn new(limited: bool) -> Self {
        let limits = || Limits {
            networks: PerNetwork::new(AT_ONCE, A_MINUTE),
            sites: PerNetwork::of_sites(AT_ONCE_OF_SITE, A_MINUTE_OF_SITE),
        };
        Self { limits: limited.then(limits) }
    }

    /// Returns who waits in the queue for this requester: for an unknown client its site, because a
    /// flood can name as many accounts as it likes, and each would have a turn.
    pub(crate) fn in_line(&self, requester: &Requester) -> Requester {
        let site = CALLER.try_with(|address| site(*address));
        match (site, &self.limits, requester.standing()) {
            (Ok(site), Some(_), Standing::Unknown) => {
                let index = Sha256::new_with_prefix(b"site ").chain_update(site.to_string());
                Requester::new(Partition::name(&index.finalize().into()), Standing::Unknown)
            }
            _ => requester.clone(),
        }
    }

    /// Whether a hash may be queued for this requester. Work that no request causes always may.
    pub(crate) fn admit(&self, requester: &Requester) -> bool {
        let (Some(limits), Standing::Unknown) = (&self.limits, requester.standing()) else { return true };
        CALLER.try_with(|caller| limits.networks.take(*caller) && limits.sites.take(*caller)).unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use keywright::AccountId;

    use super::*;

    #[tokio::test]
    async fn a_site_with_many_networks_has_a_limit_of_its_own() {
        let work = SlowWork::new(true);
        let unknown = Requester::new(Partition::account(&AccountId::new("acc-00").unwrap()), Standing::Unknown);
        let admit =
            async |address: &str| on_behalf_of(Some(address.parse().unwrap()), async { work.admit(&unknown) }).await;
        let mut admitted = 0;
        for network in 0..100 {
            admitted += u32::from(admit(&format!("2001:db8:7:{network:x}::1")).await);
        }
        // Some more may have come in the meantime on a slow machine.
        assert!((20..100).contains(&admitted), "{admitted}");
        assert!(admit("2001:db8:8::1").await && admit("192.0.2.1").await, "other sites");
    }

    #[tokio::test]
    async fn only_unknown_clients_of_that_network_are_refused() {
        let work = SlowWork::new(true);
        let account = AccountId::new("acc-00").unwrap();
        let unknown = Requester::new(Partition::account(&account), Standing::Unknown);
        let admit = async |address: &str, requester: &Requester| {
            on_behalf_of(Some(address.parse().unwrap()), async { work.admit(requester) }).await
        };
        for host in 0..5 {
            assert!(admit(&format!("2001:db8::{host}"), &unknown).await);
        }
        assert!(!admit("2001:db8::ffff", &unknown).await);
        assert!(admit("2001:db8::ffff", &Requester::known(&account)).await);
        assert!(admit("2001:db8:0:1::1", &unknown).await);
        assert!(work.admit(&unknown), "no request");
        let line = async |address: &str, requester: &Requester| {
            on_behalf_of(Some(address.parse().unwrap()), async { work.in_line(requester) }).await
        };
        let other = Requester::new(Partition::name(&[1; 32]), Standing::Unknown);
        assert_eq!(line("2001:db8::1", &unknown).await, line("2001:db8::2", &other).await);
        assert_eq!(line("2001:db8::1", &unknown).await, line("2001:db8:0:1::1", &unknown).await, "one site");
        assert_ne!(line("2001:db8::1", &unknown).await, line("2001:db8:1::1", &unknown).await);
        assert_eq!(line("2001:db8::1", &Requester::known(&account)).await, Requester::known(&account));
        assert_eq!(work.in_line(&unknown), unknown);
        assert!(SlowWork::new(false).admit(&unknown));
    }
}
