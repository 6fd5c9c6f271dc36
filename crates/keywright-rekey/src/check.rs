//! A submission against a manifest: exact cover, nothing left as it was, no nonce twice.

mod cover;
mod nonces;

use alloc::vec::Vec;
use core::fmt;

use keywright_store::{CipherId, Manifest, Mark, Revision};

pub(crate) use nonces::fingerprint;

use crate::parse::{Entry, Submission};
use crate::report::{Difference, Fault};

/// Ciphers that can be checked: those of a submission, or those of a stage.
pub(crate) trait Ciphers {
    /// How many.
    fn len(&self) -> usize;
    /// The id of one.
    fn id(&self, place: usize) -> Option<CipherId>;
    /// The mark of one; `None` if its text is malformed.
    fn mark(&self, place: usize) -> Option<Mark>;
    /// The fingerprint of the mark.
    fn print(&self, place: usize) -> Option<u32> {
        self.mark(place).map(fingerprint)
    }
}

impl Ciphers for Submission<'_> {
    fn len(&self) -> usize {
        self.entries().len()
    }

    #[inline]
    fn id(&self, place: usize) -> Option<CipherId> {
        self.entries().get(place).map(|entry| entry.id)
    }

    #[inline]
    fn mark(&self, place: usize) -> Option<Mark> {
        self.entries().get(place).and_then(|entry| Submission::mark(self, entry))
    }

    #[inline]
    fn print(&self, place: usize) -> Option<u32> {
        self.entries().get(place).and_then(Submission::print)
    }
}

impl Ciphers for [(CipherId, Mark)] {
    fn len(&self) -> usize {
        <[_]>::len(self)
    }

    fn id(&self, place: usize) -> Option<CipherId> {
        self.get(place).map(|&(id, _)| id)
    }

    fn mark(&self, place: usize) -> Option<Mark> {
        self.get(place).map(|&(_, mark)| mark)
    }
}

/// All checks but that of the head. Gives for every entry of the manifest the place of the cipher that replaces it; what
/// is wrong goes into the report, and then the places are worth nothing.
fn places(ciphers: &(impl Ciphers + ?Sized), owned: &[(CipherId, Mark)], report: &mut Difference) -> Vec<u32> {
    nonces::check(ciphers, owned, report);
    cover::check(ciphers, owned, report)
}

/// Checks ciphers of which only ids and marks are known: those of a stage.
///
/// # Errors
/// [`Difference`], with every fault.
pub fn check_marks(ciphers: &[(CipherId, Mark)], manifest: &Manifest) -> Result<(), Difference> {
    let mut report = Difference::none();
    places(ciphers, &manifest.entries, &mut report);
    if report.is_none() { Ok(()) } else { Err(report) }
}

impl Submission<'_> {
    /// Checks the submission against a vault. By reference: after a conflict it is checked anew.
    ///
    /// # Errors
    /// [`Difference`], with every fault. Nothing may be written then.
    pub fn against(&self, manifest: &Manifest) -> Result<SwapPlan<'_>, Difference> {
        self.against_known(manifest, None)
    }

    /// The same, for a client of which is known what it read last: the vault's head must still be `known`, if given.
    ///
    /// # Errors
    /// As [`against`](Self::against), and [`Fault::Stale`].
    pub fn against_known(&self, manifest: &Manifest, known: Option<Revision>) -> Result<SwapPlan<'_>, Difference> {
        let mut report = self.faults().clone();
        let head = manifest.head.as_ref().map(|head| head.revision);
        if known.is_some() && known != head {
            report.plain(Fault::Stale);
        }
        let order = places(self, &manifest.entries, &mut report);
        if report.is_none() { Ok(SwapPlan { submission: self, order, head }) } else { Err(report) }
    }
}

/// A checked swap: every cipher of the vault has exactly one new text. Made by [`Submission::against`] alone.
#[must_use = "a plan writes nothing by itself"]
pub struct SwapPlan<'a> {
    submission: &'a Submission<'a>,
    /// Places of entries, in the manifest's order.
    order: Vec<u32>,
    head: Option<Revision>,
}

impl SwapPlan<'_> {
    /// The vault's head that the plan was checked against; `None` where there is no vault. The swap holds for no other.
    #[must_use]
    pub const fn head(&self) -> Option<Revision> {
        self.head
    }

    /// How many ciphers.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether the vault is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The new ciphers, sorted by id: id, mark, text.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = (CipherId, Mark, &str)> + '_ {
        self.order.iter().map(|&place| {
            let text = |entry: &Entry| self.submission.text(entry);
            // Every place is of an entry with a text, else there was no plan; and every text was a `str`.
            let entry = self.submission.entries().get(place as usize);
            let bytes = entry.and_then(text).unwrap_or_default();
            let (id, mark) = entry
                .map_or((CipherId([0; 16]), Mark([0; 16])), |entry| (entry.id, self.submission.format().mark(bytes)));
            (id, mark, core::str::from_utf8(bytes).unwrap_or_default())
        })
    }
}

impl fmt::Debug for SwapPlan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SwapPlan({} ciphers, {:?})", self.order.len(), self.head)
    }
}
