//! Security events in words for the owner of an account.

use std::collections::BTreeMap;

use keywright_core::{AccountId, ClientTag, EventKind, SecurityEvent, Severity, UnixSeconds};
use keywright_store::TransactError;

use crate::keywright::Keywright;

/// The names of an account's devices, by their ids.
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
        let device = event.text("device").and_then(|id| names.get(id).cloned());
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

    /// Returns the present name of the authenticator that the event is about, or `None` if there is
    /// none or it has been removed. Its id is the event's field `device`.
    #[must_use]
    pub fn device(&self) -> Option<&str> {
        self.device.as_deref()
    }

    /// Returns the purpose or the action for which a code was checked, as the caller named it.
    #[must_use]
    pub fn purpose(&self) -> Option<&str> {
        self.event.text("purpose").or_else(|| self.event.text("action"))
    }

    /// Returns the client from which it came, if the event names one in its field `client`, as an
    /// application's own events may. Those of Keywright's own crates do not name any yet. Compare
    /// it with the [tag](keywright_core::Client::tag) of a request to tell an owner "this browser".
    #[must_use]
    pub fn client(&self) -> Option<ClientTag> {
        self.event.text("client").and_then(ClientTag::parse)
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
    /// for activity in keywright.activity(&account, 20).await? {
    ///     println!("{}: {}", activity.at(), activity.text());
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

    /// Returns the names of the devices that these events may name.
    #[cfg_attr(not(feature = "twofactor"), expect(clippy::unused_async, reason = "there are no devices to look up"))]
    pub(crate) async fn device_names(
        &self,
        account: &AccountId,
        events: &[SecurityEvent],
    ) -> Result<DeviceNames, TransactError> {
        if !events.iter().any(|event| event.text("device").is_some()) {
            return Ok(DeviceNames::new());
        }
        #[cfg(feature = "twofactor")]
        {
            let two_factor = self.two_factor();
            let look = |draft: &mut keywright_store::Draft<'_>| two_factor.steps().enrolled_in(draft);
            match self.driver().observe(&account.into(), keywright_twofactor::SLOTS, look).await {
                Ok(enrolled) => Ok(enrolled.devices.into_iter().map(|one| (one.id.to_string(), one.name)).collect()),
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
