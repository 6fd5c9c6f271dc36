//! Code of the host that runs inside an operation and uses the driver itself: it is refused, and
//! never waits for the operation that runs it.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use keywright_core::{AccountId, SecurityEvent};
use keywright_store::{Draft, Driver, Observer, Partition, StepError, TransactError};

use crate::{REDEEMED, World};

/// Polls once. An operation on a memory store that is not refused ends at once, too; one that waits
/// for a lock does not.
fn once<T>(operation: impl Future<Output = T>) -> Option<T> {
    match pin!(operation).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn tell(draft: &mut Draft<'_>) -> Result<(), StepError> {
    draft.event(&REDEEMED);
    Ok(())
}

/// Whether each kind of operation is refused.
fn are_refused(driver: &Driver, partition: &Partition) -> bool {
    let is_refused = |result: Option<Result<(), TransactError>>| {
        matches!(result, Some(Err(TransactError::Step(StepError::Misuse(_)))))
    };
    is_refused(once(driver.transact(partition, &[], tell)))
        && is_refused(once(driver.observe(partition, &[], |_| Ok(()))))
}

#[tokio::test]
async fn a_step_that_uses_the_driver_is_refused_and_does_not_hang() {
    let world = World::made(1).await;
    let (driver, partition) = (world.driver.clone(), world.partition.clone());
    let other = Partition::account(&AccountId::new("somebody-else").unwrap());
    for inner in [&partition, &other] {
        let step = |draft: &mut Draft<'_>| {
            assert!(are_refused(&driver, inner));
            tell(draft)
        };
        world.driver.transact(&world.partition, &[], step).await.unwrap();
    }
    // A step that passes the refusal on ends with it, and leaves nothing behind.
    let step = |_: &mut Draft<'_>| match once(driver.transact(&partition, &[], tell)) {
        Some(Err(TransactError::Step(error))) => Err::<(), _>(error),
        _ => Ok(()),
    };
    let error = world.driver.transact(&world.partition, &[], step).await.unwrap_err();
    assert!(matches!(error, TransactError::Step(StepError::Misuse(_))), "{error:?}");
    world.driver.transact(&world.partition, &[], tell).await.unwrap();
}

/// Uses the driver in each call.
#[derive(Debug, Default)]
struct Curious {
    driver: Mutex<Option<(Driver, Partition)>>,
    refused: Mutex<Vec<bool>>,
}

impl Observer for Curious {
    fn event(&self, _: &AccountId, _: &SecurityEvent) {
        if let Some((driver, partition)) = &*self.driver.lock().unwrap() {
            self.refused.lock().unwrap().push(are_refused(driver, partition));
        }
    }
}

#[tokio::test]
async fn an_observer_that_uses_the_driver_is_refused_and_does_not_hang() {
    let world = World::made(2).await;
    let curious = Arc::new(Curious::default());
    let keyring = Arc::new(keywright_core::Keyring::generate(&keywright_core::SystemEntropy).unwrap());
    let store = Arc::new(keywright_store::MemoryStore::new());
    let driver = Driver::builder(store, keyring).observer(curious.clone()).build().unwrap();
    driver.ensure_account(&world.account).await.unwrap();
    *curious.driver.lock().unwrap() = Some((driver.clone(), world.partition.clone()));
    driver.transact(&world.partition, &[], tell).await.unwrap();
    assert_eq!(*curious.refused.lock().unwrap(), [true]);
    // What it spawns may use the driver.
    driver.observe(&world.partition, &[], |_| Ok(())).await.unwrap();
}

/// A step that panics leaves the thread as it was.
#[tokio::test]
async fn after_a_step_that_panics_the_driver_works() {
    let world = World::made(3).await;
    let step = |_: &mut Draft<'_>| -> Result<(), StepError> { panic!("a step of the host") };
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        once(world.driver.transact(&world.partition, &[], step)).is_some()
    }));
    assert!(panicked.is_err());
    world.driver.transact(&world.partition, &[], tell).await.unwrap();
}
