//! The slot of the guess ledger.

use keywright_core::GuessLedger;

use crate::record::Record;
use crate::slot::Slot;

/// The account's guess ledger. Every step that judges a guess needs it.
pub const LEDGER: Slot<GuessLedger> = Slot::lasting("ledger");

impl Record for GuessLedger {
    const SCHEMA: u16 = 1;
}
