//! What a step can rely on.

use std::cell::RefCell;
use std::sync::Arc;

use keywright_core::{AccountId, Keyring, SecretBytes};
use keywright_store::{Damage, Draft, Epochs, Partition, Slot, StepError, TransactError, VaultWrite, WrongReceipt};
use keywright_store_conformance::Fault;

use crate::{
    BOTH, COUNTER, COUNTERS, Counter, NOTES, REDEEMED, START, TICKETS, VOUCHER, VOUCHERS, Voucher, World, count,
    redeem, step_error,
};

type Step = fn(&mut Draft<'_>) -> Result<(), StepError>;

#[tokio::test]
async fn what_is_tentative_comes_out_of_its_own_commit_alone() {
    let world = World::made(1).await;
    let nested = world.driver.run(&world.partition, &[], |draft| {
        let (first, second) = (draft.tentative("a").map(str::len), draft.tentative("b"));
        assert_eq!(format!("{first:?}"), "Tentative(..)");
        Ok((Some(first.zip(second)?), Ok::<_, u8>(draft.tentative(7_u8))))
    });
    assert_eq!(nested.await.unwrap(), (Some((1, "b")), Ok(7)));
    // A step that keeps a value of a run that was not committed.
    world.faults.next_commit(Fault::Conflict);
    let mut kept = None;
    let smuggled = world.driver.run(&world.partition, &[], |draft| {
        let fresh = draft.tentative("secret");
        Ok(kept.take().unwrap_or_else(|| {
            kept = Some(fresh);
            draft.tentative("other")
        }))
    });
    assert!(matches!(smuggled.await, Err(TransactError::WrongReceipt(WrongReceipt))));
}

#[tokio::test]
async fn dropped_verdict_writes_nothing() {
    let world = World::made(2).await;
    let before = world.commits();
    let judge = world.driver.transact(&world.partition, COUNTERS, |draft| {
        let judged = draft.judge(count)?;
        Ok(*judged.outcome())
    });
    assert_eq!(judge.await.unwrap(), 1);
    assert_eq!(world.commits(), before);
    assert!(world.body(COUNTER.name()).is_none());
}

#[tokio::test]
async fn two_staged_verdicts_lose_no_charge() {
    let world = World::made(3).await;
    let both = world.driver.transact(&world.partition, COUNTERS, |draft| {
        let (first, second) = (draft.judge(count)?, draft.judge(count)?);
        assert_eq!((*first.outcome(), *second.outcome()), (1, 1), "both are judged on the same state");
        Ok((draft.stage(first)?, draft.stage(second)?))
    });
    assert_eq!(both.await.unwrap(), (1, 2), "the second is judged again");
    let read = world.driver.transact(&world.partition, COUNTERS, |draft| draft.read(COUNTER));
    assert_eq!(read.await.unwrap(), Some(Counter { count: 2 }));
}

#[tokio::test]
async fn verdict_of_a_state_that_was_dropped_is_judged_again() {
    let world = World::made(4).await;
    let nested = world.driver.transact(&world.partition, BOTH, |draft| {
        // Judged on a state that is then dropped; another change takes its place.
        let escaped = RefCell::new(None);
        drop(draft.judge(|draft| {
            count(draft)?;
            *escaped.borrow_mut() = Some(draft.judge(count)?);
            Ok(())
        })?);
        draft.put(VOUCHER, &Voucher { spent: true })?;
        draft.stage(escaped.into_inner().ok_or(StepError::Misuse("no verdict"))?)
    });
    assert_eq!(nested.await.unwrap(), 1);
    let read = world.driver.transact(&world.partition, VOUCHERS, |draft| draft.read(VOUCHER));
    assert_eq!(read.await.unwrap(), Some(Voucher { spent: true }), "the stale verdict did not overwrite it");
}

#[tokio::test]
async fn record_that_the_root_vouches_for_must_be_there() {
    let world = World::made(5).await;
    let read = async || world.driver.transact(&world.partition, &[], |draft| draft.read(COUNTER)).await;
    let put = async || world.driver.transact(&world.partition, COUNTERS, |draft| count(draft).map(drop)).await;
    let delete = async || world.driver.transact(&world.partition, &[], |draft| draft.delete(COUNTER)).await;
    assert_eq!(read().await.unwrap(), None);
    put().await.unwrap();
    assert_eq!(read().await.unwrap(), Some(Counter { count: 1 }));
    let row = (world.partition.clone(), COUNTER.name());
    let lost = world.glass.edit(|rows| rows.records.remove(&row)).unwrap();
    let damaged = || StepError::Damaged(Damage::Record(COUNTER.name()));
    assert_eq!(step_error(read().await), damaged(), "lost is not the same as never set");
    assert_eq!(step_error(put().await), damaged(), "a put would hide the loss");
    assert_eq!(step_error(delete().await), damaged());
    // And the other way round: a row of a removed record that was revived.
    world.glass.edit(|rows| rows.records.insert(row.clone(), lost.clone()));
    delete().await.unwrap();
    assert_eq!(read().await.unwrap(), None);
    world.glass.edit(|rows| rows.records.insert(row, lost));
    assert_eq!(step_error(read().await), damaged());
    assert_eq!(step_error(put().await), damaged());
    assert!(world.heard.damages() >= 5, "each was reported");
}

#[tokio::test]
async fn epoch_moves_of_one_draft_add_up() {
    let world = World::made(6).await;
    let before = world.driver.observe(&world.partition, &[], |draft| draft.root()).await.unwrap();
    let change = world.driver.transact(&world.partition, COUNTERS, |draft| {
        let host = draft.root()?; // the host's own step looks at the root
        draft.move_credential_epoch()?; // a service's step voids the sessions
        draft.move_factor_epoch()?;
        count(draft)?;
        draft.mark_seeded()?; // and the host leaves its note
        draft.move_credential_epoch()?;
        draft.event(&REDEEMED);
        assert_eq!(host.credential_epoch, before.credential_epoch);
        draft.root()
    });
    let staged = change.await.unwrap();
    let after = world.driver.observe(&world.partition, &[], |draft| draft.root()).await.unwrap();
    assert_eq!(after, staged);
    assert_eq!(after.credential_epoch, before.credential_epoch.wrapping_add(2));
    assert_eq!(after.factor_epoch, before.factor_epoch.wrapping_add(1));
    assert_eq!(after.key_epoch, before.key_epoch);
    assert!(after.seeded && !before.seeded);
}

#[tokio::test]
async fn an_epoch_is_not_moved_without_an_event() {
    let world = World::made(7).await;
    let rows = world.glass.rows();
    let moves: [Step; 3] =
        [|draft| draft.move_credential_epoch(), |draft| draft.move_factor_epoch(), |draft| draft.move_key_epoch()];
    for silent in moves {
        let moved = world.driver.transact(&world.partition, &[], silent).await;
        assert!(matches!(step_error(moved), StepError::Misuse(_)));
    }
    assert_eq!(world.glass.rows(), rows);
}

#[tokio::test]
async fn body_that_does_not_open_denies_and_stays() {
    let world = World::made(8).await;
    let row = (world.partition.clone(), VOUCHER.name());
    let mut spoilt = world.body(VOUCHER.name()).unwrap().to_vec();
    *spoilt.last_mut().unwrap() ^= 1;
    world.glass.edit(|rows| rows.records.get_mut(&row).unwrap().body = spoilt.clone().into());
    let acts: [Step; 3] = [
        |draft| draft.read(VOUCHER).map(drop),
        |draft| draft.put(VOUCHER, &Voucher { spent: false }),
        |draft| draft.delete(VOUCHER),
    ];
    for act in acts {
        let denied = world.driver.transact(&world.partition, VOUCHERS, act).await;
        assert!(matches!(step_error(denied), StepError::Open(error) if error.slot() == VOUCHER.name().to_text()));
    }
    assert_eq!(world.body(VOUCHER.name()).unwrap(), spoilt, "an operator can still mend it");
    // The other records of the account are unaffected.
    assert_eq!(world.driver.transact(&world.partition, COUNTERS, count).await.unwrap(), 1);
}

/// Epochs start anywhere, so nothing that was bound to the epochs of a lost root is valid under those
/// of the next one.
#[tokio::test]
async fn epochs_of_an_account_that_was_lost_do_not_come_back() {
    let world = World::made(9).await;
    let epochs = async || {
        let read = |draft: &mut Draft<'_>| draft.root().map(|root| (root.epochs(), root.key_epoch));
        world.driver.observe(&world.partition, &[], read).await.unwrap()
    };
    let mut seen = vec![epochs().await];
    for _ in 0..20 {
        world.glass.edit(|rows| *rows = keywright_store_conformance::glass::Rows::default());
        let create = |draft: &mut Draft<'_>| draft.create_account().map(drop);
        world.driver.transact(&world.partition, &[], create).await.unwrap();
        let (now, key) = epochs().await;
        let is_new = |(before, key_before): &(Epochs, u64)| {
            before.credential != now.credential && before.factor != now.factor && *key_before != key
        };
        assert!(seen.iter().all(is_new), "{now:?}");
        seen.push((now, key));
    }
}

#[tokio::test]
async fn account_is_made_once_and_never_by_accident() {
    let world = World::made(9).await;
    let create = async |world: &World| {
        world.driver.transact(&world.partition, &[], |draft| draft.create_account().map(drop)).await
    };
    assert_eq!(step_error(create(&world).await), StepError::AccountExists);

    let bare = World::bare(9);
    let acts: [Step; 6] = [
        |draft| draft.read(VOUCHER).map(drop),
        |draft| draft.put(VOUCHER, &Voucher { spent: false }),
        |draft| draft.delete(VOUCHER),
        |draft| draft.mark_seeded(),
        |draft| draft.expire_partition(START),
        |draft| draft.erase(&[]).map(drop),
    ];
    for act in acts {
        let denied = bare.driver.transact(&bare.partition, VOUCHERS, act).await;
        assert_eq!(step_error(denied), StepError::NoAccount);
    }
    assert_eq!(bare.glass.rows(), keywright_store_conformance::glass::Rows::default());

    // A root that is missing while rows remain is damage, not a new account.
    let rows = world.glass.edit(|rows| {
        rows.roots.clear();
        rows.clone()
    });
    let damaged = StepError::Damaged(Damage::Orphans);
    assert_eq!(step_error(create(&world).await), damaged);
    assert_eq!(step_error(world.driver.ensure_account(&world.account).await), damaged);
    assert_eq!(step_error(world.redeem().await), damaged);
    assert_eq!(step_error(world.driver.recent_events(&world.account, 1).await), damaged);
    assert_eq!(world.glass.rows(), rows, "and nothing is mended in silence");
}

#[tokio::test]
async fn erase_keeps_what_is_named_and_moves_the_epochs() {
    let world = World::made(10).await;
    let slots = [VOUCHER.name(), COUNTER.name(), NOTES.at([1; 16]).name(), NOTES.at([2; 16]).name()];
    let fill = world.driver.transact(&world.partition, &slots, |draft| {
        draft.put(COUNTER, &Counter { count: 1 })?;
        draft.put(NOTES.at([1; 16]), &Counter { count: 2 })?;
        draft.write_vault(VaultWrite::Edit { put: Vec::new(), delete: Vec::new() })?;
        draft.root()
    });
    let before = fill.await.unwrap();
    let erase = world.driver.transact(&world.partition, &slots, |draft| {
        let root = draft.erase(&[COUNTER.name(), NOTES.at([2; 16]).name()])?;
        draft.put(NOTES.at([2; 16]), &Counter { count: 3 })?;
        assert_eq!(draft.read(NOTES.at([1; 16]))?, None, "the step sees its own erase");
        assert_eq!(draft.ids(&NOTES), [[2; 16]]);
        Ok(root)
    });
    let after = erase.await.unwrap();
    assert_eq!(after.credential_epoch, before.credential_epoch.wrapping_add(1));
    assert_eq!(after.factor_epoch, before.factor_epoch.wrapping_add(1));
    assert_eq!(after.key_epoch, before.key_epoch.wrapping_add(1));
    let read = world.driver.transact(&world.partition, &slots, |draft| {
        let notes = (draft.read(NOTES.at([1; 16]))?, draft.read(NOTES.at([2; 16]))?);
        Ok((draft.read(VOUCHER)?, draft.read(COUNTER)?, notes))
    });
    let count = |count| Some(Counter { count });
    assert_eq!(read.await.unwrap(), (None, count(1), (None, count(3))));
    assert_eq!(world.heard.kinds(), ["account_created", "account_erased"]);
}

#[tokio::test]
async fn next_write_seals_under_the_newest_key_and_a_reseal_all_of_it() {
    let world = World::bare(11);
    let key = |byte: u8| SecretBytes::<32>::from_slice(&[byte; 32]).unwrap();
    let first = Arc::new(Keyring::from_keys(&[key(1)], &key(3)).unwrap());
    let rotated = Arc::new(Keyring::from_keys(&[key(2), key(1)], &key(3)).unwrap());
    let on =
        |keyring: &Arc<Keyring>| world.server_on(world.faults.clone(), keyring, world.next_seed()).build().unwrap();
    let (before, after) = (on(&first), on(&rotated));
    let slots = [VOUCHER.name(), COUNTER.name()];
    before.transact(&world.partition, &slots, |draft| crate::make(draft).and_then(|()| count(draft))).await.unwrap();
    let current = |slot: keywright_store::SlotName| rotated.is_current(&world.body(slot).unwrap());
    let commits = world.commits();
    assert!(after.transact(&world.partition, VOUCHERS, |draft| draft.read(VOUCHER)).await.unwrap().is_some());
    assert_eq!(world.commits(), commits, "a read never becomes a write");
    assert!(!current(VOUCHER.name()));
    assert!(redeem(&after, &world.partition).await.unwrap());
    assert!(current(VOUCHER.name()) && !current(COUNTER.name()));
    let root = world.root();
    assert!(after.reseal(&world.partition).await.unwrap());
    assert!(current(VOUCHER.name()) && current(COUNTER.name()));
    assert_ne!(world.root(), root, "by an ordinary commit under a new revision");
    assert!(!after.reseal(&world.partition).await.unwrap(), "once");
    let read = after.transact(&world.partition, &slots, |draft| Ok((draft.read(VOUCHER)?, draft.read(COUNTER)?)));
    assert_eq!(read.await.unwrap(), (Some(Voucher { spent: true }), Some(Counter { count: 1 })));
}

#[tokio::test]
async fn names_get_their_root_with_their_first_write() {
    let world = World::bare(12);
    for partition in [Partition::name(&[7; 32]), Partition::server()] {
        let claim = async || {
            let step = |draft: &mut Draft<'_>| {
                let free = draft.read(COUNTER)?.is_none();
                count(draft)?;
                draft.event(&REDEEMED);
                Ok(free)
            };
            world.driver.transact(&partition, COUNTERS, step).await.unwrap()
        };
        assert!(claim().await);
        assert!(world.glass.rows().revision(&partition).is_some(), "so that it can be fenced");
        assert!(!claim().await);
    }
    assert!(world.heard.kinds().is_empty() && world.glass.rows().events.is_empty(), "only accounts have a log");
}

#[tokio::test]
async fn a_kind_has_no_more_slots_than_it_declares() {
    let world = World::made(13).await;
    let names: Vec<_> = (0..5).map(|id| NOTES.at([id; 16]).name()).collect();
    let put = async |ids: std::ops::Range<u8>| {
        let step =
            |draft: &mut Draft<'_>| ids.clone().try_for_each(|id| draft.put(NOTES.at([id; 16]), &Counter { count: 1 }));
        world.driver.transact(&world.partition, &names, step).await
    };
    put(0..4).await.unwrap();
    let rows = world.glass.rows();
    assert!(matches!(step_error(put(4..5).await), StepError::TooManySlots(_)));
    assert_eq!(world.glass.rows(), rows);
    let evict = world.driver.transact(&world.partition, &names, |draft| {
        draft.delete(NOTES.at([0; 16]))?;
        draft.put(NOTES.at([4; 16]), &Counter { count: 1 })?;
        Ok(draft.ids(&NOTES))
    });
    assert_eq!(evict.await.unwrap(), [1, 2, 3, 4].map(|id| [id; 16]));
}

#[tokio::test]
async fn expired_entries_go_by_the_horizon_and_a_put_wins() {
    let world = World::made(14).await;
    let slots = [1, 2, 3].map(|id| TICKETS.at([id; 16]).name());
    let all = [COUNTER.name(), slots[0], slots[1], slots[2]];
    let issue = world.driver.transact(&world.partition, &slots, |draft| {
        (1..=3).try_for_each(|id| draft.put_until(TICKETS.at([id; 16]), &Counter::default(), START.plus(10)))
    });
    issue.await.unwrap();
    let ids =
        async || world.driver.observe(&world.partition, &[], |draft| Ok(draft.ids(&TICKETS).len())).await.unwrap();
    // A clock that ran ahead drops nothing by itself.
    world.clock.set(START.plus(400 * 86_400));
    world.driver.transact(&world.partition, COUNTERS, count).await.unwrap();
    assert_eq!(ids().await, 3);
    world.driver.set_horizon(START.plus(86_400));
    world.driver.transact(&world.partition, COUNTERS, count).await.unwrap();
    assert_eq!(ids().await, 3, "not before a day after their end");
    world.driver.set_horizon(START.plus(86_400 + 11));
    let renew = world.driver.transact(&world.partition, &all, |draft| {
        draft.put_until(TICKETS.at([2; 16]), &Counter { count: 9 }, draft.now().plus(60))
    });
    renew.await.unwrap();
    assert_eq!(ids().await, 1);
    let there: Vec<bool> = slots.iter().map(|slot| world.body(*slot).is_some()).collect();
    assert_eq!(there, [false, true, false], "their rows go with them");
    let read = world.driver.observe(&world.partition, &all, |draft| draft.read(TICKETS.at([2; 16]))).await.unwrap();
    assert_eq!(read, Some(Counter { count: 9 }));
    assert_eq!(world.heard.damages(), 0);
}

#[tokio::test]
async fn entries_go_by_the_last_horizon_and_partitions_stay_by_the_furthest() {
    let world = World::made(16).await;
    let ticket = TICKETS.at([1; 16]);
    let issue = async |step: fn(&mut keywright_store::Draft<'_>) -> Result<(), StepError>| {
        world.driver.transact(&world.partition, &[ticket.name(), COUNTER.name()], step).await.unwrap();
    };
    world.clock.set(START.plus(900 * 86_400));
    issue(|draft| draft.put_until(TICKETS.at([1; 16]), &Counter::default(), START.plus(10))).await;
    // The horizon ran ahead and came back before anything was committed.
    world.driver.set_horizon(START.plus(5 * 86_400));
    world.driver.set_horizon(START);
    issue(|draft| count(draft).map(drop)).await;
    assert!(world.body(ticket.name()).is_some(), "an entry was dropped by a horizon that came back");
    world.clock.set(START.minus(500));
    issue(|draft| draft.expire_partition(draft.now())).await;
    let purge_after = world.glass.rows().roots.get(&world.partition).unwrap().purge_after;
    assert_eq!(purge_after, Some(START.plus(6 * 86_400)), "a day beyond the furthest horizon");
}

#[tokio::test]
async fn other_accounts_and_slots_do_not_open() {
    let world = World::made(15).await;
    let other = AccountId::new("user-2").unwrap();
    world.driver.ensure_account(&other).await.unwrap();
    const STRAY: Slot<Voucher> = Slot::lasting("counter");
    let body = world.glass.edit(|rows| {
        let row = rows.records.get(&(world.partition.clone(), VOUCHER.name())).cloned().unwrap();
        rows.records.insert((world.partition.clone(), STRAY.name()), row.clone());
        rows.records.insert((Partition::account(&other), VOUCHER.name()), row.clone());
        row.body
    });
    let stray = world.driver.transact(&world.partition, &[], |draft| draft.read(STRAY)).await;
    assert_eq!(step_error(stray), StepError::Damaged(Damage::Record(STRAY.name())));
    let foreign = world.driver.transact(&Partition::account(&other), &[], |draft| draft.read(VOUCHER)).await;
    assert_eq!(step_error(foreign), StepError::Damaged(Damage::Record(VOUCHER.name())));
    // Even where the root names a record there.
    world
        .driver
        .transact(&Partition::account(&AccountId::new("user-3").unwrap()), VOUCHERS, crate::make)
        .await
        .unwrap();
    let third = Partition::account(&AccountId::new("user-3").unwrap());
    world.glass.edit(|rows| rows.records.get_mut(&(third.clone(), VOUCHER.name())).unwrap().body = body);
    let foreign = world.driver.transact(&third, &[], |draft| draft.read(VOUCHER)).await;
    assert!(matches!(step_error(foreign), StepError::Open(_)));
}
