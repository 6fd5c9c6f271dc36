//! One host for all three protocols. It knows one user of each, and keeps what it mails.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Extensions;
use keywright::librepass::{self, Mail};
use keywright::nextcloud::queue::Requester;
use keywright::nextcloud::{self, AppToken, AppTokenId, UnlockMail};
use keywright::rocketchat::{
    self, EndLogins, EndToEndKeys, IssuedLogin, KeysStored, Login, LoginTokenId, MailError, Named, Permission, Profile,
    SentPassword, User,
};
use keywright::{AccountId, SecretString};

/// The login name of the Nextcloud user, and whose account it is.
pub(crate) const ALICE: &str = "alice";
pub(crate) const ALICES_PASSWORD: &str = "alices-login-password";
pub(crate) const ALICES_PHONE: &str = "alices-app-token-of-the-phone";
/// The Rocket.Chat user.
pub(crate) const ROCKY: &str = "rocky";
pub(crate) const ROCKYS_TOKEN: &str = "rockys-login-token";

pub(crate) fn account(name: &str) -> AccountId {
    AccountId::new(format!("user-{name}")).unwrap()
}

/// The host.
#[derive(Default)]
pub(crate) struct House {
    /// The newest link that was mailed to an address, and the newest code.
    mailed: Mutex<BTreeMap<String, String>>,
    /// Whether mails of LibrePass fail.
    pub(crate) is_mail_down: AtomicBool,
}

impl House {
    /// Takes the newest link or code that was mailed to an address.
    pub(crate) fn take(&self, to: &str) -> Option<String> {
        self.mailed.lock().unwrap().remove(to)
    }

    fn keep(&self, to: &str, what: &str) {
        self.mailed.lock().unwrap().insert(to.into(), what.into());
    }
}

fn address(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<IpAddr>().copied()
}

impl nextcloud::Host for House {
    async fn account(&self, login_name: &str) -> Result<Option<AccountId>, nextcloud::HostError> {
        Ok((login_name == ALICE).then(|| account(ALICE)))
    }

    async fn app_token(
        &self,
        _: Option<&AccountId>,
        secret: &SecretString,
    ) -> Result<Option<AppToken>, nextcloud::HostError> {
        let phone = || AppToken::new(account(ALICE), AppTokenId("phone".into()));
        Ok((secret.expose() == ALICES_PHONE).then(phone))
    }

    async fn check_password(
        &self,
        of: Option<&AccountId>,
        password: &SecretString,
        _: &Requester,
    ) -> Result<bool, nextcloud::HostError> {
        Ok(of == Some(&account(ALICE)) && password.expose() == ALICES_PASSWORD)
    }

    async fn end_app_token(&self, _: &AccountId, _: &AppTokenId) -> Result<(), nextcloud::HostError> {
        Ok(())
    }

    async fn erase_data(&self, _: &AccountId, _: &nextcloud::Erasure) -> Result<(), nextcloud::HostError> {
        Ok(())
    }

    async fn send_unlock_mail(&self, _: &AccountId, mail: &UnlockMail) -> Result<(), nextcloud::HostError> {
        self.keep(ALICE, mail.token.expose());
        Ok(())
    }

    fn client_address(&self, peer: nextcloud::Peer<'_>) -> Option<IpAddr> {
        address(peer.extensions)
    }
}

/// The Rocket.Chat user.
fn rocky() -> User {
    User::new(account(ROCKY), ROCKY).with_verified_emails(vec!["rocky@example.com".into()])
}

impl rocketchat::Host for House {
    async fn login(&self, user_id: &str, token: &SecretString) -> Result<Option<Login>, rocketchat::HostError> {
        let right = user_id == ROCKY && token.expose() == ROCKYS_TOKEN;
        Ok(right.then(|| Login::new(rocky(), LoginTokenId("laptop".into()))))
    }

    async fn permitted(&self, _: &AccountId, _: Permission) -> Result<bool, rocketchat::HostError> {
        Ok(false)
    }

    async fn find_user(&self, named: Named<'_>) -> Result<Option<User>, rocketchat::HostError> {
        let known = match named {
            Named::Id(name) | Named::Username(name) | Named::EmailOrUsername(name) => name == ROCKY,
            Named::Account(of) => *of == account(ROCKY),
            _ => false,
        };
        Ok(known.then(rocky))
    }

    async fn check_password(
        &self,
        of: Option<&AccountId>,
        password: SentPassword<'_>,
        _: &Requester,
    ) -> Result<bool, rocketchat::HostError> {
        Ok(of == Some(&account(ROCKY)) && password.digest().expose() == "5e".repeat(32))
    }

    async fn resume(&self, token: &SecretString) -> Result<Option<Login>, rocketchat::HostError> {
        rocketchat::Host::login(self, ROCKY, token).await
    }

    async fn issue_login(&self, _: &AccountId) -> Result<IssuedLogin, rocketchat::HostError> {
        Ok(IssuedLogin::new(LoginTokenId("laptop".into()), SecretString::new(ROCKYS_TOKEN.into())))
    }

    async fn profile(&self, _: &AccountId) -> Result<Option<Profile>, rocketchat::HostError> {
        Ok(Some(Profile::new(ROCKY, ROCKY)))
    }

    async fn store_keys(
        &self,
        _: &AccountId,
        _: &LoginTokenId,
        _: &EndToEndKeys,
        _: bool,
    ) -> Result<KeysStored, rocketchat::HostError> {
        Ok(KeysStored::Stored)
    }

    async fn fetch_keys(&self, _: &AccountId) -> Result<Option<EndToEndKeys>, rocketchat::HostError> {
        Ok(None)
    }

    async fn mail(&self, _: &User, mail: rocketchat::Mail<'_>) -> Result<(), MailError> {
        if let rocketchat::Mail::Code { code, .. } = mail {
            self.keep(ROCKY, code.expose());
        }
        Ok(())
    }

    async fn remove_keys(&self, _: &AccountId) -> Result<(), rocketchat::HostError> {
        Ok(())
    }

    async fn end_logins(&self, _: &AccountId, _: &EndLogins) -> Result<(), rocketchat::HostError> {
        Ok(())
    }

    fn client_address(&self, peer: rocketchat::Peer<'_>) -> Option<IpAddr> {
        address(peer.extensions)
    }
}

impl librepass::Host for House {
    async fn mail(&self, mail: Mail<'_>) -> Result<(), librepass::HostError> {
        if self.is_mail_down.load(Ordering::Relaxed) {
            return Err(librepass::HostError::new("made to fail"));
        }
        if let Some(link) = mail.message.text().lines().find(|line| line.starts_with("https://")) {
            self.keep(mail.to, link);
        }
        Ok(())
    }

    fn client_address(&self, peer: librepass::Peer<'_>) -> Option<IpAddr> {
        address(peer.extensions)
    }
}
