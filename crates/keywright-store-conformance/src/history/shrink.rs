//! Reduces a failing history to a readable size.

use super::anomaly::{Anomaly, AnomalyKind};
use super::check::{Chain, Found, check};
use super::print::anomaly;
use super::record::{Act, History, Partial};

/// Returns the shortest history that was found in which the same anomaly occurs, printed.
pub(super) fn shrink(history: &History, found: &Found) -> Anomaly {
    let whole = history.partitions.get(found.partition).cloned().unwrap_or_default();
    let total = whole.operations.len();
    let mut small = drop_operations(drop_beginning(whole, found.kind), found.kind);
    small.operations.sort_by_key(|operation| operation.asked);
    let operations = fails(&small).map_or([None, None], |found| found.operations);
    anomaly(found.kind, &small, operations, total)
}

fn fails(partial: &Partial) -> Option<Found> {
    check(&History { partitions: vec![partial.clone()] }).err()
}

fn fails_alike(partial: &Partial, kind: AnomalyKind) -> bool {
    fails(partial).is_some_and(|found| found.kind == kind)
}

/// Starts from the state after as many batches as possible, instead of from an empty partition.
fn drop_beginning(partial: Partial, kind: AnomalyKind) -> Partial {
    // If the chain itself is broken, only single operations are dropped.
    let Ok(chain) = Chain::of(&partial) else { return partial };
    for length in (1..=chain.landed.len()).rev() {
        let mut start = partial.start.clone();
        let mut gone: Vec<Option<keywright_store::Revision>> = vec![start.revision()];
        for &at in chain.landed.iter().take(length) {
            if let Some(Act::Commit { write, .. }) = partial.operations.get(at).map(|operation| &operation.act) {
                start.apply(write);
                gone.push(start.revision());
            }
        }
        // The last of them is the new start.
        gone.pop();
        let mut kept = Partial { start, operations: Vec::new() };
        for (at, operation) in partial.operations.iter().enumerate() {
            let before = chain.landed.iter().take(length).any(|landed| *landed == at)
                || operation.saw().is_some_and(|root| gone.contains(&root));
            if !before {
                kept.operations.push(operation.clone());
            }
        }
        if fails_alike(&kept, kind) {
            return kept;
        }
    }
    partial
}

/// Drops one operation after the other, as long as the same anomaly occurs without it.
fn drop_operations(mut partial: Partial, kind: AnomalyKind) -> Partial {
    loop {
        let before = partial.operations.len();
        let mut at = 0;
        while at < partial.operations.len() {
            let mut without = partial.clone();
            without.operations.remove(at);
            if fails_alike(&without, kind) {
                partial = without;
            } else {
                at = at.saturating_add(1);
            }
        }
        if partial.operations.len() == before {
            return partial;
        }
    }
}
