//! Passkeys as a second factor of a server that uses Keywright.
//!
//! The crate `passkey-auth` checks what a browser sends: signature, origin, user verification.
//! Keywright keeps the credentials in its sealed records, issues the challenges and redeems each of
//! them in the commit that grants, ranks the passkey above codes of an app, and moves the epochs
//! when a passkey is added or removed. Nothing is kept in the server's memory or in its own tables.
//!
//! `tests/end_to_end.rs` runs all of it with a browser and a security key in software.
#![forbid(unsafe_code)]

use keywright::twofactor::{
    Assertion, AttestedEnrolment, AttestedMethod, EnrolmentStart, FactorChange, Proven, StepUp, StepUpPolicy, Strength,
    TwoFactor, TwoFactorError, TwoFactorPolicy, VerifyOutcome,
};
use keywright::{AccountId, ActionName, Client, Keywright, Purpose, SessionId};
use passkey_auth::{
    Attachment, AuthenticationChallenge, AuthenticationResponse, AuthenticationState, Challenge, CredentialId,
    PasskeyCredential, RegistrationChallenge, RegistrationResponse, RegistrationState, Webauthn,
};

/// The method, as the policy registers it and rules name it.
pub const PASSKEY: AttestedMethod = AttestedMethod::new("passkey", Strength::PhishingResistant);

/// The purpose of a sign-in.
pub const SIGN_IN: Purpose = Purpose::new("sign-in");

/// Enrols passkeys and checks them.
#[derive(Clone)]
pub struct Passkeys {
    webauthn: Webauthn,
    two_factor: TwoFactor,
}

/// Why a request was not decided. Nothing is granted then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasskeyError {
    /// The answer is not that of a passkey of this account for this server.
    #[error("the passkey's answer is not valid")]
    Invalid(#[from] passkey_auth::Error),
    /// The answer cannot be read, or its passkey is not enrolled.
    #[error("the passkey's answer cannot be read, or the passkey is not enrolled")]
    Unknown,
    /// The account has too many factors, or the name is not valid.
    #[error("the passkey cannot be added: too many factors, or an invalid name")]
    NotAdded,
    /// Keywright could not decide.
    #[error(transparent)]
    TwoFactor(#[from] TwoFactorError),
}

impl Passkeys {
    /// Creates the service of a server at `origin`, an `https` address within `domain`.
    ///
    /// # Errors
    /// Returns an error if the policy does not fit the server's ledger policy.
    pub fn new(keywright: &Keywright, domain: &str, origin: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let step_up = StepUpPolicy::builder().attested(PASSKEY).build()?;
        let two_factor = keywright.two_factor_with(TwoFactorPolicy::builder().step_up(step_up).build()?)?;
        let webauthn = Webauthn::new(domain, "Keywright example", origin);
        let webauthn = webauthn.require_user_verification(true).authenticator_attachment(Attachment::Any);
        Ok(Self { webauthn, two_factor })
    }

    /// Returns the two-factor service, for everything else.
    #[must_use]
    pub const fn two_factor(&self) -> &TwoFactor {
        &self.two_factor
    }

    /// Begins an enrolment. The result goes to the browser's `navigator.credentials.create`.
    ///
    /// # Errors
    /// Returns [`PasskeyError`] if nothing is pending.
    pub async fn begin_enrolment(
        &self,
        change: impl Into<FactorChange> + Send,
        name: &str,
    ) -> Result<RegistrationChallenge, PasskeyError> {
        let change = change.into();
        let account = change.account().clone();
        let existing: Vec<CredentialId> =
            self.credentials(&account).await?.into_iter().map(|(_, key)| key.id).collect();
        let (user, shown) = (account.as_str().as_bytes(), account.as_str());
        // The library draws the challenge, and Keywright issues it to this session.
        let (options, state) = self.webauthn.start_registration(user, shown, shown, &existing);
        let challenge = state.challenge.as_bytes();
        match self.two_factor.begin_attested(change, PASSKEY, name, Some(challenge)).await? {
            EnrolmentStart::Begun(_) => Ok(options),
            _ => Err(PasskeyError::NotAdded),
        }
    }

    /// Completes an enrolment with the browser's answer.
    ///
    /// # Errors
    /// Returns [`PasskeyError`] if the passkey was not added.
    pub async fn finish_enrolment(
        &self,
        account: &AccountId,
        session: SessionId,
        answer: &RegistrationResponse,
        client: Client,
    ) -> Result<AttestedEnrolment, PasskeyError> {
        let challenge = answered_challenge(&answer.client_data_json)?;
        // The age is judged by Keywright, whose challenge it is.
        let user_id = account.as_str().as_bytes().to_vec();
        let state = RegistrationState { challenge: Challenge(challenge.clone()), user_id, created_at: 0 };
        let credential = self.webauthn.finish_registration(&state, answer)?;
        let data = serde_json::to_vec(&credential).map_err(|_| PasskeyError::Unknown)?;
        Ok(self.two_factor.confirm_attested(account, session, &challenge, &data, client).await?)
    }

    /// Begins a sign-in ([`SIGN_IN`]) or a step-up (the action's name). The result goes to the
    /// browser's `navigator.credentials.get`.
    ///
    /// # Errors
    /// Returns [`PasskeyError`] if no challenge was issued.
    pub async fn begin(
        &self,
        account: &AccountId,
        session: SessionId,
        purpose: &Purpose,
    ) -> Result<AuthenticationChallenge, PasskeyError> {
        let keys: Vec<PasskeyCredential> = self.credentials(account).await?.into_iter().map(|(_, key)| key).collect();
        if keys.is_empty() {
            return Err(PasskeyError::Unknown);
        }
        let (options, state) = self.webauthn.start_authentication_with_creds(&keys);
        self.two_factor.challenge(account, session, purpose, Some(state.challenge.as_bytes())).await?;
        Ok(options)
    }

    /// Completes a sign-in with the browser's answer. The same answer is granted once.
    ///
    /// # Errors
    /// Returns [`PasskeyError`] if nothing is granted.
    pub async fn sign_in(
        &self,
        account: &AccountId,
        session: SessionId,
        answer: &AuthenticationResponse,
    ) -> Result<VerifyOutcome<Proven>, PasskeyError> {
        let assertion = self.check(account, answer).await?;
        Ok(self.two_factor.verify_assertion(account, &assertion, session, &SIGN_IN).await?)
    }

    /// Completes a step-up with the browser's answer. The same answer is granted once.
    ///
    /// # Errors
    /// Returns [`PasskeyError`] if nothing is granted.
    pub async fn step_up(
        &self,
        account: &AccountId,
        action: &ActionName,
        session: SessionId,
        answer: &AuthenticationResponse,
    ) -> Result<VerifyOutcome<StepUp>, PasskeyError> {
        let assertion = self.check(account, answer).await?;
        Ok(self.two_factor.step_up_assertion(account, action, session, &assertion).await?)
    }

    /// Checks an answer against the challenge that it names. Whether that challenge was issued to
    /// this session, and has not been redeemed, is decided in the commit that grants.
    async fn check(&self, account: &AccountId, answer: &AuthenticationResponse) -> Result<Assertion, PasskeyError> {
        let challenge = answered_challenge(&answer.client_data_json)?;
        let id = CredentialId::from_b64url(&answer.id)?;
        let found = self.credentials(account).await?.into_iter().find(|(_, key)| key.id == id);
        let (factor, mut key) = found.ok_or(PasskeyError::Unknown)?;
        let state = AuthenticationState {
            challenge: Challenge(challenge.clone()),
            allow_credentials: vec![id],
            created_at: 0,
            user_handle: Some(account.as_str().as_bytes().to_vec()),
        };
        key.counter = self.webauthn.finish_authentication(&state, answer, &key)?.new_counter;
        let data = serde_json::to_vec(&key).map_err(|_| PasskeyError::Unknown)?;
        Ok(Assertion::new(factor, &challenge).with_data(data))
    }

    /// Returns the account's passkeys with the ids of their factors.
    async fn credentials(
        &self,
        account: &AccountId,
    ) -> Result<Vec<(keywright::twofactor::DeviceId, PasskeyCredential)>, PasskeyError> {
        let enrolled = self.two_factor.enrolled(account).await?;
        let passkeys = enrolled.attested.into_iter().filter(|factor| factor.method == PASSKEY.name());
        passkeys
            .map(|factor| {
                let key = serde_json::from_slice(&factor.data).map_err(|_| PasskeyError::Unknown)?;
                Ok((factor.id, key))
            })
            .collect()
    }
}

/// Returns the challenge that an answer signs.
fn answered_challenge(client_data: &str) -> Result<Vec<u8>, PasskeyError> {
    let json = CredentialId::from_b64url(client_data)?.0;
    let data: serde_json::Value = serde_json::from_slice(&json).map_err(|_| PasskeyError::Unknown)?;
    let challenge = data.get("challenge").and_then(serde_json::Value::as_str).ok_or(PasskeyError::Unknown)?;
    Ok(CredentialId::from_b64url(challenge)?.0)
}
