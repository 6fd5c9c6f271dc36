//! The result of a load, with the root opened: the snapshot on which a draft is based.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use keywright_core::{Keyring, PlainBytes, SealContext, UnixSeconds};

use crate::partition::Partition;
use crate::port::Snapshot;
use crate::revision::Revision;
use crate::root::{MAX_ROOT_BYTES, RootRecord};
use crate::slot::{ROOT, SlotKind, SlotKinds, SlotName};
use crate::step_error::{Damage, StepError};

/// One snapshot of a partition.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The root's revision; `None` if there is no root.
    pub(crate) revision: Option<Revision>,
    pub(crate) root: RootRecord,
    pub(crate) records: BTreeMap<SlotName, Option<Bytes>>,
    /// Whether there are rows although there is no root, or only a blank one.
    pub(crate) orphans: bool,
    /// Whether the root is sealed under the newest key.
    pub(crate) is_current: bool,
    /// The records of this snapshot that a step has read.
    pub(crate) opened: Opened,
}

/// A record's body in clear. It was read from a snapshot, or written and not sealed yet.
#[derive(Clone)]
pub(crate) struct PlainBody {
    pub(crate) schema: u16,
    pub(crate) body: Arc<PlainBytes>,
    pub(crate) expiry: Option<UnixSeconds>,
    /// The kind as which it was put; `None` for one that was opened and is only sealed again.
    pub(crate) kind: Option<SlotKind>,
}

/// Records in clear, so that a step that runs again on the same snapshot does not open them again.
/// They are wiped with the snapshot.
#[derive(Default)]
pub(crate) struct Opened(Mutex<BTreeMap<SlotName, PlainBody>>);

impl Opened {
    pub(crate) fn get(&self, name: SlotName) -> Option<PlainBody> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned()
    }

    pub(crate) fn insert(&self, name: SlotName, body: PlainBody) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, body);
    }
}

keywright_core::redacted_debug!(Opened);

impl Loaded {
    /// Opens a snapshot. `slots` are those that were requested.
    pub(crate) fn open(
        keyring: &Keyring,
        kinds: Option<&SlotKinds>,
        partition: &Partition,
        slots: &[SlotName],
        snapshot: Snapshot,
    ) -> Result<Self, StepError> {
        let Snapshot { root: stored, records, newest, has_rows } = snapshot;
        if records.len() != slots.len() {
            return Err(StepError::Damaged(Damage::Answer));
        }
        let records = slots.iter().copied().zip(records).collect();
        let Some(stored) = stored else {
            return Ok(Self {
                revision: None,
                root: RootRecord::blank(),
                records,
                orphans: has_rows,
                is_current: true,
                opened: Opened::default(),
            });
        };
        let root = open_root(keyring, partition, stored.revision, &stored.body)?;
        if let Some(kinds) = kinds
            && let Some(slot) = root.undeclared(kinds)
        {
            return Err(StepError::UndeclaredSlot(slot));
        }
        if let Some(chain) = root.newest_mismatch(&newest) {
            return Err(StepError::Damaged(Damage::Events(chain)));
        }
        let is_current = keyring.is_current(&stored.body);
        let orphans = has_rows && root.state.is_none();
        Ok(Self { revision: Some(stored.revision), root, records, orphans, is_current, opened: Opened::default() })
    }
}

/// Opens a root's body under the revision of its row.
pub(crate) fn open_root(
    keyring: &Keyring,
    partition: &Partition,
    revision: Revision,
    body: &Bytes,
) -> Result<RootRecord, StepError> {
    if body.len() > MAX_ROOT_BYTES {
        return Err(StepError::Damaged(Damage::Root));
    }
    let label = partition.seal_label();
    let context = SealContext::new(&label, ROOT, revision.to_bytes());
    let (schema, body) = keyring.open(&context, body).map_err(StepError::Open)?;
    if schema > RootRecord::SCHEMA {
        return Err(StepError::Damaged(Damage::NewerRoot));
    }
    let root = RootRecord::decode(schema, &body).ok_or(StepError::Damaged(Damage::Root))?;
    if root.is_sound(revision) { Ok(root) } else { Err(StepError::Damaged(Damage::Root)) }
}
