//! The host of the pages on which owners manage the security of their accounts.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::HeaderValue;
use axum::http::request::Parts;
use keywright::core::ClientAdmission;
use keywright::selfservice::queue::Requester;
use keywright::selfservice::{Caller, Host, HostError, LinkAdmits, Network};
use keywright::{Client, SecretString, nextcloud, rocketchat};

use crate::accounts::error::AccountsError;
use crate::hosts::nextcloud::NextcloudHost;
use crate::hosts::rocketchat::RocketChatHost;
use crate::hosts::server::Server;
use crate::http::peer::socket_address;
use crate::signin::cookie::SESSION;
use crate::signin::password::busy;
use crate::signin::sessions::{Sessions, credential, id_of};

/// This server, as the pages see it.
pub(crate) struct SelfServiceHost {
    pub(crate) server: Arc<Server>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) nextcloud: nextcloud::Nextcloud<NextcloudHost>,
    pub(crate) rocketchat: rocketchat::RocketChat<RocketChatHost>,
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
