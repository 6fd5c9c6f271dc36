//! The life of a set: made, acknowledged, used up, replaced, removed, restored.

use keywright_core::EventKind::{
    GuessDenied, RecoveryCodeUsed, RecoveryCodesExhausted, RecoveryCodesLive, RecoveryCodesLow, RecoveryCodesMade,
    RecoveryCodesRemoved, RecoveryCodesStale,
};
use keywright_core::{Door, EventKind, LedgerPolicy, Reason};
use keywright_store::{Draft, Root, Slot, StepError, TransactError};
use keywright_twofactor::policy::PENDING_SECONDS;
use keywright_twofactor::recovery::{self, ImportError, Liveness, Preset};

use crate::world::{START, Told, World, at, foreign, judge, keyring};

const NOW: Liveness = Liveness::Now;
const WAITS: Liveness = Liveness::OnAcknowledgement;
const PRESETS: [Preset; 4] = [Preset::Default, Preset::Nist, Preset::RocketChat, Preset::LibrePass];

#[tokio::test]
async fn asvs_6_5_1_each_code_works_once_and_the_last_three_are_told() {
    for preset in PRESETS {
        let world = World::new().await;
        let codes = world.make(preset, NOW).await;
        for code in &codes {
            assert_eq!(world.verify(code).await, Told::Granted, "{preset:?}");
        }
        assert_eq!(world.remaining().await, Some(0));
        let mut expected = vec![RecoveryCodesMade, RecoveryCodesLive];
        for remaining in (0..preset.count()).rev() {
            expected.push(RecoveryCodeUsed { remaining });
            match remaining {
                0 => expected.push(RecoveryCodesExhausted),
                1..=3 => expected.push(RecoveryCodesLow { remaining }),
                _ => {}
            }
        }
        assert_eq!(world.events().await, expected);
        for code in &codes {
            assert_eq!(world.verify(code).await, Told::Denied, "a replay is not charged");
        }
        let replayed = GuessDenied { door: Door::Recovery, reason: Reason::Replayed };
        assert!(world.events().await[expected.len()..].iter().all(|kind| *kind == replayed));
        assert_eq!(world.verify(&foreign(preset, 1)).await, Told::Charged(1));
    }
}

#[tokio::test]
async fn the_old_set_works_until_the_new_one_is_acknowledged() {
    let world = World::new().await;
    assert_eq!(world.verify(&foreign(Preset::Default, 1)).await, Told::NotEnrolled);
    let first = world.make(Preset::Default, WAITS).await;
    // Nothing is live: a code of the first set is no guess at anything.
    assert_eq!((world.verify(&first[0]).await, world.remaining().await), (Told::NotEnrolled, None));
    let epoch = world.root().await.factor_epoch;
    assert!(world.acknowledge().await);
    assert_eq!(world.root().await.factor_epoch, epoch + 1);
    assert!(!world.acknowledge().await, "nothing waits");
    assert_eq!(world.verify(&first[0]).await, Told::Granted);

    let lost = world.make(Preset::Nist, WAITS).await;
    let second = world.make(Preset::Default, WAITS).await;
    assert_eq!(world.verify(&first[1]).await, Told::Granted);
    assert_eq!(world.verify(&second[0]).await, Told::Charged(1), "not yet");
    assert_eq!(world.verify(&lost[0]).await, Told::Malformed, "the live set is of another kind");
    assert_eq!(world.remaining().await, Some(8));
    assert!(world.acknowledge().await);
    assert_eq!(world.verify(&second[0]).await, Told::Granted);
    assert_eq!(world.verify(&first[2]).await, Told::Charged(1), "the old set is void, the right guess has forgiven");
    assert_eq!(world.verify(&first[0]).await, Told::Charged(2), "its used codes are forgotten");
    assert_eq!(world.remaining().await, Some(9));
}

#[tokio::test]
async fn a_set_that_goes_live_at_once_drops_what_waited() {
    let world = World::new().await;
    let waiting = world.make(Preset::Default, WAITS).await;
    let live = world.make(Preset::Default, NOW).await;
    assert!(!world.acknowledge().await);
    assert_eq!(world.verify(&waiting[0]).await, Told::Charged(1));
    assert_eq!(world.verify(&live[0]).await, Told::Granted);
}

/// Decisions 6: adding, replacing, removing a factor, each once in its commit; a set that waits changes no factor.
#[tokio::test]
async fn the_factor_epoch_moves_with_the_live_set() {
    let world = World::new().await;
    let epoch = async || world.root().await.factor_epoch;
    assert_eq!(epoch().await, 1);
    let codes = world.make(Preset::Default, NOW).await;
    assert_eq!(epoch().await, 2);
    assert_eq!(world.verify(&codes[0]).await, Told::Granted);
    world.make(Preset::Default, WAITS).await;
    assert_eq!(epoch().await, 2);
    world.import(Preset::RocketChat, &["23456789"]).await.unwrap();
    assert_eq!(epoch().await, 3);
    assert!(world.remove().await);
    assert_eq!(epoch().await, 4);
    assert!(!world.remove().await, "nothing is left");
    assert_eq!(epoch().await, 4);
    assert_eq!((world.verify(&codes[1]).await, world.remaining().await), (Told::NotEnrolled, None));
    assert_eq!(world.events().await.last(), Some(&RecoveryCodesRemoved));
    assert_eq!(world.root().await.credential_epoch, 1);
    // A new set after a removal, as if it were the first.
    let codes = world.make(Preset::Default, NOW).await;
    assert_eq!(world.verify(&codes[0]).await, Told::Granted);
}

/// `security.md` § 3: what waits carries both epochs. Void is void for good, and the set before stays live.
#[tokio::test]
async fn what_waits_is_void_after_a_change_a_jump_of_the_clock_and_a_restore() {
    let changes: [fn(&mut Root); 2] = [Root::move_credential_epoch, Root::move_factor_epoch];
    for change in changes {
        let world = World::new().await;
        let live = world.make(Preset::Default, NOW).await;
        let waiting = world.make(Preset::Default, WAITS).await;
        let step = |draft: &mut Draft<'_>| {
            let mut root = draft.root()?;
            change(&mut root);
            draft.put_root(&root)
        };
        world.run(step).await.unwrap();
        let before = world.stored().await;
        assert!(!world.acknowledge().await);
        assert_eq!(world.stored().await, before, "a refusal writes nothing");
        assert_eq!(world.verify(&live[0]).await, Told::Granted);
        assert_eq!(world.verify(&waiting[0]).await, Told::Charged(1));
    }
    let world = World::new().await;
    world.make(Preset::Default, WAITS).await;
    world.clock.set(at(START - 1));
    assert!(!world.acknowledge().await, "made in the future");
    world.clock.set(at(START + 1));
    let restored = world.server(9, keyring().with_fence(at(START + 1)));
    let (went_live, _) = restored.transact(&world.partition, &[], recovery::acknowledge).await.unwrap();
    assert!(!went_live, "older than the fence");
    assert!(world.acknowledge().await);
}

/// Ten minutes by default. Who finds the session open later does not exchange the owner's codes for those on the screen.
#[tokio::test]
async fn what_waits_expires_and_the_old_set_stays_live() {
    for (seconds, holds) in [(0, true), (599, true), (600, false), (10 * 365 * 86_400, false)] {
        let world = World::new().await;
        let live = world.make(Preset::Default, NOW).await;
        let waiting = world.make(Preset::Default, WAITS).await;
        world.clock.set(at(START + seconds));
        assert_eq!(world.acknowledge().await, holds, "{seconds}");
        let (works, void) = if holds { (&waiting, &live) } else { (&live, &waiting) };
        assert_eq!(world.verify(&works[0]).await, Told::Granted);
        assert_eq!(world.verify(&void[0]).await, Told::Charged(1));
        // A new one can be made and acknowledged.
        let next = world.make(Preset::Default, WAITS).await;
        assert!(world.acknowledge().await);
        assert_eq!(world.verify(&next[0]).await, Told::Granted);
    }
}

/// `security.md` § 12: they still work, with a notice.
#[tokio::test]
async fn after_a_restore_codes_work_and_the_owner_is_told() {
    let world = World::new().await;
    let codes = world.make(Preset::Default, NOW).await;
    let restored = world.server(9, keyring().with_fence(at(START + 1)));
    world.clock.set(at(START + 1));
    assert_eq!(judge(&restored, &world.partition, &codes[0], None).await.unwrap(), Told::Granted);
    let told = [RecoveryCodeUsed { remaining: 9 }, RecoveryCodesStale { remaining: 9 }];
    assert_eq!(world.events().await[2..], told);
    // The last of them is told as such too.
    for code in &codes[1..] {
        assert_eq!(judge(&restored, &world.partition, code, None).await.unwrap(), Told::Granted);
    }
    let last = [RecoveryCodeUsed { remaining: 0 }, RecoveryCodesExhausted, RecoveryCodesStale { remaining: 0 }];
    assert!(world.events().await.ends_with(&last));
    // A set made after the restore is like any other.
    let codes = world.make(Preset::Default, NOW).await;
    assert_eq!(judge(&restored, &world.partition, &codes[0], None).await.unwrap(), Told::Granted);
    assert_eq!(world.events().await.last(), Some(&RecoveryCodeUsed { remaining: 9 }));
}

#[tokio::test]
async fn an_import_is_live_at_once_or_changes_nothing() {
    let world = World::new().await;
    let codes = world.make(Preset::Default, NOW).await;
    let before = world.stored().await;
    for (bad, error) in [
        (vec![], ImportError::Count(0)),
        (vec!["23456789", "2345678"], ImportError::Malformed { index: 1 }),
        (vec!["23456789", "23456789"], ImportError::Duplicate { index: 1 }),
    ] {
        assert_eq!(world.import(Preset::RocketChat, &bad).await, Err(error));
    }
    assert!(world.import(Preset::Default, &["000000-000000-000002"]).await.is_err(), "a wrong check");
    assert_eq!(world.stored().await, before);
    let uuid = "0f8fad5b-d9cb-469f-a165-70867728950e";
    world.import(Preset::LibrePass, &[uuid]).await.unwrap();
    assert_eq!(world.verify(&codes[0]).await, Told::Malformed);
    assert_eq!(world.verify(&uuid.to_uppercase()).await, Told::Malformed, "compared exactly");
    assert_eq!(world.verify(uuid).await, Told::Granted);
    assert_eq!(world.verify(uuid).await, Told::Denied, "single use");
    assert_eq!(world.events().await.iter().filter(|kind| **kind == RecoveryCodesLive).count(), 2);
}

/// A lost row is no account without codes, and a damaged one is never overwritten (ASVS 16.5.3).
#[tokio::test]
async fn a_lost_or_damaged_record_denies() {
    use keywright_store::{Batch, Effect, Expect, Revision, Write};
    for damaged in [false, true] {
        let world = World::new().await;
        let codes = world.make(Preset::Default, NOW).await;
        let stored = world.stored().await[1].clone().unwrap();
        let effect = if damaged {
            let mut body = stored.body.to_vec();
            body[60] ^= 1;
            Effect::Put { body: body.into(), purge_after: None }
        } else {
            Effect::Delete
        };
        let root = Expect::Revision(world.stored().await[0].as_ref().unwrap().revision);
        let writes = vec![
            Write { slot: Slot::Root, expect: root, effect: Effect::Check },
            Write { slot: Slot::Recovery, expect: Expect::Revision(stored.revision), effect },
        ];
        let revision = Revision::random(&keywright_core::SystemEntropy).unwrap();
        world.store.commit(Batch::new(world.partition.clone(), revision, writes).unwrap()).await.unwrap();
        let before = world.stored().await;
        let fails = |result: Result<(), TransactError>| match result {
            Err(TransactError::Step(StepError::Integrity(Slot::Recovery))) => !damaged,
            Err(TransactError::Step(StepError::Open(_))) => damaged,
            other => panic!("{other:?}"),
        };
        assert!(fails(judge(&world.driver, &world.partition, &codes[0], None).await.map(drop)));
        assert!(fails(world.run(|draft| recovery::make(draft, Preset::Default, NOW, PENDING_SECONDS).map(drop)).await));
        assert!(fails(world.run(|draft| recovery::remaining(draft).map(drop)).await));
        assert!(fails(world.run(|draft| recovery::acknowledge(draft).map(drop)).await));
        assert!(fails(world.run(|draft| recovery::remove(draft).map(drop)).await));
        let policy = LedgerPolicy::default();
        assert!(fails(world.run(|draft| recovery::refusal(draft, &policy, None).map(drop)).await));
        assert_eq!(world.stored().await, before);
    }
}

/// No guess inside a host's transaction: its rollback would erase the charge.
#[tokio::test]
async fn no_guess_in_a_hosts_transaction() {
    let world = World::new().await;
    let codes = world.make(Preset::Default, NOW).await;
    let slots = [Slot::Root, Slot::Recovery, Slot::Ledger];
    let loaded = slots.into_iter().zip(world.stored().await).collect();
    let (keyring, entropy) = (keyring(), keywright_core::SystemEntropy);
    let attempt = keywright_store::Revision::random(&entropy).unwrap();
    let mut draft = Draft::new(&world.partition, &loaded, &keyring, &entropy, at(START), attempt).spending();
    let verdict = recovery::verify(&mut draft, &LedgerPolicy::default(), &codes[0], "test", None);
    assert_eq!(verdict.unwrap_err(), StepError::GuessInHostTransaction);
}

#[tokio::test]
async fn asvs_16_2_5_no_debug_no_event_and_no_stored_byte_shows_a_code() {
    let world = World::new().await;
    let step = |draft: &mut Draft<'_>| recovery::make(draft, Preset::RocketChat, NOW, PENDING_SECONDS);
    let (tentative, receipt) = world.driver.transact(&world.partition, &[], step).await.unwrap();
    let mut shown = format!("{tentative:?}");
    let codes = tentative.release(&receipt).unwrap();
    shown.push_str(&format!("{codes:?}"));
    for code in codes.iter() {
        let told = |draft: &mut Draft<'_>| recovery::verify(draft, &LedgerPolicy::default(), code, "open", None);
        let (verdict, _) = world.driver.transact(&world.partition, &[], told).await.unwrap();
        shown.push_str(&format!("{verdict:?}"));
    }
    let error = world.import(Preset::RocketChat, &["PLANTED-1"]).await.unwrap_err();
    shown.push_str(&format!("{error:?} {error} {:?}", world.events().await));
    let bodies: Vec<_> = world.stored().await.into_iter().flatten().map(|stored| stored.body).collect();
    for secret in codes.iter().chain(["PLANTED"]) {
        assert!(!shown.contains(secret), "{shown}");
        let stored = bodies.iter().any(|body| body.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()));
        assert!(!stored);
    }
}

#[tokio::test]
async fn only_accounts_have_codes() {
    let world = World::new().await;
    let server = keywright_store::Partition::server();
    let step =
        |draft: &mut Draft<'_>| recovery::verify(draft, &LedgerPolicy::default(), "23456789", "x", None).map(drop);
    let error = world.driver.transact(&server, &[], step).await.unwrap_err();
    assert!(matches!(error, TransactError::Step(StepError::Misuse(_))));
    assert!(world.events().await.iter().all(|kind| !matches!(kind, EventKind::GuessDenied { .. })));
}
