//! The host of the pages on which owners manage the security of their accounts.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::HeaderValue;
use axum::http::request::Parts;
use keywright::confirm::{Action, Confirmed};
use keywright::core::ClientAdmission;
use keywright::rocketchat::EndLogins;
use keywright::selfservice::queue::Requester;
use keywright::selfservice::{
    Caller, ConfirmStyle, Host, HostAction, HostError, LinkAdmits, Network, OwnerAction, RememberedBrowser,
};
use keywright::twofactor::{RememberedDevice, RememberedId, TwoFactor};
use keywright::{Client, SecretString, nextcloud, rocketchat};

use crate::accounts::error::AccountsError;
use crate::hosts::nextcloud::NextcloudHost;
use crate::hosts::rocketchat::RocketChatHost;
use crate::hosts::server::Server;
use crate::http::peer::socket_address;
use crate::signin::cookie::SESSION;
use crate::signin::password::{busy, two_factor_error};
use crate::signin::sessions::{Sessions, credential, id_of};

/// The ids of the actions.
const LOGINS: &str = "chat-logins";
const KEYS: &str = "chat-keys";

/// The titles and descriptions of the actions.
const ENGLISH: [(&str, &str); 2] = [
    ("Log out all chat clients", "Every Rocket.Chat client has to log in again."),
    (
        "Reset the chat keys",
        "The end-to-end keys are removed and every Rocket.Chat client is logged out. Messages that were encrypted with \
         them can no longer be read.",
    ),
];
const GERMAN: [(&str, &str); 2] = [
    ("Alle Chat-Programme abmelden", "Jedes Programm für Rocket.Chat muss sich neu anmelden."),
    (
        "Chat-Schlüssel zurücksetzen",
        "Die Ende-zu-Ende-Schlüssel werden entfernt, und jedes Programm für Rocket.Chat wird abgemeldet. Damit \
         verschlüsselte Nachrichten sind nicht mehr lesbar.",
    ),
];

/// This server, as the pages see it.
pub(crate) struct SelfServiceHost {
    pub(crate) server: Arc<Server>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) nextcloud: nextcloud::Nextcloud<NextcloudHost>,
    pub(crate) rocketchat: rocketchat::RocketChat<RocketChatHost>,
    pub(crate) two_factor: TwoFactor,
    /// Whether cookies are sent over TLS only.
    pub(crate) secure: bool,
}

impl Host for SelfServiceHost {
    async fn caller(&self, head: &Parts) -> Result<Option<Caller>, HostError> {
        let Some(token) = SESSION.of(&head.headers) else { return Ok(None) };
        let Some(session) = self.sessions.find(&token).await.map_err(busy)? else { return Ok(None) };
        let driver = self.server.accounts.driver();
        let client = Client::credential(driver.client_tag(&session.account, &credential(&token)));
        let client = match socket_address(&head.extensions).map(Network::of) {
            Some(network) => client.on_network(driver.client_tag(&session.account, &network.credential())),
            None => client,
        };
        Ok(Some(Caller::new(session.account, id_of(&token), client, session.name)))
    }

    async fn check_password(
        &self,
        caller: &Caller,
        password: &SecretString,
        requester: &Requester,
    ) -> Result<bool, HostError> {
        let checked = self.server.accounts.check_password(Some(&caller.account), password, requester).await;
        checked.map_err(AccountsError::into_host_error)
    }

    /// Logins of the protocols belong to the epoch themselves, or end as their protocol says.
    async fn end_other_sessions(&self, caller: &Caller, epoch: u64) -> Result<(), HostError> {
        self.sessions.end_others(&caller.account, caller.session, epoch);
        Ok(())
    }

    async fn sign_out(&self, caller: &Caller) -> Result<Option<HeaderValue>, HostError> {
        self.sessions.end(&caller.account, caller.session);
        Ok(SESSION.removed(self.secure))
    }

    async fn browsers(&self, caller: &Caller) -> Result<Vec<RememberedBrowser>, HostError> {
        let found = self.two_factor.remembered_devices(&caller.account).await.map_err(two_factor_error)?;
        let browser =
            |one: RememberedDevice| RememberedBrowser::new(one.id.to_string(), one.name, one.last_used, one.expires);
        Ok(found.into_iter().map(browser).collect())
    }

    async fn forget_browser(&self, caller: &Caller, id: Option<&str>) -> Result<bool, HostError> {
        let (two_factor, account) = (&self.two_factor, &caller.account);
        let Some(id) = id else {
            return Ok(two_factor.forget_all_remembered(account).await.map_err(two_factor_error)? > 0);
        };
        let Ok(id) = RememberedId::parse(id) else { return Ok(false) };
        two_factor.forget_remembered(account, id).await.map_err(two_factor_error)
    }

    async fn rename_browser(&self, caller: &Caller, id: &str, name: &str) -> Result<bool, HostError> {
        let Ok(id) = RememberedId::parse(id) else { return Ok(false) };
        self.two_factor.rename_remembered(&caller.account, id, name).await.map_err(two_factor_error)
    }

    /// What cannot be undone here: the log-ins and the keys of Rocket.Chat, where the account has a
    /// user there.
    async fn actions(&self, caller: &Caller, language: &str) -> Result<Vec<HostAction>, HostError> {
        let user =
            self.server.accounts.rocketchat_shown(&caller.account).await.map_err(AccountsError::into_host_error)?;
        if user.is_none() {
            return Ok(Vec::new());
        }
        let [logins, keys] = if language == "de" { GERMAN } else { ENGLISH };
        Ok(vec![
            HostAction::new(LOGINS, logins.0, logins.1, ConfirmStyle::TypedCode),
            HostAction::new(KEYS, keys.0, keys.1, ConfirmStyle::PasswordAndWait),
        ])
    }

    /// The logins end first, so that none of them stores another pair of keys.
    async fn perform(&self, proof: Confirmed<OwnerAction>) -> Result<(), HostError> {
        let (account, action) = proof.into_parts();
        let accounts = &self.server.accounts;
        accounts.end_rocketchat_logins(&account, &EndLogins::All).await.map_err(HostError::new)?;
        if action.target() == KEYS {
            accounts.remove_rocketchat_keys(&account).await.map_err(HostError::new)?;
            tracing::info!(%account, "end-to-end keys were reset");
        }
        Ok(())
    }

    /// A link belongs to one of the protocols, whose tokens differ.
    async fn admit_by_link(
        &self,
        token: &str,
        admits: LinkAdmits,
        head: &Parts,
    ) -> Result<Option<ClientAdmission>, HostError> {
        let here: Option<IpAddr> = socket_address(&head.extensions).filter(|_| admits == LinkAdmits::Here);
        let by_passwords = here.map_or(nextcloud::MailAdmits::Refused, nextcloud::MailAdmits::Address);
        if let Some(admitted) = self.nextcloud.admit_by_mail(token, by_passwords).await.map_err(busy)? {
            return Ok(Some(admitted));
        }
        let by_chat = here.map_or(rocketchat::MailAdmits::Refused, rocketchat::MailAdmits::Address);
        self.rocketchat.admit_by_mail(token, by_chat).await.map_err(busy)
    }
}
