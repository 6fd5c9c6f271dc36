//! The steps of remembered devices.

use keywright_core::{Event, Purpose, SecretBytes};
use keywright_store::{Draft, StepError, Tentative};
use subtle::ConstantTimeEq;

use super::device::{Recognized, RememberedDevice, RememberedId, TrustToken, parse};
use super::state::{Remembered, RememberedDevices};
use crate::events;
use crate::outcome::Proven;
use crate::step::TwoFactorSteps;
use crate::totp::active::MAX_NAME;

/// The seconds of a day.
const DAY: u64 = 86_400;

/// The name of a device whose host gives none.
const UNNAMED: &str = "browser";

/// The use of the index key for the digests.
const DIGEST: &str = "remembered-device";

impl TwoFactorSteps {
    /// Remembers a device whose user has just proven a second factor. Returns `None` if a
    /// credential or factor changed after the proof. Control characters of the name are dropped,
    /// and what lies beyond 64 characters is cut off.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or the generator fails; the caller must
    /// deny.
    pub fn trust_in(
        &self,
        draft: &mut Draft<'_>,
        proof: &Proven,
        name: &str,
    ) -> Result<Option<Tentative<TrustToken>>, StepError> {
        let own = draft.partition().as_account().as_ref() == Some(proof.account());
        if !own || draft.root()?.epochs() != proof.epochs {
            return Ok(None);
        }
        let (mut remembered, _) = RememberedDevices::live(draft)?;
        let (id, secret) = (RememberedId::from_bytes(draft.random()?), SecretBytes::random(draft.entropy())?);
        let now = draft.now();
        remembered.add(Remembered {
            id,
            name: cleaned(name),
            digest: digest(draft, id, &secret)?,
            added: now,
            used: now,
            expires: now.plus(u64::from(self.policy.remember_days).saturating_mul(DAY)),
            epochs: proof.epochs,
        });
        remembered.put(draft)?;
        emit(draft, &events::DEVICE_REMEMBERED, id);
        Ok(Some(draft.tentative(TrustToken::new(id, &secret))))
    }

    /// Recognizes a remembered device by its token. Returns `None` for any other text, and for a
    /// device that was forgotten, has expired, or is void because a credential or factor changed
    /// since. A token has 256 random bits, so nothing is counted.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read; the caller must deny.
    pub fn recognize_in(
        &self,
        draft: &mut Draft<'_>,
        token: &str,
        purpose: &Purpose,
    ) -> Result<Option<Tentative<Recognized>>, StepError> {
        let account = draft.partition().as_account().ok_or(StepError::NoAccount)?;
        let Some((id, secret)) = parse(token) else { return Ok(None) };
        let (mut remembered, _) = RememberedDevices::live(draft)?;
        let (now, digest) = (draft.now(), digest(draft, id, &secret)?);
        let Some(device) = remembered.find(id) else { return Ok(None) };
        if !bool::from(device.digest.ct_eq(&digest)) {
            return Ok(None);
        }
        device.used = device.used.max(now);
        remembered.put(draft)?;
        let event = Event::new(&events::DEVICE_RECOGNIZED).with("purpose", purpose.as_str());
        draft.event(event.with("browser", id.to_string().as_str()));
        Ok(Some(draft.tentative(Recognized { account, device: id, purpose: purpose.clone() })))
    }

    /// Returns the devices that are remembered now, oldest first.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read.
    pub fn remembered_in(&self, draft: &mut Draft<'_>) -> Result<Vec<RememberedDevice>, StepError> {
        Ok(RememberedDevices::live(draft)?.0.infos())
    }

    /// Renames a remembered device, as [`trust_in`](Self::trust_in) treats names. Returns whether
    /// it exists.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read.
    pub fn rename_remembered_in(&self, draft: &mut Draft<'_>, id: RememberedId, name: &str) -> Result<bool, StepError> {
        let (mut remembered, _) = RememberedDevices::live(draft)?;
        let Some(device) = remembered.find(id) else { return Ok(false) };
        device.name = cleaned(name);
        remembered.put(draft)?;
        Ok(true)
    }

    /// Forgets a remembered device. Returns whether it existed.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read.
    pub fn forget_remembered_in(&self, draft: &mut Draft<'_>, id: RememberedId) -> Result<bool, StepError> {
        let (mut remembered, _) = RememberedDevices::live(draft)?;
        let before = remembered.devices.len();
        remembered.devices.retain(|device| device.id != id);
        if remembered.devices.len() == before {
            return Ok(false);
        }
        remembered.put(draft)?;
        emit(draft, &events::DEVICE_FORGOTTEN, id);
        Ok(true)
    }

    /// Forgets all remembered devices. Returns how many were remembered.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read.
    pub fn forget_all_remembered_in(&self, draft: &mut Draft<'_>) -> Result<usize, StepError> {
        let (remembered, has_void) = RememberedDevices::live(draft)?;
        let count = remembered.devices.len();
        if count > 0 || has_void {
            RememberedDevices::default().put(draft)?;
        }
        for device in remembered.devices {
            emit(draft, &events::DEVICE_FORGOTTEN, device.id);
        }
        Ok(count)
    }
}

/// Returns the digest under which a token is stored. It is bound to the account and to the id, so
/// none can be moved within the store.
fn digest(draft: &Draft<'_>, id: RememberedId, secret: &SecretBytes<32>) -> Result<[u8; 32], StepError> {
    let account = draft.partition().as_account().ok_or(StepError::NoAccount)?;
    let parts = [account.as_str().as_bytes(), id.as_bytes(), secret.expose()];
    Ok(draft.keyring().index(DIGEST).mac(&parts))
}

fn emit(draft: &mut Draft<'_>, kind: &'static keywright_core::EventKind, id: RememberedId) {
    draft.event(Event::new(kind).with("browser", id.to_string().as_str()));
}

/// Returns a name that can be stored and shown.
fn cleaned(name: &str) -> String {
    let kept: String = name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    let kept = kept.trim();
    if kept.is_empty() { UNNAMED.to_owned() } else { kept.to_owned() }
}
