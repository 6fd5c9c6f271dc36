//! Exact cover: every cipher of the vault occurs once, and no other occurs.

use keywright_store::{CipherId, RowMarks};

use super::ciphers::Ciphers;
use crate::report::{Difference, Fault};

/// Marks a cipher of the vault that nothing covers yet.
const UNCOVERED: u32 = u32::MAX;

/// Marks a missing entry in a list of indices.
const GONE: u32 = u32::MAX;

pub(super) fn check(ciphers: &(impl Ciphers + ?Sized), owned: &[RowMarks], report: &mut Difference) -> Vec<u32> {
    let mut order = vec![UNCOVERED; owned.len()];
    let (mut unknown, mut again) = (0_usize, false);
    {
        let index = Index::new(owned);
        // Clients send ciphers in the order in which they received them, so the next cipher of the
        // vault is tried first.
        let mut next = 0_usize;
        for place in 0..ciphers.len() {
            let Some(id) = ciphers.id(place) else { continue };
            let found = match owned.get(next) {
                Some(guess) if guess.id == id => Some(next),
                _ => index.find(owned, id),
            };
            let Some((at, covered)) = found.and_then(|at| Some((at, order.get_mut(at)?))) else {
                unknown = unknown.saturating_add(1);
                report.of_id(Fault::Unknown, id);
                continue;
            };
            next = at.saturating_add(1);
            again |= *covered != UNCOVERED;
            *covered = u32::try_from(place).unwrap_or(UNCOVERED);
        }
    }
    for (row, covered) in owned.iter().zip(&order) {
        if *covered == UNCOVERED {
            report.of_id(Fault::Missing, row.id);
        }
    }
    if again || unknown > 1 {
        order = Vec::new();
        duplicates(ciphers, report);
    }
    order
}

/// Finds ids in a sorted list. The range of the ids is divided into cells of equal width, each with
/// the index of its first id. Of random ids, and of ids that begin with a time, a cell has one or
/// two. The index uses four bytes per id.
struct Index {
    low: u64,
    shift: u32,
    cells: Vec<u32>,
}

impl Index {
    fn new(owned: &[RowMarks]) -> Self {
        let head_of = |entry: Option<&RowMarks>| entry.map_or(0, |row| head(row.id));
        let (low, high) = (head_of(owned.first()), head_of(owned.last()));
        let shift = high.saturating_sub(low).leading_zeros().min(63);
        let mut index = Self { low, shift, cells: vec![0; owned.len().saturating_add(1)] };
        let mut cells = 0_usize;
        for (place, row) in owned.iter().enumerate() {
            let cell = index.cell(row.id);
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            // All cells up to this one begin at this index or an earlier one.
            if let Some(open) = index.cells.get_mut(cells..=cell) {
                open.fill(place);
                cells = cell.saturating_add(1);
            }
        }
        let end = u32::try_from(owned.len()).unwrap_or(u32::MAX);
        index.cells.iter_mut().skip(cells).for_each(|cell| *cell = end);
        index
    }

    #[inline]
    fn cell(&self, id: CipherId) -> usize {
        // The distance from the first id, spread over all 64 bits, times the number of cells.
        let spread = u128::from(head(id).saturating_sub(self.low) << self.shift);
        let count = self.cells.len().saturating_sub(1) as u128;
        (spread.wrapping_mul(count) >> 64) as usize
    }

    #[inline]
    fn find(&self, owned: &[RowMarks], id: CipherId) -> Option<usize> {
        let cell = self.cell(id);
        let from = *self.cells.get(cell)? as usize;
        let to = *self.cells.get(cell.saturating_add(1))? as usize;
        let near = owned.get(from..to)?;
        let at = match near {
            [] => None,
            [one] => (one.id == id).then_some(0),
            few if few.len() <= 4 => few.iter().position(|one| one.id == id),
            many => many.binary_search_by_key(&id, |one| one.id).ok(),
        };
        at.map(|at| from.saturating_add(at))
    }
}

/// Returns the first eight bytes of an id as a number that sorts like the id.
#[inline]
fn head(CipherId([a, b, c, d, e, f, g, h, ..]): CipherId) -> u64 {
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Reports every entry whose id occurred before. Used for a submission that is already refused.
fn duplicates(ciphers: &(impl Ciphers + ?Sized), report: &mut Difference) {
    let mut places: Vec<u32> = (0..ciphers.len()).filter_map(|place| u32::try_from(place).ok()).collect();
    let id = |place: u32| ciphers.id(place as usize);
    places.sort_unstable_by(|a, b| id(*a).cmp(&id(*b)).then(a.cmp(b)));
    for same in places.chunk_by_mut(|a, b| id(*a) == id(*b)) {
        if let Some(first) = same.first_mut() {
            *first = GONE;
        }
    }
    places.retain(|place| *place != GONE);
    places.sort_unstable();
    for id in places.into_iter().filter_map(id) {
        report.of_id(Fault::Duplicate, id);
    }
}
