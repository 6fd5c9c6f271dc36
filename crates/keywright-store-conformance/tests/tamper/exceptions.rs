//! What an attacker can still do, exactly: `docs/security.md` § 3.

use keywright_core::EventChain;
use keywright_store::{EVENTS_KEPT, Partition, Upkeep};
use keywright_store_conformance::glass::Rows;

use crate::audit::{Audit, Use, audit};
use crate::world::{World, expires};

/// The uses that show something other than the truth. None may end in an error.
fn differ(truth: &Audit, seen: &Audit) -> Vec<(Use, String)> {
    assert!(seen.values().all(Result::is_ok), "{seen:#?}");
    let pairs = truth.iter().filter(|(used, right)| seen[*used] != **right);
    pairs.map(|(used, _)| (used.clone(), seen[used].clone().unwrap())).collect()
}

#[tokio::test]
async fn the_loss_of_what_expires_reads_as_absent_and_nothing_else_does() {
    let world = World::new().await;
    let truth = audit(&world).await;
    let tickets: Vec<_> = world.rows().records.keys().filter(|(_, slot)| expires(*slot)).cloned().collect();
    assert_eq!(tickets.len(), 4);
    for key in tickets {
        world.glass.edit(|rows| rows.records.remove(&key));
        let seen = audit(&world).await;
        assert_eq!(differ(&truth, &seen), [(Use::Record(key.0.clone(), key.1), "None".to_owned())]);
        world.put(world.rows());
    }
    assert_eq!(world.heard.damages(), 0);
}

/// The rows of one partition, as they were at a commit.
fn put_whole_back(now: &Rows, old: &Rows, partition: &Partition) -> Rows {
    let mut rows = now.clone();
    rows.drop_whole(partition);
    rows.roots
        .extend(old.roots.iter().filter(|(owner, _)| *owner == partition).map(|(key, row)| (key.clone(), row.clone())));
    let own = old.records.iter().filter(|((owner, _), _)| owner == partition);
    rows.records.extend(own.map(|(key, row)| (key.clone(), row.clone())));
    let own = old.events.iter().filter(|((owner, ..), _)| owner == partition);
    rows.events.extend(own.map(|(key, row)| (key.clone(), row.clone())));
    rows
}

trait DropWhole {
    fn drop_whole(&mut self, partition: &Partition);
}

impl DropWhole for Rows {
    fn drop_whole(&mut self, partition: &Partition) {
        self.roots.remove(partition);
        self.records.retain(|(owner, _), _| owner != partition);
        self.events.retain(|(owner, ..), _| owner != partition);
    }
}

#[tokio::test]
async fn a_whole_partition_that_is_put_back_is_not_noticed() {
    let world = World::new().await;
    let truth = audit(&world).await;
    for (at, old) in world.history.iter().enumerate() {
        for partition in world.partitions.iter().filter(|partition| old.roots.contains_key(partition)) {
            world.put(&put_whole_back(world.rows(), old, partition));
            let seen = audit(&world).await;
            for (used, _) in differ(&truth, &seen) {
                let (Use::Root(owner) | Use::Record(owner, _) | Use::Log(owner, _)) = used;
                assert_eq!(owner, *partition, "commit {at}: another partition shows a difference");
            }
        }
    }
    assert_eq!(world.heard.damages(), 0);
}

#[tokio::test]
async fn a_whole_account_that_is_dropped_is_as_one_that_never_was() {
    let world = World::new().await;
    let [account, ..] = &world.partitions;
    world.glass.edit(|rows| rows.drop_whole(account));
    let made = world.driver.ensure_account(&account.as_account().unwrap()).await.unwrap();
    assert_eq!(made, keywright_store::AccountCreation::Created);
}

#[tokio::test]
async fn the_old_end_of_a_log_may_go_once_it_is_old() {
    let world = World::new().await;
    let [account, ..] = &world.partitions;
    let log = |seen: &Audit| seen[&Use::Log(account.clone(), EventChain::Changes)].clone();
    for kept in 2..=6 {
        world.glass.edit(|rows| {
            rows.events.retain(|(owner, chain, number), _| {
                owner != account || *chain != EventChain::Changes || *number >= kept
            });
        });
        assert!(log(&audit(&world).await).is_err(), "the first {} of a young log", kept - 1);
        world.clock.advance(EVENTS_KEPT);
        assert!(log(&audit(&world).await).is_ok(), "the first {} of an old log", kept - 1);
        world.clock.set(crate::world::START.plus(600));
        world.put(world.rows());
    }
}

/// The horizon is in the clear too. Moving it to the end of time makes no log older.
#[tokio::test]
async fn a_forged_horizon_ages_no_log() {
    let world = World::new().await;
    let [account, ..] = &world.partitions;
    world.glass.edit(|rows| {
        rows.horizon = Some(keywright_core::UnixSeconds::MAX);
        // All but the newest event of each chain are gone.
        let own = |owner: &Partition| owner == account;
        let later = rows.events.keys().filter(|(owner, ..)| own(owner)).cloned().collect::<Vec<_>>();
        rows.events.retain(|(owner, chain, number), _| {
            !own(owner) || !later.iter().any(|(_, of, later)| of == chain && later > number)
        });
    });
    // As a server does at its start, and after each round.
    world.driver.set_horizon(world.glass.horizon().await.unwrap().unwrap());
    for chain in EventChain::ALL {
        let log = audit(&world).await[&Use::Log(account.clone(), chain)].clone();
        assert!(log.is_err_and(|error| error.is_damage()), "{chain:?}");
    }
}

/// The hints beside the bodies are in the clear. They decide when something is swept or searched
/// for, and never what is read.
#[tokio::test]
async fn hints_change_nothing_that_is_read() {
    let world = World::new().await;
    let truth = audit(&world).await;
    for moment in [None, Some(keywright_core::UnixSeconds::EPOCH), Some(keywright_core::UnixSeconds::MAX)] {
        world.glass.edit(|rows| {
            rows.records.values_mut().for_each(|row| row.purge_after = moment);
            rows.roots.values_mut().for_each(|row| (row.purge_after, row.due_at) = (moment, moment));
        });
        assert_eq!(differ(&truth, &audit(&world).await), []);
        world.put(world.rows());
    }
    // A sweep by a forged hint drops one record: that is a loss like any other.
    let [account, ..] = &world.partitions;
    let key = world.rows().records.keys().find(|(owner, slot)| owner == account && !expires(*slot)).unwrap().clone();
    world.glass.edit(|rows| rows.records.get_mut(&key).unwrap().purge_after = Some(keywright_core::UnixSeconds::EPOCH));
    world.glass.move_horizon(crate::world::START).await.unwrap();
    assert_eq!(world.glass.sweep(10).await.unwrap(), 1);
    assert!(audit(&world).await[&Use::Record(key.0, key.1)].as_ref().is_err_and(|error| error.is_damage()));
}
