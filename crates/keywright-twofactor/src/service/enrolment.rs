//! The enrolment of devices.

use keywright_core::{AccountId, Client, SessionId};
use keywright_store::Draft;

use super::TwoFactor;
use crate::error::TwoFactorError;
use crate::outcome::{Enrolment, EnrolmentOutcome, EnrolmentStart};
use crate::recovery::code::Liveness;
use crate::step::SLOTS;
use crate::step_up::grant::FactorChange;
use crate::totp::device::{DeviceId, PendingDevice};

/// Enrolment of devices.
impl TwoFactor {
    /// Begins the enrolment of an account's first device. Show the owner what this returns, and pass
    /// the code that the device then displays to [`confirm`](Self::confirm), in the same `session`.
    /// `name` is what the owner calls the device: 1 to 64 characters.
    ///
    /// **The caller must have just checked the account's password**, or what it accepts in its
    /// place, in this request or a moment before; see
    /// [`FactorChange::first_factor`]. For another device, or one that replaces another, see
    /// [`begin_with`](Self::begin_with).
    ///
    /// # Errors
    /// Returns [`TwoFactorError::NotProven`] if the account has a factor already, and
    /// [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the account
    /// is busy. In both cases there is nothing to show.
    pub async fn begin(
        &self,
        account: &AccountId,
        session: SessionId,
        name: &str,
    ) -> Result<EnrolmentStart<PendingDevice>, TwoFactorError> {
        self.begin_with(FactorChange::first_factor(account.clone(), session), name, None).await
    }

    /// Begins the enrolment of a device, in the session of the authorization. It may replace a
    /// device. See [`TwoFactorSteps::begin_enrolment_in`](crate::TwoFactorSteps::begin_enrolment_in).
    ///
    /// # Errors
    /// Returns [`TwoFactorError::NotProven`] if the authorization is not valid, and
    /// [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the account
    /// is busy. In both cases there is nothing to show.
    pub async fn begin_with(
        &self,
        change: impl Into<FactorChange> + Send,
        name: &str,
        replaces: Option<DeviceId>,
    ) -> Result<EnrolmentStart<PendingDevice>, TwoFactorError> {
        let change = change.into();
        self.authorized("two_factor.begin_with", &change, SLOTS, |draft| {
            self.steps.begin_enrolment_in(draft, change.session(), name, replaces)
        })
        .await
    }

    /// Checks the code that a new device displays. If it is correct, the device is active. If the
    /// account has no unused recovery code, the same commit makes a set of them, active
    /// immediately: show them to the owner, once. See
    /// [`TwoFactorSteps::confirm_enrolment_in`](crate::TwoFactorSteps::confirm_enrolment_in).
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy. After [`TransactError::Unknown`](keywright_store::TransactError::Unknown)
    /// the device may be active with codes that nobody has seen: let the owner make new ones.
    pub async fn confirm(
        &self,
        account: &AccountId,
        session: SessionId,
        code: &str,
        client: Client,
    ) -> Result<Enrolment, TwoFactorError> {
        let step = |draft: &mut Draft<'_>| {
            let confirmed = self.steps.confirm_enrolment_in(draft, session, code, client)?;
            let codes = match confirmed {
                EnrolmentOutcome::Active(_) if !self.steps.has_recovery_in(draft)? => {
                    Some(self.steps.make_recovery_in(draft, Liveness::Now, client)?)
                }
                _ => None,
            };
            Ok((confirmed, codes))
        };
        let (confirmed, codes) = self.run("two_factor.confirm", account, SLOTS, step).await?;
        Ok(match confirmed {
            EnrolmentOutcome::Active(device) => Enrolment::Active { device, recovery_codes: codes },
            EnrolmentOutcome::Wrong => Enrolment::Wrong,
            EnrolmentOutcome::ClockOff(offset) => Enrolment::ClockOff(offset),
            EnrolmentOutcome::NonePending => Enrolment::NonePending,
            EnrolmentOutcome::Malformed => Enrolment::Malformed,
            EnrolmentOutcome::TooManyDevices => Enrolment::TooManyDevices,
        })
    }

    /// Checks the code that a new device displays, like [`confirm`](Self::confirm), and makes no
    /// recovery codes: for a server that has none, or makes them in an act of its own.
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy.
    pub async fn confirm_without_codes(
        &self,
        account: &AccountId,
        session: SessionId,
        code: &str,
        client: Client,
    ) -> Result<EnrolmentOutcome, TwoFactorError> {
        self.run("two_factor.confirm_without_codes", account, SLOTS, |draft| {
            self.steps.confirm_enrolment_in(draft, session, code, client)
        })
        .await
    }
}
