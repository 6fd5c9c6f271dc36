//! Checks of a submission against a vault: every cipher is covered exactly once, none is left
//! unchanged, and no nonce is used twice.

mod ciphers;
mod cover;
pub(crate) mod manifest;
mod nonces;

use std::fmt;

use keywright_store::{CipherId, ClientNonce, Revision, RowMarks};

pub use manifest::VaultManifest;

use self::ciphers::Ciphers;
use crate::parse::submission::{Entry, Submission};
use crate::report::{Difference, Fault};

/// Performs all checks except that of the head. Returns for every row of the vault the index of the
/// cipher that replaces it. Faults are added to the report; if there are any, the indices must not
/// be used.
fn places(ciphers: &(impl Ciphers + ?Sized), owned: &[RowMarks], report: &mut Difference) -> Vec<u32> {
    nonces::check(ciphers, owned, report);
    cover::check(ciphers, owned, report)
}

/// Checks ciphers of which only the ids and nonces are known: those of a stage.
///
/// # Errors
/// Returns a [`Difference`] with every fault, if there is any.
pub fn check_nonces(ciphers: &[(CipherId, ClientNonce)], manifest: &VaultManifest) -> Result<(), Difference> {
    let mut report = Difference::none();
    places(ciphers, manifest.rows(), &mut report);
    if report.is_none() { Ok(()) } else { Err(report) }
}

impl Submission<'_> {
    /// Checks the submission against a vault.
    ///
    /// # Errors
    /// Returns a [`Difference`] with every fault, if there is any. Nothing may be written then.
    pub fn against<'a>(&'a self, manifest: &'a VaultManifest) -> Result<SwapPlan<'a>, Difference> {
        self.against_known(manifest, None)
    }

    /// Checks the submission like [`against`](Self::against), for a client whose last read is
    /// known: if `known` is given, the revision of the vault's head must still be this one.
    ///
    /// # Errors
    /// Returns a [`Difference`] with every fault, like [`against`](Self::against), and with
    /// [`Fault::Stale`] if the head is another.
    pub fn against_known<'a>(
        &'a self,
        manifest: &'a VaultManifest,
        known: Option<Revision>,
    ) -> Result<SwapPlan<'a>, Difference> {
        let mut report = self.faults().clone();
        if known.is_some() && known != manifest.head() {
            report.plain(Fault::Stale);
        }
        let order = places(self, manifest.rows(), &mut report);
        if report.is_none() { Ok(SwapPlan { submission: self, manifest, order }) } else { Err(report) }
    }
}

/// A checked swap, in which every cipher of the vault has exactly one new text. Only
/// [`Submission::against`] and [`Submission::against_known`] make one.
#[must_use = "a plan writes nothing by itself"]
pub struct SwapPlan<'a> {
    submission: &'a Submission<'a>,
    manifest: &'a VaultManifest,
    /// The indices of the entries, in the manifest's order.
    order: Vec<u32>,
}

impl SwapPlan<'_> {
    /// Returns the head of the vault that the plan was checked against, or `None` if there is no
    /// vault. The swap is valid for no other.
    #[must_use]
    pub const fn head(&self) -> Option<Revision> {
        self.manifest.head()
    }

    /// Returns how many ciphers the plan has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether the vault is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Returns the new ciphers, sorted by id, as id, nonce and text.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = (CipherId, ClientNonce, &str)> + '_ {
        self.replacements().map(|(owned, nonce, text)| (owned.id, nonce, text))
    }

    /// Returns the rows of the vault, sorted by id, each with the nonce and the text that replace
    /// its own.
    pub(crate) fn replacements(&self) -> impl ExactSizeIterator<Item = (&RowMarks, ClientNonce, &str)> + '_ {
        self.order.iter().zip(self.manifest.rows()).map(|(&place, owned)| {
            // Every index is that of an entry with a text, otherwise there would be no plan; and
            // every text was a `str`.
            let entry = self.submission.entries().get(place as usize);
            let bytes = entry.and_then(|entry: &Entry| self.submission.text(entry)).unwrap_or_default();
            let nonce = self.submission.format().nonce(bytes);
            (owned, nonce, std::str::from_utf8(bytes).unwrap_or_default())
        })
    }
}

impl fmt::Debug for SwapPlan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SwapPlan({} ciphers, {:?})", self.order.len(), self.head())
    }
}
