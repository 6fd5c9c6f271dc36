//! What is stored: one record per account with all TOTP devices and the switch of mailed codes. The root vouches for it,
//! and once made it is never deleted, so that no spent step comes back.

use alloc::string::String;
use alloc::vec::Vec;

use keywright_core::{UnixSeconds, append_lp};
use keywright_store::{Draft, Epochs, Record, Slot, StepError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::policy::{MAX_DEVICES, Once};
use crate::step_up::MAX_SESSION;
use crate::totp::code::{Found, TotpVerifier, TypedCode, Window};
use crate::totp::device::{DeviceId, DeviceInfo};
use crate::totp::parameters::Parameters;
use crate::totp::secret::{TotpSecret, stored};

/// The longest name of a device, in characters.
pub(crate) const MAX_NAME: usize = 64;

/// Purposes of which a device remembers the last step apart. Beyond, the one with the oldest step is folded into the
/// step of all purposes, which refuses more, never less.
const MAX_PURPOSES: usize = 16;

/// Label of the digest that names the session which began an enrolment.
const ENROLMENT_LABEL: &[u8] = b"keywright/v1/twofactor.enrolment";

/// Label of the digest that a purpose is stored as.
const PURPOSE_LABEL: &[u8] = b"keywright/v1/twofactor.purpose";

/// The devices of an account. Its stored form is hostile input: what this crate cannot have written is an error of the
/// decoder.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub(crate) struct Factors {
    /// Oldest first.
    pub(crate) devices: Vec<Device>,
    pub(crate) pending: Option<Pending>,
    pub(crate) email: bool,
    /// Codes of steps that began before this are spent for every device that is added later: else a secret that is
    /// removed and imported again would bring its last codes back.
    spent_until: UnixSeconds,
}

/// An active device.
#[derive(Serialize, Deserialize)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) name: String,
    #[serde(with = "stored")]
    secret: TotpSecret,
    parameters: Parameters,
    added: UnixSeconds,
    /// The first step that is still acceptable, for any purpose. Only ever grows.
    next: u64,
    /// The same for single purposes, under [`Once::Purpose`].
    purposes: Vec<Purpose>,
}

#[derive(Serialize, Deserialize)]
struct Purpose {
    digest: PurposeDigest,
    next: u64,
}

/// What a purpose is stored as: fixed in size, whatever the caller names it.
pub(crate) type PurposeDigest = [u8; 16];

/// What a session is stored as.
pub(crate) type SessionDigest = [u8; 32];

/// A device that waits to be proven.
#[derive(Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) name: String,
    pub(crate) replaces: Option<DeviceId>,
    /// The session that was shown the secret.
    pub(crate) session: SessionDigest,
    #[serde(with = "stored")]
    pub(crate) secret: TotpSecret,
    pub(crate) parameters: Parameters,
    pub(crate) made: UnixSeconds,
    pub(crate) expires: UnixSeconds,
    pub(crate) epochs: Epochs,
    /// Wrong enrolling codes so far.
    pub(crate) wrong: u8,
}

/// How a code is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Sight {
    pub(crate) now: UnixSeconds,
    pub(crate) fence: UnixSeconds,
    pub(crate) window: Window,
    pub(crate) once: Once,
    pub(crate) purpose: PurposeDigest,
}

/// What a look at all devices found.
pub(crate) struct Seen {
    found: Vec<Found>,
    /// Some device matched above its last step.
    pub(crate) fresh: bool,
    /// Some device matched at all.
    pub(crate) any: bool,
    pub(crate) drift: Option<i8>,
}

pub(crate) fn purpose_digest(purpose: &str) -> PurposeDigest {
    let hash: [u8; 32] = Sha256::new().chain_update(PURPOSE_LABEL).chain_update(purpose).finalize().into();
    hash.first_chunk().copied().unwrap_or_default()
}

/// Names a session to the enrolment that it begins.
pub(crate) fn session_digest(session: &[u8]) -> Result<SessionDigest, StepError> {
    if session.is_empty() || session.len() > MAX_SESSION {
        return Err(StepError::Misuse("a session identity has 1 to 64 bytes"));
    }
    let mut message = ENROLMENT_LABEL.to_vec();
    append_lp(&mut message, &[session]);
    Ok(Sha256::digest(&message).into())
}

/// Whether a text can name a device.
pub(crate) fn is_name(name: &str) -> bool {
    // Four bytes a character at most: a long text is not counted through.
    name.len() <= MAX_NAME.saturating_mul(4)
        && (1..=MAX_NAME).contains(&name.chars().count())
        && !name.chars().any(char::is_control)
}

impl Default for Factors {
    fn default() -> Self {
        Self { devices: Vec::new(), pending: None, email: false, spent_until: UnixSeconds::EPOCH }
    }
}

impl Factors {
    pub(crate) fn read(draft: &mut Draft<'_>) -> Result<Self, StepError> {
        Ok(draft.read(Slot::Factors)?.unwrap_or_default())
    }

    pub(crate) fn put(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        draft.put(Slot::Factors, self, None)
    }

    pub(crate) fn device(&self, id: DeviceId) -> Option<&Device> {
        self.devices.iter().find(|device| device.id == id)
    }

    /// Whether any device has codes of this length: else a text of it is no guess.
    pub(crate) fn knows_length(&self, typed: &TypedCode) -> bool {
        self.devices.iter().any(|device| device.parameters.digits() == typed.digits())
    }

    /// Compares a code with every step of every device's window, without early exit.
    pub(crate) fn look(&self, typed: &TypedCode, sight: &Sight) -> Seen {
        let found: Vec<Found> = self.devices.iter().map(|device| device.look(typed, sight)).collect();
        // All comparisons are done: what is branched on from here is the verdict itself.
        let fresh: bool = found.iter().fold(Choice::from(0), |fresh, one| fresh | one.fresh).into();
        let any = found.iter().any(|one| one.after != 0);
        let drift = self.devices.iter().zip(&found).find(|(_, one)| bool::from(one.fresh));
        let drift = drift.and_then(|(device, one)| one.drift(device.parameters.step_at(sight.now)));
        Seen { found, fresh, any, drift }
    }

    /// Spends what a look found: every device that matched advances to its highest matching step.
    pub(crate) fn advance(&mut self, seen: &Seen, sight: &Sight) {
        for (device, found) in self.devices.iter_mut().zip(&seen.found) {
            if found.after != 0 {
                device.advance(found.after, sight);
            }
        }
    }

    /// Whether an active device has this secret under other parameters. Its codes could not be spent together: six digits
    /// are the end of eight.
    pub(crate) fn clashes(&self, secret: &TotpSecret, parameters: &Parameters) -> bool {
        // Every device is compared.
        self.devices
            .iter()
            .fold(false, |clashes, device| clashes | (device.secret.ct_eq(secret) & (device.parameters != *parameters)))
    }

    /// Adds a device whose first acceptable step is `next` or later.
    pub(crate) fn add(
        &mut self,
        id: DeviceId,
        name: String,
        secret: TotpSecret,
        parameters: Parameters,
        added: UnixSeconds,
        next: u64,
    ) {
        // A second device with the same secret shows the same codes: they are spent together from the first moment on.
        let twins =
            self.devices.iter().filter(|device| device.secret.ct_eq(&secret) && device.parameters == parameters);
        let next = twins.map(Device::last_next).fold(next, u64::max);
        let spent = self.spent_until.get().div_ceil(parameters.step_seconds());
        let next = next.max(spent);
        self.devices.push(Device { id, name, secret, parameters, added, next, purposes: Vec::new() });
    }

    /// Takes a device away and keeps what it has spent. Gives whether it was there.
    pub(crate) fn remove(&mut self, id: DeviceId) -> bool {
        let Some(at) = self.devices.iter().position(|device| device.id == id) else { return false };
        let gone = self.devices.remove(at);
        let until = gone.last_next().saturating_mul(gone.parameters.step_seconds());
        self.spent_until = self.spent_until.max(UnixSeconds::EPOCH.plus(until));
        true
    }

    /// A new device's id: none that is in use.
    pub(crate) fn new_id(&self, draft: &Draft<'_>) -> Result<DeviceId, StepError> {
        let id = DeviceId::from_bytes(draft.random()?);
        if self.device(id).is_some() { Err(StepError::Misuse("two devices drew one id")) } else { Ok(id) }
    }
}

impl Device {
    pub(crate) fn info(&self) -> DeviceInfo {
        DeviceInfo { id: self.id, name: self.name.clone(), added: self.added, parameters: self.parameters }
    }

    fn look(&self, typed: &TypedCode, sight: &Sight) -> Found {
        let codes = TotpVerifier::new(&self.secret, self.parameters);
        codes.judge(typed, self.parameters.step_at(sight.now), sight.window, self.next_at(sight))
    }

    /// The first acceptable step as things stand: of the device, of the purpose, after the fence.
    fn next_at(&self, sight: &Sight) -> u64 {
        let own = match sight.once {
            Once::Account => self.last_next(),
            Once::Purpose => {
                let own = self.purposes.iter().find(|one| one.digest == sight.purpose);
                own.map_or(self.next, |one| one.next.max(self.next))
            }
        };
        own.max(after_fence(&self.parameters, sight.fence))
    }

    /// The first step that is acceptable for every purpose.
    fn last_next(&self) -> u64 {
        self.purposes.iter().fold(self.next, |next, one| next.max(one.next))
    }

    fn advance(&mut self, after: u64, sight: &Sight) {
        match sight.once {
            Once::Account => {
                self.next = self.last_next().max(after);
                self.purposes.clear();
            }
            Once::Purpose => self.advance_purpose(after, sight),
        }
    }

    fn advance_purpose(&mut self, after: u64, sight: &Sight) {
        match self.purposes.iter_mut().find(|one| one.digest == sight.purpose) {
            Some(one) => one.next = one.next.max(after),
            None => self.purposes.push(Purpose { digest: sight.purpose, next: after }),
        }
        // What lies before the window is refused for every purpose from now on, also if the clock goes back.
        let oldest = self.parameters.step_at(sight.now).saturating_sub(sight.window.back.into());
        let next = &mut self.next;
        self.purposes.retain(|one| {
            let keep = one.next > oldest;
            if !keep {
                *next = one.next.max(*next);
            }
            keep
        });
        while self.purposes.len() > MAX_PURPOSES {
            let Some(at) = (0..self.purposes.len()).min_by_key(|at| self.purposes.get(*at).map(|one| one.next)) else {
                return;
            };
            self.next = self.next.max(self.purposes.remove(at).next);
        }
    }

    fn is_bounded(&self) -> bool {
        let one_each = |(at, one): (usize, &Purpose)| {
            !self.purposes.iter().skip(at).skip(1).any(|other| other.digest == one.digest)
        };
        is_name(&self.name) && self.purposes.len() <= MAX_PURPOSES && self.purposes.iter().enumerate().all(one_each)
    }
}

impl Pending {
    /// Whether this session began it: every other one of the account, a stolen one perhaps, was not shown the secret.
    pub(crate) fn is_of(&self, session: &SessionDigest) -> bool {
        self.session.as_slice().ct_eq(session.as_slice()).into()
    }

    /// Whether it can still be confirmed, whatever is typed.
    pub(crate) fn is_live(&self, now: UnixSeconds, fence: UnixSeconds, epochs: Epochs) -> bool {
        // Made in the future: the clock went back, and its age is not known.
        self.made <= now && self.made >= fence && self.epochs == epochs && now < self.expires
    }
}

/// The first step after the keyring's fence; 0 without a fence (`security.md` § 12).
pub(crate) fn after_fence(parameters: &Parameters, fence: UnixSeconds) -> u64 {
    if fence == UnixSeconds::EPOCH { 0 } else { parameters.step_at(fence).saturating_add(1) }
}

impl Record for Factors {
    const SCHEMA: u16 = 1;
}

/// The stored form, before it is believed.
#[derive(Deserialize)]
struct Stored {
    devices: Vec<Device>,
    pending: Option<Pending>,
    email: bool,
    spent_until: UnixSeconds,
}

/// A stored form that this crate cannot have written.
#[derive(Debug, thiserror::Error)]
#[error("stored factors are out of bounds")]
struct OutOfBounds;

impl TryFrom<Stored> for Factors {
    type Error = OutOfBounds;
    fn try_from(stored: Stored) -> Result<Self, OutOfBounds> {
        let Stored { devices, pending, email, spent_until } = stored;
        let one_each = |(at, one): (usize, &Device)| !devices.iter().skip(at).skip(1).any(|other| other.id == one.id);
        let bounded = devices.len() <= MAX_DEVICES
            && devices.iter().all(Device::is_bounded)
            && devices.iter().enumerate().all(one_each)
            && pending.as_ref().is_none_or(|pending| is_name(&pending.name) && pending.made <= pending.expires);
        if bounded { Ok(Self { devices, pending, email, spent_until }) } else { Err(OutOfBounds) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::totp::parameters::Algorithm;
    use keywright_store::Root;
    use proptest::prelude::*;

    const START: u64 = 1_700_000_010;

    fn sight(once: Once, purpose: &str, now: u64) -> Sight {
        let now = UnixSeconds::new(now).unwrap();
        let window = Window::new(1, 1);
        Sight { now, fence: UnixSeconds::EPOCH, window, once, purpose: purpose_digest(purpose) }
    }

    fn secret(byte: u8) -> TotpSecret {
        TotpSecret::from_slice(&[byte; 20]).unwrap()
    }

    /// A record with everything that one can hold. Epochs come from a stored root: nothing else makes them.
    fn full() -> Factors {
        let mut factors = Factors { email: true, ..Factors::default() };
        let now = UnixSeconds::new(START).unwrap();
        let long = Parameters::new(Algorithm::Sha512, 8, 60).unwrap();
        for (byte, parameters) in [(1, Parameters::DEFAULT), (2, long), (1, Parameters::DEFAULT)] {
            let id = DeviceId::from_bytes([u8::try_from(factors.devices.len()).unwrap(); 8]);
            factors.add(id, "phone".into(), secret(byte), parameters, now, 7);
        }
        factors.devices[0].advance(START / 30 + 1, &sight(Once::Purpose, "login", START));
        let epochs = Root::decode(Root::SCHEMA, &[1, 1, 1, 0, 0, 0]).unwrap().epochs();
        let (name, secret, parameters) = ("next".into(), secret(3), Parameters::DEFAULT);
        let replaces = Some(DeviceId::from_bytes([1; 8]));
        let expires = now.plus(600);
        let session = session_digest(b"session").unwrap();
        factors.pending =
            Some(Pending { name, replaces, session, secret, parameters, made: now, expires, epochs, wrong: 0 });
        factors
    }

    #[test]
    fn the_stored_form_reads_back() {
        let body = postcard::to_allocvec(&full()).unwrap();
        let back = Factors::decode(1, &body).unwrap();
        assert_eq!(postcard::to_allocvec(&back).unwrap(), body);
        assert!(Factors::decode(2, &body).is_err(), "another schema");
    }

    #[test]
    fn what_cannot_have_been_written_is_an_error() {
        let refuses = |change: fn(&mut Factors)| {
            let mut factors = full();
            change(&mut factors);
            assert!(Factors::decode(1, &postcard::to_allocvec(&factors).unwrap()).is_err());
        };
        refuses(|factors| factors.devices[0].name = String::new());
        refuses(|factors| factors.devices[0].name = "a".repeat(65));
        refuses(|factors| factors.devices[1].id = factors.devices[0].id);
        refuses(|factors| {
            for byte in 10..13 {
                let id = DeviceId::from_bytes([byte; 8]);
                factors.add(id, "more".into(), secret(byte), Parameters::DEFAULT, UnixSeconds::EPOCH, 0);
            }
        });
        refuses(|factors| factors.devices[0].purposes.push(Purpose { digest: purpose_digest("login"), next: 1 }));
        refuses(|factors| {
            factors.devices[0].purposes = (0..17).map(|nth| Purpose { digest: [nth; 16], next: 1 }).collect();
        });
        refuses(|factors| factors.pending.as_mut().unwrap().name = "\n".into());
        refuses(|factors| factors.pending.as_mut().unwrap().expires = UnixSeconds::EPOCH);
    }

    /// A purpose whose step has left the window is folded into the step of all, so that a clock that goes back cannot
    /// bring it out again.
    #[test]
    fn a_forgotten_purpose_is_refused_more_not_less() {
        let mut factors = full();
        let present = START / 30;
        let device = &mut factors.devices[0];
        device.advance(present + 100, &sight(Once::Purpose, "other", START + 3_000));
        assert_eq!(device.purposes.len(), 1);
        assert_eq!(device.next_at(&sight(Once::Purpose, "login", START)), present + 1);
        assert_eq!(device.next_at(&sight(Once::Purpose, "third", START)), present + 1);
        assert_eq!(device.next_at(&sight(Once::Purpose, "other", START)), present + 100);
        // A policy that changes to account-wide takes the highest of all.
        assert_eq!(device.next_at(&sight(Once::Account, "login", START)), present + 100);
        device.advance(present + 101, &sight(Once::Account, "login", START));
        assert!(device.purposes.is_empty() && device.next == present + 101);
    }

    #[test]
    fn a_twin_and_a_late_comer_bring_nothing_back() {
        let mut factors = full();
        assert_eq!(factors.devices[2].next, 7);
        factors.devices[2].advance(500, &sight(Once::Account, "", START));
        assert!(factors.remove(factors.devices[2].id));
        assert!(!factors.remove(DeviceId::from_bytes([2; 8])));
        factors.add(DeviceId::from_bytes([9; 8]), "late".into(), secret(8), Parameters::DEFAULT, UnixSeconds::EPOCH, 0);
        assert_eq!(factors.devices[2].next, 500);
        // Steps of another length are counted by their own seconds.
        let long = Parameters::new(Algorithm::Sha1, 6, 60).unwrap();
        factors.add(DeviceId::from_bytes([10; 8]), "long".into(), secret(8), long, UnixSeconds::EPOCH, 0);
        assert_eq!(factors.devices[3].next, 250);
    }

    proptest! {
        #[test]
        fn any_stored_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Factors::decode(1, &bytes);
        }

        /// Decode, then encode: identity or refusal. Whatever is read can be looked at.
        #[test]
        fn a_damaged_body_is_refused_or_bounded(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
            let mut body = postcard::to_allocvec(&full()).unwrap();
            *at.get_mut(&mut body) = byte;
            if let Ok(mut factors) = Factors::decode(1, &body) {
                prop_assert!(factors.devices.len() <= MAX_DEVICES);
                let typed = TypedCode::parse("123456").unwrap();
                let sight = sight(Once::Purpose, "login", START);
                let seen = factors.look(&typed, &sight);
                factors.advance(&seen, &sight);
                let again = postcard::to_allocvec(&factors).unwrap();
                prop_assert!(Factors::decode(1, &again).is_ok());
            }
        }
    }
}
