//! The slots of this crate.

use crate::due::list::DUE;
use crate::guess::ledger::LEDGER;
use crate::names::list::{CLAIM, NAMES};
use crate::slot::SlotKind;

/// The kinds of slots that this crate declares.
pub const SLOT_KINDS: &[SlotKind] = &[LEDGER.kind(), DUE.kind(), NAMES.kind(), CLAIM.kind()];
