//! Roots that only somebody with the keyring can make, or that a newer version might make. Each
//! denies, and is left as it is.

use keywright_core::{Keyring, SealContext, SystemEntropy};
use keywright_store::slot::MAX_SLOTS;
use keywright_store::{Damage, Driver, MAX_ROOT_BYTES, Partition, Revision, StageId, StepError};
use keywright_store_conformance::Fault;
use keywright_store_conformance::glass::{RecordRow, Rows, StageRows};
use proptest::prelude::*;

use crate::mirror::{Chain, Entry, Mirror};
use crate::{COUNTER, COUNTERS, Counter, KINDS, NOTES, VOUCHER, VOUCHERS, World, count, step_error};

const LABEL: &[u8] = b"user-1";

fn open(world: &World) -> Mirror {
    let row = world.glass.rows().roots.remove(&world.partition).unwrap();
    let context = SealContext::new(LABEL, "root", row.stored.revision.to_bytes());
    let (schema, plain) = world.keyring.open(&context, &row.stored.body).unwrap();
    assert_eq!(schema, 1);
    Mirror::decode(&plain)
}

fn seal(keyring: &Keyring, revision: Revision, schema: u16, plain: &[u8]) -> Vec<u8> {
    let context = SealContext::new(LABEL, "root", revision.to_bytes());
    keyring.seal(&SystemEntropy, &context, schema, plain).unwrap()
}

/// Puts a root's body in place of the one that is there.
fn put(world: &World, body: Vec<u8>) {
    world.glass.edit(|rows| rows.roots.get_mut(&world.partition).unwrap().stored.body = body.into());
}

fn put_mirror(world: &World, mirror: &Mirror) {
    put(world, seal(&world.keyring, world.root().unwrap(), 1, &mirror.encode()));
}

async fn denied(world: &World, driver: &Driver) -> StepError {
    let rows = world.glass.rows();
    let error = step_error(driver.transact(&world.partition, COUNTERS, count).await);
    let others = [
        step_error(driver.ensure_account(&world.account).await),
        step_error(driver.erase_account(&world.account).await),
        step_error(driver.observe(&world.partition, &[], |draft| draft.root()).await),
        step_error(driver.reseal(&world.partition).await),
        step_error(driver.recent_events(&world.account, 5).await),
    ];
    for other in others {
        assert_eq!(std::mem::discriminant(&other), std::mem::discriminant(&error), "{other:?}");
    }
    assert!(error.is_damage(), "{error:?}");
    assert_eq!(world.glass.rows(), rows, "nothing is mended in silence");
    error
}

#[tokio::test]
async fn the_mirror_is_the_stored_form() {
    let world = World::made(1).await;
    let mirror = open(&world);
    assert_eq!(mirror.contents.len(), 1);
    assert_eq!(mirror.recent, [[0; 16]], "a creation replaces sixteen zero bytes");
    put_mirror(&world, &mirror);
    assert!(world.redeem().await.unwrap());
    let mirror = open(&world);
    assert_eq!(mirror.recent.len(), 2);
    assert_eq!((mirror.chains[0].first, mirror.chains[0].next), (1, 3));
}

#[tokio::test]
async fn a_root_that_does_not_open_denies() {
    let world = World::made(2).await;
    let sound = world.glass.rows();
    let body = sound.roots[&world.partition].stored.body.to_vec();
    for at in 0..body.len() {
        let mut spoilt = body.clone();
        spoilt[at] ^= 1;
        put(&world, spoilt);
        let looked = world.driver.observe(&world.partition, &[], |draft| draft.root()).await;
        assert!(matches!(step_error(looked), StepError::Open(_)), "byte {at}");
    }
    for cut in [0, 1, 11, 35, body.len() - 1] {
        put(&world, body[..cut].to_vec());
        assert!(matches!(denied(&world, &world.driver).await, StepError::Open(_)), "cut to {cut}");
    }
    let other = Keyring::generate(&SystemEntropy).unwrap();
    put(&world, seal(&other, world.root().unwrap(), 1, b"x"));
    assert!(matches!(denied(&world, &world.driver).await, StepError::Open(error) if error.is_unknown_key()));
    world.glass.edit(|rows| *rows = sound);
    assert!(world.redeem().await.unwrap(), "what an operator mends is as good as before");
}

#[tokio::test]
async fn a_root_of_another_partition_or_revision_denies() {
    let world = World::made(3).await;
    let mirror = open(&world).encode();
    let revision = world.root().unwrap();
    for (label, slot, revision) in [
        (&b"user-2"[..], "root", revision),
        (&b"\0s/"[..], "root", revision),
        (LABEL, "counter", revision),
        (LABEL, "root", Revision::from_bytes([7; 16])),
    ] {
        let context = SealContext::new(label, slot, revision.to_bytes());
        put(&world, world.keyring.seal(&SystemEntropy, &context, 1, &mirror).unwrap());
        assert!(matches!(denied(&world, &world.driver).await, StepError::Open(_)));
    }
}

#[tokio::test]
async fn a_root_of_another_schema_or_too_large_denies() {
    let world = World::made(4).await;
    let mirror = open(&world).encode();
    let revision = world.root().unwrap();
    for (schema, damage) in [(0, Damage::Root), (2, Damage::NewerRoot), (u16::MAX, Damage::NewerRoot)] {
        put(&world, seal(&world.keyring, revision, schema, &mirror));
        assert_eq!(denied(&world, &world.driver).await, StepError::Damaged(damage), "schema {schema}");
    }
    let mut longer = mirror.clone();
    longer.push(0);
    for plain in [&mirror[..mirror.len() - 1], &longer, &[], &[0xff; 64]] {
        put(&world, seal(&world.keyring, revision, 1, plain));
        assert_eq!(denied(&world, &world.driver).await, StepError::Damaged(Damage::Root));
    }
    put(&world, seal(&world.keyring, revision, 1, &vec![0; MAX_ROOT_BYTES]));
    assert_eq!(denied(&world, &world.driver).await, StepError::Damaged(Damage::Root), "too large to be looked at");
}

#[tokio::test]
async fn a_root_that_cannot_have_been_written_denies() {
    let world = World::made(5).await;
    let own = world.root().unwrap().to_bytes();
    let sound = open(&world);
    let note = |id: u16| -> Entry {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&id.to_be_bytes());
        (Some(bytes), [5; 16], None)
    };
    let notes = |entries: Vec<Entry>| vec![("note".to_owned(), entries)];
    let single = |kind: &str| (kind.to_owned(), vec![(None, [5; 16], None)]);
    let chain = |first, next| Chain { first, next, ..sound.chains[0].clone() };
    let of_changes = |changes| Mirror { chains: [changes, sound.chains[1].clone()], ..sound.clone() };
    let with = |contents| Mirror { contents, ..sound.clone() };
    let spoilt = [
        ("a revision twice", Mirror { recent: vec![[1; 16], [2; 16], [1; 16]], ..sound.clone() }),
        ("its own revision among those before", Mirror { recent: vec![[1; 16], own], ..sound.clone() }),
        ("seventeen revisions", Mirror { recent: (0..17).map(|byte| [byte; 16]).collect(), ..sound.clone() }),
        ("a slot twice", with(notes(vec![note(1), note(1)]))),
        ("slots out of order", with(notes(vec![note(2), note(1)]))),
        ("kinds out of order", with(vec![single("voucher"), single("counter")])),
        ("a kind twice", with(vec![single("counter"), single("counter")])),
        ("a run in two", with([1, 2].map(|id| ("note".to_owned(), vec![note(id)])).to_vec())),
        ("a kind without slots", with(notes(Vec::new()))),
        ("a kind of no name", with(vec![single("")])),
        ("a kind of an impossible name", with(vec![single("Counter")])),
        ("the root among its own slots", with(vec![single("root")])),
        ("more slots than there can be", with(notes((0..=MAX_SLOTS).map(note).collect()))),
        ("a blank root with contents", Mirror { state: None, ..sound.clone() }),
        ("a chain that ends before it begins", of_changes(chain(9, 2))),
        ("a chain that begins with 0", of_changes(chain(0, 2))),
        ("a moment beyond the calendar", Mirror { expires: Some((1 << 40) - 1), ..sound.clone() }),
        ("a blank root that was seeded", Mirror { state: None, seeded: true, contents: Vec::new(), ..sound.clone() }),
        ("a blank root that was erased", Mirror { state: None, erased: true, contents: Vec::new(), ..sound.clone() }),
    ];
    for (what, mirror) in spoilt {
        put_mirror(&world, &mirror);
        assert_eq!(denied(&world, &world.driver).await, StepError::Damaged(Damage::Root), "{what}");
    }
    // One that is valid by itself, but whose log is another.
    for changes in [chain(1, 3), chain(1, 1), chain(3, 3)] {
        put_mirror(&world, &of_changes(changes));
        let error = denied(&world, &world.driver).await;
        assert!(matches!(error, StepError::Damaged(Damage::Events(_))), "{error:?}");
    }
}

#[tokio::test]
async fn contents_of_a_newer_version_deny() {
    let world = World::made(6).await;
    let newer = keywright_store::Slot::<Counter>::lasting("newer");
    let many = keywright_store::SlotFamily::<Counter>::lasting("note", 9);
    let other = world.builder_on(std::sync::Arc::<keywright_store_conformance::FaultStore<_>>::clone(&world.faults));
    let other = other.slots(&[VOUCHER.kind(), COUNTER.kind(), newer.kind(), many.kind()]).build().unwrap();
    let step = |draft: &mut keywright_store::Draft<'_>| draft.put(newer, &Counter { count: 1 });
    other.transact(&world.partition, &[newer.name()], step).await.unwrap();
    assert_eq!(denied(&world, &world.driver).await, StepError::UndeclaredSlot(newer.name()));
    other.transact(&world.partition, &[newer.name()], |draft| draft.delete(newer)).await.unwrap();
    assert!(world.redeem().await.unwrap(), "once the newer version has cleared up");
    let slots: Vec<_> = (0..9).map(|id| many.at([id; 16]).name()).collect();
    let fill = |draft: &mut keywright_store::Draft<'_>| {
        (0..9).try_for_each(|id| draft.put(many.at([id; 16]), &Counter { count: 1 }))
    };
    other.transact(&world.partition, &slots, fill).await.unwrap();
    assert!(
        matches!(denied(&world, &world.driver).await, StepError::UndeclaredSlot(slot) if slot.kind() == NOTES.kind().name())
    );
}

#[tokio::test]
async fn an_event_number_that_is_taken_denies() {
    let world = World::made(7).await;
    let key = |number| (world.partition.clone(), keywright_core::EventChain::Changes, number);
    let stray = world.glass.edit(|rows| {
        let mut event = rows.events[&key(1)].clone();
        event.number = 2;
        rows.events.insert(key(2), event.clone());
        event
    });
    let error = denied(&world, &world.driver).await;
    assert_eq!(error, StepError::Damaged(Damage::Events(keywright_core::EventChain::Changes)));
    // Where a load does not show it, the commit is refused whole.
    world.glass.edit(|rows| rows.events.remove(&key(2)));
    let late = std::sync::Arc::clone(&world.glass);
    let mut once = true;
    let refused = world.driver.transact(&world.partition, VOUCHERS, |draft| {
        if std::mem::take(&mut once) {
            late.edit(|rows| rows.events.insert(key(2), stray.clone()));
        }
        crate::spend(draft).map(drop)
    });
    assert!(matches!(refused.await, Err(keywright_store::TransactError::Rejected(_))));
    assert_eq!(world.numbers(keywright_core::EventChain::Changes), 2);
    world.glass.edit(|rows| rows.events.remove(&key(2)));
    assert!(world.redeem().await.unwrap(), "the voucher was not spent");
}

#[tokio::test]
async fn orphans_deny_in_every_kind_of_partition() {
    let world = World::bare(8);
    for partition in [Partition::name(&[3; 32]), Partition::server(), world.partition.clone()] {
        if partition.is_account() {
            world.driver.ensure_account(&world.account).await.unwrap();
        }
        world.driver.transact(&partition, COUNTERS, count).await.unwrap();
        world.glass.edit(|rows| rows.roots.remove(&partition));
        let error = step_error(world.driver.transact(&partition, COUNTERS, count).await);
        assert_eq!(error, StepError::Damaged(Damage::Orphans), "{partition:?}");
    }
}

/// A blank root means that nothing is there. Any row beside it was put there by an attacker, or
/// arrived too late.
#[tokio::test]
async fn orphans_beside_a_blank_root_deny_too() {
    let world = World::bare(18);
    world.faults.next_commit(Fault::LostBefore);
    world.faults.next_commit(Fault::None); // the fence
    world.faults.next_commit(Fault::Rejected);
    assert!(world.driver.ensure_account(&world.account).await.is_err());
    let blank = world.glass.rows();
    let stray = |rows: &mut Rows| {
        let stage = StageRows { rows: std::collections::BTreeMap::new(), purge_after: crate::START };
        rows.stages.insert((world.partition.clone(), StageId([1; 16])), stage);
    };
    let record = |rows: &mut Rows| {
        let row = RecordRow { body: bytes::Bytes::from_static(b"x"), purge_after: None };
        rows.records.insert((world.partition.clone(), COUNTERS[0]), row);
    };
    for (at, spoil) in [&stray as &dyn Fn(&mut Rows), &record].into_iter().enumerate() {
        world.glass.edit(|rows| {
            *rows = blank.clone();
            spoil(rows);
        });
        let spoilt = world.glass.rows();
        let error = step_error(world.driver.ensure_account(&world.account).await);
        assert_eq!(error, StepError::Damaged(Damage::Orphans));
        let error = step_error(world.driver.recent_events(&world.account, 10).await);
        assert_eq!(error, StepError::Damaged(Damage::Orphans));
        assert_eq!(world.glass.rows(), spoilt, "nothing is repaired");
        assert_eq!(world.heard.damages(), 2 * (at + 1));
    }
    world.glass.edit(|rows| *rows = blank);
    world.driver.ensure_account(&world.account).await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    /// Anything sealed as a root either is one, or denies.
    #[test]
    fn no_root_crashes(plain in proptest::collection::vec(any::<u8>(), 0..400), keep in 0_usize..200) {
        futures_lite::future::block_on(async {
            let world = World::bare(9);
            let made = world.driver.transact(&world.partition, VOUCHERS, crate::make);
            made.await.unwrap();
            // The start of a valid root, then arbitrary bytes.
            let mut bytes = open(&world).encode();
            bytes.truncate(keep);
            bytes.extend_from_slice(&plain);
            put(&world, seal(&world.keyring, world.root().unwrap(), 1, &bytes));
            if let Err(error) = world.driver.observe(&world.partition, &[], |draft| draft.root()).await {
                let error = step_error::<()>(Err(error));
                assert!(error.is_damage() || error == StepError::NoAccount, "{error:?}");
            }
        });
    }
}

/// The list of kinds is what these tests assume.
#[test]
fn kinds_are_declared() {
    assert_eq!(KINDS.iter().map(|kind| u32::from(kind.most())).sum::<u32>(), 9);
}
