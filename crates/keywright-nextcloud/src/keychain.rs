//! The client keychain: opaque text, sealed under the user key, so that a database dump together
//! with the keyring contains no text to test passphrases against.
//!
//! A change of passphrase comes in two requests. Until `keychain/set` brings the new text, the old
//! one stays, sealed under the user key of its time, which is wrapped by the current one
//! (`docs/decisions.md` 21).

use keywright_challenge::UserKey;
use keywright_core::{AccountId, WrapError, WrapKey};
use keywright_store::{Damage, Draft, Partition, Record, Slot, StepError};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::answer::{Answered, Failure};
use crate::context::Context;
use crate::error::ApiError;
use crate::events::KEYCHAIN_SET;
use crate::host::Host;

/// The slot of the client keychain.
pub(crate) const KEYCHAIN: Slot<Keychain> = Slot::lasting("keychain");

/// The only type of client keychain (protocol § 5).
pub(crate) const CSE: &str = "CSEv1r1";
/// The server's own keychain, which clients may not write.
pub(crate) const SSE: &str = "SSEv2r1";

const TEXT_LABEL: &str = "keywright/v1/nextcloud.keychain";
const KEY_LABEL: &str = "keywright/v1/nextcloud.keychain-key";

#[derive(Serialize, Deserialize)]
pub(crate) struct Keychain {
    /// The text, wrapped under the user key of its time.
    text: Vec<u8>,
    /// The user key of that time, wrapped under the current one; `None` if it is the current one.
    key: Option<Vec<u8>>,
}

impl Record for Keychain {
    const SCHEMA: u16 = 1;
}

/// The keychain exists but does not open.
pub(crate) struct Unreadable;

/// Returns the text as the client stored it.
pub(crate) fn read(
    draft: &mut Draft<'_>,
    account: &AccountId,
    user_key: &UserKey,
) -> Result<Result<Option<Zeroizing<String>>, Unreadable>, StepError> {
    // A damaged record is an outcome here, not an error: an answer that follows from a right proof
    // must come with the commit of that proof.
    let keychain = match draft.read(KEYCHAIN) {
        Ok(Some(keychain)) => keychain,
        Ok(None) => return Ok(Ok(None)),
        Err(error) if is_damage(&error) => return Ok(Err(Unreadable)),
        Err(error) => return Err(error),
    };
    let Some(key) = keychain.key_of_its_time(account, user_key) else { return Ok(Err(Unreadable)) };
    let text = wrap_key(&key, TEXT_LABEL, account).unwrap(&keychain.text);
    let text = text.and_then(|mut bytes| String::from_utf8(std::mem::take(&mut *bytes)).ok());
    Ok(text.map(|text| Some(Zeroizing::new(text))).ok_or(Unreadable))
}

/// Returns an answer unchanged, after reporting damage. The driver reports damage to the operator
/// if it ends a step. Here it was an outcome of the step, so a keychain that is answered as
/// unreadable is read once more, outside of the step.
pub(crate) async fn tell_of_damage<H: Host>(cx: &Context<H>, account: &AccountId, answered: Answered) -> Answered {
    if matches!(answered, Err(Failure::Refused { error: ApiError::KEYCHAIN_FAILED, .. })) {
        let look = |draft: &mut Draft<'_>| draft.read(KEYCHAIN).map(drop);
        let looked = cx.driver.observe(&Partition::account(account), &[KEYCHAIN.name()], look).await;
        // Damage has been reported by now; a store that fails shows nothing about the keychain.
        drop(looked);
    }
    answered
}

/// Whether an error is about the keychain's record.
pub(crate) fn is_damage(error: &StepError) -> bool {
    match error {
        StepError::Open(error) => error.slot() == KEYCHAIN.name().to_text(),
        StepError::Decode(found) | StepError::Damaged(Damage::Record(found)) => *found == KEYCHAIN.name(),
        _ => false,
    }
}

/// Stores a text under the current user key.
pub(crate) fn write(
    draft: &mut Draft<'_>,
    account: &AccountId,
    user_key: &UserKey,
    text: &str,
) -> Result<(), StepError> {
    let text = wrap_key(user_key, TEXT_LABEL, account).wrap(draft.entropy(), text.as_bytes()).map_err(crypto)?;
    draft.put(KEYCHAIN, &Keychain { text, key: None })?;
    draft.event(&KEYCHAIN_SET);
    Ok(())
}

/// Carries the keychain over to a new user key. A keychain that does not open is left as it is:
/// reads continue to report it.
pub(crate) fn carry_over(
    draft: &mut Draft<'_>,
    account: &AccountId,
    old: &UserKey,
    new: &UserKey,
) -> Result<(), StepError> {
    let Some(mut keychain) = draft.read(KEYCHAIN)? else { return Ok(()) };
    let Some(key) = keychain.key_of_its_time(account, old) else { return Ok(()) };
    let wrapped = wrap_key(new, KEY_LABEL, account).wrap(draft.entropy(), key.expose()).map_err(crypto)?;
    keychain.key = Some(wrapped);
    draft.put(KEYCHAIN, &keychain)
}

impl Keychain {
    fn key_of_its_time(&self, account: &AccountId, present: &UserKey) -> Option<UserKey> {
        let Some(wrapped) = &self.key else { return Some(present.duplicate()) };
        wrap_key(present, KEY_LABEL, account).unwrap_secret(wrapped).map(UserKey::from_secret)
    }
}

fn wrap_key(user_key: &UserKey, label: &str, account: &AccountId) -> WrapKey {
    WrapKey::derive(user_key.expose(), &[], label, &[account.as_str().as_bytes()])
}

fn crypto(error: WrapError) -> StepError {
    match error {
        WrapError::Entropy(error) => StepError::Entropy(error),
        _ => StepError::Crypto,
    }
}
