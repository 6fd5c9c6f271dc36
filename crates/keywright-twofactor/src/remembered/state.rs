//! The stored remembered devices of an account.

use keywright_core::UnixSeconds;
use keywright_store::{Draft, Epochs, Record, Slot, StepError};
use serde::{Deserialize, Serialize};

use super::device::{RememberedDevice, RememberedId};
use crate::policy::MAX_REMEMBERED;
use crate::totp::active::is_name;

/// The account's remembered devices.
pub(crate) const REMEMBERED: Slot<RememberedDevices> = Slot::lasting("remembered-devices");

/// The remembered devices, oldest first. The stored form is hostile input.
#[derive(Default, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub(crate) struct RememberedDevices {
    pub(super) devices: Vec<Remembered>,
}

/// One remembered device.
#[derive(Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) id: RememberedId,
    pub(super) name: String,
    pub(super) digest: [u8; 32],
    pub(super) added: UnixSeconds,
    pub(super) used: UnixSeconds,
    pub(super) expires: UnixSeconds,
    pub(super) epochs: Epochs,
}

impl Remembered {
    pub(super) fn is_live(&self, draft: &Draft<'_>) -> Result<bool, StepError> {
        let (now, fence, epochs) = (draft.now(), draft.keyring().fence(), draft.root()?.epochs());
        // A time in the future means that the clock went back, so the age is unknown.
        Ok(self.added <= now && self.added >= fence && self.epochs == epochs && now < self.expires)
    }
}

impl RememberedDevices {
    /// Returns the devices that still count, and whether any other is stored.
    pub(super) fn live(draft: &mut Draft<'_>) -> Result<(Self, bool), StepError> {
        let Self { devices } = draft.read(REMEMBERED)?.unwrap_or_default();
        let all = devices.len();
        let mut live = Vec::with_capacity(all);
        for device in devices {
            if device.is_live(draft)? {
                live.push(device);
            }
        }
        let has_void = live.len() < all;
        Ok((Self { devices: live }, has_void))
    }

    pub(super) fn put(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        draft.put(REMEMBERED, self)
    }

    pub(super) fn find(&mut self, id: RememberedId) -> Option<&mut Remembered> {
        self.devices.iter_mut().find(|device| device.id == id)
    }

    /// Adds a device. If there are too many, the one that was used longest ago is dropped.
    pub(super) fn add(&mut self, device: Remembered) {
        while self.devices.len() >= MAX_REMEMBERED {
            let oldest = self.devices.iter().enumerate().min_by_key(|(_, one)| one.used).map(|(at, _)| at);
            self.devices.remove(oldest.unwrap_or(0));
        }
        self.devices.push(device);
    }

    pub(super) fn infos(self) -> Vec<RememberedDevice> {
        let info = |device: Remembered| {
            let Remembered { id, name, added, used, expires, .. } = device;
            RememberedDevice { id, name, added, last_used: used, expires }
        };
        self.devices.into_iter().map(info).collect()
    }
}

impl Record for RememberedDevices {
    const SCHEMA: u16 = 1;
}

/// The stored form, before it is validated.
#[derive(Deserialize)]
struct Stored {
    devices: Vec<Remembered>,
}

/// A stored form that this crate cannot have written.
#[derive(Debug, thiserror::Error)]
#[error("stored remembered devices are out of bounds")]
struct OutOfBounds;

impl TryFrom<Stored> for RememberedDevices {
    type Error = OutOfBounds;
    fn try_from(Stored { devices }: Stored) -> Result<Self, OutOfBounds> {
        let once = |one: &Remembered| devices.iter().filter(|other| other.id == one.id).count() == 1;
        let bounded = |one: &Remembered| is_name(&one.name) && one.added <= one.used && once(one);
        if devices.len() <= MAX_REMEMBERED && devices.iter().all(bounded) {
            Ok(Self { devices })
        } else {
            Err(OutOfBounds)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(id: u8, used: u64) -> Remembered {
        let at = |seconds| UnixSeconds::new(seconds).unwrap();
        let epochs = postcard::from_bytes(&[0, 0]).unwrap();
        let id = RememberedId::from_bytes([id; 8]);
        Remembered { id, name: "browser".into(), digest: [7; 32], added: at(1), used: at(used), expires: at(9), epochs }
    }

    fn decodes(devices: Vec<Remembered>) -> bool {
        RememberedDevices::decode(1, &postcard::to_allocvec(&RememberedDevices { devices }).unwrap()).is_ok()
    }

    #[test]
    fn what_cannot_have_been_written_is_damage() {
        let ten = || (0..10).map(|id| device(id, 1)).collect::<Vec<_>>();
        assert!(decodes(ten()));
        assert!(!decodes(ten().into_iter().chain([device(10, 1)]).collect()));
        assert!(!decodes(vec![device(1, 1), device(1, 1)]));
        assert!(!decodes(vec![Remembered { name: String::new(), ..device(1, 1) }]));
        assert!(!decodes(vec![device(1, 0)]));
    }

    #[test]
    fn the_one_that_was_used_longest_ago_goes() {
        let mut devices = RememberedDevices { devices: (0..10).map(|id| device(id, 20 - u64::from(id))).collect() };
        devices.add(device(10, 5));
        let left: Vec<_> = devices.infos().iter().map(|one| one.id.as_bytes()[0]).collect();
        assert_eq!(left, [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]);
    }
}
