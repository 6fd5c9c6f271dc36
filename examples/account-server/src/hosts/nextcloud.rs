//! The host of the Nextcloud Passwords protocol.

use std::net::IpAddr;
use std::sync::Arc;

use keywright::nextcloud::queue::Requester;
use keywright::nextcloud::{
    Admittance, AppToken, AppTokenId, Endpoint, Erasure, GuessedSecret, Host, HostError, Peer, Settings, UnlockMail,
};
use keywright::store::StepError;
use keywright::{AccountId, SecretString, TransactError};
use serde_json::Value;

use crate::accounts::error::AccountsError;
use crate::hosts::server::Server;
use crate::http::links;
use crate::http::origin::Origin;
use crate::http::peer::socket_address;
use crate::limits::per_user::PerUserLimits;
use crate::mail::{Message, shut_out};
use crate::notices::Notice;

/// A key in the default colour, as clients load it without another request.
const LOGO: &str = "data:image/svg+xml,%3Csvg%20xmlns='http://www.w3.org/2000/svg'%20viewBox='0%200%2016%2016'%3E\
                    %3Cpath%20fill='%230082c9'%20d='M5,4a4,4,0,1,0,3.9,5H12v2h2V9h2V7H8.9A4,4,0,0,0,5,4z'/%3E%3C/svg%3E";

/// This server, as that protocol sees it.
pub(crate) struct NextcloudHost {
    pub(crate) server: Arc<Server>,
    pub(crate) limits: PerUserLimits,
}

impl Host for NextcloudHost {
    async fn account(&self, login_name: &str) -> Result<Option<AccountId>, HostError> {
        self.server.accounts.find(login_name).await.map_err(AccountsError::into_host_error)
    }

    async fn app_token(
        &self,
        account: Option<&AccountId>,
        secret: &SecretString,
    ) -> Result<Option<AppToken>, HostError> {
        let found = self.server.accounts.app_password(secret).await.map_err(AccountsError::into_host_error)?;
        Ok(found.filter(|token| account.is_none_or(|account| *account == token.account)))
    }

    async fn check_password(
        &self,
        account: Option<&AccountId>,
        password: &SecretString,
        requester: &Requester,
    ) -> Result<bool, HostError> {
        self.server.accounts.check_password(account, password, requester).await.map_err(AccountsError::into_host_error)
    }

    fn admit_guess(&self, requester: &Requester) -> Result<(), HostError> {
        self.server.accounts.admit_guess(requester).map_err(AccountsError::into_host_error)
    }

    /// The notice becomes due before the app password has ended, so that no crash in between loses
    /// it.
    async fn end_app_token(&self, account: &AccountId, token: &AppTokenId) -> Result<(), HostError> {
        if !self.server.accounts.is_live_app_password(account, token).await.map_err(HostError::new)? {
            return Ok(());
        }
        let notice = self.server.notices.add(account, Notice::AppPasswordEnded, token.0.as_bytes()).await;
        let notice = notice.map_err(HostError::new)?;
        self.server.accounts.end_app_password(account, token).await.map_err(HostError::new)?;
        if let Some(notice) = notice {
            self.server.notices.deliver(account, notice).await;
        }
        Ok(())
    }

    /// This server keeps no passwords, folders or tags, so everything that there was to erase was
    /// removed by the commit of the reset. What remains is to inform the owner.
    async fn erase_data(&self, account: &AccountId, erasure: &Erasure) -> Result<(), HostError> {
        match self.server.notices.add(account, Notice::AccountReset, &erasure.id).await {
            Ok(Some(notice)) => self.server.notices.deliver(account, notice).await,
            Ok(None) => {}
            // The account stays blocked until its erasure is done, which is too high a price for a
            // notice.
            Err(TransactError::Step(StepError::TooMuchDue)) => {
                tracing::error!(%account, "no notice of a reset: too much is due already");
            }
            Err(error) => return Err(HostError::new(error)),
        }
        Ok(())
    }

    async fn send_unlock_mail(&self, account: &AccountId, mail: &UnlockMail) -> Result<(), HostError> {
        let Some(profile) = self.server.accounts.profile(account).await.map_err(HostError::new)? else { return Ok(()) };
        let Some(to) = profile.email else { return Ok(()) };
        let secret = match mail.secret {
            GuessedSecret::Challenge => "the passphrase",
            _ => "the login password",
        };
        let refused = mail.refused_network.as_ref().map(|network| format!("from the network {network}"));
        let link = links::link(&self.server.public_url, links::NEXTCLOUD_PATH, &mail.token);
        let (subject, text) =
            shut_out(secret, &profile.name, &self.server.public_url, mail.wrong_guesses, refused, &link);
        self.server.mailer.deliver(Message { to, subject, text }).await.map_err(HostError::new)
    }

    fn is_encrypted(&self, peer: Peer<'_>) -> bool {
        peer.extensions.get::<Origin>().is_some_and(|origin| origin.private)
    }

    /// The address that the client has, or its trusted proxy has seen.
    fn client_address(&self, peer: Peer<'_>) -> Option<IpAddr> {
        socket_address(peer.extensions)
    }

    /// Its own address and name, and what the user has set.
    async fn settings(&self, account: &AccountId) -> Result<Settings, HostError> {
        let own = self
            .server
            .accounts
            .settings(account)
            .await
            .map_err(|error| AccountsError::from(error).into_host_error())?;
        let url = format!("{}/", self.server.public_url);
        Ok(own
            .with("server.theme.label", "account-server")
            .with("server.theme.logo", LOGO)
            .with("server.theme.app.icon", LOGO)
            .with("server.theme.folder.icon", LOGO)
            .with("server.theme.background", LOGO)
            .with("server.handbook.url", url.as_str())
            .with_base_url(&url))
    }

    async fn set_settings(&self, account: &AccountId, settings: &Settings) -> Result<Option<Settings>, HostError> {
        let settings: Vec<_> = settings.iter().collect();
        let stored = self.server.accounts.change_settings(account, &settings).await;
        stored.map(Some).map_err(HostError::new)
    }

    async fn reset_settings(&self, account: &AccountId, names: &[&str]) -> Result<Option<Settings>, HostError> {
        let forgotten: Vec<_> = names.iter().map(|name| (*name, &Value::Null)).collect();
        let left = self.server.accounts.change_settings(account, &forgotten).await;
        left.map(Some).map_err(HostError::new)
    }

    fn admit(&self, account: &AccountId, endpoint: Endpoint) -> Admittance {
        self.limits.admit(account, endpoint)
    }
}
