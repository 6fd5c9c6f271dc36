//! The import of many users: a trial, a failure in the middle, and running it again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keywright_core::AccountId;
use keywright_testing::HookedStore;
use keywright_twofactor::import::{Import, ImportOutcome, ImportedUser};
use keywright_twofactor::recovery::ImportedCodes;
use keywright_twofactor::{SLOT_KINDS, TwoFactor, TwoFactorPolicy};

use crate::support::{START, World, device, id};

const USERS: usize = 300;

/// Every tenth user has a short secret, and every hundredth has a name that is not valid.
fn users() -> impl Iterator<Item = (AccountId, ImportedUser)> {
    (0..USERS).map(|nth| {
        let seed = [u8::try_from(nth % 250).unwrap() + 1; 20];
        let length = if nth % 10 == 1 { 10 } else { 20 };
        let mut user = ImportedUser::new().device(device(&seed[..length]));
        if nth % 100 == 0 {
            user = user.recovery(ImportedCodes::in_clear(["bad"]));
        } else if nth % 2 == 0 {
            user = user.recovery(ImportedCodes::in_clear(["zqk47pna", "b3xm9wte"]));
        }
        (id(&format!("user-{nth}")), user)
    })
}

#[tokio::test]
async fn a_trial_writes_nothing_and_says_the_same() {
    let world = World::sqlite().await;
    let before = world.scan().await.len();
    let trial = Import::new(world.service.clone()).dry_run(true).run(users(), |_, _| {}).await.unwrap();
    assert_eq!(world.scan().await.len(), before);
    let mut refused = Vec::new();
    let note = |account: &AccountId, outcome: &ImportOutcome| {
        if let ImportOutcome::NotTaken(_) = outcome {
            refused.push(account.as_str().to_owned());
        }
    };
    let report = Import::new(world.service.clone()).run(users(), note).await.unwrap();
    assert_eq!(report, trial);
    assert_eq!((report.imported, report.not_taken, report.devices_below_policy), (297, 3, 30));
    assert_eq!((report.devices, report.recovery_codes), (297, 2 * 147));
    refused.sort();
    assert_eq!(refused, ["user-0", "user-100", "user-200"]);
    let again = Import::new(world.service.clone()).run(users(), |_, _| {}).await.unwrap();
    assert_eq!((again.imported, again.already_imported, again.not_taken), (0, 297, 3));
}

#[tokio::test]
async fn an_import_that_stopped_is_run_again() {
    let store = HookedStore::memory();
    let world = keywright_testing::World::builder().store(store.clone()).start(START).slots(SLOT_KINDS).build().await;
    let service = TwoFactor::new(world.driver.clone(), TwoFactorPolicy::default()).unwrap();
    let commits = Arc::new(AtomicUsize::new(0));
    let (counter, inner) = (commits.clone(), store.inner().clone());
    store.instead_of_commit(move |batch| {
        let (nth, inner) = (counter.fetch_add(1, Ordering::Relaxed), inner.clone());
        async move {
            use keywright_store::RecordStore;
            if nth < 100 {
                inner.commit(batch).await
            } else {
                Err(keywright_store::CommitError::Rejected("full".into()))
            }
        }
    });
    let stopped = Import::new(service.clone()).run(users(), |_, _| {}).await.unwrap_err();
    assert!(stopped.report.imported <= 100 && stopped.account.as_str().starts_with("user-"), "{stopped:?}");
    store.clear();
    let report = Import::new(service.clone()).run(users(), |_, _| {}).await.unwrap();
    assert_eq!((report.imported + report.already_imported, report.already_imported), (297, 100));
}
