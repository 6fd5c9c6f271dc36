//! What is compared, in one form for the model and the real code: a partition, the commits in
//! flight, and what each driver waits for. Revisions are only ever compared, so they are numbered
//! in the order in which they occur.

use std::collections::HashMap;

use keywright_model::driver::Phase;
use keywright_model::world::{self, Expiry, PROMOTED, Rev, SLOTS, World};

/// A revision of a root, and one under which a record was put: the two are never compared with each other.
pub(crate) type Chain = u128;
pub(crate) type Put = u128;

/// A root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Root {
    pub revision: Chain,
    pub recent: Vec<Chain>,
    pub contents: [Option<(Put, Expiry)>; SLOTS],
    pub expires: Expiry,
    /// The newest number of the log that it vouches for.
    pub events: u64,
}

/// A record's row, or the put of one.
pub(crate) type Row = Option<(Put, u8, Expiry)>;

/// A batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub expect: Chain,
    pub write: Option<Write>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    pub root: Root,
    pub puts: [Row; SLOTS],
    pub deletes: [bool; SLOTS],
    pub erase: bool,
    /// The number of its event.
    pub tells: Option<u64>,
    pub vault: Option<VaultWrite>,
}

/// A change of the vault's rows: their value afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VaultWrite {
    Edit(u8),
    Promote(u8),
}

/// What a driver waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there are only a few of them")]
pub(crate) enum Wants {
    Nothing,
    Load,
    Commit(Sent),
}

/// The whole state that is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub root: Option<Root>,
    pub rows: [Row; SLOTS],
    /// The numbers of the log's rows.
    pub log: Vec<u64>,
    /// The value of the vault's rows, if there are any. All rows have the same value.
    pub vault: Option<u8>,
    /// What is staged, and under which head.
    pub stage: Option<(Put, u8)>,
    pub held: Vec<(Option<u8>, Sent)>,
    pub drivers: Vec<Wants>,
}

impl Seen {
    /// Returns the same state with its revisions numbered in the order in which they occur.
    pub(crate) fn numbered(mut self) -> Self {
        let (mut chain, mut puts) = (Names::default(), Names::default());
        let mut names = (&mut chain, &mut puts);
        self.root.iter_mut().for_each(|root| root.number(&mut names));
        self.rows.iter_mut().flatten().for_each(|(put, ..)| names.1.rename(put));
        self.stage.iter_mut().for_each(|(base, _)| names.1.rename(base));
        self.held.iter_mut().for_each(|(_, sent)| sent.number(&mut names));
        for wants in &mut self.drivers {
            if let Wants::Commit(sent) = wants {
                sent.number(&mut names);
            }
        }
        self
    }

    /// Returns the state of the model.
    pub(crate) fn of(world: &World) -> Self {
        let wants = |phase: &Phase| match phase {
            Phase::Idle => Wants::Nothing,
            Phase::Ready { batch } => Wants::Commit(sent(batch)),
            Phase::Fencing { fence, .. } => Wants::Commit(sent(fence)),
            Phase::Loading { .. } | Phase::Half { .. } | Phase::More { .. } | Phase::Settling { .. } => Wants::Load,
        };
        Self {
            root: world.store.root.as_ref().map(root),
            rows: world.store.rows.map(row),
            log: (1..=world.store.log.into()).collect(),
            vault: Some(world.store.vault).filter(|state| *state > 0),
            stage: world.store.stage.map(|stage| (id(stage.base), stage.over + PROMOTED)),
            held: world.held.iter().map(|held| (held.owner, sent(&held.batch))).collect(),
            drivers: world.drivers.iter().map(|driver| wants(&driver.phase)).collect(),
        }
        .numbered()
    }
}

fn id(rev: Rev) -> u128 {
    rev.0.into()
}

fn row(row: Option<world::Row>) -> Row {
    row.map(|row| (id(row.rev), row.value, row.purge_after))
}

fn root(root: &world::Root) -> Root {
    Root {
        revision: id(root.rev),
        recent: root.recent.as_slice().iter().copied().map(id).collect(),
        contents: root.contents.map(|entry| entry.map(|entry| (id(entry.rev), entry.expiry))),
        expires: root.expires,
        events: root.events.into(),
    }
}

fn sent(batch: &world::Batch) -> Sent {
    let write = |write: &world::Write| Write {
        root: root(&write.root),
        puts: write.puts.map(row),
        deletes: write.deletes,
        erase: write.erase,
        tells: write.tells.map(u64::from),
        vault: write.vault.map(|vault| match vault {
            world::VaultWrite::Edit(state) => VaultWrite::Edit(state),
            world::VaultWrite::Promote(over) => VaultWrite::Promote(over + PROMOTED),
        }),
    };
    Sent { expect: id(batch.expect), write: batch.write.as_ref().map(write) }
}

#[derive(Default)]
struct Names(HashMap<u128, u128>);

impl Names {
    fn rename(&mut self, id: &mut u128) {
        if *id != 0 {
            let next = u128::try_from(self.0.len() + 1).unwrap();
            *id = *self.0.entry(*id).or_insert(next);
        }
    }
}

type Both<'a> = (&'a mut Names, &'a mut Names);

impl Root {
    fn number(&mut self, names: &mut Both<'_>) {
        names.0.rename(&mut self.revision);
        self.recent.iter_mut().for_each(|revision| names.0.rename(revision));
        self.contents.iter_mut().flatten().for_each(|(put, _)| names.1.rename(put));
    }
}

impl Sent {
    fn number(&mut self, names: &mut Both<'_>) {
        names.0.rename(&mut self.expect);
        if let Some(write) = &mut self.write {
            write.root.number(names);
            write.puts.iter_mut().flatten().for_each(|(put, ..)| names.1.rename(put));
        }
    }
}
