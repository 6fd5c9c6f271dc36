//! Who calls: a login that the host has found, and the account's epochs in which it did.

use keywright_core::Client;
use keywright_store::{Draft, Epochs, StepError};
use keywright_wire::Network;

use crate::host::{Host, Login, LoginTokenId, User};
use crate::service::Parts;

/// A caller who is logged in.
pub(crate) struct Caller {
    pub(crate) user: User,
    pub(crate) token: LoginTokenId,
    pub(crate) network: Option<Network>,
    /// Seen **before** the host was asked for the login: whatever ends logins moves them.
    epochs: Epochs,
}

impl Caller {
    pub(crate) fn new(login: Login, network: Option<Network>, epochs: Epochs) -> Self {
        Self { user: login.user, token: login.token, network, epochs }
    }

    /// Whether nothing has happened since that may have ended the login. If something has, it is looked up again.
    pub(crate) fn stands(&self, draft: &Draft<'_>) -> Result<bool, StepError> {
        Ok(draft.root()?.epochs() == self.epochs)
    }

    /// The caller to the guess ledger: its login is known at the secrets that it has passed.
    pub(crate) fn client(&self, draft: &Draft<'_>) -> Client {
        let client = Client::credential(draft.client_tag(&login_credential(&self.token)));
        match self.network {
            Some(network) => client.on_network(draft.client_tag(&network.credential())),
            None => client,
        }
    }
}

/// The bytes that name a login to the guess ledger.
pub(crate) fn login_credential(token: &LoginTokenId) -> Vec<u8> {
    // Named by its kind: no other credential of the account has the same bytes.
    [b"rocketchat/login/", token.0.as_bytes()].concat()
}

impl<H: Host> Parts<H> {
    /// The login, as confirmations and enrolments know it: what one login has begun no other ends.
    pub(crate) fn session(&self, caller: &Caller) -> [u8; 32] {
        self.index.mac(&[b"rocketchat-session", caller.user.account.as_str().as_bytes(), caller.token.0.as_bytes()])
    }
}
