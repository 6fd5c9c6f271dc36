//! What an operation reads from the store: one load for each read and each commit, and no other
//! round trip.

use std::sync::Arc;

use keywright_rekey::{Edit, PartOutcome, PlanOutcome, Swap, UploadStart};
use keywright_store::{Draft, MemoryStore, Which};
use keywright_store_conformance::FaultStore;

use crate::world::{CLIENT_SLOTS, World, anew, id, put, set_key, submission, text};

const LIFE: u64 = 600;

/// Every operation passes all its slots to the driver, including those of the caller's own step.
#[tokio::test]
async fn every_act_loads_once() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::over(Arc::clone(&store) as _);
    let vaults = world.register(5).await;
    let account = &world.account;
    store.note_loads();
    // Reading the head and committing are one load each: what is read between them belongs to no
    // draft.
    let takes = |most: usize, act: &str| {
        let loads = store.noted_loads();
        assert_eq!(loads.len(), most, "{act}: {loads:?}");
        store.note_loads();
    };
    vaults.head(account).await.unwrap();
    takes(1, "the head");
    let contents = vaults.read(account, Which::All).await.unwrap().unwrap();
    takes(1, "a read");
    vaults.manifest(account).await.unwrap();
    takes(1, "a manifest");
    let new = text(1, 1);
    let edit = Edit::new(vec![put(id(50), &new, "")], vec![id(0)]);
    let _ = vaults.edit(account, &edit, contents.head.key_epoch).await.unwrap();
    takes(2, "an edit");

    let change = async |generation: u32| {
        let body = anew(&world.contents().await, generation);
        store.note_loads();
        vaults.swap(account, &submission(&body), None, CLIENT_SLOTS, |draft| set_key(draft, generation)).await.unwrap()
    };
    assert!(matches!(change(2).await, Swap::Done { .. }));
    takes(2, "a swap");

    let body = anew(&world.contents().await, 3);
    store.note_loads();
    let planned = vaults.plan(account, &submission(&body), None).await.unwrap();
    takes(1, "a plan");
    let PlanOutcome::Ready(sealed) = planned else { panic!("{planned:?}") };
    let staged = vaults.stage(sealed, world.at(LIFE)).await.unwrap();
    takes(0, "a stage");
    let hold = |draft: &mut Draft<'_>| vaults.steps().hold_in(draft, &staged);
    let _ = vaults.driver().transact(&world.partition(), &keywright_rekey::VAULT_SLOTS, hold).await.unwrap();
    takes(1, "a hold");
    assert!(matches!(
        vaults.promote(account, CLIENT_SLOTS, |draft| set_key(draft, 3)).await.unwrap(),
        Swap::Done { .. }
    ));
    takes(3, "a promotion: what is held, the vault, the commit");

    let body = anew(&world.contents().await, 4);
    store.note_loads();
    let UploadStart::Begun { upload, .. } = vaults.begin_upload(account, None, world.at(LIFE)).await.unwrap() else {
        panic!()
    };
    takes(1, "an upload");
    assert!(matches!(vaults.put_part(account, upload, &submission(&body)).await.unwrap(), PartOutcome::Kept { .. }));
    takes(2, "a part");
    let finished = vaults.finish_upload(account, upload, CLIENT_SLOTS, |draft| set_key(draft, 4)).await.unwrap();
    assert!(matches!(finished, Swap::Done { .. }));
    takes(3, "a finish: the upload, the vault, the commit");
    world.check().await;
}
