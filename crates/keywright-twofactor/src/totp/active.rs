//! An active device in its stored form, and which of its steps are spent.

use keywright_core::UnixSeconds;
use keywright_store::Draft;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::code::{Fingerprint, Found, TotpVerifier, TypedCode, Window, fingerprint};
use super::device::{DeviceId, DeviceInfo, ImportedDevice};
use super::parameters::Parameters;
use super::secret::{TotpSecret, stored};
use crate::origin::Origin;
use crate::policy::{Once, TwoFactorPolicy};

/// The maximum number of purposes for which a device remembers the last step separately. Beyond it,
/// the purpose with the oldest step is merged into the step of all purposes, which refuses more,
/// never less.
const MAX_PURPOSES: usize = 16;

/// The label of the digest as which a purpose is stored.
const PURPOSE_LABEL: &[u8] = b"keywright/v1/twofactor.purpose";

/// The maximum length of a device's name, in characters.
pub(crate) const MAX_NAME: usize = 64;

/// An active device.
#[derive(Serialize, Deserialize)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    name: String,
    #[serde(with = "stored")]
    secret: TotpSecret,
    parameters: Parameters,
    added: UnixSeconds,
    origin: Origin,
    /// The first step that is still acceptable for any purpose. It never decreases.
    next: u64,
    /// The same for individual purposes, under [`Once::Purpose`].
    purposes: Vec<Purpose>,
}

/// When and through what a device becomes active.
pub(crate) struct Added {
    pub(crate) at: UnixSeconds,
    pub(crate) origin: Origin,
}

#[derive(Serialize, Deserialize)]
struct Purpose {
    digest: PurposeDigest,
    next: u64,
}

/// The form in which a purpose is stored: fixed in size, whatever name the caller chooses.
type PurposeDigest = [u8; 16];

/// The circumstances under which a code is compared.
#[derive(Clone, Copy)]
pub(crate) struct MatchContext {
    pub(crate) now: UnixSeconds,
    fence: UnixSeconds,
    pub(crate) window: Window,
    once: Once,
    purpose: PurposeDigest,
}

impl MatchContext {
    /// Returns the context for a use of a code for a purpose.
    pub(crate) fn of_use(draft: &Draft<'_>, policy: &TwoFactorPolicy, purpose: &str) -> Self {
        let (now, fence) = (draft.now(), draft.keyring().fence());
        Self { now, fence, window: policy.window, once: policy.once, purpose: purpose_digest(purpose) }
    }

    /// Returns the context for an enrolment code, which is spent for every purpose.
    pub(crate) fn of_enrolment(draft: &Draft<'_>, policy: &TwoFactorPolicy) -> Self {
        Self { once: Once::Account, ..Self::of_use(draft, policy, "") }
    }

    #[cfg(test)]
    pub(crate) fn test(once: Once, purpose: &str, now: u64) -> Self {
        let (now, fence) = (UnixSeconds::EPOCH.plus(now), UnixSeconds::EPOCH);
        Self { now, fence, window: Window::new(1, 1), once, purpose: purpose_digest(purpose) }
    }

    /// Returns the first step after the keyring's fence, or 0 if there is no fence
    /// (`docs/security.md` § 12).
    pub(crate) fn after_fence(&self, parameters: &Parameters) -> u64 {
        if self.fence == UnixSeconds::EPOCH { 0 } else { parameters.step_at(self.fence).saturating_add(1) }
    }
}

fn purpose_digest(purpose: &str) -> PurposeDigest {
    let hash: [u8; 32] = Sha256::new().chain_update(PURPOSE_LABEL).chain_update(purpose).finalize().into();
    hash.first_chunk().copied().unwrap_or_default()
}

/// Whether a text is a valid name for a device.
pub(crate) fn is_name(name: &str) -> bool {
    // A character has at most four bytes, so a long text is rejected without counting its
    // characters.
    name.len() <= MAX_NAME.saturating_mul(4)
        && (1..=MAX_NAME).contains(&name.chars().count())
        && !name.chars().any(char::is_control)
}

impl Device {
    /// Creates a device whose first acceptable step is `next`.
    pub(crate) fn new(
        id: DeviceId,
        name: String,
        secret: TotpSecret,
        parameters: Parameters,
        added: Added,
        next: u64,
    ) -> Self {
        let Added { at: added, origin } = added;
        Self { id, name, secret, parameters, added, origin, next, purposes: Vec::new() }
    }

    pub(crate) fn info(&self, context: &MatchContext, policy: &TwoFactorPolicy) -> DeviceInfo {
        DeviceInfo {
            id: self.id,
            name: self.name.clone(),
            added: self.added,
            parameters: self.parameters,
            origin: self.origin.clone(),
            refused_until: self.refused_until(context),
            below_policy: self.is_below(policy),
        }
    }

    /// Changes the name, which must be one that [`is_name`] accepts.
    pub(crate) fn rename(&mut self, name: &str) {
        self.name = name.into();
    }

    /// Whether the secret is shorter than the policy requires.
    pub(crate) fn is_below(&self, policy: &TwoFactorPolicy) -> bool {
        !policy.takes(&self.secret)
    }

    /// Returns the device as another store imports it: with the last step that any purpose has
    /// spent.
    pub(crate) fn export(&self) -> ImportedDevice {
        ImportedDevice {
            name: self.name.clone(),
            secret: self.secret.duplicate(),
            parameters: Some(self.parameters),
            next: self.last_next(),
        }
    }

    pub(crate) const fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Compares a code with every step of the window, without early exit.
    pub(crate) fn compare(&self, typed: &TypedCode, context: &MatchContext) -> Found {
        let codes = TotpVerifier::new(&self.secret, self.parameters);
        codes.judge(typed, self.parameters.step_at(context.now), context.window, self.next_at(context))
    }

    /// Returns by how many seconds the device's clock is off, if it shows the code at a time
    /// outside the window.
    pub(crate) fn seconds_off(&self, typed: &TypedCode, context: &MatchContext, range: u64) -> Option<i64> {
        seconds_off(&TotpVerifier::new(&self.secret, self.parameters), &self.parameters, typed, context, range)
    }

    /// Returns the time until which every code of the device is refused, because its last step lies
    /// beyond the window.
    pub(crate) fn refused_until(&self, context: &MatchContext) -> Option<UnixSeconds> {
        let forward = u64::from(context.window.forward);
        // The step of a single purpose may be further ahead, but the device still works for other
        // purposes.
        let next = match context.once {
            Once::Account => self.next_at(context),
            Once::Purpose => self.next.max(context.after_fence(&self.parameters)),
        };
        let first = next.saturating_sub(forward);
        // An ordinary use spends the window's latest step, so only a step beyond that one counts.
        (first.saturating_sub(1) > self.parameters.step_at(context.now))
            .then(|| UnixSeconds::EPOCH.plus(first.saturating_mul(self.parameters.step_seconds())))
    }

    /// Returns the first step that is acceptable in this context, by the device, the purpose and
    /// the fence.
    fn next_at(&self, context: &MatchContext) -> u64 {
        let own = match context.once {
            Once::Account => self.last_next(),
            Once::Purpose => {
                let own = self.purposes.iter().find(|one| one.digest == context.purpose);
                own.map_or(self.next, |one| one.next.max(self.next))
            }
        };
        own.max(context.after_fence(&self.parameters))
    }

    /// Returns the first step that is acceptable for every purpose.
    pub(crate) fn last_next(&self) -> u64 {
        self.purposes.iter().fold(self.next, |next, one| next.max(one.next))
    }

    /// Spends the steps before `after`.
    pub(crate) fn advance(&mut self, after: u64, context: &MatchContext) {
        match context.once {
            Once::Account => {
                self.next = self.last_next().max(after);
                self.purposes.clear();
            }
            Once::Purpose => self.advance_purpose(after, context),
        }
    }

    fn advance_purpose(&mut self, after: u64, context: &MatchContext) {
        match self.purposes.iter_mut().find(|one| one.digest == context.purpose) {
            Some(one) => one.next = one.next.max(after),
            None => self.purposes.push(Purpose { digest: context.purpose, next: after }),
        }
        // Steps before the window are refused for every purpose from now on, even if the clock goes
        // back.
        let oldest = self.parameters.step_at(context.now).saturating_sub(context.window.back.into());
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

    /// Whether the device has this secret: the same bytes, or others that an HMAC takes for the
    /// same key.
    pub(crate) fn has_secret(&self, secret: &TotpSecret) -> bool {
        self.secret.ct_eq(secret) | (self.fingerprint() == fingerprint(self.parameters.algorithm(), secret))
    }

    /// Returns the fingerprint by which the secret is remembered.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        fingerprint(self.parameters.algorithm(), &self.secret)
    }

    /// Returns the time up to which the device's codes are spent, for a device with the same secret
    /// that is added later.
    pub(crate) fn spent_until(&self) -> UnixSeconds {
        UnixSeconds::EPOCH.plus(self.last_next().saturating_mul(self.parameters.step_seconds()))
    }

    pub(crate) fn is_bounded(&self) -> bool {
        let one_each = |(at, one): (usize, &Purpose)| {
            !self.purposes.iter().skip(at).skip(1).any(|other| other.digest == one.digest)
        };
        is_name(&self.name) && self.purposes.len() <= MAX_PURPOSES && self.purposes.iter().enumerate().all(one_each)
    }
}

/// Returns by how many seconds a device's clock is off, if it shows the code at a time outside the
/// window.
pub(crate) fn seconds_off(
    codes: &TotpVerifier,
    parameters: &Parameters,
    typed: &TypedCode,
    context: &MatchContext,
    range: u64,
) -> Option<i64> {
    let steps = range.checked_div(parameters.step_seconds()).unwrap_or(0);
    let off = codes.steps_off(typed, parameters.step_at(context.now), context.window, steps)?;
    Some(off.saturating_mul(i64::try_from(parameters.step_seconds()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_700_000_010;

    fn device() -> Device {
        let secret = TotpSecret::from_slice(&[1; 20]).unwrap();
        let added = Added { at: UnixSeconds::EPOCH, origin: Origin::LIBRARY };
        Device::new(DeviceId::from_bytes([1; 8]), "phone".into(), secret, Parameters::DEFAULT, added, 7)
    }

    fn context(once: Once, purpose: &str, now: u64) -> MatchContext {
        MatchContext::test(once, purpose, now)
    }

    /// A purpose whose step has left the window is merged into the step of all purposes, so that a
    /// clock that goes back cannot make it acceptable again.
    #[test]
    fn a_forgotten_purpose_is_refused_more_not_less() {
        let present = START / 30;
        let mut device = device();
        device.advance(present + 1, &context(Once::Purpose, "login", START));
        device.advance(present + 100, &context(Once::Purpose, "other", START + 3_000));
        assert_eq!(device.purposes.len(), 1);
        assert_eq!(device.next_at(&context(Once::Purpose, "login", START)), present + 1);
        assert_eq!(device.next_at(&context(Once::Purpose, "third", START)), present + 1);
        assert_eq!(device.next_at(&context(Once::Purpose, "other", START)), present + 100);
        // After a change of policy to account-wide, the highest step of all counts.
        assert_eq!(device.next_at(&context(Once::Account, "login", START)), present + 100);
        device.advance(present + 101, &context(Once::Account, "login", START));
        assert!(device.purposes.is_empty() && device.next == present + 101);
    }

    #[test]
    fn purposes_are_bounded() {
        let present = START / 30;
        let mut device = device();
        for nth in 0..20 {
            device.advance(present + 1 + nth, &context(Once::Purpose, &format!("purpose {nth}"), START));
        }
        assert!(device.purposes.len() == MAX_PURPOSES && device.is_bounded());
        assert_eq!(device.next, present + 4, "the four oldest are folded");
        device.purposes.push(Purpose { digest: [0; 16], next: 1 });
        assert!(!device.is_bounded());
        device.purposes.truncate(1);
        device.purposes.push(Purpose { ..device.purposes[0] });
        assert!(!device.is_bounded());
    }

    /// A last step beyond the window refuses every code until the window has caught up with it.
    #[test]
    fn a_device_that_ran_ahead_is_refused_until_the_window_reaches_it() {
        let present = START / 30;
        let mut device = device();
        let context = |now| context(Once::Account, "", now);
        device.advance(present + 2, &context(START));
        assert_eq!(device.refused_until(&context(START)), None, "an ordinary use of the latest step");
        device.advance(present + 102, &context(START + 3_000));
        let until = device.refused_until(&context(START)).unwrap();
        assert_eq!(until.get(), (present + 101) * 30);
        assert_eq!(device.refused_until(&context(until.get() - 31)), Some(until));
        assert_eq!(device.refused_until(&context(until.get() - 30)), None);
    }
}
