//! The stored state of an account's factors: one record with all devices and the switch of mailed
//! codes. Once created it is never deleted, so that no spent step can be used again.

use keywright_core::{Attempt, Client, ClientTag, Generation, SecretKind, UnixSeconds};
use keywright_store::{Draft, Epochs, Record, Slot, StepError, guess};
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConstantTimeEq};

use crate::origin::Origin;
use crate::policy::{CLOCK_REPORT_SECONDS, MAX_DEVICES};
use crate::session::SessionDigest;
use crate::totp::active::{Added, Device, MatchContext, is_name};
use crate::totp::code::{Fingerprint, Found, TypedCode, fingerprint};
use crate::totp::device::DeviceId;
use crate::totp::parameters::Parameters;
use crate::totp::secret::{TotpSecret, stored};

/// The account's devices and switches.
pub(crate) const FACTORS: Slot<Factors> = Slot::lasting("factors");

/// Time-based codes of all devices together, as the guess ledger knows them. Email never admits a
/// client to them: an attacker who reads the owner's mail must not get past the second factor.
pub const TOTP: SecretKind = SecretKind::new("totp").without_mail();

/// The maximum number of removed devices' secrets whose last step is remembered, with the most
/// recently removed last. Beyond it, the secret that was removed first is forgotten. The order
/// decides rather than a time, so that no clock is involved.
const MAX_SPENT: usize = 16;

/// The devices of an account. Its stored form is hostile input: anything that this crate cannot
/// have written is an error of the decoder.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub(crate) struct Factors {
    /// The devices, oldest first.
    pub(crate) devices: Vec<Device>,
    pub(crate) pending: Option<Pending>,
    pub(crate) email: bool,
    /// Through what mailed codes were last switched on.
    pub(crate) email_origin: Origin,
    /// The generation of all devices together, which is drawn again when none of the earlier ones
    /// is left.
    pub(crate) generation: Generation,
    spent: Vec<Spent>,
    reported: LastReports,
}

/// What is kept of a removed device: the time up to which codes of its secret are spent, in case it
/// is imported again.
#[derive(Serialize, Deserialize)]
struct Spent {
    secret: Fingerprint,
    until: UnixSeconds,
}

/// When events about a device's clock were last emitted; 1970 if never.
#[derive(Serialize, Deserialize)]
pub(crate) struct LastReports {
    pub(crate) out_of_window: UnixSeconds,
    pub(crate) ran_ahead: UnixSeconds,
}

/// A device that is yet to be proven.
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
    /// The number of wrong enrolment codes so far.
    pub(crate) wrong: u8,
}

/// The result of comparing a code with all devices.
pub(crate) struct Matches {
    found: Vec<Found>,
    /// Whether a device matched above its last step.
    pub(crate) fresh: bool,
    /// Whether any device matched at all.
    pub(crate) any: bool,
    /// The first device that matched above its last step, and by how many steps its clock is off.
    pub(crate) by: Option<(DeviceId, Option<i8>)>,
}

impl Default for Factors {
    fn default() -> Self {
        let never = UnixSeconds::EPOCH;
        Self {
            devices: Vec::new(),
            pending: None,
            email: false,
            email_origin: Origin::LIBRARY,
            generation: Generation::HOST,
            spent: Vec::new(),
            reported: LastReports { out_of_window: never, ran_ahead: never },
        }
    }
}

impl Factors {
    pub(crate) fn read(draft: &mut Draft<'_>) -> Result<Self, StepError> {
        Ok(draft.read(FACTORS)?.unwrap_or_default())
    }

    pub(crate) fn put(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        draft.put(FACTORS, self)
    }

    pub(crate) fn device(&self, id: DeviceId) -> Option<&Device> {
        self.devices.iter().find(|device| device.id == id)
    }

    /// Returns the origin of what replaces these devices, if steps of an origin enrol it.
    pub(crate) fn replaced_by(&self, ids: &[DeviceId], own: &Origin) -> Origin {
        let replaced = self.devices.iter().filter(|device| ids.contains(&device.id));
        replaced.fold(own.clone(), |origin, device| device.origin().replaced_by(&origin))
    }

    /// Whether any device has codes of this length. If none has, a text of this length is not a
    /// guess.
    pub(crate) fn knows_length(&self, typed: &TypedCode) -> bool {
        self.devices.iter().any(|device| device.parameters().digits() == typed.digits())
    }

    /// Compares a code with every step of every device's window, without early exit.
    pub(crate) fn compare(&self, typed: &TypedCode, context: &MatchContext) -> Matches {
        let found: Vec<Found> = self.devices.iter().map(|device| device.compare(typed, context)).collect();
        // All comparisons are done: the branches from here on depend only on the verdict.
        let fresh: bool = found.iter().fold(Choice::from(0), |fresh, one| fresh | one.fresh).into();
        let any = found.iter().any(|one| one.after != 0);
        let by = self.devices.iter().zip(&found).find(|(_, one)| bool::from(one.fresh));
        let by = by.map(|(device, one)| (device.id, one.drift(device.parameters().step_at(context.now))));
        Matches { found, fresh, any, by }
    }

    /// Spends what a comparison found: every device that matched advances to its highest matching
    /// step.
    pub(crate) fn advance(&mut self, matches: &Matches, context: &MatchContext) {
        for (device, found) in self.devices.iter_mut().zip(&matches.found) {
            if found.after != 0 {
                device.advance(found.after, context);
            }
        }
    }

    /// Returns the first device that matched, whether its code was used before or not.
    pub(crate) fn matching(&self, matches: &Matches) -> Option<DeviceId> {
        self.devices.iter().zip(&matches.found).find(|(_, found)| found.after != 0).map(|(device, _)| device.id)
    }

    /// Returns the first device that matched and whose codes are all refused for now, and the time
    /// until which they are.
    pub(crate) fn ran_ahead(&self, matches: &Matches, context: &MatchContext) -> Option<(DeviceId, UnixSeconds)> {
        let matching = self.devices.iter().zip(&matches.found).filter(|(_, found)| found.after != 0);
        matching.map(|(device, _)| device).find_map(|device| Some((device.id, device.refused_until(context)?)))
    }

    /// Returns the first device that shows the code at another time, and by how many seconds its
    /// clock is off.
    pub(crate) fn seconds_off(&self, typed: &TypedCode, context: &MatchContext, range: u64) -> Option<(DeviceId, i64)> {
        // Every device is searched completely, so the duration does not depend on the distance.
        let off: Vec<_> = self.devices.iter().map(|device| device.seconds_off(typed, context, range)).collect();
        self.devices.iter().zip(off).find_map(|(device, off)| Some((device.id, off?)))
    }

    /// Whether an event about a device's clock may be emitted; if so, this is recorded.
    pub(crate) fn may_report(&mut self, now: UnixSeconds, last: impl Fn(&mut LastReports) -> &mut UnixSeconds) -> bool {
        let last = last(&mut self.reported);
        // A time in the future means that the clock went back, so the event's age is unknown.
        let due = *last > now || now.since(*last) >= CLOCK_REPORT_SECONDS;
        if due {
            *last = now;
        }
        due
    }

    /// Whether an active device has this secret under other parameters. Their codes could not be
    /// spent together, because six digits are the end of eight.
    pub(crate) fn clashes(&self, secret: &TotpSecret, parameters: &Parameters) -> bool {
        // Every device is compared, without early exit.
        self.devices
            .iter()
            .fold(false, |clashes, device| clashes | (device.has_secret(secret) & (device.parameters() != parameters)))
    }

    /// Returns the first unspent step of a secret, as recorded for active and removed devices.
    pub(crate) fn first_unspent(&self, secret: &TotpSecret, parameters: &Parameters) -> u64 {
        let print = fingerprint(parameters.algorithm(), secret);
        let twins = self.devices.iter().filter(|device| device.has_secret(secret)).map(Device::spent_until);
        let gone = self.spent.iter().filter(|spent| spent.secret == print).map(|spent| spent.until);
        let until = twins.chain(gone).max().unwrap_or(UnixSeconds::EPOCH);
        until.get().div_ceil(parameters.step_seconds())
    }

    /// Adds a device whose first acceptable step is `next`, or later if its secret was used here
    /// before. A second device with the same secret shows the same codes, which are spent together
    /// from the start.
    pub(crate) fn add(
        &mut self,
        id: DeviceId,
        name: String,
        secret: TotpSecret,
        parameters: Parameters,
        added: Added,
        next: u64,
    ) {
        let next = next.max(self.first_unspent(&secret, &parameters));
        let device = Device::new(id, name, secret, parameters, added, next);
        let print = device.fingerprint();
        self.spent.retain(|spent| spent.secret != print);
        self.devices.push(device);
    }

    /// Removes a device and remembers which steps of its secret are spent. Returns whether the
    /// device existed.
    pub(crate) fn remove(&mut self, id: DeviceId) -> bool {
        let Some(at) = self.devices.iter().position(|device| device.id == id) else { return false };
        let gone = self.devices.remove(at);
        let secret = gone.fingerprint();
        let mut until = gone.spent_until();
        self.spent.retain(|spent| {
            let other = spent.secret != secret;
            if !other {
                until = until.max(spent.until);
            }
            other
        });
        if until > UnixSeconds::EPOCH {
            if self.spent.len() >= MAX_SPENT {
                self.spent.remove(0);
            }
            self.spent.push(Spent { secret, until });
        }
        true
    }

    /// Records in the guess ledger that no earlier device is left. Guesses are counted from zero,
    /// known clients stay known, and the client that makes the change is known from the start.
    pub(crate) fn renew(&mut self, draft: &mut Draft<'_>, changed_by: &[ClientTag]) -> Result<(), StepError> {
        let next = Generation::random(draft.entropy())?;
        guess::renew(draft, TOTP, self.generation, next, changed_by)?;
        self.generation = next;
        Ok(())
    }

    /// Whether the account has no factor, and none pending.
    pub(crate) const fn is_empty(&self) -> bool {
        self.devices.is_empty() && self.pending.is_none() && !self.email
    }

    /// Draws the id of a new device, which must not be in use.
    pub(crate) fn new_id(&self, draft: &Draft<'_>) -> Result<DeviceId, StepError> {
        let id = DeviceId::from_bytes(draft.random()?);
        // A sound generator repeats an id with a probability of 1 in 2⁶².
        if self.device(id).is_some() { Err(StepError::Entropy(keywright_core::EntropyError)) } else { Ok(id) }
    }
}

impl Pending {
    /// Whether this session began the enrolment. No other session of the account was shown the
    /// secret, and one of those may be stolen.
    pub(crate) fn is_of(&self, session: &SessionDigest) -> bool {
        self.session.as_slice().ct_eq(session.as_slice()).into()
    }

    /// Whether the enrolment can still be confirmed, whatever code is typed.
    pub(crate) fn is_live(&self, draft: &Draft<'_>) -> Result<bool, StepError> {
        let (now, fence, epochs) = (draft.now(), draft.keyring().fence(), draft.root()?.epochs());
        // A creation time in the future means that the clock went back, so the age is unknown.
        Ok(self.made <= now && self.made >= fence && self.epochs == epochs && now < self.expires)
    }
}

impl Record for Factors {
    const SCHEMA: u16 = 1;
}

/// The stored form, before it is validated.
#[derive(Deserialize)]
struct Stored {
    devices: Vec<Device>,
    pending: Option<Pending>,
    email: bool,
    email_origin: Origin,
    generation: Generation,
    spent: Vec<Spent>,
    reported: LastReports,
}

/// A stored form that this crate cannot have written.
#[derive(Debug, thiserror::Error)]
#[error("stored factors are out of bounds")]
struct OutOfBounds;

impl TryFrom<Stored> for Factors {
    type Error = OutOfBounds;
    fn try_from(stored: Stored) -> Result<Self, OutOfBounds> {
        let Stored { devices, pending, email, email_origin, generation, spent, reported } = stored;
        let one_each = |(at, one): (usize, &Device)| !devices.iter().skip(at).skip(1).any(|other| other.id == one.id);
        let bounded = devices.len() <= MAX_DEVICES
            && devices.iter().all(Device::is_bounded)
            && devices.iter().enumerate().all(one_each)
            && spent.len() <= MAX_SPENT
            && pending.as_ref().is_none_or(|pending| is_name(&pending.name) && pending.made <= pending.expires);
        if bounded {
            Ok(Self { devices, pending, email, email_origin, generation, spent, reported })
        } else {
            Err(OutOfBounds)
        }
    }
}

/// Returns a client's attempt at the account's devices, or `None` if there are none.
pub(crate) fn attempt(draft: &mut Draft<'_>, client: Client) -> Result<Option<Attempt>, StepError> {
    let factors = Factors::read(draft)?;
    Ok((!factors.devices.is_empty()).then(|| Attempt::new(TOTP, factors.generation, client)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Once, TwoFactorPolicy};
    use crate::session::session_digest;
    use crate::totp::parameters::Algorithm;
    use proptest::prelude::*;

    const START: u64 = 1_700_000_010;

    fn added() -> Added {
        Added { at: at(START), origin: Origin::LIBRARY }
    }

    fn at(seconds: u64) -> UnixSeconds {
        UnixSeconds::new(seconds).unwrap()
    }

    fn secret(byte: u8) -> TotpSecret {
        TotpSecret::from_slice(&[byte; 20]).unwrap()
    }

    const fn id(byte: u8) -> DeviceId {
        DeviceId::from_bytes([byte; 8])
    }

    fn add(factors: &mut Factors, byte: u8, secret: TotpSecret, parameters: Parameters, next: u64) -> u64 {
        factors.add(id(byte), "phone".into(), secret, parameters, added(), next);
        factors.device(id(byte)).unwrap().last_next()
    }

    fn long() -> Parameters {
        Parameters::new(Algorithm::Sha512, 8, 60).unwrap()
    }

    /// A record that is full in every part. Epochs come from a stored root: they can be constructed
    /// in no other way.
    fn full() -> Factors {
        let mut factors = Factors { email: true, generation: Generation::from_u64(7), ..Factors::default() };
        add(&mut factors, 9, secret(9), Parameters::DEFAULT, 9);
        factors.remove(id(9));
        for (byte, parameters) in [(1, Parameters::DEFAULT), (2, long())] {
            add(&mut factors, byte, secret(byte), parameters, 7);
        }
        add(&mut factors, 3, secret(1), Parameters::DEFAULT, 7);
        factors.devices[0].advance(START / 30 + 1, &MatchContext::test(Once::Purpose, "login", START));
        let epochs = postcard::from_bytes(&[1, 1]).unwrap();
        let (name, secret, parameters) = ("next".into(), secret(3), Parameters::DEFAULT);
        let (made, expires) = (at(START), at(START + 600));
        let session = session_digest(b"test", keywright_core::SessionId::new("session"));
        factors.pending =
            Some(Pending { name, replaces: Some(id(1)), session, secret, parameters, made, expires, epochs, wrong: 0 });
        assert!(factors.may_report(at(START), |last| &mut last.ran_ahead));
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
        refuses(|factors| factors.devices[1].id = factors.devices[0].id);
        refuses(|factors| {
            for byte in 10..13 {
                add(factors, byte, secret(byte), Parameters::DEFAULT, 0);
            }
        });
        refuses(|factors| {
            for byte in 0..16 {
                factors.spent.push(Spent { secret: [byte; 16], until: at(1) });
            }
        });
        for name in [String::new(), "a".repeat(65)] {
            let mut factors = full();
            factors.devices.pop();
            factors.add(id(3), name, secret(8), Parameters::DEFAULT, added(), 0);
            assert!(Factors::decode(1, &postcard::to_allocvec(&factors).unwrap()).is_err());
        }
        refuses(|factors| factors.pending.as_mut().unwrap().name = "\n".into());
        refuses(|factors| factors.pending.as_mut().unwrap().expires = UnixSeconds::EPOCH);
    }

    /// A spent step belongs to its secret: neither another device nor another parameter's length of
    /// step is touched.
    #[test]
    fn a_removed_secret_is_remembered_and_no_other_is_touched() {
        let mut factors = full();
        assert_eq!(factors.first_unspent(&secret(9), &Parameters::DEFAULT), 9);
        assert_eq!(factors.first_unspent(&secret(8), &Parameters::DEFAULT), 0);
        // Of two devices with one secret the later step counts, whichever is removed first.
        factors.devices[2].advance(500, &MatchContext::test(Once::Account, "", START));
        assert!(factors.remove(id(3)) && factors.remove(id(1)));
        assert!(!factors.remove(id(1)));
        let login = START / 30 + 1;
        assert_eq!(factors.first_unspent(&secret(1), &Parameters::DEFAULT), login);
        assert_eq!(add(&mut factors, 4, secret(8), Parameters::DEFAULT, 0), 0);
        assert_eq!(add(&mut factors, 5, secret(1), Parameters::DEFAULT, 0), login);
        assert!(factors.spent.iter().all(|spent| spent.until == at(9 * 30)), "the device knows it now");
        // A step of another length is counted in seconds.
        let minutes = Parameters::new(Algorithm::Sha1, 6, 60).unwrap();
        factors.remove(id(5));
        assert_eq!(add(&mut factors, 6, secret(1), minutes, 0), (login * 30).div_ceil(60));
    }

    /// Byte strings that an HMAC takes for the same key are the same secret: zeros at the end, or
    /// the digest of a long one.
    #[test]
    fn the_same_codes_are_the_same_secret() {
        use sha1::Digest;
        let mut factors = Factors::default();
        let bytes: Vec<u8> = (0..100).collect();
        let long = || TotpSecret::from_slice(&bytes).unwrap();
        let digest = || TotpSecret::from_slice(&sha1::Sha1::digest(&bytes)).unwrap();
        let zeros = || TotpSecret::from_slice(&[&[1; 20][..], &[0; 3]].concat()).unwrap();
        add(&mut factors, 1, secret(1), Parameters::DEFAULT, 70);
        add(&mut factors, 2, long(), Parameters::DEFAULT, 80);
        let eight = Parameters::new(Algorithm::Sha1, 8, 30).unwrap();
        assert!(factors.clashes(&zeros(), &eight) && factors.clashes(&digest(), &eight));
        assert!(factors.clashes(&secret(1), &self::long()), "another algorithm too");
        assert!(!factors.clashes(&zeros(), &Parameters::DEFAULT) && !factors.clashes(&secret(3), &eight));
        for gone in [false, true] {
            if gone {
                assert!(factors.remove(id(1)) && factors.remove(id(2)));
            }
            assert_eq!(factors.first_unspent(&zeros(), &Parameters::DEFAULT), 70, "{gone}");
            assert_eq!(factors.first_unspent(&digest(), &Parameters::DEFAULT), 80, "{gone}");
            assert_eq!(factors.first_unspent(&digest(), &eight), 80, "{gone}");
        }
    }

    /// The oldest removal is forgotten, whatever time the clock showed at each.
    #[test]
    fn sixteen_removed_secrets_are_remembered_by_their_order() {
        let mut factors = Factors::default();
        for byte in 0..17_u8 {
            let next = if byte.is_multiple_of(2) { u64::from(byte) + 1 } else { 1_000_000_000 };
            add(&mut factors, byte, secret(byte), Parameters::DEFAULT, next);
            factors.remove(id(byte));
        }
        assert_eq!(factors.spent.len(), MAX_SPENT);
        assert_eq!(factors.first_unspent(&secret(0), &Parameters::DEFAULT), 0);
        assert!((1..17).all(|byte| factors.first_unspent(&secret(byte), &Parameters::DEFAULT) > 0));
        // A secret that was never used need not be remembered.
        add(&mut factors, 20, secret(20), Parameters::DEFAULT, 0);
        factors.remove(id(20));
        assert!(factors.first_unspent(&secret(1), &Parameters::DEFAULT) > 0);
    }

    #[test]
    fn events_about_clocks_are_reported_once_an_hour() {
        let mut factors = Factors::default();
        let mut reported = |seconds| factors.may_report(at(seconds), |last| &mut last.out_of_window);
        assert!(reported(START));
        assert!(!reported(START + CLOCK_REPORT_SECONDS - 1) && reported(START + CLOCK_REPORT_SECONDS));
        // Last emitted in the future: once now, and then an hour from now.
        assert!(reported(START) && !reported(START + 1));
        assert!(factors.may_report(at(START), |last| &mut last.ran_ahead), "kinds are apart");
    }

    proptest! {
        #[test]
        fn any_stored_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Factors::decode(1, &bytes);
        }

        /// Decoding either fails, or encoding the result gives back the same body. Whatever is
        /// decoded can be compared.
        #[test]
        fn a_damaged_body_is_refused_or_bounded(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
            let mut body = postcard::to_allocvec(&full()).unwrap();
            *at.get_mut(&mut body) = byte;
            if let Ok(mut factors) = Factors::decode(1, &body) {
                prop_assert!(factors.devices.len() <= MAX_DEVICES);
                let typed = TypedCode::parse("123456").unwrap();
                let context = MatchContext::test(Once::Purpose, "login", START);
                let matches = factors.compare(&typed, &context);
                let _ = (factors.ran_ahead(&matches, &context), factors.seconds_off(&typed, &context, 600));
                let _: Vec<_> = factors.devices.iter().map(|device| device.info(&context, &TwoFactorPolicy::default())).collect();
                factors.advance(&matches, &context);
                let again = postcard::to_allocvec(&factors).unwrap();
                prop_assert!(Factors::decode(1, &again).is_ok());
            }
        }
    }
}
