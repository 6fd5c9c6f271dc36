//! The fence of a keyring: what was made before it is void, so it must not lie in the future.

use std::sync::Arc;

use keywright::{
    AccountId, Keyring, Keywright, ManualClock, MemoryStore, StartError, Store, SystemEntropy, UnixSeconds,
};

use crate::world::{DAY, START};

#[tokio::test]
async fn a_fence_in_the_future_is_refused_and_nothing_is_written() {
    let clock = Arc::new(ManualClock::new(UnixSeconds::new(START).unwrap()));
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let open = async |fence: u64| {
        let keyring = Keyring::generate(&SystemEntropy).unwrap().with_fence(UnixSeconds::new(fence).unwrap());
        let builder = Keywright::builder_shared(Arc::clone(&store)).keyring(keyring).clock(Arc::clone(&clock) as _);
        builder.open().await
    };
    for ahead in [61, DAY, 50 * 365 * DAY] {
        let error = open(START + ahead).await.unwrap_err();
        assert!(
            matches!(&error, StartError::FutureFence { fence, now, .. }
                if fence.get() == START + ahead && now.get() == START),
            "{error:?}"
        );
        let text = error.to_string();
        assert!(text.contains(&(START + ahead).to_string()) && text.contains("set the clock"), "{text}");
        assert!(store.partitions(None, 1).await.unwrap().is_empty());
    }
    // Just now, on a machine whose clock is a little ahead.
    let keywright = open(START + 60).await.unwrap();
    keywright.ensure_account(&AccountId::new("alice").unwrap()).await.unwrap();
}
