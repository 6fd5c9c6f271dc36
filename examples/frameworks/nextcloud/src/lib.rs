//! The protocol of Nextcloud Passwords for a host with one user. Its programs mount it in the routes of
//! three frameworks.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use keywright::nextcloud::queue::Requester;
use keywright::nextcloud::{
    AppToken, AppTokenId, Erasure, Host, HostError, Nextcloud, NextcloudPolicy, Peer, UnlockMail,
};
use keywright::sqlite::SqliteStore;
use keywright::{AccountId, Keywright, SecretString};

/// Where the protocol's paths begin.
pub const PASSWORDS: &str = "/index.php/apps/passwords";

/// One user with one app token. A real host looks both up in its database.
pub struct OneUser;

impl Host for OneUser {
    async fn account(&self, login_name: &str) -> Result<Option<AccountId>, HostError> {
        let known = login_name.eq_ignore_ascii_case("alice");
        Ok(if known { Some(AccountId::new("user-1").map_err(HostError::new)?) } else { None })
    }

    async fn app_token(
        &self,
        account: Option<&AccountId>,
        secret: &SecretString,
    ) -> Result<Option<AppToken>, HostError> {
        let right = secret.expose() == "correct-horse-app-token"; // a real host compares keyed hashes
        Ok(account.filter(|_| right).map(|account| AppToken::new(account.clone(), AppTokenId("phone".into()))))
    }

    async fn check_password(&self, _: Option<&AccountId>, _: &SecretString, _: &Requester) -> Result<bool, HostError> {
        Ok(false)
    }

    async fn end_app_token(&self, _: &AccountId, _: &AppTokenId) -> Result<(), HostError> {
        Ok(())
    }

    async fn erase_data(&self, _: &AccountId, _: &Erasure) -> Result<(), HostError> {
        Ok(())
    }

    async fn send_unlock_mail(&self, _: &AccountId, _: &UnlockMail) -> Result<(), HostError> {
        Ok(())
    }

    /// Each program puts the address of the connection into the request's extensions.
    fn client_address(&self, peer: Peer<'_>) -> Option<IpAddr> {
        peer.extensions.get::<SocketAddr>().map(SocketAddr::ip)
    }
}

/// Opens the store and creates the user's account.
///
/// # Errors
/// Returns the error that kept it from opening.
pub async fn open() -> Result<Nextcloud<OneUser>, Box<dyn Error>> {
    let store = SqliteStore::open("keywright.sqlite")?;
    let keywright = Keywright::builder(store).keyring_file("keyring.toml").open().await?;
    keywright.ensure_account(&AccountId::new("user-1")?).await?;
    Ok(keywright.nextcloud(Arc::new(OneUser), NextcloudPolicy::default())?)
}
