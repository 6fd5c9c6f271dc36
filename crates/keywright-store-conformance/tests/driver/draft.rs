//! What a step may count on.

use std::cell::RefCell;
use std::sync::Arc;

use keywright_core::{AccountId, Keyring, SecretBytes};
use keywright_store::{Effect, Partition, RecordStore, Slot, StepError, VaultWrite, WrongReceipt};

use crate::{Bench, Counter, OTHER, VOUCHER, Voucher, server, step_error};

#[tokio::test]
async fn slots_that_were_not_named_are_loaded() {
    let bench = Bench::made(1).await;
    let mut runs = 0;
    let read = bench.driver.transact(&bench.account, &[], |draft| {
        runs += 1;
        let voucher = draft.read::<Voucher>(VOUCHER)?;
        Ok((voucher, draft.read::<Counter>(OTHER)?))
    });
    let (seen, _) = read.await.unwrap();
    assert_eq!(seen, (Some(Voucher { spent: false }), None));
    assert_eq!(runs, 3);
}

#[tokio::test]
async fn tentative_is_released_by_its_own_receipt_alone() {
    let bench = Bench::made(2).await;
    let grant =
        async || bench.driver.transact(&bench.account, &[], |draft| Ok(draft.tentative("secret"))).await.unwrap();
    let ((first, receipt), (second, other)) = (grant().await, grant().await);
    assert_eq!(first.release(&other), Err(WrongReceipt));
    assert_eq!(second.map(str::len).release(&other), Ok(6));
    let (third, _) = grant().await;
    assert_eq!(format!("{third:?}"), "Tentative(..)");
    assert_eq!(third.release(&receipt), Err(WrongReceipt));
}

/// A step that counts in one record.
fn count(draft: &mut keywright_store::Draft<'_>) -> Result<u64, StepError> {
    let mut counter = draft.read::<Counter>(OTHER)?.unwrap_or_default();
    counter.count += 1;
    draft.put(OTHER, &counter, None)?;
    Ok(counter.count)
}

#[tokio::test]
async fn dropped_verdict_writes_nothing() {
    let bench = Bench::made(3).await;
    let before = bench.commits();
    let judge = bench.driver.transact(&bench.account, &[OTHER], |draft| {
        let judged = draft.judge(count)?;
        Ok(*judged.outcome())
    });
    assert_eq!(judge.await.unwrap().0, 1);
    assert_eq!(bench.commits(), before);
    assert!(bench.stored(OTHER).await.is_none());
}

#[tokio::test]
async fn two_staged_verdicts_lose_no_charge() {
    let bench = Bench::made(4).await;
    let both = bench.driver.transact(&bench.account, &[OTHER], |draft| {
        let (first, second) = (draft.judge(count)?, draft.judge(count)?);
        assert_eq!((*first.outcome(), *second.outcome()), (1, 1), "both are judged on the same state");
        Ok((draft.stage(first)?, draft.stage(second)?))
    });
    assert_eq!(both.await.unwrap().0, (1, 2), "the second is judged again");
    let read = bench.driver.transact(&bench.account, &[OTHER], |draft| draft.read::<Counter>(OTHER));
    assert_eq!(read.await.unwrap().0, Some(Counter { count: 2 }));
}

#[tokio::test]
async fn verdict_of_a_state_that_was_dropped_is_judged_again() {
    let bench = Bench::made(5).await;
    let nested = bench.driver.transact(&bench.account, &[OTHER, VOUCHER], |draft| {
        // Judged on a state that is then dropped; another change takes its place.
        let escaped = RefCell::new(None);
        drop(draft.judge(|draft| {
            count(draft)?;
            *escaped.borrow_mut() = Some(draft.judge(count)?);
            Ok(())
        })?);
        draft.put(VOUCHER, &Voucher { spent: true }, None)?;
        draft.stage(escaped.into_inner().ok_or(StepError::Misuse("no verdict"))?)
    });
    assert_eq!(nested.await.unwrap().0, 1);
    let read = bench.driver.transact(&bench.account, &[VOUCHER], |draft| draft.read::<Voucher>(VOUCHER));
    assert_eq!(read.await.unwrap().0, Some(Voucher { spent: true }), "the stale verdict did not overwrite it");
}

#[tokio::test]
async fn record_that_the_root_vouches_for_must_be_there() {
    let bench = Bench::made(6).await;
    let put = async || {
        let step = bench.driver.transact(&bench.account, &[Slot::Challenge], |draft| {
            draft.put(Slot::Challenge, &Counter { count: 7 }, None)
        });
        step.await.map(|_| ())
    };
    let read = async || {
        let step = bench.driver.transact(&bench.account, &[], |draft| draft.read::<Counter>(Slot::Challenge));
        step.await.map(|(record, _)| record)
    };
    assert_eq!(read().await.unwrap(), None);
    put().await.unwrap();
    assert_eq!(read().await.unwrap(), Some(Counter { count: 7 }));
    let sealed = bench.stored(Slot::Challenge).await.unwrap().body;
    bench.tamper(Slot::Challenge, Effect::Delete).await;
    assert_eq!(step_error(read().await), StepError::Integrity(Slot::Challenge), "lost is not the same as never set");
    assert_eq!(step_error(put().await), StepError::Integrity(Slot::Challenge), "a put would hide the loss");
    let remove = bench.driver.transact(&bench.account, &[], |draft| draft.delete(Slot::Challenge)).await;
    assert_eq!(step_error(remove), StepError::Integrity(Slot::Challenge));
    // And the other way round: a revived row of a record that was removed.
    bench.tamper(Slot::Challenge, Effect::Put { body: sealed.clone(), purge_after: None }).await;
    bench.driver.transact(&bench.account, &[], |draft| draft.delete(Slot::Challenge)).await.unwrap();
    bench.tamper(Slot::Challenge, Effect::Put { body: sealed, purge_after: None }).await;
    assert_eq!(step_error(read().await), StepError::Integrity(Slot::Challenge));
}

#[tokio::test]
async fn root_read_before_a_put_does_not_undo_its_note() {
    let bench = Bench::made(7).await;
    let change = bench.driver.transact(&bench.account, &[Slot::Challenge], |draft| {
        let mut root = draft.root()?;
        draft.put(Slot::Challenge, &Counter { count: 1 }, None)?;
        root.move_credential_epoch();
        draft.put_root(&root)
    });
    change.await.unwrap();
    let read = bench.driver.transact(&bench.account, &[Slot::Challenge], |draft| {
        Ok((draft.root()?.credential_epoch, draft.read::<Counter>(Slot::Challenge)?))
    });
    assert_eq!(read.await.unwrap().0, (2, Some(Counter { count: 1 })));
}

#[tokio::test]
async fn body_that_does_not_open_denies_and_stays() {
    let bench = Bench::made(8).await;
    let mut spoilt = bench.stored(VOUCHER).await.unwrap().body.to_vec();
    *spoilt.last_mut().unwrap() ^= 1;
    bench.tamper(VOUCHER, Effect::Put { body: spoilt.clone().into(), purge_after: None }).await;
    for overwrite in [false, true] {
        let step = bench.driver.transact(&bench.account, &[VOUCHER], |draft| {
            if overwrite {
                draft.put(VOUCHER, &Voucher { spent: false }, None)
            } else {
                draft.read::<Voucher>(VOUCHER).map(|_| ())
            }
        });
        assert!(matches!(step_error(step.await), StepError::Open(error) if error.slot() == VOUCHER.to_text()));
    }
    let remove = bench.driver.transact(&bench.account, &[VOUCHER], |draft| draft.delete(VOUCHER)).await;
    assert!(matches!(step_error(remove), StepError::Open(_)));
    assert_eq!(bench.stored(VOUCHER).await.unwrap().body, spoilt, "an operator can still mend it");
}

#[tokio::test]
async fn body_of_another_slot_or_account_does_not_open() {
    let bench = Bench::made(9).await;
    let body = bench.stored(VOUCHER).await.unwrap().body;
    bench.tamper(OTHER, Effect::Put { body: body.clone(), purge_after: None }).await;
    let read = bench.driver.transact(&bench.account, &[], |draft| draft.read::<Voucher>(OTHER)).await;
    assert!(matches!(step_error(read), StepError::Open(_)));

    let mut other = Bench::made(9).await;
    other.account = Partition::account(&AccountId::new("user-2").unwrap());
    other.driver.transact(&other.account, &[], |draft| draft.create_account().map(|_| ())).await.unwrap();
    other.tamper(VOUCHER, Effect::Put { body, purge_after: None }).await;
    let read = other.driver.transact(&other.account, &[], |draft| draft.read::<Voucher>(VOUCHER)).await;
    assert!(matches!(step_error(read), StepError::Open(_)));
}

#[tokio::test]
async fn account_is_made_once_and_never_by_accident() {
    let bench = Bench::made(10).await;
    let create = async |driver: &keywright_store::Driver, account: &Partition| {
        driver.transact(account, &[], |draft| draft.create_account().map(|_| ())).await
    };
    assert_eq!(step_error(create(&bench.driver, &bench.account).await), StepError::AccountExists);

    let bare = Bench::bare(10);
    let read = bare.driver.transact(&bare.account, &[], |draft| draft.read::<Voucher>(VOUCHER)).await;
    assert_eq!(step_error(read), StepError::NoAccount);
    let put =
        bare.driver.transact(&bare.account, &[], |draft| draft.put(VOUCHER, &Voucher { spent: false }, None)).await;
    assert_eq!(step_error(put), StepError::NoAccount, "a put makes no account");
    let root = async || {
        let step = bench.driver.transact(&bench.account, &[], |draft| draft.root()).await;
        step.map(|(root, _)| root)
    };
    let stale = root().await.unwrap();
    let put = bare.driver.transact(&bare.account, &[], |draft| draft.put_root(&stale)).await;
    assert_eq!(step_error(put), StepError::NoAccount);

    // A root that is gone while a ledger is left is damage, not a new account.
    bench.driver.transact(&bench.account, &[], |d| d.put(Slot::Ledger, &Counter::default(), None)).await.unwrap();
    bench.tamper(Slot::Root, Effect::Delete).await;
    assert_eq!(step_error(create(&bench.driver, &bench.account).await), StepError::Integrity(Slot::Ledger));
}

#[tokio::test]
async fn erase_keeps_what_is_named_and_moves_the_epochs() {
    let bench = Bench::made(11).await;
    let fill = bench.driver.transact(&bench.account, &[], |draft| {
        draft.put(Slot::Challenge, &Counter { count: 1 }, None)?;
        draft.put(Slot::Ledger, &Counter { count: 2 }, None)?;
        draft.put(Slot::VaultHead, &Counter { count: 3 }, None)?;
        draft.write_vault(VaultWrite::Edit { put: Vec::new(), delete: Vec::new() })?;
        Ok(draft.root()?.epochs())
    });
    let (before, _) = fill.await.unwrap();
    let erase = bench.driver.transact(&bench.account, &[], |draft| {
        let root = draft.erase(&[Slot::Ledger, OTHER])?;
        draft.put(OTHER, &Counter { count: 4 }, None)?;
        assert_eq!(draft.read::<Counter>(Slot::Challenge)?, None, "the step sees its own erase");
        Ok(root.epochs())
    });
    let (after, _) = erase.await.unwrap();
    assert!(after.credential > before.credential && after.factor > before.factor);
    let read = bench.driver.transact(&bench.account, &[], |draft| {
        let counts = [Slot::Challenge, Slot::Ledger, Slot::VaultHead, OTHER].map(|slot| draft.read::<Counter>(slot));
        let voucher = draft.read::<Voucher>(VOUCHER)?;
        Ok((counts.into_iter().collect::<Result<Vec<_>, _>>()?, voucher))
    });
    let count = |count| Some(Counter { count });
    assert_eq!(read.await.unwrap().0, (vec![None, count(2), None, count(4)], None));
}

#[tokio::test]
async fn next_write_seals_under_the_newest_key() {
    let bench = Bench::made(12).await;
    let (old, new, index) = ([1; 32], [2; 32], [3; 32]);
    let key = |bytes: &[u8; 32]| SecretBytes::<32>::from_slice(bytes).unwrap();
    let first = Arc::new(Keyring::from_keys(&[key(&old)], &key(&index)).unwrap());
    let rotated = Arc::new(Keyring::from_keys(&[key(&new), key(&old)], &key(&index)).unwrap());
    let account = Partition::account(&AccountId::new("user-2").unwrap());
    let before = server(&bench.store, &first, &bench.rng, &bench.clock);
    let after = server(&bench.store, &rotated, &bench.rng, &bench.clock);
    let make = before.transact(&account, &[VOUCHER], |draft| {
        draft.create_account()?;
        draft.put(VOUCHER, &Voucher { spent: false }, None)
    });
    make.await.unwrap();
    let body = async || bench.store.inner().load(&account, &[VOUCHER]).await.unwrap().remove(0).unwrap().body;
    let commits = bench.commits();
    assert!(after.transact(&account, &[VOUCHER], |draft| draft.read::<Voucher>(VOUCHER)).await.unwrap().0.is_some());
    assert_eq!(bench.commits(), commits, "a read never becomes a write");
    assert!(!rotated.is_current(&body().await));
    assert!(crate::redeem(&after, &account).await.unwrap());
    assert!(rotated.is_current(&body().await));
}

#[tokio::test]
async fn names_get_their_root_with_their_first_write() {
    let bench = Bench::bare(13);
    let name = Partition::name(&[7; 32]);
    let claim = async || {
        let step = bench.driver.transact(&name, &[OTHER], |draft| {
            let free = draft.read::<Counter>(OTHER)?.is_none();
            draft.put(OTHER, &Counter { count: 1 }, None)?;
            Ok(free)
        });
        step.await.map(|(free, _)| free)
    };
    assert!(claim().await.unwrap());
    assert!(bench.store.inner().load(&name, &[Slot::Root]).await.unwrap()[0].is_some(), "so that it can be fenced");
    assert!(!claim().await.unwrap());
}
