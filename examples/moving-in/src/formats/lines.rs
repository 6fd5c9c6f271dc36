//! Keywright's own lines of JSON: an export, or what another program has prepared.

use keywright::twofactor::import::ImportedUser;

use super::{Entry, EntryFault};

/// Reads the lines. Blank ones are skipped.
pub fn read(text: &str) -> Vec<Entry> {
    let lines = text.lines().zip(1_usize..).filter(|(line, _)| !line.trim().is_empty());
    let read = |(line, number): (&str, usize)| {
        ImportedUser::from_line(line)
            .map_err(|error| EntryFault { user: format!("line {number}"), fault: error.into() })
    };
    lines.map(read).collect()
}
