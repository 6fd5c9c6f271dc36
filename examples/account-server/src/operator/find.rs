//! Finding the account that an operator names.

use std::sync::Arc;

use keywright::rocketchat::Named;
use keywright::store::Partition;
use keywright::{AccountId, Keywright, librepass};

use crate::accounts::directory::Accounts;
use crate::failure::Failure;

/// Finds an account by its name or a verified address in the accounts file, by the address of a
/// LibrePass user, or by the id in the log.
///
/// # Errors
/// A [`Failure`] if there is no such account, or if it cannot be looked up.
pub(super) async fn find(keywright: &Keywright, name: &str) -> Result<AccountId, Failure> {
    let accounts = Arc::new(Accounts::new(keywright.driver().clone())?);
    if let Some(account) = accounts.find(name).await? {
        return Ok(account);
    }
    if let Some(user) = accounts.rocketchat_user(Named::EmailOrUsername(name)).await? {
        return Ok(user.account);
    }
    if let Some(account) = librepass::account_of(keywright.driver(), name).await.map_err(Failure::Act)? {
        return Ok(account);
    }
    let unknown = || Failure::NoAccount { name: name.to_owned() };
    let account = AccountId::new(name).map_err(|_| unknown())?;
    let partition = Partition::account(&account);
    let exists = keywright.driver().observe(&partition, &[], |draft| Ok(draft.exists())).await;
    if exists.map_err(Failure::Act)? { Ok(account) } else { Err(unknown()) }
}
