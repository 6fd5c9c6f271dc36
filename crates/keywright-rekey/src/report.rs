//! The differences between a submission and a vault: all of them, not only the first.

use std::fmt;

use keywright_store::CipherId;

/// The maximum number of ids or positions that a report lists for one fault. All are counted.
pub const NAMED: usize = 100;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fault {
    /// A cipher of the vault is not in the submission: it would become unreadable.
    Missing,
    /// An entry's id is not in the vault. Whether another account has it is not checked.
    Unknown,
    /// An entry's id occurred in the submission before.
    Duplicate,
    /// The vault changed after the client had read it. This is counted once and has no id.
    Stale,
    /// An entry has no id, more than one, or one that is not a UUID of 36 characters.
    MalformedId,
    /// An entry has no text, more than one, or one that its format or the limits do not accept.
    MalformedText,
    /// An entry is not an object, or its id or text is absent, null or not a string. It also counts
    /// as malformed.
    WrongType,
    /// An entry's text has the nonce that its cipher already has, so it was not re-encrypted.
    Unchanged,
    /// An entry's text has the nonce of another cipher, in the submission or in the vault.
    ReusedNonce,
    /// An entry is beyond the limit. It was not read, so its cipher may be reported as missing.
    TooMany,
}

impl Fault {
    /// All kinds, in the order of the report.
    pub const ALL: [Self; 10] = [
        Self::Missing,
        Self::Unknown,
        Self::Duplicate,
        Self::Stale,
        Self::MalformedId,
        Self::MalformedText,
        Self::WrongType,
        Self::Unchanged,
        Self::ReusedNonce,
        Self::TooMany,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::MalformedId => "malformed id",
            Self::MalformedText => "malformed text",
            Self::WrongType => "wrong type",
            Self::Unchanged => "unchanged",
            Self::ReusedNonce => "reused nonce",
            Self::TooMany => "too many",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// What was found of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Found {
    count: usize,
    ids: Vec<CipherId>,
    positions: Vec<usize>,
}

/// The faults of a submission. For each [`Fault`] it has the number of entries with it (for
/// [`Fault::Missing`], the number of ciphers of the vault) and the first [`NAMED`] of them. It
/// contains ids, never a text.
///
/// One entry may have several faults. The entries are listed in the order of the submission,
/// missing ciphers by id.
#[derive(Clone, PartialEq, Eq)]
pub struct Difference(Box<[Found; Fault::ALL.len()]>);

impl Difference {
    pub(crate) fn none() -> Self {
        Self(Box::default())
    }

    fn found(&self, fault: Fault) -> Option<&Found> {
        self.0.get(fault as usize)
    }

    /// Returns how often the fault was found.
    #[must_use]
    pub fn count(&self, fault: Fault) -> usize {
        self.found(fault).map_or(0, |found| found.count)
    }

    /// Returns the first [`NAMED`] ids that have the fault, as far as an id is known.
    #[must_use]
    pub fn ids(&self, fault: Fault) -> &[CipherId] {
        self.found(fault).map_or(&[], |found| &found.ids)
    }

    /// Returns the positions in the submission, from 0, of the first [`NAMED`] entries that have
    /// the fault and no usable id.
    #[must_use]
    pub fn positions(&self, fault: Fault) -> &[usize] {
        self.found(fault).map_or(&[], |found| &found.positions)
    }

    /// Returns the kinds that were found.
    pub fn faults(&self) -> impl Iterator<Item = Fault> + '_ {
        Fault::ALL.into_iter().filter(|&fault| self.count(fault) > 0)
    }

    /// Whether nothing was found.
    pub(crate) fn is_none(&self) -> bool {
        self.faults().next().is_none()
    }

    /// Counts a fault, and lists the cipher if there is room.
    pub(crate) fn of_id(&mut self, fault: Fault, id: CipherId) {
        if let Some(found) = self.count_one(fault)
            && found.ids.len() < NAMED
        {
            found.ids.push(id);
        }
    }

    /// Counts a fault of an entry without a usable id.
    pub(crate) fn at(&mut self, fault: Fault, position: usize) {
        if let Some(found) = self.count_one(fault)
            && found.positions.len() < NAMED
        {
            found.positions.push(position);
        }
    }

    /// Counts a fault that has neither an id nor a position.
    pub(crate) fn plain(&mut self, fault: Fault) {
        self.count_one(fault);
    }

    /// Takes back one fault of a cipher.
    pub(crate) fn forget_id(&mut self, fault: Fault, id: CipherId) {
        if let Some(found) = self.0.get_mut(fault as usize) {
            found.count = found.count.saturating_sub(1);
            if let Some(at) = found.ids.iter().position(|listed| *listed == id) {
                found.ids.remove(at);
            }
        }
    }

    fn count_one(&mut self, fault: Fault) -> Option<&mut Found> {
        let found = self.0.get_mut(fault as usize)?;
        found.count = found.count.saturating_add(1);
        Some(found)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the submission does not match the vault:")?;
        let mut separator = " ";
        for fault in self.faults() {
            write!(f, "{separator}{} {}", self.count(fault), fault.label())?;
            separator = ", ";
        }
        Ok(())
    }
}

impl fmt::Debug for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.faults().map(|fault| (fault, self.count(fault)))).finish()
    }
}

impl std::error::Error for Difference {}
