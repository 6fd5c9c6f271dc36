//! Roots.

use keywright_core::AccountId;
use keywright_store::{Damage, Partition, StepError, TransactError};
use keywright_store_conformance::glass::RootRow;

use crate::attack::{Attack, all_are_noticed, at_root, spoilt};
use crate::audit::Use;
use crate::world::{COUNTER, World};

/// Where a root that is put back shows: at any use of an account whose log has grown since, else at
/// the record that was put last.
fn shows(world: &World, partition: &Partition, old: usize) -> Use {
    let newest = |rows: &keywright_store_conformance::glass::Rows| {
        rows.events.keys().filter(|(owner, ..)| owner == partition).count()
    };
    if newest(&world.history[old]) == newest(world.rows()) {
        Use::Record(partition.clone(), COUNTER.name())
    } else {
        at_root(partition)
    }
}

#[tokio::test]
async fn a_root_alone_that_is_put_back_is_noticed() {
    let world = World::new().await;
    let mut attacks = Vec::new();
    for (at, rows) in world.history.iter().enumerate() {
        for (partition, old) in &rows.roots {
            let at = Attack::new(
                format!("the root of {partition:?} as of commit {at}"),
                shows(&world, partition, at),
                world.rows(),
                |rows| {
                    rows.roots.insert(partition.clone(), old.clone());
                },
            );
            attacks.push(at);
        }
    }
    assert!(all_are_noticed(&world, attacks).await > 30);
}

#[tokio::test]
async fn a_root_that_is_dropped_altered_or_anothers_is_noticed() {
    let world = World::new().await;
    let mut attacks = Vec::new();
    for (partition, row) in &world.rows().roots {
        let put = |what: String, row: Option<RootRow>| {
            Attack::new(what, at_root(partition), world.rows(), |rows| {
                match row {
                    Some(row) => rows.roots.insert(partition.clone(), row),
                    None => rows.roots.remove(partition),
                };
            })
        };
        attacks.push(put(format!("the root of {partition:?} dropped"), None));
        let with = |change: &dyn Fn(&mut RootRow)| {
            let mut row = row.clone();
            change(&mut row);
            Some(row)
        };
        for (what, body) in spoilt(&row.stored.body) {
            let row = with(&|row| row.stored.body = body.clone());
            attacks.push(put(format!("the root of {partition:?} {what}"), row));
        }
        for (other, foreign) in world.rows().roots.iter().filter(|(other, _)| *other != partition) {
            attacks.push(put(format!("the root of {other:?} for {partition:?}"), Some(foreign.clone())));
        }
        for (at, old) in world.history.iter().enumerate() {
            let Some(old) = old.roots.get(partition).filter(|old| *old != row) else { continue };
            let (revision, body) = (old.stored.revision, old.stored.body.clone());
            let revised = with(&|row| row.stored.revision = revision);
            attacks.push(put(format!("{partition:?} under the revision of commit {at}"), revised));
            let bodied = with(&|row| row.stored.body = body.clone());
            attacks.push(put(format!("{partition:?} with the body of commit {at}"), bodied));
        }
    }
    assert!(all_are_noticed(&world, attacks).await > 100);
}

#[tokio::test]
async fn nothing_can_be_put_where_no_account_is() {
    let world = World::new().await;
    let nobody = AccountId::new("nobody").unwrap();
    let empty = Partition::account(&nobody);
    let [account, ..] = &world.partitions;
    let ensure = async || match world.driver.ensure_account(&nobody).await {
        Err(TransactError::Step(error)) => error,
        other => panic!("{other:?}"),
    };
    // The root of another account.
    let root = world.rows().roots[account].clone();
    world.glass.edit(|rows| rows.roots.insert(empty.clone(), root));
    assert!(matches!(ensure().await, StepError::Open(_)));
    world.put(world.rows());
    // A record or an event of another account. A creation on top of it would bury it.
    for (key, row) in world.rows().records.iter().filter(|((owner, _), _)| owner == account) {
        world.glass.edit(|rows| rows.records.insert((empty.clone(), key.1), row.clone()));
        assert_eq!(ensure().await, StepError::Damaged(Damage::Orphans));
        world.put(world.rows());
    }
    for (key, event) in world.rows().events.iter().filter(|((owner, ..), _)| owner == account) {
        world.glass.edit(|rows| rows.events.insert((empty.clone(), key.1, key.2), event.clone()));
        assert_eq!(ensure().await, StepError::Damaged(Damage::Orphans));
        world.put(world.rows());
    }
    assert!(world.driver.ensure_account(&nobody).await.is_ok());
}
