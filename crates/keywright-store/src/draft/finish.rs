//! Turns a draft into the batch that commits it: the next root, its contents and chains, and the
//! sealed records.

use std::collections::BTreeMap;

use bytes::Bytes;
use keywright_core::{SealBuffer, SealContext, SecurityEvent, SystemEntropy, UnixSeconds};

use super::Draft;
use super::notes::Notes;
use crate::batch::{Batch, Put, StoredEvent, Write};
use crate::contents::Entry;
use crate::due::list::DUE;
use crate::loaded::PlainBody;
use crate::locks::Standing;
use crate::revision::Revision;
use crate::root::{PRUNE_AFTER, Root, RootRecord};
use crate::slot::{KindName, ROOT, SlotKind, SlotKinds, SlotName};
use crate::step_error::StepError;

/// The result of a finished draft.
pub(crate) struct Finished {
    /// The batch to commit, or `None` if nothing changes and nothing is granted.
    pub(crate) batch: Option<Batch>,
    /// The events of the batch, for the observer.
    pub(crate) events: Vec<SecurityEvent>,
    pub(crate) standing: Standing,
    pub(crate) notes: Notes,
}

impl Draft<'_> {
    /// Turns the draft into what must be committed.
    pub(crate) fn finish(self) -> Result<Finished, StepError> {
        let staged = &self.staged;
        let changes = staged.touched
            || staged.erase
            || !staged.writes.is_empty()
            || !staged.events.is_empty()
            || staged.vault.is_some();
        let (standing, notes) = (self.standing, self.notes);
        if !changes {
            let batch = self.grants.then(|| Batch::check(self.partition.clone(), self.loaded.revision));
            return Ok(Finished { batch, events: Vec::new(), standing, notes });
        }
        if self.moves_epochs() && staged.events.is_empty() && self.partition.is_account() {
            return Err(StepError::Misuse("the step moved an epoch without emitting an event"));
        }
        let (batch, events) = self.write()?;
        Ok(Finished { batch: Some(batch), events, standing, notes })
    }

    fn moves_epochs(&self) -> bool {
        let epochs = |root: &Root| (root.credential_epoch, root.factor_epoch, root.key_epoch);
        match (&self.loaded.root.state, &self.staged.state) {
            (Some(before), Some(after)) => epochs(before) != epochs(after),
            _ => false,
        }
    }

    fn write(self) -> Result<(Batch, Vec<SecurityEvent>), StepError> {
        let Self { partition, loaded, env, attempt, staged, nonces, .. } = self;
        let state = match staged.state {
            Some(state) => state,
            // Name partitions and the server partition get their root with their first write.
            None if !partition.is_account() => Root::new(env.entropy, env.now)?,
            None => return Err(StepError::NoAccount),
        };
        let mut root = loaded.root.clone();
        root.state = Some(state);
        root.recent.push(loaded.revision.unwrap_or(Revision::ZERO));
        // A partition is swept a day after its last commit at the earliest, because a late commit
        // may still arrive until then.
        root.expires = staged.expires.map(|expiry| expiry.max(earliest_sweep(&env)));
        root.due_at = staged.due_at.filter(|_| leaves_due(&staged.writes, staged.erase, &loaded.root));
        if staged.erase {
            root.contents.clear();
        }
        let pruned = prune(&mut root, &staged.writes, env.now.min(env.horizon));
        note(&mut root, &staged.writes, attempt, env.kinds)?;
        let mut events = Vec::with_capacity(staged.events.len());
        let mut stored_events = Vec::with_capacity(staged.events.len());
        for event in &staged.events {
            let chain = event.kind().chain();
            let json = event.to_json(root.chain(chain).last());
            let (number, prev) = root.chain_mut(chain).append(env.now, &json);
            events.push(SecurityEvent::of(event, number, env.now));
            stored_events.push(StoredEvent { chain, number, at: env.now, json: json.into(), prev });
        }
        let forget = root.trim_chains();
        let label = partition.seal_label();
        let seal = |name: &str, schema: u16, body: SealBuffer| {
            let context = SealContext::new(&label, name, attempt.to_bytes());
            env.keyring.seal_in_place(&nonces, &context, schema, body).map(Bytes::from)
        };
        let mut put = Vec::with_capacity(staged.writes.len());
        let mut delete = pruned;
        for (&slot, plain) in &staged.writes {
            match plain {
                Some(plain) => {
                    let body = seal(&slot.to_text(), plain.schema, plain.body.as_slice().into())?;
                    put.push(Put { slot, body, purge_after: plain.expiry });
                }
                // After an erase nothing is left to delete, and a record that was never there needs
                // no delete.
                None if !staged.erase && loaded.root.contents.contains_key(&slot) => delete.push(slot),
                None => {}
            }
        }
        let write = Write {
            purge_after: root.expires,
            due_at: root.due_at,
            erase: staged.erase,
            put,
            delete,
            events: stored_events,
            forget,
            vault: staged.vault,
            ..Write::root(attempt, seal(ROOT, RootRecord::SCHEMA, root.encode())?)
        };
        Ok((Batch::new(partition.clone(), loaded.revision, write)?, events))
    }
}

/// The earliest moment at which a partition that is written now may be swept: a day after the later
/// of this server's clock and the furthest horizon of the store that it has read. If a clock has
/// stopped, a fence must not be swept while the commit that it fences off may still arrive.
fn earliest_sweep(env: &super::Env<'_>) -> UnixSeconds {
    env.now.max(env.furthest).plus(PRUNE_AFTER)
}

/// Drops the entries that expired more than a day before `until`, except those that the batch
/// writes itself. Returns the rows to delete.
fn prune(root: &mut RootRecord, writes: &BTreeMap<SlotName, Option<PlainBody>>, until: UnixSeconds) -> Vec<SlotName> {
    let is_over = |entry: &Entry| entry.expiry.is_some_and(|expiry| expiry.plus(PRUNE_AFTER) < until);
    let pruned: Vec<SlotName> = root
        .contents
        .iter()
        .filter(|(name, entry)| is_over(entry) && !writes.contains_key(name))
        .map(|(name, _)| *name)
        .collect();
    for name in &pruned {
        root.contents.remove(name);
    }
    pruned
}

/// Whether the account still has due work after this batch: its list was not deleted, and outlives
/// an erase only if it is kept.
fn leaves_due(writes: &BTreeMap<SlotName, Option<PlainBody>>, erase: bool, before: &RootRecord) -> bool {
    let name = DUE.name();
    match writes.get(&name) {
        Some(plain) => plain.is_some(),
        None => !erase && before.contents.contains_key(&name),
    }
}

/// Records in the contents what the batch puts and deletes.
fn note(
    root: &mut RootRecord,
    writes: &BTreeMap<SlotName, Option<PlainBody>>,
    revision: Revision,
    kinds: Option<&SlotKinds>,
) -> Result<(), StepError> {
    for (name, plain) in writes {
        match plain {
            Some(plain) => {
                let declared = kinds.is_none_or(|kinds| kinds.find(name.kind()).is_some_and(|kind| plain.is_of(kind)));
                if !declared {
                    // If it were committed, every later load would deny, because none would know
                    // the kind.
                    return Err(StepError::Misuse("the kind of the slot is not declared to the driver"));
                }
                root.contents.insert(*name, Entry { revision, expiry: plain.expiry });
            }
            None => {
                root.contents.remove(name);
            }
        }
    }
    if root.contents.len() > usize::from(crate::slot::MAX_SLOTS) {
        return Err(StepError::Misuse("the partition has more slots than any server may declare"));
    }
    // The contents are sorted by kind.
    let mut of_kind: BTreeMap<KindName, usize> = BTreeMap::new();
    for name in root.contents.keys() {
        let count = of_kind.entry(name.kind()).or_default();
        *count = count.saturating_add(1);
    }
    let too_many = writes.iter().find(|(name, plain)| {
        plain
            .as_ref()
            .and_then(|plain| plain.kind)
            .is_some_and(|kind| of_kind.get(&name.kind()).is_some_and(|count| *count > usize::from(kind.most())))
    });
    too_many.map_or(Ok(()), |(name, _)| Err(StepError::TooManySlots(*name)))
}

impl PlainBody {
    /// Whether it was put as its kind is declared. A body that is only sealed again knows no more
    /// than its expiry.
    fn is_of(&self, kind: SlotKind) -> bool {
        self.kind.is_none_or(|put_as| put_as == kind) && self.expiry.is_some() == kind.is_expiring()
    }
}

/// Returns the same root under a new revision, so that an attempt based on the old one can never
/// land. If there is no root, it is a blank one: a creation can then never land, and steps see no
/// account.
pub(crate) fn fence(
    env: &super::Env<'_>,
    partition: &crate::partition::Partition,
    current: Option<(Revision, RootRecord)>,
) -> Result<Batch, StepError> {
    let attempt = Revision::draw()?;
    let expect = current.as_ref().map(|(revision, _)| *revision);
    let mut root = match current {
        Some((_, root)) => root,
        // It will never contain anything, so it expires by itself.
        None => RootRecord { expires: Some(env.now), ..RootRecord::blank() },
    };
    root.expires = root.expires.map(|expiry| expiry.max(earliest_sweep(env)));
    root.recent.push(expect.unwrap_or(Revision::ZERO));
    let label = partition.seal_label();
    let context = SealContext::new(&label, ROOT, attempt.to_bytes());
    let body = env.keyring.seal_in_place(&SystemEntropy, &context, RootRecord::SCHEMA, root.encode())?;
    let write = Write { purge_after: root.expires, due_at: root.due_at, ..Write::root(attempt, body.into()) };
    Ok(Batch::new(partition.clone(), expect, write)?)
}
