//! Who calls: a login that the host has found, and the account's epochs in which it did.

use keywright_core::DeviceTag;
use keywright_store::{Draft, Epochs, StepError};

use crate::host::{Host, Login, LoginTokenId, User};
use crate::service::Parts;

/// A caller who is logged in.
pub(crate) struct Caller {
    pub(crate) user: User,
    pub(crate) token: LoginTokenId,
    /// Seen **before** the host was asked for the login: whatever ends logins moves them.
    epochs: Epochs,
}

impl Caller {
    pub(crate) fn new(login: Login, epochs: Epochs) -> Self {
        Self { user: login.user, token: login.token, epochs }
    }

    /// Whether nothing has happened since that may have ended the login. If something has, it is looked up again.
    pub(crate) fn stands(&self, draft: &mut Draft<'_>) -> Result<bool, StepError> {
        Ok(draft.root()?.epochs() == self.epochs)
    }
}

impl<H: Host> Parts<H> {
    /// The login, as confirmations and enrolments know it: what one login has begun no other ends.
    pub(crate) fn session(&self, caller: &Caller) -> [u8; 32] {
        self.devices.mac(&[b"rocketchat-session", caller.user.account.as_str().as_bytes(), caller.token.0.as_bytes()])
    }

    /// The caller's login token to the guess ledger, in the present epochs: known at the doors it has passed in them.
    pub(crate) fn tag(&self, draft: &mut Draft<'_>, caller: &Caller) -> Result<Option<DeviceTag>, StepError> {
        let root = draft.root()?;
        Ok(Some(DeviceTag::from_bytes(self.devices.tag(&[
            b"rocketchat",
            caller.user.account.as_str().as_bytes(),
            caller.token.0.as_bytes(),
            &root.credential_epoch.to_be_bytes(),
            &root.factor_epoch.to_be_bytes(),
        ]))))
    }
}
