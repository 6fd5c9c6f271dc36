//! The vaults that requests for a change of address keep beside the vault: counted, and removed
//! once nothing waits for them.

use std::sync::Arc;
use std::task::{Context, Waker};

use keywright_rekey::EditOutcome;
use keywright_store::{MemoryStore, VaultStore};
use keywright_store_conformance::{FaultStore, Odds};

use super::change_email::{DAY, settled};
use super::support::{World, at_once, policy};
use super::vaults::{id, sealed, with_password};

/// How many vaults lie beside the vault.
async fn stages(store: &FaultStore<MemoryStore>) -> usize {
    let mut kept = 0;
    for (account, stage) in store.stages() {
        kept += usize::from(!store.staged(&account, stage).await.unwrap().is_empty());
    }
    kept
}

/// The store keeps vaults only for what waits: of requests that are replaced, or are concurrent,
/// one is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn vaults_that_nothing_waits_for_are_not_kept() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), policy()).await;
    let (old, new, user) = settled(&world).await;
    let client = world.client_of(&old).await;
    let body = world.address_body(&user, &old, &new).await;
    for _ in 0..3 {
        client.change_address(&body).await.is_empty();
        assert_eq!(stages(&store).await, 1, "the one before is gone");
    }
    let answers = at_once(20, |_| {
        let (client, body) = (client.clone(), body.clone());
        async move { client.change_address(&body).await }
    })
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 7);
    assert_eq!((store.stages().len(), stages(&store).await), (10, 1));
    // A change of the password leaves nothing to be confirmed.
    let other = with_password(&old, "other");
    client.change_password(&world.password_body(&user, &old, &other).await).await.is_empty();
    assert_eq!(stages(&store).await, 0);
}

/// The vault changes between the check and the commit, every time: the vault kept beside it is
/// removed, and each request counts.
#[tokio::test]
async fn an_ask_that_is_refused_leaves_no_vault_behind() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), policy()).await;
    let (old, new, user) = settled(&world).await;
    let client = world.client_of(&old).await;
    let mut context = Context::from_waker(Waker::noop());
    for n in 0..10 {
        let body = world.address_body(&user, &old, &new).await;
        store.randomise(1, Odds { pause: 1_000, ..Odds::default() });
        let mut asking = Box::pin(client.change_address(&body));
        while store.stages().len() == n {
            assert!(asking.as_mut().poll(&mut context).is_pending());
        }
        store.calm();
        let edited = world.edit(&user, &[(id(0), sealed(&old, "overtaken"))], &[]).await;
        assert!(matches!(edited, EditOutcome::Done { .. }));
        assert_eq!(stages(&store).await, 1);
        asking.await.fails(400, "LP-Missing-Cipher");
        assert_eq!(stages(&store).await, 0);
    }
    let body = world.address_body(&user, &old, &new).await;
    client.change_address(&body).await.waits(DAY);
    assert_eq!(store.stages().len(), 10);
}
