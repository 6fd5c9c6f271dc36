//! Events. Their bytes are in the clear, and how they are chained is not secret, so an attacker can
//! chain them too.

use keywright_core::{EventChain, chain_head};
use keywright_store::{EventNumber, Partition, StoredEvent};
use keywright_store_conformance::glass::Rows;

use crate::attack::{Attack, all_are_noticed, at_root};
use crate::audit::Use;
use crate::world::World;

type Key = (Partition, EventChain, EventNumber);

/// Where an attack shows: at any use if the newest number has changed, else in the log.
fn shows(world: &World, rows: &Rows, (partition, chain, _): &Key) -> Use {
    let newest = |rows: &Rows| {
        let of_chain = rows.events.keys().filter(|(owner, of, _)| owner == partition && of == chain);
        of_chain.map(|(_, _, number)| *number).max()
    };
    if newest(world.rows()) == newest(rows) { Use::Log(partition.clone(), *chain) } else { at_root(partition) }
}

fn attack(world: &World, what: String, key: &Key, change: impl FnOnce(&mut Rows)) -> Attack {
    let attack = Attack::new(what, at_root(&key.0), world.rows(), change);
    let at = shows(world, &attack.rows, key);
    Attack { at, ..attack }
}

fn put(rows: &mut Rows, key: &Key, event: StoredEvent) {
    // The row says where it is; what is in its columns is the attacker's to choose.
    rows.events.insert(key.clone(), StoredEvent { chain: key.1, number: key.2, ..event });
}

#[tokio::test]
async fn an_event_that_is_dropped_or_altered_is_noticed() {
    let world = World::new().await;
    let mut attacks = Vec::new();
    for (key, event) in &world.rows().events {
        attacks.push(attack(&world, format!("{key:?} dropped"), key, |rows| {
            rows.events.remove(key);
        }));
        let mut with = |what: &str, altered: StoredEvent| {
            attacks.push(attack(&world, format!("{key:?}: {what}"), key, |rows| put(rows, key, altered)));
        };
        with("earlier", StoredEvent { at: event.at.minus(1), ..event.clone() });
        with("later", StoredEvent { at: event.at.plus(86_400), ..event.clone() });
        with("another head before it", StoredEvent { prev: [0; 32], ..event.clone() });
        with("another kind", StoredEvent { json: br#"{"kind":"harmless"}"#[..].into(), ..event.clone() });
        with("no JSON", StoredEvent { json: bytes::Bytes::from_static(b"\xff"), ..event.clone() });
        with("nothing", StoredEvent { json: bytes::Bytes::new(), ..event.clone() });
        let mut flipped = event.json.to_vec();
        *flipped.last_mut().unwrap() ^= 1;
        with("a bit", StoredEvent { json: flipped.into(), ..event.clone() });
        with("a blank", StoredEvent { json: [&event.json[..], b" "].concat().into(), ..event.clone() });
    }
    assert!(all_are_noticed(&world, attacks).await > 150);
}

#[tokio::test]
async fn an_event_that_is_moved_or_copied_is_noticed() {
    let world = World::new().await;
    let mut attacks = Vec::new();
    for (key, event) in world.rows().events.iter().filter(|((owner, ..), _)| *owner == world.partitions[0]) {
        for owner in world.accounts() {
            for chain in EventChain::ALL {
                for number in 0..=9 {
                    let target = (owner.clone(), chain, number);
                    let there = world.rows().events.get(&target);
                    // Two accounts that did the same at the same moments share some equal events.
                    if there.is_some_and(|there| {
                        there.json == event.json && there.at == event.at && there.prev == event.prev
                    }) {
                        continue;
                    }
                    let what = format!("{key:?} copied to {target:?}");
                    attacks.push(attack(&world, what, &target, |rows| put(rows, &target, event.clone())));
                }
            }
        }
    }
    assert!(all_are_noticed(&world, attacks).await > 200);
}

#[tokio::test]
async fn an_event_that_is_added_is_noticed_however_well_it_is_chained() {
    let world = World::new().await;
    let mut attacks = Vec::new();
    for account in world.accounts() {
        for chain in EventChain::ALL {
            let own = world.rows().events.iter().filter(|((owner, of, _), _)| owner == account && *of == chain);
            let own: Vec<(Key, StoredEvent)> = own.map(|(key, event)| (key.clone(), event.clone())).collect();
            let (_, newest) = own.last().unwrap();
            let head = |event: &StoredEvent| chain_head(&event.prev, event.number, event.at, &event.json);
            // After the newest.
            let next = (account.clone(), chain, newest.number + 1);
            let added = StoredEvent { prev: head(newest), number: newest.number + 1, ..newest.clone() };
            attacks.push(attack(&world, format!("{next:?} added"), &next, |rows| put(rows, &next, added)));
            // Far beyond it, and before the first.
            for number in [0, newest.number + 1_000, u64::try_from(i64::MAX).unwrap()] {
                let stray = (account.clone(), chain, number);
                let what = format!("{stray:?} added");
                attacks.push(attack(&world, what, &stray, |rows| put(rows, &stray, newest.clone())));
            }
            // From one event on, all of them written again, each chained to the one before.
            for first in 0..own.len() {
                let what = format!("{account:?} {chain:?} told anew from number {}", own[first].0.2);
                attacks.push(attack(&world, what, &own[first].0, |rows| {
                    let mut prev = own[first].1.prev;
                    for (key, event) in &own[first..] {
                        let told = StoredEvent { json: br#"{"kind":"harmless"}"#[..].into(), prev, ..event.clone() };
                        prev = head(&told);
                        put(rows, key, told);
                    }
                }));
            }
        }
    }
    assert!(all_are_noticed(&world, attacks).await > 20);
}
