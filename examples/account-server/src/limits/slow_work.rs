//! A limit on slow hashes for unknown clients, per network and before anything is hashed. Clients
//! that are known, by their session or because they have logged in from that network before, are not
//! counted.

use std::future::Future;
use std::net::IpAddr;
use std::num::NonZeroU32;

use keywright::nextcloud::queue::{Requester, Standing};
use keywright::store::Partition;
use sha2::{Digest, Sha256};

use crate::limits::caller::caller;
use crate::limits::per_network::PerNetwork;

/// How many hashes a network may have at once. A log-in by a new client takes one, and a hash takes 30
/// ms or more, so the bursts of a few networks are over within a second.
const AT_ONCE: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// How many hashes a network may have in a minute after that.
const A_MINUTE: NonZeroU32 = NonZeroU32::new(20).unwrap();

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
    hashes: Option<PerNetwork>,
}

impl SlowWork {
    pub(crate) fn new(limited: bool) -> Self {
        Self { hashes: limited.then(|| PerNetwork::new(AT_ONCE, A_MINUTE)) }
    }

    /// Returns who waits in the queue for this requester: for an unknown client its network, because a
    /// flood can name as many accounts as it likes, and each would have a turn.
    pub(crate) fn in_line(&self, requester: &Requester) -> Requester {
        let network = CALLER.try_with(|address| caller(*address));
        match (network, &self.hashes, requester.standing()) {
            (Ok(network), Some(_), Standing::Unknown) => {
                let index = Sha256::new_with_prefix(b"network ").chain_update(network.to_string());
                Requester::new(Partition::name(&index.finalize().into()), Standing::Unknown)
            }
            _ => requester.clone(),
        }
    }

    /// Whether a hash may be queued for this requester. Work that no request causes always may.
    pub(crate) fn admit(&self, requester: &Requester) -> bool {
        let (Some(hashes), Standing::Unknown) = (&self.hashes, requester.standing()) else { return true };
        CALLER.try_with(|caller| hashes.take(*caller)).unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use keywright::AccountId;

    use super::*;

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
        assert_ne!(line("2001:db8::1", &unknown).await, line("2001:db8:0:1::1", &unknown).await);
        assert_eq!(line("2001:db8::1", &Requester::known(&account)).await, Requester::known(&account));
        assert_eq!(work.in_line(&unknown), unknown);
        assert!(SlowWork::new(false).admit(&unknown));
    }
}
