//! Remembered devices on a store.

use keywright_core::{AccountId, Purpose};
use keywright_store::SlotName;

use super::device::{Recognized, RememberedDevice, RememberedId, TrustToken};
use super::state::REMEMBERED;
use crate::error::TwoFactorError;
use crate::outcome::Proven;
use crate::service::TwoFactor;

/// What these steps read.
const READ: &[SlotName] = &[REMEMBERED.name()];

/// Remembered devices ("don't ask on this browser for 30 days").
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::sync::Arc;
/// # use keywright_core::{AccountId, Client, Clock, Keyring, Purpose, SessionId, SystemClock, SystemEntropy};
/// # use keywright_store::{Driver, MemoryStore};
/// # use keywright_twofactor::{EnrolmentStart, TwoFactor, TwoFactorPolicy, VerifyOutcome};
/// # let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
/// # let driver = Driver::builder(Arc::new(MemoryStore::new()), keyring).slots(keywright_twofactor::SLOT_KINDS).build()?;
/// # let account = AccountId::new("user-1")?;
/// # driver.ensure_account(&account).await?;
/// # let client = Client::credential(driver.client_tag(&account, b"the cookie of the device"));
/// # let two_factor = TwoFactor::new(driver, TwoFactorPolicy::default())?;
/// # let (session, login) = (SessionId::new("session-1"), Purpose::new("login"));
/// # let EnrolmentStart::Begun(pending) = two_factor.begin(&account, session, "phone").await? else { panic!() };
/// # let app = totp_rs::Builder::new().with_secret(pending.secret().expose()).build().map_err(|error| format!("{error:?}"))?;
/// # let now = SystemClock.now()?.get();
/// # let _ = two_factor.confirm(&account, session, &app.generate(now - 30).to_string(), client).await?;
/// # let typed = app.generate(now).to_string();
/// // The owner has ticked the box and entered a code:
/// let VerifyOutcome::Granted(proof) = two_factor.verify(&account, &typed, &login, client).await? else { panic!("wrong") };
/// let token = two_factor.trust(&proof, "Firefox on Linux").await?.ok_or("the factors have changed meanwhile")?;
/// let cookie = token.expose().to_owned(); // in a cookie of this account in this browser
///
/// // At the next log-in, after the password was checked:
/// let recognized = two_factor.recognize(&account, &cookie, &login).await?;
/// assert!(recognized.is_some(), "no code is needed");
///
/// // The owner has lost the laptop:
/// for device in two_factor.remembered_devices(&account).await? {
///     two_factor.forget_remembered(&account, device.id).await?;
/// }
/// assert!(two_factor.recognize(&account, &cookie, &login).await?.is_none());
/// # Ok(())
/// # }
/// ```
impl TwoFactor {
    /// Remembers a device whose user has just proven a second factor, for the policy's
    /// [`remember_days`](crate::TwoFactorPolicyBuilder::remember_days). An account has at most
    /// [`MAX_REMEMBERED`](crate::policy::MAX_REMEMBERED); one more replaces the one that was used
    /// longest ago. See [`TwoFactorSteps::trust_in`](crate::TwoFactorSteps::trust_in).
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy; then the device is not remembered.
    pub async fn trust(&self, proof: &Proven, name: &str) -> Result<Option<TrustToken>, TwoFactorError> {
        self.run("two_factor.trust", proof.account(), READ, |draft| self.steps().trust_in(draft, proof, name)).await
    }

    /// Recognizes a remembered device by its token. Call it after the password was checked: what it
    /// returns stands in for the second factor alone. It is void after any change of a credential or
    /// factor, after [`forget_remembered`](Self::forget_remembered), and after the operator has
    /// ended the account's sessions. The commit that recognizes checks all of these.
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy; then ask for a code.
    pub async fn recognize(
        &self,
        account: &AccountId,
        token: &str,
        purpose: &Purpose,
    ) -> Result<Option<Recognized>, TwoFactorError> {
        self.run("two_factor.recognize", account, READ, |draft| self.steps().recognize_in(draft, token, purpose)).await
    }

    /// Returns the devices that are remembered now, oldest first.
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store or the clock fails.
    pub async fn remembered_devices(&self, account: &AccountId) -> Result<Vec<RememberedDevice>, TwoFactorError> {
        let look = |draft: &mut keywright_store::Draft<'_>| self.steps().remembered_in(draft);
        Ok(self.driver.observe(&account.into(), READ, look).await?)
    }

    /// Renames a remembered device. Returns whether it exists.
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if it was not renamed, or if that is unknown.
    pub async fn rename_remembered(
        &self,
        account: &AccountId,
        device: RememberedId,
        name: &str,
    ) -> Result<bool, TwoFactorError> {
        self.run("two_factor.rename_remembered", account, READ, |draft| {
            self.steps().rename_remembered_in(draft, device, name)
        })
        .await
    }

    /// Forgets a remembered device. Returns whether it existed. It needs no step-up, because it only
    /// makes log-ins stricter.
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if it was not forgotten, or if that is unknown. Call it
    /// again then.
    pub async fn forget_remembered(&self, account: &AccountId, device: RememberedId) -> Result<bool, TwoFactorError> {
        self.run("two_factor.forget_remembered", account, READ, |draft| {
            self.steps().forget_remembered_in(draft, device)
        })
        .await
    }

    /// Forgets all remembered devices. Returns how many there were.
    ///
    /// # Errors
    /// The errors are those of [`forget_remembered`](Self::forget_remembered).
    pub async fn forget_all_remembered(&self, account: &AccountId) -> Result<usize, TwoFactorError> {
        let step = |draft: &mut keywright_store::Draft<'_>| {
            self.steps().forget_all_remembered_in(draft).map(keywright_store::Plain)
        };
        self.run("two_factor.forget_remembered", account, READ, step).await
    }
}
