//! The life of a set: it is made, acknowledged, used up, replaced, removed, restored.

use keywright_core::{Purpose, SessionId};
use keywright_store::guess::GUESS_DENIED;
use keywright_store::{Batch, Damage, Draft, Put, Revision, StepError, TransactError, Write};
use keywright_twofactor::recovery::{ImportError, Liveness, Preset};
use keywright_twofactor::{RECOVERY_SLOTS, VerifyOutcome};

use crate::world::{Outcome, SESSION, START, UNKNOWN, World, acknowledge, at, foreign, judge, steps};
use keywright_testing::Epoch;

const NOW: Liveness = Liveness::Now;
fn waits() -> Liveness {
    Liveness::OnAcknowledgement { session: SessionId::new(SESSION) }
}
const PRESETS: [Preset; 4] = [Preset::Default, Preset::Nist, Preset::RocketChat, Preset::LibrePass];

/// An event in the form that [`World::changes`] returns.
fn plain(name: &str) -> (String, Option<u64>) {
    (name.into(), None)
}

fn counted(name: &str, remaining: u8) -> (String, Option<u64>) {
    (name.into(), Some(remaining.into()))
}

#[tokio::test]
async fn asvs_6_5_1_each_code_works_once_and_the_last_three_are_told() {
    for preset in PRESETS {
        let world = World::new().await;
        let codes = world.make(preset, NOW).await;
        for code in &codes {
            assert_eq!(world.verify(code).await, Outcome::Granted, "{preset:?}");
        }
        assert_eq!(world.remaining().await, Some(0));
        let mut expected = vec![plain("recovery_codes_made"), plain("recovery_codes_live")];
        for remaining in (0..preset.count()).rev() {
            expected.push(counted("recovery_code_used", remaining));
            match remaining {
                0 => expected.push(plain("recovery_codes_exhausted")),
                1..=3 => expected.push(counted("recovery_codes_low", remaining)),
                _ => {}
            }
        }
        assert_eq!(world.changes().await, expected);
        for code in &codes {
            assert_eq!(world.verify(code).await, Outcome::Denied, "a replay is not charged");
        }
        let denials = world.denials().await;
        assert!(denials.iter().all(|event| event.is(&GUESS_DENIED) && event.text("reason") == Some("replayed")));
        assert_eq!(denials.len(), 1, "reported once an hour");
        assert_eq!(world.verify(&foreign(preset, 1)).await, Outcome::Charged(1));
    }
}

#[tokio::test]
async fn the_old_set_works_until_the_new_one_is_acknowledged() {
    let world = World::new().await;
    assert_eq!(world.verify(&foreign(Preset::Default, 1)).await, Outcome::NotEnrolled);
    let first = world.make(Preset::Default, waits()).await;
    // No set is live, so a code of the first set is not a guess.
    assert_eq!((world.verify(&first[0]).await, world.remaining().await), (Outcome::NotEnrolled, None));
    let epoch = world.root().await.factor_epoch;
    assert!(world.acknowledge().await);
    assert_eq!(world.root().await.factor_epoch, epoch.wrapping_add(1));
    assert!(!world.acknowledge().await, "nothing waits");
    assert_eq!(world.verify(&first[0]).await, Outcome::Granted);

    let lost = world.make(Preset::Nist, waits()).await;
    let second = world.make(Preset::Default, waits()).await;
    assert_eq!(world.verify(&first[1]).await, Outcome::Granted);
    assert_eq!(world.verify(&second[0]).await, Outcome::Charged(1), "not yet");
    assert_eq!(world.verify(&lost[0]).await, Outcome::Malformed, "the live set is of another kind");
    assert_eq!(world.remaining().await, Some(8));
    assert!(world.acknowledge().await);
    assert_eq!(world.verify(&second[0]).await, Outcome::Granted);
    assert_eq!(world.verify(&first[2]).await, Outcome::Charged(1), "the old set is void, the right guess has forgiven");
    assert_eq!(world.verify(&first[0]).await, Outcome::Charged(2), "its used codes are forgotten");
    assert_eq!(world.remaining().await, Some(9));
}

/// A pending set was shown in one session: no other session of the account can make it live or drop
/// it.
#[tokio::test]
async fn only_the_session_that_was_shown_a_set_acknowledges_it() {
    let world = World::new().await;
    let live = world.make(Preset::Default, NOW).await;
    let waiting = world.make(Preset::Default, waits()).await;
    let steps = steps(Preset::Default);
    let before = world.stored().await;
    for other in ["another", "sessio", "session ", ""].map(SessionId::new) {
        let acknowledged = world.run(|draft| steps.acknowledge_recovery_in(draft, other, UNKNOWN)).await.unwrap();
        assert!(!acknowledged);
    }
    assert_eq!(world.stored().await, before);
    assert_eq!(world.verify(&live[0]).await, Outcome::Granted, "the old set is as live as before");
    assert!(world.acknowledge().await);
    assert_eq!(world.verify(&waiting[0]).await, Outcome::Granted);
}

#[tokio::test]
async fn a_set_that_goes_live_at_once_drops_what_waited() {
    let world = World::new().await;
    let waiting = world.make(Preset::Default, waits()).await;
    let live = world.make(Preset::Default, NOW).await;
    assert!(!world.acknowledge().await);
    assert_eq!(world.verify(&waiting[0]).await, Outcome::Charged(1));
    assert_eq!(world.verify(&live[0]).await, Outcome::Granted);
}

/// Decisions 6: adding, replacing or removing a factor moves the epoch once, in its commit; a
/// pending set changes no factor.
#[tokio::test]
async fn the_factor_epoch_moves_with_the_live_set() {
    let world = World::new().await;
    let first = world.root().await;
    let epoch = async || world.root().await.factor_epoch.wrapping_sub(first.factor_epoch) + 1;
    assert_eq!(epoch().await, 1);
    let codes = world.make(Preset::Default, NOW).await;
    assert_eq!(epoch().await, 2);
    assert_eq!(world.verify(&codes[0]).await, Outcome::Granted);
    world.make(Preset::Default, waits()).await;
    assert_eq!(epoch().await, 2);
    world.import(Preset::RocketChat, &["23456789"]).await.unwrap();
    assert_eq!(epoch().await, 3);
    assert!(world.remove().await);
    assert_eq!(epoch().await, 4);
    assert!(!world.remove().await, "nothing is left");
    assert_eq!(epoch().await, 4);
    assert_eq!((world.verify(&codes[1]).await, world.remaining().await), (Outcome::NotEnrolled, None));
    assert_eq!(world.changes().await.last(), Some(&plain("recovery_codes_removed")));
    assert_eq!(world.root().await.credential_epoch, first.credential_epoch, "by this policy");
    // A new set after a removal is like the first.
    let codes = world.make(Preset::Default, NOW).await;
    assert_eq!(world.verify(&codes[0]).await, Outcome::Granted);
}

/// `docs/security.md` § 3: a pending set carries both epochs. It stays void for good, and the
/// previous set stays live.
#[tokio::test]
async fn what_waits_is_void_after_a_change_a_jump_of_the_clock_and_a_restore() {
    for epoch in [Epoch::Credential, Epoch::Factor] {
        let world = World::new().await;
        let live = world.make(Preset::Default, NOW).await;
        let waiting = world.make(Preset::Default, waits()).await;
        world.move_epoch(epoch).await;
        let before = world.stored().await;
        assert!(!world.acknowledge().await);
        assert_eq!(world.stored().await, before, "a refusal writes nothing");
        assert_eq!(world.verify(&live[0]).await, Outcome::Granted);
        assert_eq!(world.verify(&waiting[0]).await, Outcome::Charged(1));
    }
    let world = World::new().await;
    world.make(Preset::Default, waits()).await;
    world.clock.set(at(START - 1));
    assert!(!world.acknowledge().await, "made in the future");
    world.clock.set(at(START + 1));
    let restored = world.fenced(START + 1, 9).driver;
    assert!(!acknowledge(&restored, &world.partition()).await.unwrap(), "older than the fence");
    assert!(world.acknowledge().await);
}

/// Ten minutes by default. A person who finds the session open later cannot replace the owner's
/// codes with those on the screen.
#[tokio::test]
async fn what_waits_expires_and_the_old_set_stays_live() {
    for (seconds, holds) in [(0, true), (599, true), (600, false), (10 * 365 * 86_400, false)] {
        let world = World::new().await;
        let live = world.make(Preset::Default, NOW).await;
        let waiting = world.make(Preset::Default, waits()).await;
        world.clock.set(at(START + seconds));
        assert_eq!(world.acknowledge().await, holds, "{seconds}");
        let (works, void) = if holds { (&waiting, &live) } else { (&live, &waiting) };
        assert_eq!(world.verify(&works[0]).await, Outcome::Granted);
        assert_eq!(world.verify(&void[0]).await, Outcome::Charged(1));
        // A new one can be made and acknowledged.
        let next = world.make(Preset::Default, waits()).await;
        assert!(world.acknowledge().await);
        assert_eq!(world.verify(&next[0]).await, Outcome::Granted);
    }
}

/// `docs/security.md` § 12: they still work, and a notice is given.
#[tokio::test]
async fn after_a_restore_codes_work_and_the_owner_is_told() {
    let world = World::new().await;
    let codes = world.make(Preset::Default, NOW).await;
    let restored = world.fenced(START + 1, 9).driver;
    world.clock.set(at(START + 1));
    assert_eq!(judge(&restored, &world.partition(), &codes[0], UNKNOWN).await.unwrap(), Outcome::Granted);
    let notices = [counted("recovery_code_used", 9), counted("recovery_codes_stale", 9)];
    assert_eq!(world.changes().await[2..], notices);
    // The last one is reported as such too.
    for code in &codes[1..] {
        assert_eq!(judge(&restored, &world.partition(), code, UNKNOWN).await.unwrap(), Outcome::Granted);
    }
    let last =
        [counted("recovery_code_used", 0), plain("recovery_codes_exhausted"), counted("recovery_codes_stale", 0)];
    assert!(world.changes().await.ends_with(&last));
    // A set made after the restore is like any other.
    let codes = world.make(Preset::Default, NOW).await;
    assert_eq!(judge(&restored, &world.partition(), &codes[0], UNKNOWN).await.unwrap(), Outcome::Granted);
    assert_eq!(world.changes().await.last(), Some(&counted("recovery_code_used", 9)));
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
    assert_eq!(world.verify(&codes[0]).await, Outcome::Malformed);
    assert_eq!(world.verify(&uuid.to_uppercase().replace('-', " ")).await, Outcome::Granted, "however it is typed");
    assert_eq!(world.verify(uuid).await, Outcome::Denied, "single use");
    let live = plain("recovery_codes_live");
    assert_eq!(world.changes().await.iter().filter(|event| **event == live).count(), 2);
}

/// A lost row does not mean an account without codes, and a damaged one is never overwritten (ASVS
/// 16.5.3). In both cases an attacker writes the database without the keyring, and leaves the root
/// as it is.
#[tokio::test]
async fn a_lost_or_damaged_record_denies() {
    for damaged in [false, true] {
        let world = World::new().await;
        let codes = world.make(Preset::Default, NOW).await;
        let stored = world.stored().await;
        let (slot, root) = (RECOVERY_SLOTS[0], stored.root.unwrap());
        let mut write = Write::root(Revision::from_bytes([9; 16]), root.body.clone());
        if damaged {
            let mut body = stored.records[0].clone().unwrap().to_vec();
            body[60] ^= 1;
            write.put = vec![Put { slot, body: body.into(), purge_after: None }];
        } else {
            write.delete = vec![slot];
        }
        let other = write.revision;
        let commit = |expect, write| world.store.commit(Batch::new(world.partition(), Some(expect), write).unwrap());
        commit(root.revision, write).await.unwrap();
        // The root is put back under its own revision, so that it opens.
        commit(other, Write::root(root.revision, root.body)).await.unwrap();
        let before = world.stored().await;
        let fails = |result: Result<(), TransactError>| match result {
            Err(TransactError::Step(StepError::Damaged(Damage::Record(lost)))) => !damaged && lost == slot,
            Err(TransactError::Step(StepError::Open(_))) => damaged,
            other => panic!("{other:?}"),
        };
        let (driver, partition, steps) = (&world.driver, &world.partition(), steps(Preset::Default));
        assert!(fails(judge(driver, partition, &codes[0], UNKNOWN).await.map(drop)));
        assert!(fails(world.run(|draft| steps.make_recovery_in(draft, NOW, UNKNOWN)).await.map(drop)));
        assert!(fails(driver.observe(partition, &[], |draft| steps.enrolled_in(draft)).await.map(drop)));
        assert!(fails(acknowledge(driver, partition).await.map(drop)));
        assert!(fails(world.run(|draft| steps.remove_recovery_in(draft, UNKNOWN)).await.map(drop)));
        assert!(fails(
            driver.observe(partition, &[], |draft| steps.recovery_refusal_in(draft, UNKNOWN)).await.map(drop)
        ));
        assert_eq!(world.stored().await, before);
    }
}

#[tokio::test]
async fn asvs_16_2_5_no_debug_no_event_and_no_stored_byte_shows_a_code() {
    let world = World::new().await;
    let steps = steps(Preset::RocketChat);
    let mut shown = String::new();
    let step = |draft: &mut Draft<'_>| {
        let tentative = steps.make_recovery_in(draft, NOW, UNKNOWN)?;
        shown = format!("{tentative:?}");
        Ok(tentative)
    };
    let codes = world.run(step).await.unwrap();
    shown.push_str(&format!("{codes:?}"));
    for code in codes.iter() {
        let verdict =
            world.run(|draft| steps.verify_recovery_in(draft, code, &Purpose::new("open"), UNKNOWN)).await.unwrap();
        shown.push_str(&format!("{verdict:?}"));
    }
    let error = world.import(Preset::RocketChat, &["PLANTED_1"]).await.unwrap_err();
    shown.push_str(&format!("{error:?} {error} {:?} {:?}", world.changes().await, world.denials().await));
    let stored = world.stored().await;
    let bodies: Vec<_> = stored.records.into_iter().chain([stored.root.map(|root| root.body)]).flatten().collect();
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
    let steps = steps(Preset::RocketChat);
    let step = |draft: &mut Draft<'_>| steps.verify_recovery_in(draft, "23456789", &Purpose::new("x"), UNKNOWN);
    let error = world.driver.run(&server, &[], step).await.map(|verdict| matches!(verdict, VerifyOutcome::Granted(_)));
    assert!(matches!(error, Err(TransactError::Step(StepError::NoAccount))), "{error:?}");
}
