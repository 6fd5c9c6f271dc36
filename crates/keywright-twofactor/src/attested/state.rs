//! The stored attested factors of an account.

use keywright_core::UnixSeconds;
use keywright_store::{Draft, Record, Slot, StepError};
use serde::{Deserialize, Serialize};

use super::factor::{AttestedInfo, MAX_ATTESTED_DATA, MAX_ATTESTED_FACTORS};
use super::method::{Strength, is_name as is_method};
use crate::totp::active::is_name;
use crate::totp::device::DeviceId;

/// The account's attested factors.
pub(crate) const ATTESTED: Slot<AttestedFactors> = Slot::lasting("attested-factors");

/// The attested factors. The stored form is hostile input: anything that this crate cannot have
/// written is an error of the decoder.
#[derive(Default, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub(crate) struct AttestedFactors {
    /// The factors, oldest first.
    pub(crate) factors: Vec<AttestedFactor>,
}

/// One attested factor.
#[derive(Serialize, Deserialize)]
pub(crate) struct AttestedFactor {
    pub(crate) id: DeviceId,
    pub(crate) method: String,
    /// The strength at the enrolment. It counts where the policy does not know the method.
    pub(crate) strength: Strength,
    pub(crate) name: String,
    pub(crate) added: UnixSeconds,
    pub(crate) data: Vec<u8>,
}

impl AttestedFactors {
    pub(crate) fn read(draft: &mut Draft<'_>) -> Result<Self, StepError> {
        Ok(draft.read(ATTESTED)?.unwrap_or_default())
    }

    pub(crate) fn put(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        draft.put(ATTESTED, self)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.factors.is_empty()
    }

    pub(crate) fn has(&self, method: &str) -> bool {
        self.factors.iter().any(|factor| factor.method == method)
    }

    pub(crate) fn find(&self, id: DeviceId) -> Option<&AttestedFactor> {
        self.factors.iter().find(|factor| factor.id == id)
    }

    /// Removes a factor and returns it, if it exists.
    pub(crate) fn remove(&mut self, id: DeviceId) -> Option<AttestedFactor> {
        let at = self.factors.iter().position(|factor| factor.id == id)?;
        Some(self.factors.remove(at))
    }

    pub(crate) fn infos(self) -> Vec<AttestedInfo> {
        let info = |factor: AttestedFactor| {
            let AttestedFactor { id, method, strength, name, added, data } = factor;
            AttestedInfo { id, method, strength, name, added, data }
        };
        self.factors.into_iter().map(info).collect()
    }
}

impl Record for AttestedFactors {
    const SCHEMA: u16 = 1;
}

/// The stored form, before it is validated.
#[derive(Deserialize)]
struct Stored {
    factors: Vec<AttestedFactor>,
}

/// A stored form that this crate cannot have written.
#[derive(Debug, thiserror::Error)]
#[error("stored attested factors are out of bounds")]
struct OutOfBounds;

impl TryFrom<Stored> for AttestedFactors {
    type Error = OutOfBounds;
    fn try_from(stored: Stored) -> Result<Self, OutOfBounds> {
        let Stored { factors } = stored;
        let once = |one: &AttestedFactor| factors.iter().filter(|other| other.id == one.id).count() == 1;
        let bounded = |one: &AttestedFactor| {
            is_method(&one.method) && is_name(&one.name) && one.data.len() <= MAX_ATTESTED_DATA && once(one)
        };
        if factors.len() <= MAX_ATTESTED_FACTORS && factors.iter().all(bounded) {
            Ok(Self { factors })
        } else {
            Err(OutOfBounds)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn factor(id: u8) -> AttestedFactor {
        AttestedFactor {
            id: DeviceId::from_bytes([id; 8]),
            method: "passkey".into(),
            strength: Strength::PhishingResistant,
            name: "key".into(),
            added: UnixSeconds::EPOCH,
            data: vec![7; 80],
        }
    }

    fn decodes(factors: Vec<AttestedFactor>) -> bool {
        AttestedFactors::decode(1, &postcard::to_allocvec(&AttestedFactors { factors }).unwrap()).is_ok()
    }

    #[test]
    fn what_cannot_have_been_written_is_an_error() {
        assert!(decodes(vec![]) && decodes((0..5).map(factor).collect()));
        assert!(!decodes((0..6).map(factor).collect()));
        assert!(!decodes(vec![factor(1), factor(1)]));
        assert!(!decodes(vec![AttestedFactor { method: "Passkey".into(), ..factor(1) }]));
        assert!(!decodes(vec![AttestedFactor { name: String::new(), ..factor(1) }]));
        assert!(!decodes(vec![AttestedFactor { data: vec![0; MAX_ATTESTED_DATA + 1], ..factor(1) }]));
    }

    proptest! {
        #[test]
        fn any_stored_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = AttestedFactors::decode(1, &bytes);
        }
    }
}
