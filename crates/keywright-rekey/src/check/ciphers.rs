//! The ciphers that are checked: those of a submission, or those of a stage.

use keywright_store::{CipherId, ClientNonce};

use crate::fingerprint::fingerprint;
use crate::parse::submission::Submission;

/// A list of ciphers that can be checked: those of a submission, or those of a stage.
pub(crate) trait Ciphers {
    /// Returns the number of ciphers.
    fn len(&self) -> usize;
    /// Returns the id of the cipher at an index.
    fn id(&self, place: usize) -> Option<CipherId>;
    /// Returns the nonce of the cipher at an index, or `None` if its text is malformed.
    fn nonce(&self, place: usize) -> Option<ClientNonce>;
    /// Returns the fingerprint of the nonce.
    fn print(&self, place: usize) -> Option<u32> {
        self.nonce(place).map(fingerprint)
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
    fn nonce(&self, place: usize) -> Option<ClientNonce> {
        self.entries().get(place).and_then(|entry| Submission::nonce(self, entry))
    }

    #[inline]
    fn print(&self, place: usize) -> Option<u32> {
        self.entries().get(place).and_then(Submission::print)
    }
}

impl Ciphers for [(CipherId, ClientNonce)] {
    fn len(&self) -> usize {
        <[_]>::len(self)
    }

    fn id(&self, place: usize) -> Option<CipherId> {
        self.get(place).map(|&(id, _)| id)
    }

    fn nonce(&self, place: usize) -> Option<ClientNonce> {
        self.get(place).map(|&(_, nonce)| nonce)
    }
}
