//! The host of the Rocket.Chat protocol.

use std::net::IpAddr;
use std::sync::Arc;

use keywright::core::Clock;
use keywright::rocketchat::queue::Requester;
use keywright::rocketchat::{
    Admittance, EndLogins, EndToEndKeys, Endpoint, Host, HostError, IssuedLogin, KeysStored, Login, LoginTokenId, Mail,
    MailError, Named, Peer, Permission, Profile, SentPassword, User,
};
use keywright::{AccountId, SecretString};

use crate::accounts::error::AccountsError;
use crate::hosts::server::Server;
use crate::http::links;
use crate::http::peer::socket_address;
use crate::limits::fixed_window::FixedWindows;
use crate::mail::{Message, shut_out};

/// This server, as that protocol sees it.
pub(crate) struct RocketChatHost {
    pub(crate) server: Arc<Server>,
    /// The request limits, or `None` for no limits.
    pub(crate) limits: Option<FixedWindows>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl RocketChatHost {
    /// Returns subject and text of a mail to a user.
    async fn write(&self, to: &User, mail: Mail<'_>) -> Result<Option<(&'static str, String)>, AccountsError> {
        let server = &self.server.public_url;
        let name = to.username.as_deref().unwrap_or_default();
        Ok(Some(match mail {
            Mail::Code { code, expires } => {
                let minutes = self.clock.now().map_or(0, |now| expires.get().saturating_sub(now.get()).div_ceil(60));
                let text = format!(
                    "This code confirms what is being done with the account {name} on\n{server}\n\n{}\n\nIt works once, \
                     within {minutes} minutes. Tell it to nobody.\n\nIf you did not ask for it, somebody is logged in to \
                     your account.",
                    code.expose()
                );
                ("Your code", text)
            }
            Mail::KeysReset => {
                let text = format!(
                    "The end-to-end keys of the account {name} on\n{server}\nare being reset by somebody who may do \
                     that, and all its logins end. Messages encrypted to the old keys cannot be read any more."
                );
                ("Your end-to-end keys are being reset", text)
            }
            Mail::TotpReset => {
                let text = format!(
                    "The second factors of the account {name} on\n{server}\nare being removed by somebody who may do \
                     that, and all its logins end. Enrol new ones after your next login."
                );
                ("Your second factors are being removed", text)
            }
            Mail::ShutOut(mail) => {
                let number = match &mail.refused {
                    Some(login) => self.server.accounts.rocketchat_login_number(&to.account, login).await?,
                    None => None,
                };
                let login = match (&mail.refused, number) {
                    (None, _) => "by somebody who tries to log in".to_owned(),
                    (Some(_), None) => "by another login".to_owned(),
                    (Some(_), Some(number)) => format!("by login {number}"),
                };
                let network = mail.refused_network.as_ref().map(|network| format!(", from the network {network}"));
                let refused = format!("{login} of the account{}", network.unwrap_or_default());
                let link = links::link(server, links::ROCKETCHAT_PATH, &mail.token);
                shut_out("the login password", name, server, mail.wrong_guesses, Some(refused), &link)
            }
            _ => return Ok(None),
        }))
    }
}

impl Host for RocketChatHost {
    async fn login(&self, user_id: &str, token: &SecretString) -> Result<Option<Login>, HostError> {
        self.server.accounts.rocketchat_login(user_id, token).await.map_err(AccountsError::into_host_error)
    }

    async fn permitted(&self, account: &AccountId, permission: Permission) -> Result<bool, HostError> {
        self.server.accounts.is_permitted(account, permission).await.map_err(AccountsError::into_host_error)
    }

    async fn find_user(&self, named: Named<'_>) -> Result<Option<User>, HostError> {
        self.server.accounts.rocketchat_user(named).await.map_err(AccountsError::into_host_error)
    }

    async fn check_password(
        &self,
        account: Option<&AccountId>,
        password: SentPassword<'_>,
        requester: &Requester,
    ) -> Result<bool, HostError> {
        let checked = self.server.accounts.check_password_digest(account, &password.digest(), requester).await;
        checked.map_err(AccountsError::into_host_error)
    }

    fn admit_guess(&self, requester: &Requester) -> Result<(), HostError> {
        self.server.accounts.admit_guess(requester).map_err(AccountsError::into_host_error)
    }

    async fn resume(&self, token: &SecretString) -> Result<Option<Login>, HostError> {
        self.server.accounts.rocketchat_resumed(token).await.map_err(AccountsError::into_host_error)
    }

    async fn issue_login(&self, account: &AccountId) -> Result<IssuedLogin, HostError> {
        self.server.accounts.issue_rocketchat_login(account).await.map_err(HostError::new)
    }

    async fn profile(&self, account: &AccountId) -> Result<Option<Profile>, HostError> {
        self.server.accounts.rocketchat_shown(account).await.map_err(HostError::new)
    }

    async fn store_keys(
        &self,
        account: &AccountId,
        by: &LoginTokenId,
        keys: &EndToEndKeys,
        replace: bool,
    ) -> Result<KeysStored, HostError> {
        self.server.accounts.store_rocketchat_keys(account, by, keys, replace).await.map_err(HostError::new)
    }

    async fn fetch_keys(&self, account: &AccountId) -> Result<Option<EndToEndKeys>, HostError> {
        self.server.accounts.rocketchat_keys(account).await.map_err(AccountsError::into_host_error)
    }

    /// A code is queued, because the time of the answer must not reveal whether one was sent. A
    /// notice is delivered, because nothing is changed without it. A link is delivered too, because
    /// it is retried if it fails. Both go to at least one of the addresses.
    async fn mail(&self, to: &User, mail: Mail<'_>) -> Result<(), MailError> {
        let failed = |error| MailError::new("the mail could not be written").with_source(error);
        let Some((subject, text)) = self.write(to, mail).await.map_err(failed)? else {
            return Err(MailError::new("this server has no such mail"));
        };
        let mailer = &self.server.mailer;
        if matches!(mail, Mail::Code { .. }) {
            for address in &to.verified_emails {
                mailer.send(Message { to: address.clone(), subject, text: text.clone() }).await;
            }
            return Ok(());
        }
        let delivered = mailer.deliver_to_any(&to.verified_emails, subject, &text).await;
        delivered.map_err(|error| MailError::new("the mail could not be sent").with_source(error))
    }

    /// As for [`LibrePassHost`](crate::hosts::librepass::LibrePassHost).
    fn mails_due(&self, _: &AccountId) -> bool {
        self.server.sends_later()
    }

    /// The logins end first, so that none of them stores another pair. This server has no rooms, and
    /// so no group keys.
    async fn remove_keys(&self, account: &AccountId) -> Result<(), HostError> {
        self.end_logins(account, &EndLogins::All).await?;
        self.server.accounts.remove_rocketchat_keys(account).await.map_err(HostError::new)?;
        tracing::info!(%account, "end-to-end keys were reset");
        Ok(())
    }

    async fn end_logins(&self, account: &AccountId, which: &EndLogins) -> Result<(), HostError> {
        self.server.accounts.end_rocketchat_logins(account, which).await.map_err(HostError::new)
    }

    fn client_address(&self, peer: Peer<'_>) -> Option<IpAddr> {
        socket_address(peer.extensions)
    }

    /// Counted by the client's address. Not counted without an address or a time.
    fn admit(&self, peer: Peer<'_>, endpoint: Endpoint) -> Admittance {
        match (&self.limits, socket_address(peer.extensions), self.clock.now()) {
            (Some(limits), Some(address), Ok(now)) => limits.admit(address.to_canonical(), endpoint, now),
            _ => Admittance::Uncounted,
        }
    }
}
