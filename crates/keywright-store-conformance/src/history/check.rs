//! The checker. The module's documentation describes what it looks for, and why no search is
//! needed.

use std::collections::HashMap;

use keywright_store::{Revision, VaultWrite, Write};

use super::anomaly::AnomalyKind;
use super::model::State;
use super::record::{Act, Answer, History, Operation, Partial};
use super::statistics::Statistics;

/// The anomaly, and the operations that contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: AnomalyKind,
    pub(super) partition: usize,
    pub(super) operations: [Option<usize>; 2],
}

pub(super) fn check(history: &History) -> Result<Statistics, Found> {
    let mut total = Statistics::default();
    for (partition, partial) in history.partitions.iter().enumerate() {
        let chain = Chain::of(partial).and_then(|chain| chain.verify(partial).map(|()| chain));
        match chain {
            Ok(chain) => total.add(chain.statistics(partial)),
            Err((kind, operations)) => return Err(Found { kind, partition, operations }),
        }
    }
    Ok(total)
}

type Contradiction = (AnomalyKind, [Option<usize>; 2]);

/// The applied batches in their order, as indices of operations.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) landed: Vec<usize>,
}

fn written(operation: &Operation) -> Option<(Option<Revision>, &Write, Answer)> {
    match &operation.act {
        Act::Commit { expect, write, answer } => Some((*expect, write, *answer)),
        _ => None,
    }
}

impl Chain {
    /// Determines which batches were applied: those that were acknowledged, those that were seen,
    /// and those that these expect.
    pub(super) fn of(partial: &Partial) -> Result<Self, Contradiction> {
        let operations = &partial.operations;
        let start = partial.start.revision();
        let mut by_revision: HashMap<Revision, usize> = HashMap::new();
        for (at, operation) in operations.iter().enumerate() {
            if let Some((_, write, _)) = written(operation) {
                by_revision.insert(write.revision, at);
            }
        }
        // Which operation shows that a batch was applied, and which batch.
        let mut claims: Vec<(usize, Option<Revision>)> = Vec::new();
        for (at, operation) in operations.iter().enumerate() {
            if let Some(root) = operation.saw() {
                claims.push((at, root));
            }
            if let Some((_, write, Answer::Yes)) = written(operation) {
                claims.push((at, Some(write.revision)));
            }
        }
        let mut successor: HashMap<Option<Revision>, usize> = HashMap::new();
        while let Some((witness, root)) = claims.pop() {
            if root == start {
                continue;
            }
            let known = root.and_then(|revision| by_revision.get(&revision)).copied();
            let Some(at) = known else {
                // This covers the absence of a root too, because a partition never loses one.
                return Err((AnomalyKind::UnknownRoot, [Some(witness), None]));
            };
            let Some((expect, _, answer)) = operations.get(at).and_then(written) else { continue };
            if matches!(answer, Answer::Conflict | Answer::Rejected) {
                return Err((AnomalyKind::RefusedLanded, [Some(at), Some(witness)]));
            }
            match successor.insert(expect, at) {
                Some(other) if other != at => return Err((AnomalyKind::TwoWinners, [Some(other), Some(at)])),
                Some(_) => {}
                // Seen for the first time, so the batch that it expects was applied too.
                None => claims.push((at, expect)),
            }
        }
        let mut landed = Vec::with_capacity(successor.len());
        let mut root = start;
        while let Some(at) = successor.remove(&root) {
            landed.push(at);
            root = operations.get(at).and_then(written).map(|(_, write, _)| write.revision);
        }
        Ok(Self { landed })
    }

    /// Places everything along the timeline, and compares what was read.
    fn verify(&self, partial: &Partial) -> Result<(), Contradiction> {
        let mut reads: HashMap<Option<Revision>, Vec<usize>> = HashMap::new();
        for (at, operation) in partial.operations.iter().enumerate() {
            if let Some(root) = operation.saw() {
                reads.entry(root).or_default().push(at);
            }
        }
        let mut state = partial.start.clone();
        let mut line = Line::default();
        let root = state.revision();
        line.reads(partial, &mut state, reads.get(&root))?;
        for &at in &self.landed {
            let Some(operation) = partial.operations.get(at) else { continue };
            let Some((_, write, answer)) = written(operation) else { continue };
            let answered = operation.answered.filter(|_| answer == Answer::Yes);
            line.after_all_before(at, answered)?;
            line.ask(at, operation.asked);
            state.apply(write);
            let root = state.revision();
            line.reads(partial, &mut state, reads.get(&root))?;
        }
        Ok(())
    }

    fn statistics(&self, partial: &Partial) -> Statistics {
        let count = |wanted: &dyn Fn(&Operation) -> bool| {
            u64::try_from(partial.operations.iter().filter(|operation| wanted(operation)).count()).unwrap_or(u64::MAX)
        };
        let told_conflict = |operation: &Operation| {
            matches!(
                operation.act,
                Act::Check { answer: Answer::Conflict, .. } | Act::Commit { answer: Answer::Conflict, .. }
            )
        };
        let mut state = partial.start.clone();
        let mut swept = 0_u64;
        for landed in std::iter::once(None).chain(self.landed.iter().map(Some)) {
            if let Some((_, write, _)) = landed.and_then(|at| partial.operations.get(*at)).and_then(written) {
                state.apply(write);
            }
            swept = swept.saturating_add(count(&|operation| match &operation.act {
                Act::Load { slots, seen } if operation.saw() == Some(state.revision()) => {
                    slots.iter().zip(&seen.records).any(|(slot, body)| state.is_swept(*slot, body.as_ref()))
                }
                _ => false,
            }));
        }
        let promotes = |at: &&usize| {
            let landed = partial.operations.get(**at).and_then(written);
            landed.is_some_and(|(_, write, _)| matches!(write.vault, Some(VaultWrite::Promote { .. })))
        };
        let unknown = |at: &&usize| {
            let landed = partial.operations.get(**at).and_then(written);
            landed.is_some_and(|(_, _, answer)| answer == Answer::Unknown)
        };
        Statistics {
            operations: count(&|_| true),
            landed: u64::try_from(self.landed.len()).unwrap_or(u64::MAX),
            promoted: u64::try_from(self.landed.iter().filter(promotes).count()).unwrap_or(u64::MAX),
            landed_unknown: u64::try_from(self.landed.iter().filter(unknown).count()).unwrap_or(u64::MAX),
            conflicts: count(&told_conflict),
            reads: count(&|operation| operation.saw().is_some()),
            vault: count(&|operation| match &operation.act {
                Act::Manifest { seen } => !seen.rows.is_empty(),
                Act::Rows { seen } => !seen.rows.is_empty(),
                _ => false,
            }),
            swept,
        }
    }
}

/// How far along the timeline the chain has been placed. Whatever comes next must have been
/// answered after this was requested.
#[derive(Debug, Default)]
struct Line {
    latest: Option<(usize, u64)>,
}

impl Line {
    fn ask(&mut self, at: usize, asked: u64) {
        if self.latest.is_none_or(|(_, latest)| asked > latest) {
            self.latest = Some((at, asked));
        }
    }

    fn after_all_before(&self, at: usize, answered: Option<u64>) -> Result<(), Contradiction> {
        match (self.latest, answered) {
            (Some((earlier, asked)), Some(answered)) if answered < asked => {
                Err((AnomalyKind::Order, [Some(earlier), Some(at)]))
            }
            _ => Ok(()),
        }
    }

    /// Every read of one root comes between the batch that put it and the one that replaced it, in
    /// any order.
    fn reads(&mut self, partial: &Partial, state: &mut State, reads: Option<&Vec<usize>>) -> Result<(), Contradiction> {
        let reads = || reads.into_iter().flatten().filter_map(|&at| Some((at, partial.operations.get(at)?)));
        for (at, operation) in reads() {
            let own = match &operation.act {
                Act::Load { slots, seen } => state.shows(slots, seen),
                Act::Page { chain, seen } => state.pages(*chain, seen),
                Act::Manifest { seen } => state.lists(seen),
                Act::Rows { seen } => state.reads(seen),
                Act::Check { .. } | Act::Commit { .. } => true,
            };
            if !own {
                return Err((AnomalyKind::Torn, [Some(at), None]));
            }
            self.after_all_before(at, operation.answered)?;
        }
        // A record that a sweep has dropped does not reappear under the same root, or under a later
        // one that does not put it.
        let loads = || {
            reads().filter_map(|(at, operation)| match &operation.act {
                Act::Load { slots, seen } => Some((at, operation, slots.iter().copied().zip(&seen.records))),
                _ => None,
            })
        };
        let mut taken = Vec::new();
        for (at, operation, seen) in loads() {
            for (slot, _) in seen.filter(|(slot, body)| state.is_swept(*slot, body.as_ref())) {
                let back = loads().find(|(_, later, records)| {
                    operation.answered.is_some_and(|answered| answered < later.asked)
                        && records.clone().any(|(other, body)| other == slot && body.is_some())
                });
                if let Some((later, ..)) = back {
                    return Err((AnomalyKind::Order, [Some(at), Some(later)]));
                }
                taken.push(slot);
            }
        }
        taken.into_iter().for_each(|slot| state.take(slot));
        for (at, operation) in reads() {
            self.ask(at, operation.asked);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use keywright_store::{Manifest, Newest, Put, Row, Snapshot, Stored, VaultRows};

    use super::*;
    use crate::site::{row, slot};

    const fn revision(byte: u8) -> Revision {
        Revision::from_bytes([byte; 16])
    }

    fn at(asked: u64, answered: impl Into<Option<u64>>, act: Act) -> Operation {
        Operation { client: 0, handle: 0, asked, answered: answered.into(), act }
    }

    /// A batch that puts its number.
    fn commit(from: u8, to: u8, answer: Answer) -> Act {
        let put = vec![Put { slot: slot(1), body: vec![to].into(), purge_after: None }];
        let write = Write { put, ..Write::root(revision(to), "root".into()) };
        Act::Commit { expect: (from > 0).then(|| revision(from)), write: Arc::new(write), answer }
    }

    fn load(root: u8, body: u8) -> Act {
        let seen = Snapshot {
            root: (root > 0).then(|| Stored { revision: revision(root), body: "root".into() }),
            records: vec![(body > 0).then(|| vec![body].into())],
            newest: Newest::default(),
            has_rows: body > 0,
        };
        Act::Load { slots: Arc::new([slot(1)]), seen }
    }

    const fn still(root: u8, answer: Answer) -> Act {
        Act::Check { expect: Some(revision(root)), answer }
    }

    fn judge(operations: Vec<Operation>) -> Result<Statistics, AnomalyKind> {
        let partial = Partial { start: State::default(), operations };
        check(&History { partitions: vec![partial] }).map_err(|found| found.kind)
    }

    /// A load of a record that was put with an expiry in the past.
    fn expiring(number: u8) -> Act {
        let put = vec![crate::site::put_until(slot(1), vec![number], crate::site::LONG_AGO.minus(1))];
        let write = Write { put, ..Write::root(revision(number), "root".into()) };
        Act::Commit { expect: None, write: Arc::new(write), answer: Answer::Yes }
    }

    #[test]
    fn a_sweep_takes_what_is_due_and_it_does_not_come_back() {
        let put = || at(0, 1, expiring(1));
        judge(vec![put(), at(2, 3, load(1, 1)), at(4, 5, load(1, 0))]).unwrap();
        // A load concurrent with the sweep may see either state.
        judge(vec![put(), at(2, 6, load(1, 1)), at(4, 5, load(1, 0))]).unwrap();
        assert_eq!(judge(vec![put(), at(2, 3, load(1, 0)), at(4, 5, load(1, 1))]).map(drop), Err(AnomalyKind::Order));
        // Nor under a later root. A record that was put last is not dropped.
        let fence = || {
            let write = Write::root(revision(2), "root".into());
            Act::Commit { expect: Some(revision(1)), write: Arc::new(write), answer: Answer::Yes }
        };
        let later = |body| vec![put(), at(2, 3, load(1, 0)), at(4, 5, fence()), at(6, 7, load(2, body))];
        judge(later(0)).unwrap();
        assert_eq!(judge(later(1)).map(drop), Err(AnomalyKind::Torn));
        let kept = vec![put(), at(2, 3, commit(1, 2, Answer::Yes)), at(4, 5, load(2, 0))];
        assert_eq!(judge(kept).map(drop), Err(AnomalyKind::Torn));
    }

    #[test]
    fn a_vault_is_what_its_batches_have_made() {
        let write = |from: u8, to: u8, vault| {
            let write = Write { vault: Some(vault), ..Write::root(revision(to), "root".into()) };
            let expect = (from > 0).then(|| revision(from));
            Act::Commit { expect, write: Arc::new(write), answer: Answer::Yes }
        };
        let rows =
            |root: u8, rows: Vec<Row>| Act::Rows { seen: VaultRows { root: Some(revision(root)), rows, marks: None } };
        let edit = || at(0, 1, write(0, 1, crate::site::edit(vec![row(1, 7, "a"), row(2, 7, "b")])));
        let swapped = vec![row(1, 8, "c"), row(2, 8, "d")];
        let swap = || at(2, 3, write(1, 2, VaultWrite::Swap { rows: swapped.clone() }));
        judge(vec![edit(), swap(), at(4, 5, rows(2, swapped.clone()))]).unwrap();
        let half = rows(2, vec![row(1, 8, "c"), row(2, 7, "b")]);
        assert_eq!(judge(vec![edit(), swap(), at(4, 5, half)]).map(drop), Err(AnomalyKind::Torn));
        let manifest = Act::Manifest { seen: Manifest { root: Some(revision(1)), rows: Vec::new() } };
        assert_eq!(judge(vec![edit(), at(2, 3, manifest)]).map(drop), Err(AnomalyKind::Torn));
    }

    #[test]
    fn sound_histories_are_explained() {
        // A load concurrent with a commit may see either state.
        for seen in [0, 1] {
            judge(vec![at(0, 3, commit(0, 1, Answer::Yes)), at(1, 2, load(seen, seen))]).unwrap();
        }
        // A lost commit may be applied late, or never.
        let lost = || at(0, None, commit(0, 1, Answer::Unknown));
        judge(vec![lost(), at(1, 2, load(0, 0)), at(3, 4, load(1, 1))]).unwrap();
        judge(vec![lost(), at(1, 2, load(0, 0)), at(3, 4, commit(0, 2, Answer::Yes)), at(5, 6, load(2, 2))]).unwrap();
        // A batch that was applied without a reply is known from the batch that expects its root.
        let statistics = judge(vec![lost(), at(1, 2, commit(1, 2, Answer::Yes)), at(3, 4, load(2, 2))]).unwrap();
        assert_eq!((statistics.landed, statistics.landed_unknown, statistics.reads), (2, 1, 1));
        // A check concurrent with a commit may get either reply.
        for answer in [Answer::Yes, Answer::Conflict] {
            let base = at(0, 1, commit(0, 1, Answer::Yes));
            judge(vec![base, at(2, 5, commit(1, 2, Answer::Yes)), at(3, 4, still(1, answer))]).unwrap();
        }
        // Operations that overlap may be placed in any order that fits.
        let writes = [at(0, 9, commit(0, 1, Answer::Yes)), at(1, 8, commit(1, 2, Answer::Yes))];
        judge(writes.into_iter().chain([at(2, 3, load(0, 0)), at(4, 5, load(2, 2))]).collect()).unwrap();
    }

    #[test]
    fn unsound_histories_are_not() {
        let base = || at(0, 1, commit(0, 1, Answer::Yes));
        let cases = [
            // Two winners, one of which may be seen only as the base of another batch.
            (vec![base(), at(2, 3, commit(0, 2, Answer::Yes))], AnomalyKind::TwoWinners),
            (
                vec![
                    base(),
                    at(2, None, commit(1, 2, Answer::Unknown)),
                    at(2, 3, commit(1, 3, Answer::Yes)),
                    at(4, 5, load(2, 2)),
                ],
                AnomalyKind::TwoWinners,
            ),
            // A refused batch is visible.
            (vec![base(), at(2, 3, commit(1, 2, Answer::Conflict)), at(4, 5, load(2, 2))], AnomalyKind::RefusedLanded),
            (
                vec![base(), at(2, 3, commit(1, 2, Answer::Rejected)), at(4, 5, commit(2, 3, Answer::Yes))],
                AnomalyKind::RefusedLanded,
            ),
            // A root that no client put.
            (vec![base(), at(2, 3, load(9, 9))], AnomalyKind::UnknownRoot),
            // Half of one state, and half of another.
            (vec![base(), at(2, 3, commit(1, 2, Answer::Yes)), at(4, 5, load(2, 1))], AnomalyKind::Torn),
            (vec![base(), at(2, 3, load(1, 0))], AnomalyKind::Torn),
            // Stale reads: a load, a check, and a second load that goes back.
            (vec![base(), at(2, 3, commit(1, 2, Answer::Yes)), at(4, 5, load(1, 1))], AnomalyKind::Order),
            (vec![base(), at(2, 3, commit(1, 2, Answer::Yes)), at(4, 5, still(1, Answer::Yes))], AnomalyKind::Order),
            (
                vec![base(), at(2, 9, commit(1, 2, Answer::Yes)), at(3, 4, load(2, 2)), at(5, 6, load(1, 1))],
                AnomalyKind::Order,
            ),
            // A lost write: acknowledged, but no read sees it.
            (vec![base(), at(2, 3, load(0, 0))], AnomalyKind::Order),
            // Seen before it was requested.
            (vec![base(), at(2, 3, load(2, 2)), at(4, 5, commit(1, 2, Answer::Yes))], AnomalyKind::Order),
        ];
        for (number, (operations, kind)) in cases.into_iter().enumerate() {
            assert_eq!(judge(operations).map(drop), Err(kind), "case {number}");
        }
    }
}
