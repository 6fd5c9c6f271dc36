//! Login tokens of the Rocket.Chat protocol, and the key pair that a reset removes.
//!
//! A token is stored like an app password, under its own index value. Tokens of the accounts file
//! are kept when they end, so that no restart brings them back. Those that log-ins are issued
//! expire, and are deleted when they end.

use keywright::core::random_bytes;
use keywright::rocketchat::{EndLogins, EndToEndKeys, IssuedLogin, KeysStored, LoginTokenId};
use keywright::store::{Draft, Partition, StepError};
use keywright::{AccountId, SecretString, UnixSeconds};

use crate::accounts::directory::Accounts;
use crate::accounts::error::AccountsError;
use crate::accounts::keys::{decode, profile_partition};
use crate::accounts::slots::{
    AUTH_TOKEN, AuthToken, ISSUED_TOKEN, ISSUED_TOKENS, IssuedToken, ROCKETCHAT_KEYS, RocketChatKeys,
};

/// How long an issued token is valid, in seconds: upstream's default, 90 days.
const TOKEN_SECONDS: u64 = 90 * 24 * 60 * 60;
/// The most issued tokens of an account. One more ends the oldest.
const MAX_TOKENS: usize = 50;

impl Accounts {
    /// Issues a login token. It is listed before it exists, so that whoever ends all tokens finds
    /// it.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn issue_rocketchat_login(&self, account: &AccountId) -> Result<IssuedLogin, AccountsError> {
        let token = SecretString::new(hex::encode(random_bytes::<32>(&**self.driver.entropy())?));
        let index = self.keys.auth_token(&token);
        let partition = profile_partition(account).ok_or(AccountsError::Id)?;
        let list = |draft: &mut Draft<'_>| {
            let now = draft.now();
            let mut issued = draft.read(ISSUED_TOKENS)?.unwrap_or_default();
            issued.tokens.retain(|(_, expires)| now < *expires);
            let over = issued.tokens.len().saturating_add(1).saturating_sub(MAX_TOKENS);
            let oldest: Vec<_> = issued.tokens.drain(..over).map(|(index, _)| index).collect();
            let expires = now.plus(TOKEN_SECONDS);
            issued.tokens.push((index, expires));
            draft.put(ISSUED_TOKENS, &issued)?;
            Ok((oldest, expires))
        };
        let (oldest, expires) = self.driver.transact(&partition, &[ISSUED_TOKENS.name()], list).await?;
        let put = |draft: &mut Draft<'_>| {
            draft.put_until(ISSUED_TOKEN, &IssuedToken { account: account.clone(), expires }, expires)?;
            draft.expire_partition(expires)
        };
        self.driver.transact(&Partition::name(&index), &[ISSUED_TOKEN.name()], put).await?;
        for index in oldest {
            self.end_token(account, &index).await?;
        }
        Ok(IssuedLogin::new(LoginTokenId(hex::encode(index)), token))
    }

    /// Returns the account of a valid token, and when the token expires.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(super) async fn token_holder(
        &self,
        index: &[u8; 32],
    ) -> Result<Option<(AccountId, Option<UnixSeconds>)>, AccountsError> {
        let look = |draft: &mut Draft<'_>| {
            let (now, issued) = (draft.now(), draft.read(ISSUED_TOKEN)?);
            let issued = issued.filter(|token| now < token.expires);
            Ok(match (draft.read(AUTH_TOKEN)?, issued) {
                (Some(AuthToken { account, ended: false }), _) => Some((account, None)),
                (_, Some(token)) => Some((token.account, Some(token.expires))),
                _ => None,
            })
        };
        let slots = [AUTH_TOKEN.name(), ISSUED_TOKEN.name()];
        Ok(self.driver.observe(&Partition::name(index), &slots, look).await?)
    }

    /// Ends login tokens permanently. Called again, it ends those that remain.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn end_rocketchat_logins(
        &self,
        account: &AccountId,
        which: &EndLogins,
    ) -> Result<(), AccountsError> {
        let (Some(partition), Some((_, profile))) =
            (profile_partition(account), self.rocketchat_profile(account).await?)
        else {
            return Ok(());
        };
        let (only, kept) = match which {
            EndLogins::Only(token) => (decode(&token.0), None),
            EndLogins::OthersThan(token) => (None, decode(&token.0)),
            _ => (None, None),
        };
        let ends = |index: &[u8; 32]| only.is_none_or(|only| only == *index) && kept != Some(*index);
        if matches!(which, EndLogins::Only(_)) && only.is_none() {
            return Ok(());
        }
        let look = |draft: &mut Draft<'_>| draft.read(ISSUED_TOKENS);
        let issued = self.driver.observe(&partition, &[ISSUED_TOKENS.name()], look).await?.unwrap_or_default();
        let issued = issued.tokens.into_iter().map(|(index, _)| index);
        // A token that was just issued may not be listed any more.
        let ended: Vec<_> = profile.auth_tokens.into_iter().chain(issued).chain(only).filter(ends).collect();
        for index in &ended {
            self.end_token(account, index).await?;
        }
        // A token that was listed meanwhile stays listed.
        let unlist = |draft: &mut Draft<'_>| match draft.read(ISSUED_TOKENS)? {
            Some(mut issued) => {
                issued.tokens.retain(|(index, _)| !ended.contains(index));
                draft.put(ISSUED_TOKENS, &issued)
            }
            None => Ok(()),
        };
        Ok(self.driver.transact(&partition, &[ISSUED_TOKENS.name()], unlist).await?)
    }

    async fn end_token(&self, account: &AccountId, index: &[u8; 32]) -> Result<(), AccountsError> {
        let step = |draft: &mut Draft<'_>| {
            if let Some(found) = draft.read(AUTH_TOKEN)?
                && found.account == *account
                && !found.ended
            {
                draft.put(AUTH_TOKEN, &AuthToken { ended: true, ..found })?;
            }
            match draft.read(ISSUED_TOKEN)? {
                Some(found) if found.account == *account => draft.delete(ISSUED_TOKEN),
                Some(_) | None => Ok(()),
            }
        };
        let slots = [AUTH_TOKEN.name(), ISSUED_TOKEN.name()];
        Ok(self.driver.transact(&Partition::name(index), &slots, step).await?)
    }

    /// Stores a key pair, if the token is valid. The token and the pair are in two partitions, so the
    /// token is looked at before and after. Whoever removes the pair ends the tokens first: a pair
    /// that was stored after the removal is found here, and taken back: the pair that it replaced, if
    /// any, is put back.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn store_rocketchat_keys(
        &self,
        account: &AccountId,
        by: &LoginTokenId,
        keys: &EndToEndKeys,
        replace: bool,
    ) -> Result<KeysStored, AccountsError> {
        let partition = profile_partition(account).ok_or(AccountsError::Id)?;
        let index = decode(&by.0).ok_or(AccountsError::Id)?;
        let is_live =
            async || Ok::<_, AccountsError>(self.token_holder(&index).await?.is_some_and(|(own, _)| own == *account));
        if !is_live().await? {
            return Ok(KeysStored::LoginEnded);
        }
        let pair =
            RocketChatKeys { public_key: keys.public_key.clone(), private_key: keys.private_key.expose().to_owned() };
        let slots = [ROCKETCHAT_KEYS.name()];
        let put = |draft: &mut Draft<'_>| match draft.read(ROCKETCHAT_KEYS)? {
            Some(_) if !replace => Ok(None),
            before => draft.put(ROCKETCHAT_KEYS, &pair).map(|()| Some(before)),
        };
        let Some(before) = self.driver.transact(&partition, &slots, put).await? else {
            return Ok(KeysStored::Exists);
        };
        if is_live().await? {
            return Ok(KeysStored::Stored);
        }
        let back = |draft: &mut Draft<'_>| take_back(draft, &pair, before.as_ref());
        self.driver.transact(&partition, &slots, back).await?;
        Ok(KeysStored::LoginEnded)
    }

    /// Returns the key pair.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn rocketchat_keys(&self, account: &AccountId) -> Result<Option<EndToEndKeys>, AccountsError> {
        let partition = profile_partition(account).ok_or(AccountsError::Id)?;
        let look = |draft: &mut Draft<'_>| draft.read(ROCKETCHAT_KEYS);
        let found = self.driver.observe(&partition, &[ROCKETCHAT_KEYS.name()], look).await?;
        Ok(found.map(|keys| EndToEndKeys::new(keys.public_key, SecretString::new(keys.private_key))))
    }

    /// Removes the key pair. The tokens must have been ended before.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn remove_rocketchat_keys(&self, account: &AccountId) -> Result<(), AccountsError> {
        let partition = profile_partition(account).ok_or(AccountsError::Id)?;
        let remove = |draft: &mut Draft<'_>| -> Result<(), StepError> {
            match draft.read(ROCKETCHAT_KEYS)? {
                Some(_) => draft.delete(ROCKETCHAT_KEYS),
                None => Ok(()),
            }
        };
        Ok(self.driver.transact(&partition, &[ROCKETCHAT_KEYS.name()], remove).await?)
    }
}

/// Takes a key pair back that an ended login has stored. Where it is gone, a removal has come in
/// between, and then the pair before it must not come back either.
fn take_back(draft: &mut Draft<'_>, pair: &RocketChatKeys, before: Option<&RocketChatKeys>) -> Result<(), StepError> {
    match (draft.read(ROCKETCHAT_KEYS)?, before) {
        (Some(found), Some(before)) if found == *pair => draft.put(ROCKETCHAT_KEYS, before),
        (Some(found), None) if found == *pair => draft.delete(ROCKETCHAT_KEYS),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::testing::{alice, open, secret};

    #[tokio::test]
    async fn logins_end_for_good_but_for_the_one_that_is_kept() {
        let accounts = Accounts::new(open().await.driver().clone()).unwrap();
        accounts.seed(&alice()).await.unwrap();
        let one = accounts.rocketchat_login("aliceId", &secret("one")).await.unwrap().unwrap();
        let others = EndLogins::OthersThan(one.token);
        for _ in 0..2 {
            accounts.end_rocketchat_logins(&one.user.account, &others).await.unwrap();
            assert!(accounts.rocketchat_login("aliceId", &secret("one")).await.unwrap().is_some());
            assert!(accounts.rocketchat_login("aliceId", &secret("two")).await.unwrap().is_none());
        }
        accounts.end_rocketchat_logins(&one.user.account, &EndLogins::All).await.unwrap();
        accounts.seed(&alice()).await.unwrap();
        assert!(accounts.rocketchat_login("aliceId", &secret("one")).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn issued_tokens_are_logins_until_they_end() {
        let accounts = Accounts::new(open().await.driver().clone()).unwrap();
        accounts.seed(&alice()).await.unwrap();
        let account = accounts.id("alice").unwrap();
        let lives = async |issued: &IssuedLogin| {
            let login = accounts.rocketchat_login("aliceId", &issued.token).await.unwrap();
            login.is_some_and(|login| login.token == issued.id && login.expires.is_some())
        };
        let mut issued = Vec::new();
        for _ in 0..=MAX_TOKENS {
            issued.push(accounts.issue_rocketchat_login(&account).await.unwrap());
        }
        assert_eq!((lives(&issued[0]).await, lives(&issued[1]).await), (false, true), "the oldest makes room");
        assert!(accounts.rocketchat_login("bobId", &issued[1].token).await.unwrap().is_none());
        assert!(accounts.rocketchat_resumed(&issued[1].token).await.unwrap().is_some());
        accounts.end_rocketchat_logins(&account, &EndLogins::Only(issued[1].id.clone())).await.unwrap();
        assert_eq!((lives(&issued[1]).await, lives(&issued[2]).await), (false, true));
        accounts.end_rocketchat_logins(&account, &EndLogins::OthersThan(issued[2].id.clone())).await.unwrap();
        assert_eq!((lives(&issued[2]).await, lives(&issued[3]).await), (true, false));
        accounts.end_rocketchat_logins(&account, &EndLogins::All).await.unwrap();
        assert!(!lives(&issued[2]).await);
    }

    #[tokio::test]
    async fn keys_are_stored_by_a_valid_login_alone() {
        let accounts = Accounts::new(open().await.driver().clone()).unwrap();
        accounts.seed(&alice()).await.unwrap();
        let account = accounts.id("alice").unwrap();
        let login = accounts.rocketchat_login("aliceId", &secret("one")).await.unwrap().unwrap();
        let keys = |public: &str| EndToEndKeys::new(public, secret("wrapped"));
        let store = async |public: &str, replace: bool| {
            accounts.store_rocketchat_keys(&account, &login.token, &keys(public), replace).await.unwrap()
        };
        assert_eq!(store("1", false).await, KeysStored::Stored);
        assert_eq!(store("2", false).await, KeysStored::Exists);
        assert_eq!(store("2", true).await, KeysStored::Stored);
        assert_eq!(accounts.rocketchat_keys(&account).await.unwrap().unwrap().public_key, "2");
        accounts.end_rocketchat_logins(&account, &EndLogins::All).await.unwrap();
        accounts.remove_rocketchat_keys(&account).await.unwrap();
        assert_eq!(store("3", true).await, KeysStored::LoginEnded);
        assert!(accounts.rocketchat_keys(&account).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_pair_that_is_taken_back_leaves_what_it_replaced() {
        let accounts = Accounts::new(open().await.driver().clone()).unwrap();
        accounts.seed(&alice()).await.unwrap();
        let account = accounts.id("alice").unwrap();
        let partition = profile_partition(&account).unwrap();
        let pair = |public: &str| RocketChatKeys { public_key: public.into(), private_key: "wrapped".into() };
        let (old, new, other) = (pair("old"), pair("new"), pair("other"));
        for (stored, before, left) in [
            (Some(&new), Some(&old), Some("old")),
            (Some(&new), None, None),
            // Removed, or replaced by a login that has not ended.
            (None, Some(&old), None),
            (Some(&other), Some(&old), Some("other")),
        ] {
            let step = |draft: &mut Draft<'_>| {
                match stored {
                    Some(pair) => draft.put(ROCKETCHAT_KEYS, pair)?,
                    None => draft.delete(ROCKETCHAT_KEYS)?,
                }
                take_back(draft, &new, before)
            };
            accounts.driver.transact(&partition, &[ROCKETCHAT_KEYS.name()], step).await.unwrap();
            let found = accounts.rocketchat_keys(&account).await.unwrap();
            assert_eq!(found.as_ref().map(|keys| keys.public_key.as_str()), left);
        }
    }
}
