//! Prints a failing history as text.

use std::collections::HashMap;
use std::fmt::Write as _;

use bytes::Bytes;
use keywright_core::EventChain;
use keywright_store::{CipherId, Newest, Revision, Row, SlotName, VaultWrite, Write};

use super::anomaly::{Anomaly, AnomalyKind};
use super::record::{Act, Answer, Operation, Partial};

/// Prints a history that fails as `kind` describes, and marks the operations that contradict each
/// other.
pub(super) fn anomaly(kind: AnomalyKind, partial: &Partial, guilty: [Option<usize>; 2], total: usize) -> Anomaly {
    let mut names = Names::default();
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(text, "      [asked, answered]; at first: {}", names.start(partial));
    for (at, operation) in partial.operations.iter().enumerate() {
        let mark = if guilty.contains(&Some(at)) { "  >>  " } else { "      " };
        let _ = writeln!(text, "{mark}{}", names.operation(operation));
    }
    Anomaly { kind, seed: 0, shown: partial.operations.len(), total, text }
}

/// Short names for revisions and bodies, in the order in which they occur.
#[derive(Default)]
struct Names {
    roots: HashMap<Revision, usize>,
    bodies: HashMap<Bytes, usize>,
}

impl Names {
    fn root(&mut self, root: Option<Revision>) -> String {
        let Some(revision) = root else { return "no root".into() };
        let next = self.roots.len().saturating_add(1);
        format!("r{}", self.roots.entry(revision).or_insert(next))
    }

    fn body(&mut self, body: &Bytes) -> String {
        let next = self.bodies.len().saturating_add(1);
        format!("#{}", self.bodies.entry(body.clone()).or_insert(next))
    }

    fn start(&mut self, partial: &Partial) -> String {
        let mut text = self.root(partial.start.revision());
        for (slot, record) in &partial.start.records {
            let due = if record.due { " (due)" } else { "" };
            let _ = write!(text, ", {}={}{due}", short(slot), self.body(&record.body));
        }
        text.push_str(&self.rows(partial.start.ciphers.values()));
        for chain in EventChain::ALL {
            let _ = write!(text, ", {chain:?} {:?}", partial.start.numbers(chain));
        }
        text
    }

    fn operation(&mut self, operation: &Operation) -> String {
        let Operation { client, handle, asked, answered, act } = operation;
        let answered = answered.map_or_else(|| "  -".to_owned(), |answered| format!("{answered:>3}"));
        format!("[{asked:>3}, {answered}] client {client}, handle {handle}: {}", self.act(act))
    }

    fn act(&mut self, act: &Act) -> String {
        match act {
            Act::Load { slots, seen } => {
                let root = seen.root.as_ref().map(|root| root.revision);
                let mut text = format!("load: {}", self.root(root));
                for (slot, body) in slots.iter().zip(&seen.records) {
                    let body = body.as_ref().map_or_else(|| "none".to_owned(), |body| self.body(body));
                    let _ = write!(text, ", {}={body}", short(slot));
                }
                let Newest { changes, denials } = seen.newest;
                let _ = write!(text, ", newest {changes} and {denials}");
                text
            }
            Act::Page { chain, seen } => {
                let numbers: Vec<u64> = seen.events.iter().map(|event| event.number).collect();
                format!("page: {}, {chain:?} {numbers:?}", self.root(seen.root))
            }
            Act::Manifest { seen } => {
                let ids: Vec<String> = seen.rows.iter().map(|marks| cipher(marks.id)).collect();
                format!("manifest: {}, [{}]", self.root(seen.root), ids.join(", "))
            }
            Act::Rows { seen } => format!("vault: {}{}", self.root(seen.root), self.rows(seen.rows.iter())),
            Act::Check { expect, answer } => format!("is it still {}? {}", self.root(*expect), check_answer(*answer)),
            Act::Commit { expect, write, answer } => self.commit(*expect, write, *answer),
        }
    }

    fn rows<'a>(&mut self, rows: impl Iterator<Item = &'a Row>) -> String {
        rows.map(|row| format!(", {}={}", cipher(row.id()), self.body(&row.text))).collect()
    }

    fn commit(&mut self, expect: Option<Revision>, write: &Write, answer: Answer) -> String {
        let mut text = format!("commit {} -> {}", self.root(expect), self.root(Some(write.revision)));
        if write.erase {
            text.push_str(", erase");
        }
        for put in &write.put {
            let until = if put.purge_after.is_some() { " (expires)" } else { "" };
            let _ = write!(text, ", {}={}{until}", short(&put.slot), self.body(&put.body));
        }
        for slot in &write.delete {
            let _ = write!(text, ", {} deleted", short(slot));
        }
        for event in &write.events {
            let _ = write!(text, ", {:?} {}", event.chain, event.number);
        }
        for (chain, first) in &write.forget {
            let _ = write!(text, ", {chain:?} from {first}");
        }
        match &write.vault {
            None => {}
            Some(VaultWrite::Edit { put, delete }) => {
                text.push_str(&self.rows(put.iter()));
                delete.iter().for_each(|id| text.push_str(&format!(", {} deleted", cipher(*id))));
            }
            Some(VaultWrite::Swap { rows }) => {
                let _ = write!(text, ", swap{}", self.rows(rows.iter()));
            }
            Some(VaultWrite::Promote { rows, .. }) => {
                text.push_str(", promote");
                rows.iter().for_each(|(id, _)| text.push_str(&format!(" {}", cipher(*id))));
            }
        }
        text.push_str(match answer {
            Answer::Yes => ": landed",
            Answer::Conflict => ": conflict",
            Answer::Rejected => ": rejected",
            Answer::Unknown => ": unknown",
        });
        text
    }
}

const fn check_answer(answer: Answer) -> &'static str {
    match answer {
        Answer::Yes => "yes",
        Answer::Conflict => "no",
        Answer::Rejected => "rejected",
        Answer::Unknown => "unknown",
    }
}

/// So are the ciphers.
fn cipher(id: CipherId) -> String {
    let CipherId([first, ..]) = id;
    format!("c{first}")
}

/// The slots of histories differ in one byte.
fn short(slot: &SlotName) -> String {
    slot.id().map_or_else(|| slot.to_text(), |[first, ..]| format!("s{first}"))
}
