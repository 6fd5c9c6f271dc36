//! Lost rows, damaged and foreign bodies: whatever cannot be read denies, costs nothing, and is never overwritten.

use std::sync::Arc;

use keywright_core::{ActionName, Purpose, SessionId};
use keywright_store::{Damage, MemoryStore, RecordStore as _, SlotName, StepError};
use keywright_testing::HookedStore;
use keywright_twofactor::{SLOTS, TwoFactorPolicy};

use crate::support::{SEED, SESSION, START, UNKNOWN, World, code, step_error};

type Body = Option<Vec<u8>>;

/// From now on, loaded records are altered on the way.
fn change(store: &HookedStore<MemoryStore>, change: impl Fn(SlotName, Body) -> Body + Send + Sync + 'static) {
    store.clear();
    store.after_loads(move |_, slots, snapshot| {
        for (slot, record) in slots.iter().zip(&mut snapshot.records) {
            *record = change(*slot, record.take().map(|body| body.to_vec())).map(Into::into);
        }
    });
}

/// Returns the record of all devices.
fn factors() -> SlotName {
    SLOTS[0]
}

/// Every call fails with the same error.
async fn all_deny(world: &World) -> StepError {
    let (service, account) = (&world.service, &world.account);
    let error = step_error(service.verify_totp(account, &code(SEED, START), &Purpose::new("test"), UNKNOWN).await);
    assert_eq!(step_error(service.verify_totp(account, "000000", &Purpose::new("test"), UNKNOWN).await), error);
    assert_eq!(step_error(service.enrolled(account).await), error);
    assert_eq!(step_error(world.begin_enrolment(SessionId::new(SESSION), "new", None).await), error);
    assert_eq!(
        step_error(service.confirm_without_codes(account, SessionId::new(SESSION), "000000", UNKNOWN).await),
        error
    );
    assert_eq!(step_error(world.remove_all().await), error);
    assert_eq!(step_error(world.set_email(true).await), error);
    assert_eq!(step_error(service.demand(account, &ActionName::new("act"), SessionId::new("s"), true).await), error);
    error
}

async fn tampered() -> (Arc<HookedStore<MemoryStore>>, World) {
    let store = HookedStore::memory();
    let world = World::over(store.clone(), TwoFactorPolicy::default()).await;
    world.import("phone", SEED).await;
    (store, world)
}

#[tokio::test]
async fn a_lost_or_damaged_record_denies_and_stays() {
    let (store, world) = tampered().await;
    let before = world.revision().await;
    // A lost row that counted as "no second factor" would open the account.
    change(&store, |slot, stored| stored.filter(|_| slot != factors()));
    assert_eq!(all_deny(&world).await, StepError::Damaged(Damage::Record(factors())));
    for at in [0_usize, 1, 9, 40, 60] {
        change(&store, move |slot, stored| {
            let mut body = stored?;
            if slot == factors() {
                body[at] ^= 1;
            }
            Some(body)
        });
        assert!(matches!(all_deny(&world).await, StepError::Open(_)), "{at}");
    }
    store.clear();
    assert_eq!(world.revision().await, before, "something was overwritten");
    assert!(world.totp(&code(SEED, START)).await.granted());
}

/// A record of another slot, and this record as it was before its last change, do not open.
#[tokio::test]
async fn a_swapped_or_older_record_does_not_open() {
    let (store, world) = tampered().await;
    let stored = async |slot| store.inner().load(&world.partition(), &[slot]).await.unwrap().records[0].clone();
    let (older, ledger) = (stored(factors()).await, stored(SLOTS[2]).await);
    assert!(world.totp(&code(SEED, START)).await.granted());
    for foreign in [older, ledger] {
        let foreign = Some(foreign.unwrap().to_vec());
        change(&store, move |slot, stored| if slot == factors() { foreign.clone() } else { stored });
        assert!(matches!(all_deny(&world).await, StepError::Open(_)));
    }
}
