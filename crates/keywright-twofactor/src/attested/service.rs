//! Attested factors on a store.

use keywright_core::{AccountId, ActionName, Client, Purpose, SessionId};
use keywright_store::SlotName;

use super::challenge::{AssertionChallenge, CHALLENGES};
use super::factor::{Assertion, AttestedEnrolment};
use super::method::AttestedMethod;
use crate::error::TwoFactorError;
use crate::outcome::{EnrolmentStart, Proven, VerifyOutcome};
use crate::service::TwoFactor;
use crate::step::SLOTS;
use crate::step_up::grant::FactorChange;
use crate::step_up::proof::StepUp;
use crate::step_up::steps::StepUps;

/// Attested factors, which the host checks itself.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::sync::Arc;
/// # use keywright_core::{Keyring, SystemEntropy};
/// # use keywright_store::{Driver, MemoryStore};
/// # let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
/// # let driver = Driver::builder(Arc::new(MemoryStore::new()), keyring).slots(keywright_twofactor::SLOT_KINDS).build()?;
/// # let account = AccountId::new("user-1")?;
/// # driver.ensure_account(&account).await?;
/// use keywright_core::{AccountId, Client, Purpose, SessionId};
/// use keywright_twofactor::{
///     Assertion, AttestedEnrolment, AttestedMethod, EnrolmentStart, FactorChange, StepUpPolicy, Strength, TwoFactor,
///     TwoFactorPolicy, VerifyOutcome,
/// };
///
/// # let client = Client::credential(driver.client_tag(&account, b"the cookie of the device"));
/// const PASSKEY: AttestedMethod = AttestedMethod::new("passkey", Strength::PhishingResistant);
/// let step_up = StepUpPolicy::builder().attested(PASSKEY).build()?;
/// let two_factor = TwoFactor::new(driver, TwoFactorPolicy::builder().step_up(step_up).build()?)?;
///
/// let session = SessionId::new("session-1");
/// // The host has just checked the password.
/// let change = FactorChange::first_factor(account.clone(), session);
/// let begun = two_factor.begin_attested(change, PASSKEY, "security key", None).await?;
/// let EnrolmentStart::Begun(challenge) = begun else { panic!("full") };
/// // … the client's key answers the challenge, and the host's WebAuthn library checks the answer:
/// # let key = b"credential id and public key";
/// let confirmed = two_factor.confirm_attested(&account, session, challenge.as_bytes(), key, client).await?;
/// let AttestedEnrolment::Active { device, recovery_codes: Some(_) } = confirmed else { panic!("too late") };
///
/// // At the next sign-in:
/// let login = Purpose::new("login");
/// let challenge = two_factor.challenge(&account, session, &login, None).await?;
/// // … the client's key answers, and the library checks the answer with the key's data:
/// let assertion = Assertion::new(device, challenge.as_bytes());
/// let verdict = two_factor.verify_assertion(&account, &assertion, session, &login).await?;
/// assert!(matches!(verdict, VerifyOutcome::Granted(_)));
/// // The same answer is not accepted again.
/// let verdict = two_factor.verify_assertion(&account, &assertion, session, &login).await?;
/// assert!(matches!(verdict, VerifyOutcome::Denied(_)));
/// # Ok(())
/// # }
/// ```
impl TwoFactor {
    /// Begins the enrolment of an attested factor in the session of the authorization, and returns
    /// the challenge that it must answer. `given` is the challenge of a library that draws its own.
    /// See [`TwoFactorSteps::begin_attested_in`](crate::TwoFactorSteps::begin_attested_in).
    ///
    /// # Errors
    /// Returns [`TwoFactorError::NotProven`] if the authorization is not valid, and
    /// [`TwoFactorError::Transact`] if the store, the clock or the generator fails, the account is
    /// busy, or the policy does not register the method. In both cases nothing is pending.
    pub async fn begin_attested(
        &self,
        change: impl Into<FactorChange> + Send,
        method: AttestedMethod,
        name: &str,
        given: Option<&[u8]>,
    ) -> Result<EnrolmentStart<AssertionChallenge>, TwoFactorError> {
        let change = change.into();
        let step = |draft: &mut keywright_store::Draft<'_>| {
            self.steps().begin_attested_in(draft, change.session(), method, name, given)
        };
        self.authorized("two_factor.begin_attested", &change, &slots(None), step).await
    }

    /// Adds the factor whose answer to the challenge of its enrolment the host has checked. See
    /// [`TwoFactorSteps::confirm_attested_in`](crate::TwoFactorSteps::confirm_attested_in).
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails, the
    /// account is busy, or `data` is too long.
    pub async fn confirm_attested(
        &self,
        account: &AccountId,
        session: SessionId,
        challenge: &[u8],
        data: &[u8],
        client: Client,
    ) -> Result<AttestedEnrolment, TwoFactorError> {
        let step = |draft: &mut keywright_store::Draft<'_>| {
            self.steps().confirm_attested_in(draft, session, challenge, data, client)
        };
        self.run("two_factor.confirm_attested", account, &slots(None), step).await
    }

    /// Issues a challenge that an enrolled factor is to answer: for a sign-in or, with the action's
    /// name as the purpose, for a step-up. See
    /// [`TwoFactorSteps::challenge_in`](crate::TwoFactorSteps::challenge_in).
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy.
    pub async fn challenge(
        &self,
        account: &AccountId,
        session: SessionId,
        purpose: &Purpose,
        given: Option<&[u8]>,
    ) -> Result<AssertionChallenge, TwoFactorError> {
        let slots = [CHALLENGES.name()];
        self.run("two_factor.challenge", account, &slots, |draft| {
            self.steps().challenge_in(draft, session, purpose, given)
        })
        .await
    }

    /// Redeems the challenge of an assertion that the host has checked, once. See
    /// [`TwoFactorSteps::verify_assertion_in`](crate::TwoFactorSteps::verify_assertion_in).
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy; then nothing is granted.
    pub async fn verify_assertion(
        &self,
        account: &AccountId,
        assertion: &Assertion,
        session: SessionId,
        purpose: &Purpose,
    ) -> Result<VerifyOutcome<Proven>, TwoFactorError> {
        let step = |draft: &mut keywright_store::Draft<'_>| {
            self.steps().verify_assertion_in(draft, assertion, session, purpose)
        };
        self.run("two_factor.verify_assertion", account, &slots(None), step).await
    }

    /// Steps up with an assertion that the host has checked. See
    /// [`TwoFactorSteps::step_up_assertion_in`](crate::TwoFactorSteps::step_up_assertion_in).
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy; then nothing is authorized.
    pub async fn step_up_assertion(
        &self,
        account: &AccountId,
        action: &ActionName,
        session: SessionId,
        assertion: &Assertion,
    ) -> Result<VerifyOutcome<StepUp>, TwoFactorError> {
        let step = |draft: &mut keywright_store::Draft<'_>| {
            self.steps().step_up_assertion_in(draft, action, session, assertion)
        };
        self.run("two_factor.step_up_assertion", account, &slots(Some(session)), step).await
    }
}

/// Returns the slots of a change or a use; those of a step-up in a session as well.
fn slots(session: Option<SessionId>) -> Vec<SlotName> {
    let window = session.map(StepUps::slot);
    SLOTS.iter().copied().chain([CHALLENGES.name()]).chain(window).collect()
}
