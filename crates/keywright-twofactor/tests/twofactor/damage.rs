//! Lost rows, damaged and foreign bodies: whatever cannot be read denies, costs nothing, and is never overwritten.

use keywright_core::{SecurityEvent, UnixSeconds};
use keywright_store::{
    Batch, BoxFuture, CommitError, EventId, LoadError, MemoryStore, Partition, RecordStore, Slot, StepError, Stored,
};
use keywright_twofactor::TwoFactorPolicy;
use std::sync::{Arc, Mutex};

use crate::support::{SEED, SESSION, START, World, code, step_error};

type Change = Box<dyn Fn(Slot, Option<Stored>) -> Option<Stored> + Send>;

/// A memory store whose answers are changed on their way.
struct Tampered {
    inner: MemoryStore,
    change: Mutex<Option<Change>>,
}

impl std::fmt::Debug for Tampered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tampered")
    }
}

impl RecordStore for Tampered {
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [Slot],
    ) -> BoxFuture<'a, Result<Vec<Option<Stored>>, LoadError>> {
        Box::pin(async move {
            let stored = self.inner.load(partition, slots).await?;
            let change = self.change.lock().unwrap();
            let changed = |(slot, stored): (&Slot, Option<Stored>)| match &*change {
                Some(change) => change(*slot, stored),
                None => stored,
            };
            Ok(slots.iter().zip(stored).map(changed).collect())
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        self.inner.commit(batch)
    }

    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        before: Option<EventId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<(EventId, SecurityEvent)>, LoadError>> {
        self.inner.events(partition, before, limit)
    }
}

/// Every call fails with the same error.
async fn all_deny(world: &World) -> StepError {
    let (service, account) = (&world.service, &world.account);
    let error = step_error(service.verify_totp(account, &code(SEED, START), "test", None).await);
    assert_eq!(step_error(service.verify_totp(account, "000000", "test", None).await), error);
    assert_eq!(step_error(service.enrolled(account).await), error);
    assert_eq!(step_error(world.begin_enrolment(SESSION, "new", None).await), error);
    assert_eq!(step_error(service.confirm_enrolment(account, SESSION, "000000").await), error);
    assert_eq!(step_error(world.remove_all().await), error);
    assert_eq!(step_error(world.set_email(true).await), error);
    assert_eq!(step_error(service.demand(account, "act", b"s", true).await), error);
    error
}

#[tokio::test]
async fn a_lost_or_damaged_record_denies_and_stays() {
    let store = Arc::new(Tampered { inner: MemoryStore::new(), change: Mutex::new(None) });
    let world = World::over(store.clone(), TwoFactorPolicy::default()).await;
    world.import("phone", SEED).await;
    let before = world.revisions().await;

    // "No second factor" by a lost row would open the account.
    *store.change.lock().unwrap() = Some(Box::new(|slot, stored| stored.filter(|_| slot != Slot::Factors)));
    assert_eq!(all_deny(&world).await, StepError::Integrity(Slot::Factors));

    for at in [0_usize, 1, 9, 40, 60] {
        *store.change.lock().unwrap() = Some(Box::new(move |slot, stored| {
            let mut stored = stored?;
            if slot == Slot::Factors {
                let mut body = stored.body.to_vec();
                body[at] ^= 1;
                stored.body = body.into();
            }
            Some(stored)
        }));
        assert!(matches!(all_deny(&world).await, StepError::Open(_)), "{at}");
    }
    *store.change.lock().unwrap() = None;
    assert_eq!(world.revisions().await, before, "something was overwritten");
    assert!(world.totp(&code(SEED, START)).await.granted());
}

/// A record of another account, and one of another slot, do not open here.
#[tokio::test]
async fn a_swapped_record_does_not_open() {
    let store = Arc::new(Tampered { inner: MemoryStore::new(), change: Mutex::new(None) });
    let world = World::over(store.clone(), TwoFactorPolicy::default()).await;
    world.import("phone", SEED).await;
    let root = store.inner.load(&world.partition(), &[Slot::Root]).await.unwrap()[0].clone();
    *store.change.lock().unwrap() =
        Some(Box::new(move |slot, stored| if slot == Slot::Factors { root.clone() } else { stored }));
    assert!(matches!(all_deny(&world).await, StepError::Open(_)));
    assert_eq!(UnixSeconds::new(START).unwrap().get(), world.now());
}
