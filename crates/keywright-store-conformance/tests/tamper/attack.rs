//! An attack, and its required outcome.

use keywright_store::Partition;
use keywright_store_conformance::glass::Rows;

use crate::audit::{Audit, Use, audit, audit_of, noticed, write};
use crate::world::{World, slots};

/// Rows in which one was put back, moved, dropped, added or altered.
pub(crate) struct Attack {
    pub(crate) what: String,
    pub(crate) rows: Rows,
    /// A use at which it must be noticed.
    pub(crate) at: Use,
}

impl Attack {
    pub(crate) fn new(what: impl Into<String>, at: Use, rows: &Rows, change: impl FnOnce(&mut Rows)) -> Self {
        let mut rows = rows.clone();
        change(&mut rows);
        Self { what: what.into(), rows, at }
    }
}

/// Tries every attack. Returns how many there were, without those that change nothing.
pub(crate) async fn all_are_noticed(world: &World, attacks: Vec<Attack>) -> usize {
    let truth: Audit = audit(world).await;
    assert!(truth.values().all(Result::is_ok), "{truth:#?}");
    let mut count = 0;
    for attack in attacks {
        if attack.rows == *world.rows() {
            continue;
        }
        count += 1;
        world.put(&attack.rows);
        let before = world.heard.damages();
        // A load looks at the rows of its own partition alone: the others show what they showed before.
        let touched: Vec<Partition> = world
            .partitions
            .iter()
            .filter(|partition| differs(&attack.rows, world.rows(), partition))
            .cloned()
            .collect();
        let seen = audit_of(world, &touched).await;
        let at = noticed(&truth, &seen, &attack.what);
        assert!(at.contains(&attack.at), "{}: not noticed at {:?} but at {at:?}", attack.what, attack.at);
        assert!(world.heard.damages() > before, "{}: nobody was told", attack.what);
        assert!(world.glass.rows() == attack.rows, "{}: to look at it has changed it", attack.what);
        is_not_mended(world, &attack, &touched, &at).await;
        world.put(world.rows());
    }
    count
}

/// Whether any row of a partition differs.
fn differs(a: &Rows, b: &Rows, partition: &Partition) -> bool {
    let records = |rows: &Rows| -> Vec<_> {
        let own = rows.records.iter().filter(|((owner, _), _)| owner == partition);
        own.map(|(key, row)| (key.1, row.clone())).collect()
    };
    let events = |rows: &Rows| -> Vec<_> {
        let own = rows.events.iter().filter(|((owner, ..), _)| owner == partition);
        own.map(|(key, event)| (key.1, key.2, event.clone())).collect()
    };
    a.roots.get(partition) != b.roots.get(partition) || records(a) != records(b) || events(a) != events(b)
}

/// No write repairs what was noticed: it is denied, or it leaves the row as it is.
async fn is_not_mended(world: &World, attack: &Attack, touched: &[Partition], at: &[Use]) {
    for partition in touched {
        for slot in slots() {
            let written = world.driver.transact(partition, &[slot], |draft| write(draft, slot)).await;
            let damaged =
                at.contains(&Use::Root(partition.clone())) || at.contains(&Use::Record(partition.clone(), slot));
            assert_eq!(written.is_err(), damaged, "{}: a write to {slot} of {partition:?}", attack.what);
        }
        if let Some(account) = partition.as_account() {
            let made = world.driver.ensure_account(&account).await;
            assert_eq!(made.is_err(), at.contains(&Use::Root(partition.clone())), "{}", attack.what);
        }
        // Records that need no new seal are not opened, and opened ones must be valid. Either way
        // nothing is repaired: see below.
        let _ = world.driver.reseal(partition).await;
    }
    let after = audit_of(world, touched).await;
    for used in at {
        assert!(after[used].is_err(), "{}: {used:?} was mended in silence", attack.what);
    }
}

/// A body that is spoilt in every way in which it remains a body.
pub(crate) fn spoilt(body: &bytes::Bytes) -> Vec<(String, bytes::Bytes)> {
    let mut all: Vec<(String, Vec<u8>)> = vec![
        ("emptied".into(), Vec::new()),
        ("cut by a byte".into(), body[..body.len() - 1].to_vec()),
        ("longer by a byte".into(), [body, &[0][..]].concat()),
        ("cut to its head".into(), body[..35].to_vec()),
        ("all zeros".into(), vec![0; body.len()]),
    ];
    // The version, the key's id, the schema, the nonce, the first and the last byte of the rest.
    for at in [0, 1, 8, 9, 10, 11, 34, 35, body.len() - 17, body.len() - 1] {
        let mut flipped = body.to_vec();
        flipped[at] ^= 1;
        all.push((format!("altered at {at}"), flipped));
    }
    all.into_iter().map(|(what, body)| (what, body.into())).collect()
}

/// The use at which a partition's root shows.
pub(crate) fn at_root(partition: &Partition) -> Use {
    Use::Root(partition.clone())
}
