//! The pure steps, and what each refuses.

use std::sync::Arc;

use keywright_store::names::{self, ClaimOutcome, MAX_INTENDED, NameIndex};
use keywright_store::{Damage, Draft, MemoryStore, Partition, StepError, TransactError};
use keywright_store_conformance::glass::GlassStore;

use crate::world::{Ended, NAMES, World, id, memory};

fn plain(seed: u64) -> World {
    World::new(seed, memory())
}

#[tokio::test]
async fn a_name_is_taken_kept_and_given_up() {
    let world = plain(1);
    let (server, ada, bob) = (world.truth(), id("ada"), id("bob"));
    server.create(&ada).await;
    server.create(&bob).await;
    assert_eq!(server.names.find(&world.name).await.unwrap(), None);
    assert_eq!(server.acquire(&ada, world.name, None).await.unwrap(), Ended::Took);
    assert_eq!(server.acquire(&bob, world.name, None).await.unwrap(), Ended::Taken);
    let again = server.driver.transact(&(&ada).into(), NAMES, |d| names::intend(d, &world.name)).await.unwrap();
    assert!(again.is_none(), "owned already");
    assert_eq!(server.acquire(&ada, world.old, Some(world.name)).await.unwrap(), Ended::Took);
    assert_eq!(world.owner(&[ada.clone(), bob.clone()]).await, None);
    assert_eq!(server.driver.observe(&(&ada).into(), NAMES, names::owned).await.unwrap(), [world.old]);
    // The claim went with the name: the partition is empty but for its root.
    assert_eq!(server.driver.slots_of(&world.name.partition()).await.unwrap(), []);
    assert_eq!(server.acquire(&bob, world.name, None).await.unwrap(), Ended::Took);
}

#[tokio::test]
async fn a_claim_is_not_ownership_and_a_late_claimer_wins() {
    let world = plain(2);
    let (server, ada, bob) = (world.truth(), id("ada"), id("bob"));
    server.create(&ada).await;
    server.create(&bob).await;
    let first = server.intend(&ada, world.name).await.unwrap();
    let claimed = server.claim(&first).await.unwrap();
    assert_eq!(server.claim(&first).await, Ok(claimed.clone()), "claiming again changes nothing");
    assert_eq!(server.names.find(&world.name).await.unwrap(), None);
    assert_eq!(server.acquire(&bob, world.name, None).await.unwrap(), Ended::Took);
    assert!(!server.take(&ada, &claimed).await.unwrap(), "the intent stands no more");
    assert_eq!(world.owner(&[ada, bob.clone()]).await, Some(bob));
}

#[tokio::test]
async fn taking_again_is_granted_again() {
    let world = plain(3);
    let (server, ada) = (world.truth(), id("ada"));
    server.create(&ada).await;
    let claimed = server.claim(&server.intend(&ada, world.name).await.unwrap()).await.unwrap();
    assert!(server.take(&ada, &claimed).await.unwrap());
    assert!(server.take(&ada, &claimed).await.unwrap());
}

#[tokio::test]
async fn only_who_claimed_takes() {
    let world = plain(4);
    let (server, ada, bob) = (world.truth(), id("ada"), id("bob"));
    server.create(&ada).await;
    server.create(&bob).await;
    let claimed = server.claim(&server.intend(&ada, world.name).await.unwrap()).await.unwrap();
    assert!(matches!(server.take(&bob, &claimed).await, Err(TransactError::Step(StepError::Misuse(_)))));
    let nowhere = server.driver.transact(&world.name.partition(), NAMES, |d| names::take(d, &claimed)).await;
    assert!(matches!(nowhere, Err(TransactError::Step(StepError::NoAccount))));
    let nobody = server.intend(&id("nobody"), world.name).await;
    assert!(matches!(nobody, Err(TransactError::Step(StepError::NoAccount))));
}

#[tokio::test]
async fn intents_are_bounded_and_the_oldest_goes() {
    let world = plain(5);
    let (server, ada) = (world.truth(), id("ada"));
    server.create(&ada).await;
    assert_eq!(server.acquire(&ada, world.old, None).await.unwrap(), Ended::Took);
    let oldest = server.claim(&server.intend(&ada, world.name).await.unwrap()).await.unwrap();
    let mut last = None;
    for number in 0..MAX_INTENDED {
        let name = NameIndex::from_bytes([u8::try_from(number).unwrap(); 32]);
        last = Some(server.claim(&server.intend(&ada, name).await.unwrap()).await.unwrap());
    }
    assert!(!server.take(&ada, &oldest).await.unwrap());
    assert!(server.take(&ada, &last.unwrap()).await.unwrap());
    assert!(server.owns(&ada, &world.old).await, "what is owned is never dropped for an intent");
    // A second intent for one name replaces the first.
    let first = server.claim(&server.intend(&ada, world.name).await.unwrap()).await.unwrap();
    let second = server.claim(&server.intend(&ada, world.name).await.unwrap()).await.unwrap();
    assert!(!server.take(&ada, &first).await.unwrap());
    assert!(server.take(&ada, &second).await.unwrap());
}

#[tokio::test]
async fn owning_is_bounded() {
    let world = plain(6);
    let (server, ada) = (world.truth(), id("ada"));
    server.create(&ada).await;
    for number in 0..names::MAX_OWNED {
        let name = NameIndex::from_bytes([u8::try_from(number).unwrap(); 32]);
        assert_eq!(server.acquire(&ada, name, None).await.unwrap(), Ended::Took);
    }
    let over = server.acquire(&ada, world.name, None).await;
    assert!(matches!(over, Err(TransactError::Step(StepError::Misuse(_)))));
}

#[tokio::test]
async fn an_erased_account_holds_nothing() {
    let world = plain(7);
    let (server, ada, bob) = (world.truth(), id("ada"), id("bob"));
    for tidy in [true, false] {
        if tidy {
            server.create(&ada).await;
            server.create(&bob).await;
        }
        assert_eq!(server.acquire(&ada, world.name, None).await.unwrap(), Ended::Took);
        let erase = |draft: &mut Draft<'_>| {
            let released = names::release_all(draft)?;
            draft.erase(&[])?;
            Ok(released)
        };
        let released = server.driver.run(&(&ada).into(), NAMES, erase).await.unwrap();
        assert_eq!(released.len(), 1);
        if tidy {
            assert!(server.names.drop_claim(&released[0]).await.unwrap());
            assert!(!server.names.drop_claim(&released[0]).await.unwrap(), "it is gone");
        }
        assert_eq!(world.owner(&[ada.clone(), bob.clone()]).await, None);
        assert_eq!(server.acquire(&bob, world.name, None).await.unwrap(), Ended::Took);
        assert!(!server.names.drop_claim(&released[0]).await.unwrap(), "another's claim stays");
        assert_eq!(server.acquire(&bob, world.old, Some(world.name)).await.unwrap(), Ended::Took);
        assert_eq!(server.acquire(&bob, world.name, Some(world.old)).await.unwrap(), Ended::Took);
        let free = |draft: &mut Draft<'_>| names::release(draft, &world.name);
        assert!(server.driver.transact(&(&bob).into(), NAMES, free).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_claim_of_an_account_without_a_root_is_void() {
    let world = plain(8);
    let (server, ghost, bob) = (world.truth(), id("ghost"), id("bob"));
    // The ghost intends in another store that shares the keyring: here its root never was, so it claims nothing.
    let elsewhere = world.server(Arc::new(MemoryStore::new()));
    elsewhere.create(&ghost).await;
    let intent = elsewhere.intend(&ghost, world.name).await.unwrap();
    assert!(matches!(server.names.claim(&intent).await.unwrap(), ClaimOutcome::Void));
    assert_eq!(server.names.find(&world.name).await.unwrap(), None);
    server.create(&bob).await;
    assert_eq!(server.acquire(&bob, world.name, None).await.unwrap(), Ended::Took);
}

/// Somebody who writes the database drops the owner's root alone: that frees no name.
#[tokio::test]
async fn a_root_that_was_dropped_alone_frees_no_name() {
    let glass = Arc::new(GlassStore::new());
    let world = World::new(20, memory().store(glass.clone()));
    let (server, ada, bob) = (world.truth(), id("ada"), id("bob"));
    server.create(&ada).await;
    server.create(&bob).await;
    assert_eq!(server.acquire(&ada, world.name, None).await.unwrap(), Ended::Took);
    let whole = glass.rows();
    glass.edit(|rows| rows.roots.remove(&Partition::account(&ada)));
    let is_damage = |error: &TransactError| matches!(error, TransactError::Step(StepError::Damaged(Damage::Orphans)));
    assert!(server.names.find(&world.name).await.is_err_and(|error| is_damage(&error)));
    assert!(server.acquire(&bob, world.name, None).await.is_err_and(|error| is_damage(&error)));
    glass.edit(|rows| rows.roots.insert(Partition::account(&ada), whole.roots[&Partition::account(&ada)].clone()));
    assert_eq!(world.owner(&[ada.clone(), bob]).await, Some(ada));
}

/// Two tabs: the older intent is void by now, and cancels nothing of the newer one's.
#[tokio::test]
async fn a_void_intent_cancels_nobodys() {
    let world = plain(18);
    let (server, ada) = (world.truth(), id("ada"));
    server.create(&ada).await;
    let older = server.intend(&ada, world.name).await.unwrap();
    let newer = server.intend(&ada, world.name).await.unwrap();
    let ClaimOutcome::Ours(claimed) = server.names.claim(&newer).await.unwrap() else { panic!("it is free") };
    assert!(matches!(server.names.claim(&older).await.unwrap(), ClaimOutcome::Void));
    assert!(server.take(&ada, &claimed).await.unwrap());
}

#[tokio::test]
async fn what_does_not_open_is_not_taken_for_free() {
    let world = plain(9);
    let (server, ada, bob) = (world.truth(), id("ada"), id("bob"));
    server.create(&ada).await;
    assert_eq!(server.acquire(&ada, world.name, None).await.unwrap(), Ended::Took);
    // Another keyring over the same store: nothing opens.
    let strange = World::new(10, memory().store(world.store.clone()));
    strange.truth().create(&bob).await;
    let intent = strange.truth().intend(&bob, world.name).await.unwrap();
    let claim = strange.truth().names.claim(&intent).await;
    assert!(matches!(claim, Err(TransactError::Step(StepError::Open(_)))), "{claim:?}");
    let find = strange.truth().names.find(&world.name).await;
    assert!(matches!(find, Err(TransactError::Step(StepError::Open(_)))), "{find:?}");
    assert_eq!(world.owner(std::slice::from_ref(&ada)).await, Some(ada));
}

#[test]
fn an_index_has_its_purpose_and_shows_no_text() {
    let world = plain(11);
    let other = NameIndex::derive(&world.keyring, "login", b"ada@example.org");
    assert_ne!(other, world.name);
    assert_eq!(format!("{:?}", NameIndex::from_bytes([0xab; 32])), "NameIndex(abababab…)");
}
