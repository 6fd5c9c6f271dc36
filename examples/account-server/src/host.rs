//! What the Nextcloud protocol asks of the server around it.

use std::sync::Arc;

use keywright::nextcloud::{Admittance, AppToken, AppTokenId, Endpoint, Erasure, Host, HostError};
use keywright::{AccountId, SecretString};

use crate::accounts::Accounts;
use crate::limits::Limits;
use crate::mail::{Mailer, Message};
use crate::options::PublicUrl;

/// This server, as the protocol sees it.
pub(crate) struct Server {
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) limits: Limits,
    pub(crate) mailer: Mailer,
    pub(crate) public_url: PublicUrl,
}

impl Server {
    /// Tells the owner, if there is an address. `told` gets the account's name and this server's address.
    async fn notify(
        &self,
        account: &AccountId,
        subject: &'static str,
        told: impl FnOnce(&str, &PublicUrl) -> String + Send,
    ) -> Result<(), HostError> {
        let Some(profile) = self.accounts.profile(account).await.map_err(HostError::new)? else { return Ok(()) };
        if let Some(to) = profile.email {
            self.mailer.send(Message { to, subject, text: told(&profile.name, &self.public_url) }).await;
        }
        Ok(())
    }
}

impl Host for Server {
    async fn account(&self, login_name: &str) -> Result<Option<AccountId>, HostError> {
        self.accounts.find(login_name).await.map_err(HostError::new)
    }

    async fn app_token(
        &self,
        account: Option<&AccountId>,
        secret: &SecretString,
    ) -> Result<Option<AppToken>, HostError> {
        let found = self.accounts.app_password(secret).await.map_err(HostError::new)?;
        Ok(found.filter(|token| account.is_none_or(|account| *account == token.account)))
    }

    async fn check_password(&self, account: Option<&AccountId>, password: &SecretString) -> Result<bool, HostError> {
        self.accounts.check_password(account, password).await.map_err(HostError::new)
    }

    async fn end_app_token(&self, account: &AccountId, token: &AppTokenId) -> Result<(), HostError> {
        if !self.accounts.end_app_password(account, token).await.map_err(HostError::new)? {
            return Ok(());
        }
        let told = |name: &str, server: &PublicUrl| {
            format!(
                "An app password of the account {name} on\n{server}\nwas ended: too many wrong passphrases came with it. \
                 The client that used it cannot log in any more.\n\nIf none of your clients did that, somebody knows \
                 that app password."
            )
        };
        self.notify(account, "An app password of your account was ended", told).await
    }

    /// This server keeps no passwords, folders or tags: all there was to erase went with the commit of the reset. What
    /// is left to do is to tell the owner.
    async fn erase_data(&self, account: &AccountId, _: &Erasure) -> Result<(), HostError> {
        let told = |name: &str, server: &PublicUrl| {
            format!(
                "The account {name} on\n{server}\nwas reset: its passphrase and keychain are gone, and all sessions have \
                 ended. App passwords still work.\n\nIf this was not you, somebody knows how to log in to your account."
            )
        };
        self.notify(account, "Your account was reset", told).await
    }

    fn admit(&self, account: &AccountId, endpoint: Endpoint) -> Admittance {
        self.limits.admit(account, endpoint)
    }
}
