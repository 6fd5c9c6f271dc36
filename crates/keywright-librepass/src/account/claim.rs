//! How an account takes an address, and gives one up.

use keywright_core::ClientTag;
use keywright_store::names::{self, Claimed, NameIndex, Released};
use keywright_store::{Draft, StepError, Tentative};

use crate::account::credential::{Credential, Verification};
use crate::account::mails::{self, Kind};
use crate::account::{pending, tokens};
use crate::events::ADDRESS_CHANGED;
use crate::protocol::address::Address;
use crate::protocol::keys::PublicKey;

/// Whether an account may take an address.
pub(crate) enum Taking {
    /// The account has the address already: only the text that its owner types, and so the key, is
    /// new.
    Owned,
    /// The account may take it, and no other can, as long as the intent is current.
    Claimed(Claimed),
    /// The intent is no longer current: another request or account was faster.
    Overtaken,
    /// Another account has the address.
    Taken,
}

impl Taking {
    /// Makes the address the account's own, in the commit that moves it there. Returns `false` if
    /// another request or account was faster; nothing is changed then.
    pub(crate) fn take_in(&self, draft: &mut Draft<'_>, name: &NameIndex) -> Result<bool, StepError> {
        match self {
            Self::Owned => names::owns(draft, name),
            Self::Claimed(claimed) => names::take(draft, claimed),
            Self::Overtaken | Self::Taken => Ok(false),
        }
    }
}

/// Ends an account that owns no name and waits for no link.
pub(crate) fn erase_if_nameless(draft: &mut Draft<'_>) -> Result<(), StepError> {
    if names::owned(draft)?.is_empty() && Credential::read(draft)?.is_some_and(|credential| credential.is_verified()) {
        draft.erase(&[])?;
    }
    Ok(())
}

/// Moves an account to an address that it owns by now, in the draft that swaps or promotes the
/// vault. All logins end. Returns the old name, to be dropped.
pub(crate) fn move_in(
    draft: &mut Draft<'_>,
    mut credential: Credential,
    address: &Address,
    public_key: &PublicKey,
    changed_by: &[ClientTag],
) -> Result<Option<Tentative<Released>>, StepError> {
    let old = credential.address()?;
    credential.set_address(address);
    credential.replace_key(draft, public_key, changed_by)?;
    credential.verification = Verification::Verified;
    credential.put(draft)?;
    tokens::end_all_in(draft)?;
    pending::drop_in(draft)?;
    draft.event(&ADDRESS_CHANGED);
    if old == *address {
        return Ok(None);
    }
    mails::notice_in(draft, &old, Kind::AddressChanged)?;
    names::release(draft, &old.index(draft.keyring()))
}
