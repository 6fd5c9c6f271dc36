//! Somebody who writes the database without the keyring, against accounts that the real services have filled.
//!
//! Every single row is put back, moved, dropped or added; each time every use of whatever it belongs to shows the truth or
//! is denied, at least one is denied as damage, and no use mends it.

mod scene;
mod uses;

use std::collections::BTreeMap;

use keywright::store::slot::KindName;
use keywright::store::{CipherId, Partition, SlotName};
use keywright_store_conformance::glass::Rows;

use crate::host::account;
use crate::tampering::scene::{EMIL, FRITZ, Scene};
use crate::tampering::uses::{Seen, Use};
use crate::world::{DORA, cipher_id};

/// Rows in which a single one is another.
struct Attack {
    what: String,
    rows: Rows,
    partition: Partition,
    /// Whether what is lost may be taken for what has expired, or was never there.
    may_read_as_absent: bool,
    /// Whether an operation may drop the row unread. An expiring record only ever admits, so
    /// without it more is denied.
    may_be_dropped: bool,
}

/// A table: how to get at it, and whose a row is.
struct Table<K, V> {
    name: &'static str,
    read: fn(&Rows) -> &BTreeMap<K, V>,
    write: fn(&mut Rows) -> &mut BTreeMap<K, V>,
    owner: fn(&K) -> &Partition,
    /// Where else a row of a member's is put: in another member's place, and in places that nobody has.
    elsewhere: fn(&K, &Partition) -> Vec<K>,
    is_expiring: fn(&V) -> bool,
}

impl Scene {
    /// The members' partitions: their rows are taken for each other's.
    fn members(&self) -> [Partition; 3] {
        [DORA, EMIL, FRITZ].map(|name| Partition::account(&account(name)))
    }

    /// Everything that can be done to a single row of a table.
    fn attacks<K, V>(&self, table: &Table<K, V>) -> Vec<Attack>
    where
        K: Ord + Clone + std::fmt::Debug,
        V: Clone + PartialEq + std::fmt::Debug,
    {
        let mut attacks = Vec::new();
        let mut attack = |what: &str, keys: (&K, &K), row: &V, change: &dyn Fn(&mut BTreeMap<K, V>)| {
            let mut rows = self.rows.clone();
            change((table.write)(&mut rows));
            let what = format!("{}: {:?} {what} {:?}", table.name, keys.0, keys.1);
            if rows != self.rows && !self.idle.contains((table.owner)(keys.1)) {
                let partition = (table.owner)(keys.1).clone();
                let may_be_dropped = (table.is_expiring)(row);
                let may_read_as_absent = may_be_dropped && !(table.read)(&rows).contains_key(keys.1);
                attacks.push(Attack { what, rows, partition, may_read_as_absent, may_be_dropped });
            }
        };
        let now = (table.read)(&self.rows);
        for (key, row) in now {
            attack("is dropped", (key, key), row, &|rows| drop(rows.remove(key)));
            if !self.members().contains((table.owner)(key)) {
                continue;
            }
            for there in self.members().iter().flat_map(|member| (table.elsewhere)(key, member)) {
                attack("is copied to", (key, &there), row, &|rows| drop(rows.insert(there.clone(), row.clone())));
            }
        }
        let mut tried: Vec<(&K, &V)> = Vec::new();
        for (key, old) in self.past.iter().flat_map(|rows| (table.read)(rows)) {
            // A session or token that is over: nobody presents it, so nothing looks for it.
            let is_over = (table.is_expiring)(old) && !now.contains_key(key);
            if now.get(key) != Some(old) && !is_over && !tried.contains(&(key, old)) {
                tried.push((key, old));
                attack("is put back", (key, key), old, &|rows| drop(rows.insert(key.clone(), old.clone())));
            }
        }
        attacks
    }

    /// What every use of a partition shows, each on its own.
    async fn audit(&self, rows: &Rows, partition: &Partition) -> Vec<(Use, Seen)> {
        let mut audit = Vec::new();
        for used in self.uses(partition) {
            self.put(rows);
            audit.push((used, self.use_it(used).await));
        }
        audit
    }

    /// What the operator's check says of a partition.
    async fn faults(&self, partition: &Partition) -> Vec<String> {
        let mut checked = self.server.keywright.housekeeping().check(None, u32::MAX).await.unwrap();
        assert!(checked.next.is_none());
        checked.damaged.retain(|damaged| damaged.partition == *partition);
        checked.damaged.iter().flat_map(|damaged| &damaged.faults).map(ToString::to_string).collect()
    }

    /// Tries attacks. Returns how many were noticed.
    async fn all_are_noticed(&self, attacks: Vec<Attack>) -> usize {
        let mut truths: BTreeMap<Partition, Vec<(Use, Seen)>> = BTreeMap::new();
        let mut count = 0;
        for Attack { what, rows, partition, may_read_as_absent, may_be_dropped } in attacks {
            if !truths.contains_key(&partition) {
                let truth = self.audit(&self.rows, &partition).await;
                assert!(truth.iter().all(|(_, seen)| *seen != Seen::Noticed), "{truth:#?}");
                truths.insert(partition.clone(), truth);
            }
            let seen = self.audit(&rows, &partition).await;
            let mut noticed = Vec::new();
            for ((used, seen), (_, truth)) in seen.iter().zip(&truths[&partition]) {
                match seen {
                    Seen::Noticed => noticed.push(*used),
                    Seen::Denied(_) if may_read_as_absent => {}
                    seen => assert_eq!(seen, truth, "{what}: {used:?}"),
                }
            }
            if may_read_as_absent && noticed.is_empty() {
                continue;
            }
            assert!(!noticed.is_empty(), "{what}: not noticed");
            self.put(&rows);
            assert!(!self.faults(&partition).await.is_empty(), "{what}: the operator's check finds nothing");
            count += 1;
            // Whatever is done with it, nothing mends it.
            self.put(&rows);
            for used in self.uses(&partition) {
                self.use_it(used).await;
            }
            for used in noticed {
                match self.use_it(used).await {
                    Seen::Noticed => {}
                    Seen::Denied(_) if may_be_dropped => {}
                    other => panic!("{what}: {used:?} was mended in silence: {other:?}"),
                }
            }
        }
        count
    }
}

#[tokio::test]
async fn a_root_that_is_put_back_moved_or_dropped_is_noticed() {
    let scene = Scene::new().await;
    let table = Table {
        name: "roots",
        read: |rows| &rows.roots,
        write: |rows| &mut rows.roots,
        owner: |partition| partition,
        elsewhere: |_, member| vec![member.clone()],
        is_expiring: |_| false,
    };
    let attacks = scene.attacks(&table);
    let count = scene.all_are_noticed(attacks).await;
    assert!(count > 50, "{count}");
}

#[tokio::test]
async fn a_record_that_is_put_back_moved_dropped_or_added_is_noticed() {
    let scene = Scene::new().await;
    let table = Table {
        name: "records",
        read: |rows| &rows.records,
        write: |rows| &mut rows.records,
        owner: |(partition, _)| partition,
        elsewhere: |(_, slot), member| vec![(member.clone(), *slot)],
        is_expiring: |row| row.purge_after.is_some(),
    };
    let attacks = scene.attacks(&table);
    let count = scene.all_are_noticed(attacks).await;
    assert!(count > 100, "{count}");
}

/// A record under an id that no root names: nobody asks for it, so no use meets it. The operator's check finds it, whatever its
/// kind, and it is never served.
#[tokio::test]
async fn a_record_that_no_root_names_is_found_by_the_check() {
    let scene = Scene::new().await;
    let kinds = keywright::slot_kinds().into_iter().map(|kind| kind.name()).chain([KindName::new("nobodys")]);
    let kinds: Vec<KindName> = kinds.collect();
    let past = scene.past.iter().flat_map(|rows| &rows.records);
    let rows: Vec<_> = past.chain(&scene.rows.records).map(|(_, row)| row.clone()).collect();
    let mut found = 0;
    for member in scene.members() {
        scene.put(&scene.rows);
        assert_eq!(scene.faults(&member).await, Vec::<String>::new());
        let truth = scene.audit(&scene.rows, &member).await;
        for (at, kind) in kinds.iter().enumerate() {
            let stray = SlotName::new(*kind, Some([77; 16]));
            let mut tampered = scene.rows.clone();
            // Under its own kind or another: nothing that it says is read.
            tampered.records.insert((member.clone(), stray), rows[at * 31 % rows.len()].clone());
            scene.put(&tampered);
            let faults = scene.faults(&member).await;
            assert!(faults.len() == 1 && faults[0].contains(&stray.to_text()), "{stray}: {faults:?}");
            assert_eq!(scene.audit(&tampered, &member).await, truth, "{stray}");
            scene.put(&tampered);
            let read = scene.server.keywright.driver().slots_of(&member).await.unwrap();
            assert!(!read.contains(&stray), "{stray}");
            found += 1;
        }
    }
    assert!(found > 60, "{found}");
}

#[tokio::test]
async fn a_cipher_that_is_put_back_moved_dropped_or_added_is_noticed() {
    let scene = Scene::new().await;
    let table = Table {
        name: "ciphers",
        read: |rows| &rows.ciphers,
        write: |rows| &mut rows.ciphers,
        owner: |(partition, _)| partition,
        elsewhere: |(_, id), member| vec![(member.clone(), *id), (member.clone(), cipher_id(77))],
        is_expiring: |_| false,
    };
    let attacks = scene.attacks(&table);
    let count = scene.all_are_noticed(attacks).await;
    assert!(count > 30, "{count}");
}

#[tokio::test]
async fn an_event_that_is_moved_dropped_or_added_is_noticed() {
    let scene = Scene::new().await;
    let table = Table {
        name: "events",
        read: |rows| &rows.events,
        write: |rows| &mut rows.events,
        owner: |(partition, ..)| partition,
        elsewhere: |(_, chain, number), member| vec![(member.clone(), *chain, *number), (member.clone(), *chain, 999)],
        is_expiring: |_| false,
    };
    let attacks = scene.attacks(&table);
    let count = scene.all_are_noticed(attacks).await;
    assert!(count > 50, "{count}");
}

/// Parts of a stage are nobody's until they are promoted: one that is not what it was is refused, and the vault stays.
#[tokio::test]
async fn a_staged_row_that_is_put_back_moved_dropped_or_added_is_not_promoted() {
    let scene = Scene::new().await;
    let mut attacks = Vec::new();
    for ((partition, stage), staged) in &scene.rows.stages {
        let mut attack = |what: String, change: &dyn Fn(&mut Rows)| {
            let mut rows = scene.rows.clone();
            change(&mut rows);
            attacks.push(Attack {
                what,
                rows,
                partition: partition.clone(),
                may_read_as_absent: true,
                may_be_dropped: true,
            });
        };
        let key = (partition.clone(), *stage);
        attack(format!("{key:?} is dropped"), &|rows| drop(rows.stages.remove(&key)));
        for (id, row) in &staged.rows {
            let edit = |rows: &mut Rows, change: &dyn Fn(&mut BTreeMap<CipherId, keywright::store::Row>)| {
                change(&mut rows.stages.get_mut(&key).unwrap().rows);
            };
            attack(format!("{id:?} of {key:?} is dropped"), &|rows| edit(rows, &|staged| drop(staged.remove(id))));
            let mut stray = row.clone();
            stray.marks.id = cipher_id(77);
            attack(format!("{id:?} of {key:?} is copied"), &|rows| {
                edit(rows, &|staged| drop(staged.insert(cipher_id(77), stray.clone())));
            });
            // What an upload holds is its client's to judge, which finishes it: only a vault that is held back is told from
            // another by its own.
            if *partition != Partition::account(&scene.librepass_account()) {
                continue;
            }
            let elsewhere = scene.past.iter().flat_map(|rows| &rows.stages).filter(|(other, _)| **other != key);
            for other in elsewhere.filter_map(|(_, other)| other.rows.get(id)) {
                attack(format!("{id:?} of {key:?} is of another stage"), &|rows| {
                    edit(rows, &|staged| drop(staged.insert(*id, other.clone())));
                });
            }
        }
    }
    assert!(attacks.len() > 20, "{}", attacks.len());
    for Attack { what, rows, partition, .. } in attacks {
        let promotes = |used: &Use| matches!(used, Use::Upload(_) | Use::NewAddress);
        for used in scene.uses(&partition).into_iter().filter(promotes) {
            scene.put(&scene.rows);
            let Seen::Shown(_) = scene.use_it(used).await else { panic!("{used:?} promotes nothing") };
            scene.put(&rows);
            let seen = scene.use_it(used).await;
            assert!(matches!(seen, Seen::Denied(_) | Seen::Noticed), "{what}: {used:?} ends in {seen:?}");
            assert!(rows.ciphers == scene.world.glass.rows().ciphers, "{what}: the vault stays");
        }
    }
}
