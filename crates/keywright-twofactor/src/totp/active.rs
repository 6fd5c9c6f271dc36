//! An active device as it is stored, and what of its steps is spent.

use keywright_core::UnixSeconds;
use keywright_store::Draft;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::code::{Fingerprint, Found, TotpVerifier, TypedCode, Window, fingerprint};
use super::device::{DeviceId, DeviceInfo};
use super::parameters::Parameters;
use super::secret::{TotpSecret, stored};
use crate::policy::{Once, TwoFactorPolicy};

/// Purposes of which a device remembers the last step apart. Beyond, the one with the oldest step is folded into the
/// step of all purposes, which refuses more, never less.
const MAX_PURPOSES: usize = 16;

/// Label of the digest that a purpose is stored as.
const PURPOSE_LABEL: &[u8] = b"keywright/v1/twofactor.purpose";

/// The longest name of a device, in characters.
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
type PurposeDigest = [u8; 16];

/// What a code is compared under.
#[derive(Clone, Copy)]
pub(crate) struct MatchContext {
    pub(crate) now: UnixSeconds,
    fence: UnixSeconds,
    pub(crate) window: Window,
    once: Once,
    purpose: PurposeDigest,
}

impl MatchContext {
    /// A use of a code for a purpose.
    pub(crate) fn of_use(draft: &Draft<'_>, policy: &TwoFactorPolicy, purpose: &str) -> Self {
        let (now, fence) = (draft.now(), draft.keyring().fence());
        Self { now, fence, window: policy.window, once: policy.once, purpose: purpose_digest(purpose) }
    }

    /// An enrolling code, which is spent for every purpose.
    pub(crate) fn of_enrolment(draft: &Draft<'_>, policy: &TwoFactorPolicy) -> Self {
        Self { once: Once::Account, ..Self::of_use(draft, policy, "") }
    }

    #[cfg(test)]
    pub(crate) fn test(once: Once, purpose: &str, now: u64) -> Self {
        let (now, fence) = (UnixSeconds::EPOCH.plus(now), UnixSeconds::EPOCH);
        Self { now, fence, window: Window::new(1, 1), once, purpose: purpose_digest(purpose) }
    }

    /// The first step after the keyring's fence; 0 without a fence (`docs/security.md` § 12).
    pub(crate) fn after_fence(&self, parameters: &Parameters) -> u64 {
        if self.fence == UnixSeconds::EPOCH { 0 } else { parameters.step_at(self.fence).saturating_add(1) }
    }
}

fn purpose_digest(purpose: &str) -> PurposeDigest {
    let hash: [u8; 32] = Sha256::new().chain_update(PURPOSE_LABEL).chain_update(purpose).finalize().into();
    hash.first_chunk().copied().unwrap_or_default()
}

/// Whether a text can name a device.
pub(crate) fn is_name(name: &str) -> bool {
    // Four bytes a character at most: a long text is not counted through.
    name.len() <= MAX_NAME.saturating_mul(4)
        && (1..=MAX_NAME).contains(&name.chars().count())
        && !name.chars().any(char::is_control)
}

impl Device {
    /// A device whose first acceptable step is `next`.
    pub(crate) const fn new(
        id: DeviceId,
        name: String,
        secret: TotpSecret,
        parameters: Parameters,
        added: UnixSeconds,
        next: u64,
    ) -> Self {
        Self { id, name, secret, parameters, added, next, purposes: Vec::new() }
    }

    pub(crate) fn info(&self, context: &MatchContext) -> DeviceInfo {
        DeviceInfo {
            id: self.id,
            name: self.name.clone(),
            added: self.added,
            parameters: self.parameters,
            refused_until: self.refused_until(context),
        }
    }

    pub(crate) const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Compares a code with every step of the window, without early exit.
    pub(crate) fn compare(&self, typed: &TypedCode, context: &MatchContext) -> Found {
        let codes = TotpVerifier::new(&self.secret, self.parameters);
        codes.judge(typed, self.parameters.step_at(context.now), context.window, self.next_at(context))
    }

    /// By how many seconds the device's clock is off, if it shows the code at another time than the window's.
    pub(crate) fn seconds_off(&self, typed: &TypedCode, context: &MatchContext, range: u64) -> Option<i64> {
        seconds_off(&TotpVerifier::new(&self.secret, self.parameters), &self.parameters, typed, context, range)
    }

    /// Until when every code of the device is refused, because its last step lies beyond the window.
    pub(crate) fn refused_until(&self, context: &MatchContext) -> Option<UnixSeconds> {
        let forward = u64::from(context.window.forward);
        // A purpose may be further; the device works for others.
        let next = match context.once {
            Once::Account => self.next_at(context),
            Once::Purpose => self.next.max(context.after_fence(&self.parameters)),
        };
        let first = next.saturating_sub(forward);
        // One step less is the latest of the window, which an ordinary use spends.
        (first.saturating_sub(1) > self.parameters.step_at(context.now))
            .then(|| UnixSeconds::EPOCH.plus(first.saturating_mul(self.parameters.step_seconds())))
    }

    /// The first acceptable step as things stand: of the device, of the purpose, after the fence.
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

    /// The first step that is acceptable for every purpose.
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
        // What lies before the window is refused for every purpose from now on, also if the clock goes back.
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

    /// Whether the device has this secret: the same bytes, or others that an HMAC takes for the same key.
    pub(crate) fn has_secret(&self, secret: &TotpSecret) -> bool {
        self.secret.ct_eq(secret) | (self.fingerprint() == fingerprint(self.parameters.algorithm(), secret))
    }

    /// What the secret is remembered as.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        fingerprint(self.parameters.algorithm(), &self.secret)
    }

    /// Up to when the device's codes are spent, for a device of the same secret that is added later.
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

/// By how many seconds a device's clock is off that shows the code at another time than the window's.
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
        Device::new(DeviceId::from_bytes([1; 8]), "phone".into(), secret, Parameters::DEFAULT, UnixSeconds::EPOCH, 7)
    }

    fn context(once: Once, purpose: &str, now: u64) -> MatchContext {
        MatchContext::test(once, purpose, now)
    }

    /// A purpose whose step has left the window is folded into the step of all, so that a clock that goes back cannot
    /// bring it out again.
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
        // A policy that changes to account-wide takes the highest of all.
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
