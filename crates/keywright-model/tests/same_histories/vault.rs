//! The smallest possible vault: three ciphers with the same value, and a head that vouches for
//! them.

use std::sync::{Arc, Mutex};

use keywright_core::{EventKind, Severity};
use keywright_store::{
    CipherId, ClientNonce, Draft, Mark, Record, Revision, RowMarks, Slot, StageId, StepError, VaultWrite,
};
use serde::{Deserialize, Serialize};

/// What vouches for the vault's rows: their value, their number, and the sum of their marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) state: u8,
    count: u64,
    digest: [u8; 16],
}
impl Record for Head {
    const SCHEMA: u16 = 1;
}

pub(crate) const HEAD: Slot<Head> = Slot::lasting("vault");

/// How many ciphers a vault has.
pub(crate) const CIPHERS: u8 = 3;
/// The only stage. Staging again replaces its rows.
pub(crate) const STAGE: StageId = StageId([7; 16]);

static PROMOTED_EVENT: EventKind = EventKind::change("test_promoted", Severity::Info, "a stage was promoted");
/// What is staged, as those who promote it know it: the revision of the head that it is based on,
/// and the rows' value.
pub(crate) type Staged = Arc<Mutex<Option<(Revision, u8)>>>;

/// Returns the rows of a vault with this value.
pub(crate) fn ciphers(state: u8) -> Vec<keywright_store::Row> {
    let row = |id: u8| {
        let marks = RowMarks {
            id: CipherId([id; 16]),
            text: Mark(std::array::from_fn(|at| state.wrapping_mul(31) ^ id ^ u8::try_from(at).unwrap())),
            note: Mark([id ^ 0x80; 16]),
            nonce: ClientNonce([state; 16]),
        };
        keywright_store::Row { marks, text: vec![state].into(), note: vec![id].into() }
    };
    (1..=CIPHERS).map(row).collect()
}

/// Returns the head that vouches for these rows.
pub(crate) fn head_of<'a>(state: u8, marks: impl IntoIterator<Item = &'a RowMarks>) -> Head {
    let mut head = Head { state, count: 0, digest: [0; 16] };
    for marks in marks {
        head.count += 1;
        for part in [marks.id.0, marks.text.0, marks.note.0] {
            head.digest.iter_mut().zip(part).for_each(|(sum, byte)| *sum = sum.wrapping_mul(3) ^ byte);
        }
    }
    head
}

pub(crate) fn head(state: u8) -> Head {
    head_of(state, ciphers(state).iter().map(|row| &row.marks))
}

/// Promotes what is staged, if the head is still the one that it is based on.
pub(crate) fn promote(staged: &Staged, draft: &mut Draft<'_>) -> Result<bool, StepError> {
    let known = *staged.lock().unwrap();
    let Some((_, state)) = known.filter(|(base, _)| draft.revision(HEAD) == Some(*base)) else { return Ok(false) };
    let rows = ciphers(state).iter().map(|row| (row.id(), row.marks.text)).collect();
    draft.put(HEAD, &head(state))?;
    draft.write_vault(VaultWrite::Promote { stage: STAGE, rows })?;
    draft.event(&PROMOTED_EVENT);
    Ok(true)
}
