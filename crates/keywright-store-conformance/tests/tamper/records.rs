//! Records.

use std::collections::BTreeSet;

use keywright_store::{Partition, SlotName};

use crate::attack::{Attack, all_are_noticed, spoilt};
use crate::audit::Use;
use crate::world::{World, expires, slots};

/// Every record that ever existed.
fn ever(world: &World) -> BTreeSet<(Partition, SlotName)> {
    world.history.iter().flat_map(|rows| rows.records.keys().cloned()).collect()
}

fn used((partition, slot): &(Partition, SlotName)) -> Use {
    Use::Record(partition.clone(), *slot)
}

#[tokio::test]
async fn a_record_that_is_put_back_is_noticed() {
    let world = World::new().await;
    let mut attacks = Vec::new();
    for key in ever(&world) {
        for (at, rows) in world.history.iter().enumerate() {
            let Some(old) = rows.records.get(&key) else { continue };
            let attack = Attack::new(format!("{key:?} as of commit {at}"), used(&key), world.rows(), |rows| {
                rows.records.insert(key.clone(), old.clone());
            });
            attacks.push(attack);
        }
    }
    assert!(all_are_noticed(&world, attacks).await > 50);
}

#[tokio::test]
async fn a_record_that_is_dropped_is_noticed() {
    let world = World::new().await;
    let lasting = world.rows().records.keys().filter(|(_, slot)| !expires(*slot));
    let attacks = lasting.map(|key| {
        Attack::new(format!("{key:?} dropped"), used(key), world.rows(), |rows| {
            rows.records.remove(key);
        })
    });
    let attacks = attacks.collect();
    assert!(all_are_noticed(&world, attacks).await >= 14);
}

#[tokio::test]
async fn a_record_that_is_altered_is_noticed() {
    let world = World::new().await;
    let mut attacks = Vec::new();
    for (key, row) in &world.rows().records {
        for (what, body) in spoilt(&row.body) {
            let attack = Attack::new(format!("{key:?} {what}"), used(key), world.rows(), |rows| {
                rows.records.get_mut(key).unwrap().body = body;
            });
            attacks.push(attack);
        }
    }
    assert!(all_are_noticed(&world, attacks).await > 200);
}

#[tokio::test]
async fn a_record_that_is_moved_or_copied_is_noticed() {
    let world = World::new().await;
    let mut attacks = Vec::new();
    // Into every slot of every partition, from every record of one account, the name and the
    // server.
    let from = world.rows().records.iter().filter(|((owner, _), _)| *owner != world.partitions[1]);
    for (key, row) in from {
        for partition in &world.partitions {
            for slot in slots() {
                let target = (partition.clone(), slot);
                if target == *key {
                    continue;
                }
                let copy = Attack::new(format!("{key:?} copied to {target:?}"), used(&target), world.rows(), |rows| {
                    rows.records.insert(target.clone(), row.clone());
                });
                attacks.push(copy);
            }
        }
    }
    assert!(all_are_noticed(&world, attacks).await > 300);
    let mut attacks = Vec::new();
    for (key, row) in &world.rows().records {
        for target in world.rows().records.keys().filter(|target| *target != key) {
            // The two change places, or one replaces the other.
            let swap = Attack::new(format!("{key:?} and {target:?} swapped"), used(target), world.rows(), |rows| {
                let other = rows.records.insert(target.clone(), row.clone()).unwrap();
                rows.records.insert(key.clone(), other);
            });
            attacks.push(swap);
        }
    }
    // Half of them: the other half are the same.
    let half = attacks.len() / 2;
    attacks.truncate(half);
    assert!(all_are_noticed(&world, attacks).await > 100);
}

#[tokio::test]
async fn an_old_record_under_another_slot_or_account_is_noticed() {
    let world = World::new().await;
    let mut attacks = Vec::new();
    for (at, rows) in world.history.iter().enumerate().step_by(3) {
        for (key, row) in &rows.records {
            for target in world.rows().records.keys().filter(|target| *target != key) {
                let attack = Attack::new(
                    format!("{key:?} of commit {at} in the place of {target:?}"),
                    used(target),
                    world.rows(),
                    |rows| {
                        rows.records.insert(target.clone(), row.clone());
                    },
                );
                attacks.push(attack);
            }
        }
    }
    let attacks = attacks.into_iter().step_by(7).collect();
    assert!(all_are_noticed(&world, attacks).await > 100);
}
