//! Step-up: proving oneself once more, for an action or for a while.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use keywright_core::{AccountId, EventKind, UnixSeconds, append_lp};
use keywright_store::{Draft, Epochs, Record, Slot, StepError, Tentative};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::outcome::{Method, Proven};
use crate::recovery;
use crate::state::Factors;
use crate::step_up_policy::{MAX_FRESH_SECONDS, METHODS, Rule, StepUpPolicy, is_name};

/// Label of the digest that names a session's window.
const SESSION_LABEL: &[u8] = b"keywright/v1/stepup";

/// The longest session identity, in bytes.
pub const MAX_SESSION: usize = 64;

/// The proof that a session of an account proved itself once more for an action. Only a commit makes one.
///
/// Not `Clone`, not `Serialize`, without a constructor. The function that acts takes it by value and takes account,
/// action and session **from it**:
///
/// ```
/// # use keywright_twofactor::StepUp;
/// fn make_new_recovery_codes(proof: StepUp) {
///     let account = proof.account();
///     // …
/// # let _ = account;
/// }
/// ```
///
/// ```compile_fail
/// # use keywright_twofactor::StepUp;
/// fn twice(proof: StepUp) -> [StepUp; 2] {
///     [proof.clone(), proof] // no such method
/// }
/// ```
#[must_use = "a proof that nobody takes opens nothing"]
pub struct StepUp {
    account: AccountId,
    action: String,
    session: Vec<u8>,
    method: Method,
    remembered: bool,
    epochs: Epochs,
}

impl StepUp {
    /// In which epochs it was made: a difference voids it for what changes factors.
    pub(crate) const fn epochs(&self) -> Epochs {
        self.epochs
    }

    /// Who.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// For what: the action's name.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.action
    }

    /// In which session.
    #[must_use]
    pub fn session(&self) -> &[u8] {
        &self.session
    }

    /// By what.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Whether an earlier proof of the session's window opened it.
    #[must_use]
    pub const fn was_remembered(&self) -> bool {
        self.remembered
    }
}

impl fmt::Debug for StepUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StepUp({})", self.action)
    }
}

/// What an action demands of a session now. In a step `S` is tentative.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Demand<S> {
    /// Nothing: a proof of the session's window still opens it.
    Remembered(S),
    /// Any of these methods, strongest first; no other opens it.
    Ask(Vec<Method>),
    /// The account has none of the methods that the rule names. Whether that opens the action is the host's decision,
    /// and "no" is the safe one.
    NothingEnrolled,
}

/// What the host itself has checked, for [`StepUps::attest_in`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attested {
    /// The login password.
    Password,
    /// A mailed code.
    Mailed,
}

impl From<Attested> for Method {
    fn from(attested: Attested) -> Self {
        match attested {
            Attested::Password => Self::Password,
            Attested::Mailed => Self::Mailed,
        }
    }
}

/// What one session has proven lately.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "Stored")]
struct Window {
    /// At most one time for a method.
    proven: Vec<(Method, UnixSeconds)>,
    epochs: Epochs,
}

impl Record for Window {
    const SCHEMA: u16 = 1;
}

#[derive(Deserialize)]
struct Stored {
    proven: Vec<(Method, UnixSeconds)>,
    epochs: Epochs,
}

/// A stored form that this crate cannot have written.
#[derive(Debug, thiserror::Error)]
#[error("a stored step-up window is out of bounds")]
struct OutOfBounds;

impl TryFrom<Stored> for Window {
    type Error = OutOfBounds;
    fn try_from(stored: Stored) -> Result<Self, OutOfBounds> {
        let Stored { proven, epochs } = stored;
        let times = |method: Method| proven.iter().filter(|(one, _)| *one == method).count();
        let bounded = (1..=METHODS.len()).contains(&proven.len()) && METHODS.into_iter().all(|one| times(one) <= 1);
        if bounded { Ok(Self { proven, epochs }) } else { Err(OutOfBounds) }
    }
}

/// The pure transitions of step-up, with a policy. [`TwoFactorSteps`](crate::TwoFactorSteps) joins them with the codes.
///
/// In all of them `action` is a name of 1 to 64 printable ASCII characters and `session` an opaque identity of 1 to
/// [`MAX_SESSION`] bytes that the wire knows the caller by. Others are [`StepError::Misuse`].
#[derive(Debug, Clone, Default)]
pub struct StepUps {
    policy: StepUpPolicy,
}

impl StepUps {
    /// Steps under a policy.
    #[must_use]
    pub const fn new(policy: StepUpPolicy) -> Self {
        Self { policy }
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &StepUpPolicy {
        &self.policy
    }

    /// The slot of a session's window, to name to the driver.
    ///
    /// # Errors
    /// [`StepError::Misuse`] for a session of another length.
    pub fn slot(session: &[u8]) -> Result<Slot, StepError> {
        if session.is_empty() || session.len() > MAX_SESSION {
            return Err(StepError::Misuse("a session identity has 1 to 64 bytes"));
        }
        let mut message = SESSION_LABEL.to_vec();
        append_lp(&mut message, &[session]);
        let hash: [u8; 32] = Sha256::digest(&message).into();
        Ok(Slot::StepUp(hash.first_chunk().copied().unwrap_or_default()))
    }

    /// What an action demands now. `password` says whether the account has a login password that the host can check.
    ///
    /// # Errors
    /// [`StepError`]; nothing is opened.
    pub fn demand_in(
        &self,
        draft: &mut Draft<'_>,
        action: &str,
        session: &[u8],
        password: bool,
    ) -> Result<Demand<Tentative<StepUp>>, StepError> {
        let rule = self.rule(action)?;
        let slot = Self::slot(session)?;
        let methods = admissible(draft, rule, password.then_some(Method::Password))?;
        if methods.is_empty() {
            return Ok(Demand::NothingEnrolled);
        }
        if let Some(seconds) = rule.fresh_seconds()
            && let Some(window) = live_window(draft, slot)?
        {
            let now = draft.now();
            let fresh = |method: &Method| {
                // A time in the future is not fresh: the clock went back, and its age is not known.
                window.proven.iter().any(|(one, at)| one == method && *at <= now && now.since(*at) < seconds)
            };
            if let Some(method) = methods.iter().copied().find(fresh) {
                return Ok(Demand::Remembered(proof(draft, action, session, method, true)?));
            }
        }
        Ok(Demand::Ask(methods))
    }

    /// Whether a method opens an action for this account. Ask before a code is looked at: one that opens nothing should
    /// not be spent.
    ///
    /// # Errors
    /// [`StepError`]; the caller denies.
    pub fn permits_in(&self, draft: &mut Draft<'_>, action: &str, method: Method) -> Result<bool, StepError> {
        let rule = self.rule(action)?;
        // Who comes with the password has one.
        let password = Some(Method::Password).filter(|_| method == Method::Password);
        Ok(admissible(draft, rule, password)?.contains(&method))
    }

    /// Turns a factor that was proven in this draft into a step-up, one for one. `None` if its method does not open the action. The
    /// code must have been verified with the action's name as its purpose.
    ///
    /// # Errors
    /// [`StepError`]; nothing is opened. [`StepError::Misuse`] for a code of another purpose.
    pub fn grant_in(
        &self,
        draft: &mut Draft<'_>,
        action: &str,
        session: &[u8],
        proven: Tentative<Proven>,
    ) -> Result<Option<Tentative<StepUp>>, StepError> {
        let factor = proven.peek(draft)?;
        if factor.purpose() != action {
            return Err(StepError::Misuse("a code was verified for another purpose than this action"));
        }
        let method = factor.method();
        // What was proven in this draft was enrolled: the last recovery code is spent by now.
        self.open(draft, action, session, method, Some(method))
    }

    /// The same for what the host has checked: a password, or a mailed code that was confirmed. Call it only when that
    /// was right. `None` if its method does not open the action: a password never replaces an enrolled factor.
    ///
    /// # Errors
    /// [`StepError`]; nothing is opened.
    pub fn attest_in(
        &self,
        draft: &mut Draft<'_>,
        action: &str,
        session: &[u8],
        attested: Attested,
    ) -> Result<Option<Tentative<StepUp>>, StepError> {
        let method = attested.into();
        let in_hand = Some(method).filter(|_| attested == Attested::Password);
        self.open(draft, action, session, method, in_hand)
    }

    /// Ends a session's window: at log-out, or when the session's id changes.
    ///
    /// # Errors
    /// [`StepError`]; the window stays.
    pub fn forget_in(&self, draft: &mut Draft<'_>, session: &[u8]) -> Result<bool, StepError> {
        let slot = Self::slot(session)?;
        let there = draft.read::<Window>(slot)?.is_some();
        if there {
            draft.delete(slot)?;
        }
        Ok(there)
    }

    fn open(
        &self,
        draft: &mut Draft<'_>,
        action: &str,
        session: &[u8],
        method: Method,
        in_hand: Option<Method>,
    ) -> Result<Option<Tentative<StepUp>>, StepError> {
        let (rule, slot) = (self.rule(action)?, Self::slot(session)?);
        if !admissible(draft, rule, in_hand)?.contains(&method) {
            return Ok(None);
        }
        if rule.fresh_seconds().is_some() {
            remember(draft, slot, method)?;
        }
        draft.event(EventKind::StepUpGranted { action: action.into() });
        proof(draft, action, session, method, false).map(Some)
    }

    fn rule(&self, action: &str) -> Result<&Rule, StepError> {
        if !is_name(action) {
            return Err(StepError::Misuse("an action's name has 1 to 64 printable ASCII characters"));
        }
        Ok(self.policy.rule_of(action))
    }
}

/// The methods that open an action for the draft's account, strongest first. `in_hand` counts as enrolled.
fn admissible(draft: &mut Draft<'_>, rule: &Rule, in_hand: Option<Method>) -> Result<Vec<Method>, StepError> {
    let factors = Factors::read(draft)?;
    let recovery = recovery::remaining(draft)?.is_some_and(|remaining| remaining > 0);
    let enrolled = |method| match method {
        Method::Totp => !factors.devices.is_empty(),
        Method::Recovery => recovery,
        Method::Mailed => factors.email,
        Method::Password => false,
    };
    Ok(rule.admissible(|method| enrolled(method) || in_hand == Some(method)).collect())
}

/// The session's window, without what is void: of other epochs, or older than the fence.
fn live_window(draft: &mut Draft<'_>, slot: Slot) -> Result<Option<Window>, StepError> {
    let Some(mut window) = draft.read::<Window>(slot)? else { return Ok(None) };
    if window.epochs != draft.root()?.epochs() {
        return Ok(None);
    }
    let (now, fence) = (draft.now(), draft.keyring().fence());
    window.proven.retain(|(_, at)| *at <= now && *at >= fence);
    Ok(Some(window))
}

fn remember(draft: &mut Draft<'_>, slot: Slot, method: Method) -> Result<(), StepError> {
    let (now, epochs) = (draft.now(), draft.root()?.epochs());
    let mut proven = live_window(draft, slot)?.map_or_else(Vec::new, |window| window.proven);
    proven.retain(|(one, _)| *one != method);
    proven.push((method, now));
    draft.put(slot, &Window { proven, epochs }, Some(now.plus(MAX_FRESH_SECONDS)))
}

fn proof(
    draft: &mut Draft<'_>,
    action: &str,
    session: &[u8],
    method: Method,
    remembered: bool,
) -> Result<Tentative<StepUp>, StepError> {
    let account = draft.partition().as_account().ok_or(StepError::NoAccount)?;
    let epochs = draft.root()?.epochs();
    let proof = StepUp { account, action: action.into(), session: session.to_vec(), method, remembered, epochs };
    Ok(draft.tentative(proof))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keywright_store::Root;
    use proptest::prelude::*;

    fn window(methods: &[Method]) -> Vec<u8> {
        let epochs = Root::decode(Root::SCHEMA, &[1, 1, 1, 0, 0, 0]).unwrap().epochs();
        let proven = methods.iter().map(|method| (*method, UnixSeconds::MAX)).collect();
        postcard::to_allocvec(&Window { proven, epochs }).unwrap()
    }

    #[test]
    fn what_cannot_have_been_written_is_an_error() {
        let body = window(&METHODS);
        let back = Window::decode(1, &body).unwrap();
        assert_eq!(postcard::to_allocvec(&back).unwrap(), body);
        assert!(Window::decode(2, &body).is_err());
        assert!(Window::decode(1, &window(&[])).is_err());
        assert!(Window::decode(1, &window(&[Method::Totp, Method::Totp])).is_err());
        assert!(Window::decode(1, &window(&[Method::Totp; 5])).is_err());
    }

    #[test]
    fn sessions_have_slots_of_their_own() {
        assert_ne!(StepUps::slot(b"a"), StepUps::slot(b"b"));
        assert_eq!(StepUps::slot(&[7; 64]), StepUps::slot(&[7; 64]));
        assert!(StepUps::slot(b"").is_err() && StepUps::slot(&[7; 65]).is_err());
    }

    proptest! {
        #[test]
        fn any_stored_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Window::decode(1, &bytes);
        }
    }
}
