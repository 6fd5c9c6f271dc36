//! The cost of a root, for benches: sealing and opening one with a given number of entries. No part of the API.

use keywright_core::{Keyring, SealContext, SystemEntropy, UnixSeconds};

use crate::loaded::open_root;
use crate::root::{Entry, Root, RootRecord};
use crate::slot::{KindName, ROOT, SlotName};
use crate::{Partition, Revision, StepError};

/// A root in clear, and where it belongs.
#[derive(Debug)]
pub struct Sample {
    keyring: Keyring,
    partition: Partition,
    revision: Revision,
    root: RootRecord,
}

impl Sample {
    /// A root of `entries` records under one account.
    ///
    /// # Errors
    /// If the system's generator fails, or a key ring cannot be made.
    pub fn new(entries: u8) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut root = RootRecord::blank();
        root.state = Some(Root::new(&SystemEntropy, UnixSeconds::EPOCH.plus(1_700_000_000))?);
        for _ in 0..crate::RECENT {
            root.recent.push(Revision::draw()?);
        }
        for at in 0..entries {
            let name = SlotName::new(KindName::new("session"), Some([at; 16]));
            root.contents.insert(name, Entry { revision: Revision::draw()?, expiry: Some(UnixSeconds::MAX) });
        }
        let partition = Partition::account(&keywright_core::AccountId::new("user-1")?);
        Ok(Self { keyring: Keyring::generate(&SystemEntropy)?, partition, revision: Revision::draw()?, root })
    }

    /// Encodes and seals it.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn seal(&self) -> Result<bytes::Bytes, StepError> {
        let label = self.partition.seal_label();
        let plain = self.root.encode();
        let context = SealContext::new(&label, ROOT, self.revision.to_bytes());
        Ok(self.keyring.seal(&SystemEntropy, &context, RootRecord::SCHEMA, &plain)?.into())
    }

    /// Opens and decodes it. Returns how many entries it has.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn open(&self, sealed: &bytes::Bytes) -> Result<usize, StepError> {
        open_root(&self.keyring, &self.partition, self.revision, sealed).map(|root| root.contents.len())
    }
}
