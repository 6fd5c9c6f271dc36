//! An authenticator app for tests.

use std::sync::{Mutex, PoisonError};

use keywright_core::{Clock, ManualClock, UnixSeconds};
use keywright_twofactor::{Algorithm, KeyUri, Parameters, PendingDevice, TotpSecret, UriError};
use totp_rs::{Builder, Totp};

/// An authenticator app for tests: it shows the codes of one device.
///
/// A code is accepted once, and the codes of earlier time steps are refused afterwards. Therefore
/// [`code`](Self::code) never shows the same code twice: it moves the clock on to the next step
/// where it has to.
///
/// ```
/// use keywright::testing::VirtualAuthenticator;
/// use keywright::{Clock, ManualClock, UnixSeconds};
///
/// // The seed and a code of RFC 6238, in six digits.
/// let uri = "otpauth://totp/ACME:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=ACME";
/// let phone = VirtualAuthenticator::from_uri(uri)?;
/// let clock = ManualClock::new(UnixSeconds::new(1_111_111_109)?);
/// assert_eq!(phone.code(&clock), "081804");
/// assert_eq!(phone.code(&clock), "050471");
/// assert_eq!(clock.now()?.get(), 1_111_111_110, "the next step");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct VirtualAuthenticator {
    app: Totp,
    step_seconds: u64,
    /// The first step that was not shown yet.
    next: Mutex<u64>,
}

/// Why an authenticator cannot show a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthenticatorError {
    /// The text is not an otpauth URI.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// The device computes its codes with an algorithm that this version does not know.
    #[error("the algorithm is not known")]
    Algorithm,
}

impl VirtualAuthenticator {
    /// Scans a device whose enrolment was begun.
    ///
    /// # Errors
    /// Returns [`AuthenticatorError::Algorithm`] for an algorithm that this version does not know.
    pub fn of(pending: &PendingDevice) -> Result<Self, AuthenticatorError> {
        Self::new(pending.secret(), *pending.parameters())
    }

    /// Scans an otpauth URI, as an enrolment page shows it.
    ///
    /// # Errors
    /// Returns [`AuthenticatorError::Uri`] for any other text, and
    /// [`AuthenticatorError::Algorithm`] for an algorithm that this version does not know.
    pub fn from_uri(uri: &str) -> Result<Self, AuthenticatorError> {
        let uri = KeyUri::parse(uri)?;
        Self::new(uri.secret(), *uri.parameters())
    }

    fn new(secret: &TotpSecret, parameters: Parameters) -> Result<Self, AuthenticatorError> {
        let algorithm = match parameters.algorithm() {
            Algorithm::Sha1 => totp_rs::Algorithm::SHA1,
            Algorithm::Sha256 => totp_rs::Algorithm::SHA256,
            Algorithm::Sha512 => totp_rs::Algorithm::SHA512,
            _ => return Err(AuthenticatorError::Algorithm),
        };
        let app = Builder::new().with_secret(secret.expose()).with_algorithm(algorithm);
        let app = app.with_digits(parameters.digits()).with_step_duration(parameters.step_seconds());
        let step_seconds = parameters.step_seconds().max(1);
        Ok(Self { app: app.build_noncompliant(), step_seconds, next: Mutex::new(0) })
    }

    /// Returns the next code that was not shown before, and moves the clock on to its step if that
    /// lies in the future.
    #[must_use]
    pub fn code(&self, clock: &ManualClock) -> String {
        let now = clock.now().unwrap_or(UnixSeconds::EPOCH).get();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let present = now.checked_div(self.step_seconds).unwrap_or_default();
        let step = present.max(*next);
        *next = step.saturating_add(1);
        let start = step.saturating_mul(self.step_seconds);
        if start > now {
            clock.advance(start.saturating_sub(now));
        }
        self.app.generate(start).to_string()
    }

    /// Returns the code of a given time, for a test of codes that are old, early or used.
    #[must_use]
    pub fn code_at(&self, at: UnixSeconds) -> String {
        self.app.generate(at.get()).to_string()
    }
}

keywright_core::redacted_debug!(VirtualAuthenticator { step_seconds, .. });
