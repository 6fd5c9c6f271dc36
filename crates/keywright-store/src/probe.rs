//! Access to the content of roots. Benches measure the cost of sealing and opening a root with a
//! given number of entries. Tests compare a root's content with that of a model. This is not part
//! of the API.

use keywright_core::{EventChain, Keyring, SealContext, SystemEntropy, UnixSeconds};

use crate::contents::Entry;
use crate::loaded::open_root;
use crate::partition::Partition;
use crate::port::Newest;
use crate::revision::Revision;
use crate::root::{Root, RootRecord};
use crate::slot::{KindName, ROOT, SlotName};
use crate::step_error::StepError;

/// A root in clear, and the place to which it belongs.
#[derive(Debug)]
pub struct Sample {
    keyring: Keyring,
    partition: Partition,
    revision: Revision,
    root: RootRecord,
}

impl Sample {
    /// Creates a root of `entries` records under one account.
    ///
    /// # Errors
    /// Returns an error if the system's generator fails, or a keyring cannot be created.
    pub fn new(entries: u8) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut root = RootRecord::blank();
        root.state = Some(Root::new(&SystemEntropy, UnixSeconds::EPOCH.plus(1_700_000_000))?);
        for _ in 0..crate::revision::RECENT {
            root.recent.push(Revision::draw()?);
        }
        for at in 0..entries {
            let name = SlotName::new(KindName::new("session"), Some([at; 16]));
            root.contents.insert(name, Entry { revision: Revision::draw()?, expiry: Some(UnixSeconds::MAX) });
        }
        // As that of an account which was created and has had no denial.
        root.chain_mut(EventChain::Changes).append(UnixSeconds::EPOCH.plus(1_700_000_000), b"{}");
        let partition = Partition::account(&keywright_core::AccountId::new("user-1")?);
        Ok(Self { keyring: Keyring::generate(&SystemEntropy)?, partition, revision: Revision::draw()?, root })
    }

    /// Encodes and seals the root.
    ///
    /// # Errors
    /// Returns [`StepError`] if it cannot be sealed.
    pub fn seal(&self) -> Result<bytes::Bytes, StepError> {
        let label = self.partition.seal_label();
        let context = SealContext::new(&label, ROOT, self.revision.to_bytes());
        Ok(self.keyring.seal_in_place(&SystemEntropy, &context, RootRecord::SCHEMA, self.root.encode())?.into())
    }

    /// Opens and decodes the root. Returns how many entries it has.
    ///
    /// # Errors
    /// Returns [`StepError`] if it does not open.
    pub fn open(&self, sealed: &bytes::Bytes) -> Result<usize, StepError> {
        open_root(&self.keyring, &self.partition, self.revision, sealed).map(|root| root.contents.len())
    }
}

/// The content of a sealed root.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "no part of the API")]
pub struct RootView {
    /// The revisions before its own, newest first.
    pub recent: Vec<Revision>,
    /// Every record that it lists, with the revision under which it was written and its expiry.
    pub contents: Vec<(SlotName, Revision, Option<UnixSeconds>)>,
    /// The moment from which the whole partition may be swept.
    pub expires: Option<UnixSeconds>,
    /// The newest number of each chain of events.
    pub newest: Newest,
}

impl RootView {
    /// Opens a root's body under the revision of its row.
    ///
    /// # Errors
    /// Returns [`StepError`] if it does not open.
    pub fn open(
        keyring: &Keyring,
        partition: &Partition,
        revision: Revision,
        body: &bytes::Bytes,
    ) -> Result<Self, StepError> {
        let root = open_root(keyring, partition, revision, body)?;
        let contents = root.contents.iter().map(|(name, entry)| (*name, entry.revision, entry.expiry)).collect();
        let newest = |chain| root.chain(chain).next.saturating_sub(1);
        let newest = Newest { changes: newest(EventChain::Changes), denials: newest(EventChain::Denials) };
        Ok(Self { recent: root.recent.as_slice().to_vec(), contents, expires: root.expires, newest })
    }
}

/// Opens a record's body that was written under this revision, and decodes it.
///
/// # Errors
/// Returns [`StepError`] if it does not open.
pub fn open_record<R: crate::record::Record>(
    keyring: &Keyring,
    partition: &Partition,
    slot: SlotName,
    revision: Revision,
    body: &bytes::Bytes,
) -> Result<R, StepError> {
    let (label, text) = (partition.seal_label(), slot.to_text());
    let context = SealContext::new(&label, &text, revision.to_bytes());
    let (schema, body) = keyring.open(&context, body).map_err(StepError::Open)?;
    R::decode(schema, &body).map_err(|_| StepError::Decode(slot))
}
