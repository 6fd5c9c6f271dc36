//! Checks that no nonce occurs twice and that none is still the one from before.
//!
//! Nearly every submission has no repetition, so that case must be quick. A table of fingerprints
//! never misses a repetition, but may suspect one where there is none. Only suspects are compared,
//! by sorting them. A client that makes fingerprints collide gains nothing but a refusal or a sort,
//! so the table needs no secret.

use keywright_store::RowMarks;

use super::ciphers::Ciphers;
use crate::fingerprint::fingerprint;
use crate::report::{Difference, Fault};

/// The maximum number of suspected fingerprints; beyond it, all nonces are compared.
const MAX_SUSPECTS: usize = 1024;

/// The number of steps in the table that one fingerprint may take on average; honest ones take one
/// and a half.
const MAX_STEPS: usize = 16;

/// The exclusive bound of an index; the bits above are flags.
const PLACES: u32 = 1 << 30;
const UNCHANGED: u32 = 1 << 30;
const REUSED: u32 = 1 << 31;
const GONE: u32 = u32::MAX;

pub(super) fn check(ciphers: &(impl Ciphers + ?Sized), owned: &[RowMarks], report: &mut Difference) {
    match suspects(ciphers, owned) {
        Suspects::None => {}
        Suspects::These(mut prints) => {
            prints.sort_unstable();
            compare(ciphers, owned, |print| prints.binary_search(&print).is_ok(), report);
        }
        Suspects::All => compare(ciphers, owned, |_| true, report),
    }
}

enum Suspects {
    None,
    These(Vec<u32>),
    All,
}

/// Returns the fingerprints that occur twice, of two ciphers or of a cipher and the vault.
fn suspects(ciphers: &(impl Ciphers + ?Sized), owned: &[RowMarks]) -> Suspects {
    let Some(mut table) = Table::new(ciphers.len(), owned.len()) else { return Suspects::All };
    let mut suspects = Vec::new();
    let new = (0..ciphers.len()).filter_map(|place| ciphers.print(place)).map(|print| (print, true));
    let old = owned.iter().map(|row| (fingerprint(row.nonce), false));
    for (print, enter) in new.chain(old) {
        match table.find_or_insert(print, enter) {
            Some(false) => {}
            Some(true) if suspects.len() < MAX_SUSPECTS => suspects.push(print),
            _ => return Suspects::All,
        }
    }
    if suspects.is_empty() { Suspects::None } else { Suspects::These(suspects) }
}

/// A hash table with two cells of four bytes for each cipher.
struct Table {
    cells: Vec<u32>,
    steps: usize,
}

impl Table {
    fn new(ciphers: usize, owned: usize) -> Option<Self> {
        let cells = ciphers.checked_mul(2).filter(|&cells| u32::try_from(cells).is_ok())?;
        let steps = ciphers.saturating_add(owned).saturating_mul(MAX_STEPS);
        Some(Self { cells: vec![0; cells.max(1)], steps })
    }

    /// Returns whether the fingerprint is in the table, and inserts it if not and `enter` is set.
    /// Returns `None` if the table is too clustered.
    #[inline]
    fn find_or_insert(&mut self, print: u32, enter: bool) -> Option<bool> {
        // The fingerprint as a fraction of the table's length.
        let mut at = (u64::from(print).wrapping_mul(self.cells.len() as u64) >> 32) as usize;
        loop {
            let Some(cell) = self.cells.get_mut(at) else {
                at = 0;
                continue;
            };
            if *cell == print {
                return Some(true);
            }
            if *cell == 0 {
                if enter {
                    *cell = print;
                }
                return Some(false);
            }
            at = at.wrapping_add(1);
            self.steps = self.steps.checked_sub(1)?;
        }
    }
}

/// Compares the nonces that `suspect` selects, those of the ciphers and those of the vault, and
/// reports the faults that are found.
fn compare(
    ciphers: &(impl Ciphers + ?Sized),
    owned: &[RowMarks],
    suspect: impl Fn(u32) -> bool,
    report: &mut Difference,
) {
    let count = ciphers.len();
    // The indices of the ciphers come first, followed by those of the vault. A cipher with a
    // malformed text has no nonce.
    let at = |place: u32| match (place as usize).checked_sub(count) {
        None => ciphers.nonce(place as usize).zip(ciphers.id(place as usize)),
        Some(place) => owned.get(place).map(|row| (row.nonce, row.id)),
    };
    let all = u32::try_from(count.saturating_add(owned.len())).unwrap_or(PLACES).min(PLACES);
    let print = |place: u32| match (place as usize).checked_sub(count) {
        None => ciphers.print(place as usize),
        Some(place) => owned.get(place).map(|row| fingerprint(row.nonce)),
    };
    let mut places: Vec<u32> = (0..all).filter(|&place| print(place).is_some_and(&suspect)).collect();
    places.sort_unstable_by(|a, b| at(*a).cmp(&at(*b)).then(a.cmp(b)));

    let nonce = |place: u32| at(place).map(|(nonce, _)| nonce);
    let id = |place: u32| at(place).map(|(_, id)| id);
    let is_old = |place: u32| place as usize >= count;
    for same_nonce in places.chunk_by_mut(|a, b| nonce(*a) == nonce(*b)) {
        let ends = (same_nonce.first().copied().and_then(id), same_nonce.last().copied().and_then(id));
        let reused = if ends.0 == ends.1 { 0 } else { REUSED };
        for same_id in same_nonce.chunk_by_mut(|a, b| id(*a) == id(*b)) {
            let unchanged = if same_id.last().is_some_and(|last| is_old(*last)) { UNCHANGED } else { 0 };
            for place in same_id {
                *place = if is_old(*place) || reused | unchanged == 0 { GONE } else { *place | reused | unchanged };
            }
        }
    }
    places.retain(|place| *place != GONE);
    places.sort_unstable_by_key(|place| place % PLACES);
    for flagged in places {
        let Some(id) = id(flagged % PLACES) else { continue };
        if flagged & UNCHANGED != 0 {
            report.of_id(Fault::Unchanged, id);
        }
        if flagged & REUSED != 0 {
            report.of_id(Fault::ReusedNonce, id);
        }
    }
}
