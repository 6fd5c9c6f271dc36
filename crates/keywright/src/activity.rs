//! Security events in words for the owner of an account.

use std::collections::BTreeMap;

use keywright_core::{AccountId, ClientMark, EventKind, SecurityEvent, Severity, UnixSeconds};
use keywright_store::TransactError;

use crate::keywright::Keywright;

/// The names of an account's devices and remembered browsers, by their ids.
pub(crate) type DeviceNames = BTreeMap<String, String>;

/// A security event of an account, with what is needed to show it to the owner. See
/// [`Keywright::activity`].
#[derive(Debug, Clone)]
pub struct Activity {
    event: SecurityEvent,
    kind: Option<&'static EventKind>,
    device: Option<String>,
}

impl Activity {
    pub(crate) fn new(event: SecurityEvent, kinds: &[&'static EventKind], names: &DeviceNames) -> Self {
        let kind = kinds.iter().copied().find(|kind| event.is(kind));
        let device = event.text("device").or_else(|| event.text("browser"));
        let device = device.and_then(|id| names.get(id).cloned());
        Self { event, kind, device }
    }

    /// Returns a sentence in English, without the details: "an authenticator was added". It is the
    /// name of the kind if the kind is one of the application that was not declared
    /// ([`Builder::event_kinds`](crate::Builder::event_kinds)), or of a part that is not enabled.
    #[must_use]
    pub fn text(&self) -> &str {
        match self.kind {
            Some(kind) => kind.sentence(),
            None => self.event.kind(),
        }
    }

    /// Returns how much attention the event needs. An event of an unknown kind is
    /// [`Severity::Notice`].
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.kind.map_or(Severity::Notice, EventKind::severity)
    }

    /// Returns when it happened, by the server's clock.
    #[must_use]
    pub const fn at(&self) -> UnixSeconds {
        self.event.at
    }

    /// Returns the stored name of the kind, for translations and filters.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.event.kind()
    }

    /// Returns the present name of the authenticator, passkey or remembered browser that the event
    /// is about, or `None` if there is none or it has been removed. Its id is the event's field
    /// `device` or `browser`. A wrong code belongs to no device.
    #[must_use]
    pub fn device(&self) -> Option<&str> {
        self.device.as_deref()
    }

    /// Returns the purpose or the action for which a code was checked, as the caller named it.
    #[must_use]
    pub fn purpose(&self) -> Option<&str> {
        self.event.text("purpose").or_else(|| self.event.text("action"))
    }

    /// Returns the mark of the client from which it came. Compare it with the
    /// [mark](keywright_core::Client::mark) of a request to tell an owner "this browser", or with
    /// those that the server has noted beside the names of its sessions.
    ///
    /// It is `None` if the client presented no credential (a network has no mark), if the act was an
    /// operator's or the server's own, and for a denial that only sums up earlier ones.
    #[must_use]
    pub fn client(&self) -> Option<ClientMark> {
        self.event.text("client").and_then(ClientMark::parse)
    }

    /// Returns the event itself.
    #[must_use]
    pub const fn event(&self) -> &SecurityEvent {
        &self.event
    }
}

impl Keywright {
    /// Returns the newest events of an account, changes and denials, newest first and verified, at
    /// most `limit`, in words that can be shown to the owner.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use keywright::{AccountId, Keyring, Keywright, MemoryStore, SystemEntropy};
    /// # let keywright = Keywright::builder(MemoryStore::new()).keyring(Keyring::generate(&SystemEntropy)?).open().await?;
    /// # let account = AccountId::new("user-1")?;
    /// # keywright.ensure_account(&account).await?;
    /// let client = keywright.client(&account, b"the cookie of the request");
    /// for activity in keywright.activity(&account, 20).await? {
    ///     let here = if activity.client().is_some() && activity.client() == client.mark() { ", this browser" } else { "" };
    ///     println!("{}: {} ({:?}{here})", activity.at(), activity.text(), activity.severity());
    /// }
    /// # assert_eq!(keywright.activity(&account, 20).await?[0].text(), "the account's security records were made");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`events`](Self::events).
    pub async fn activity(&self, account: &AccountId, limit: u32) -> Result<Vec<Activity>, TransactError> {
        let events = self.driver().recent_events(account, limit).await?;
        let names = self.device_names(account, &events).await?;
        Ok(events.into_iter().map(|event| Activity::new(event, self.event_kinds(), &names)).collect())
    }

    /// Returns the names of the devices and browsers that these events may name.
    #[cfg_attr(not(feature = "twofactor"), expect(clippy::unused_async, reason = "there are no devices to look up"))]
    pub(crate) async fn device_names(
        &self,
        account: &AccountId,
        events: &[SecurityEvent],
    ) -> Result<DeviceNames, TransactError> {
        if !events.iter().any(|event| event.text("device").is_some() || event.text("browser").is_some()) {
            return Ok(DeviceNames::new());
        }
        #[cfg(feature = "twofactor")]
        {
            let two_factor = self.two_factor();
            let look = |draft: &mut keywright_store::Draft<'_>| {
                let steps = two_factor.steps();
                Ok((steps.enrolled_in(draft)?, steps.remembered_in(draft)?))
            };
            match self.driver().observe(&account.into(), keywright_twofactor::SLOTS, look).await {
                Ok((enrolled, remembered)) => {
                    let devices = enrolled.devices.into_iter().map(|one| (one.id.to_string(), one.name));
                    let attested = enrolled.attested.into_iter().map(|one| (one.id.to_string(), one.name));
                    let browsers = remembered.into_iter().map(|one| (one.id.to_string(), one.name));
                    Ok(devices.chain(attested).chain(browsers).collect())
                }
                // The log of an erased account is still kept.
                Err(TransactError::Step(keywright_store::StepError::NoAccount)) => Ok(DeviceNames::new()),
                Err(error) => Err(error),
            }
        }
        #[cfg(not(feature = "twofactor"))]
        {
            let _ = account;
            Ok(DeviceNames::new())
        }
    }
}
