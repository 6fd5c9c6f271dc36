//! Lost replies: an unknown outcome is reported as unknown, and a lost change is never applied
//! later.

use std::sync::Arc;

use keywright_rekey::{Edit, EditOutcome, Swap, VaultError};
use keywright_sqlite::SqliteStore;
use keywright_store::{MemoryStore, TransactError};
use keywright_store_conformance::{Fault, FaultStore, LoadFault};
use keywright_testing::Store;

use crate::world::{World, id, put, text};

async fn faulty(ciphers: u32) -> Vec<(World, Arc<FaultStore<dyn Store>>)> {
    let stores: [Arc<dyn Store>; 2] = [Arc::new(MemoryStore::new()), Arc::new(SqliteStore::open_in_memory().unwrap())];
    let mut sites = Vec::new();
    for store in stores {
        let faults = Arc::new(FaultStore::new(store));
        let world = World::over(Arc::clone(&faults) as _);
        let _ = world.register(ciphers).await;
        sites.push((world, faults));
    }
    sites
}

#[tokio::test]
async fn a_lost_reply_that_landed_is_a_swap_done_once() {
    for (world, faults) in faulty(10).await {
        let vaults = world.server();
        faults.next_commit(Fault::LostAfter);
        assert!(matches!(world.change(&vaults, 2).await.unwrap(), Swap::Done { ciphers: 10, .. }));
        assert_eq!(world.check_swaps().await, 1, "once");
    }
}

#[tokio::test]
async fn a_lost_reply_that_did_not_land_is_fenced_and_tried_again() {
    for fault in [Fault::LostBefore, Fault::CommitFailed] {
        for (world, faults) in faulty(10).await {
            let vaults = world.server();
            faults.next_commit(fault.clone());
            assert!(matches!(world.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
            assert_eq!(world.check_swaps().await, 1);
        }
    }
}

#[tokio::test]
async fn a_swap_on_its_way_never_lands_after_it_was_settled() {
    for (world, faults) in faulty(10).await {
        let vaults = world.server();
        faults.next_commit(Fault::Held);
        assert!(matches!(world.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
        assert!(matches!(world.change(&vaults, 3).await.unwrap(), Swap::Done { .. }));
        assert!(faults.deliver().await.unwrap().is_err(), "the fence keeps it out");
        assert_eq!(world.check_swaps().await, 2);
    }
}

#[tokio::test]
async fn what_stays_unknown_is_said_to_be_unknown() {
    for landed in [false, true] {
        for (world, faults) in faulty(10).await {
            let vaults = world.server();
            let contents = world.contents().await;
            faults.next_commit(if landed { Fault::LostAfter } else { Fault::LostBefore });
            // The plan takes one load, and the step another; after that the store cannot be read
            // any more.
            (0..2).for_each(|_| faults.next_load(LoadFault::None));
            faults.next_load(LoadFault::Fails);
            let outcome = world.change_from(&vaults, &contents, Some(contents.head.revision), 2).await;
            let error = outcome.unwrap_err();
            assert!(
                error.is_unknown() && matches!(error, VaultError::Transact(TransactError::Unknown(_))),
                "{error:?}"
            );
            faults.calm();
            // Either the old vault with the old key, or the new vault with the new one.
            world.check().await;
            assert_eq!(world.generation().await, if landed { 2 } else { 1 });
        }
    }
}

#[tokio::test]
async fn an_edit_whose_reply_is_lost_counts_once() {
    for fault in [Fault::LostAfter, Fault::LostBefore, Fault::CommitFailed, Fault::Held] {
        for (world, faults) in faulty(3).await {
            let vaults = world.server();
            faults.next_commit(fault.clone());
            let new = text(1, 1);
            let edit = Edit::new(vec![put(id(50), &new, "")], vec![id(0)]);
            let done = vaults.edit(&world.account, &edit, world.key_epoch().await).await.unwrap();
            assert!(matches!(done, EditOutcome::Done { count: 3, .. }), "{done:?}");
            let _ = faults.deliver().await;
            assert_eq!(world.check().await.ciphers.len(), 3);
        }
    }
}

#[tokio::test]
async fn a_refusing_store_refuses_and_a_failing_one_fails() {
    for (world, faults) in faulty(3).await {
        let vaults = world.server();
        faults.next_commit(Fault::Rejected);
        let error = world.change(&vaults, 2).await.unwrap_err();
        assert!(matches!(error, VaultError::Transact(TransactError::Rejected(_))) && !error.is_unknown());
        assert_eq!(world.check_swaps().await, 0);
        faults.next_load(LoadFault::Fails);
        assert!(vaults.read(&world.account, keywright_store::Which::All).await.is_err());
    }
}
