//! The record of the keys in use, in the server's partition. It is written before anything else.
//!
//! It is sealed itself, so with a wrong keyring it does not even open. It lists every key, so a
//! keyring that lost an older one is noticed at the start, and not at the first account that needs
//! it. It lists the index key too, because with a different one every account would seem to be new.

use keywright_core::{KeyId, StoreId};
use keywright_store::{Draft, Driver, Partition, Record, Slot, StepError, TransactError};
use serde::{Deserialize, Serialize};

use crate::error::StartError;

/// The slot of the keys in use, in the server's partition.
pub(crate) const KEYS_IN_USE: Slot<KeysInUse> = Slot::lasting("key-ids");

/// Key ids, oldest first, the id of the index key, and the store's own id.
#[derive(Serialize, Deserialize)]
pub(crate) struct KeysInUse {
    seal: Vec<[u8; 8]>,
    index: [u8; 8],
    store: [u8; 16],
}

impl Record for KeysInUse {
    const SCHEMA: u16 = 2;
}

enum Noted {
    Yes(StoreId),
    OtherStore(StoreId),
    Lacks(KeyId),
    OtherIndexKey,
    NoNote,
}

/// Checks that the keyring has every key in use and belongs to this store, and records its newest
/// key. A store that is empty gets an id. Returns the store's id.
pub(crate) async fn note(driver: &Driver, store_is_empty: bool) -> Result<StoreId, StartError> {
    let named = driver.keyring().store();
    let fresh = match named {
        Some(store) => store,
        None => StoreId::generate(&**driver.entropy()).map_err(|error| StartError::Note(error.into()))?,
    };
    let step = |draft: &mut Draft<'_>| note_in(draft, store_is_empty.then_some(fresh));
    match driver.transact(&Partition::server(), &[KEYS_IN_USE.name()], step).await {
        Ok(Noted::Yes(store)) => Ok(store),
        Ok(Noted::OtherStore(store)) => Err(StartError::OtherStore { store, named: fresh }),
        Ok(Noted::Lacks(kid)) => Err(StartError::MissingKey(kid)),
        Ok(Noted::OtherIndexKey) => Err(StartError::OtherIndexKey),
        Ok(Noted::NoNote) => Err(StartError::NoKeyNote),
        Err(error) => Err(unknown_key(&error).map_or(StartError::Note(error), StartError::MissingKey)),
    }
}

/// `fresh` is the id for a store that is empty.
fn note_in(draft: &mut Draft<'_>, fresh: Option<StoreId>) -> Result<Noted, StepError> {
    let keyring = draft.keyring();
    let index = keyring.index_key_id().to_bytes();
    let mut keys = match (draft.read(KEYS_IN_USE)?, fresh) {
        (Some(keys), _) => keys,
        (None, Some(fresh)) => KeysInUse { seal: Vec::new(), index, store: fresh.to_bytes() },
        (None, None) => return Ok(Noted::NoNote),
    };
    let store = StoreId::from_bytes(keys.store);
    let lost = keys.seal.iter().map(|&kid| KeyId::from_bytes(kid)).find(|&kid| keyring.key_ids().all(|has| has != kid));
    if let Some(kid) = lost {
        return Ok(Noted::Lacks(kid));
    }
    if keys.index != index {
        return Ok(Noted::OtherIndexKey);
    }
    if keyring.store().is_some_and(|named| named != store) {
        return Ok(Noted::OtherStore(store));
    }
    if let Some(newest) = keyring.key_ids().next().map(KeyId::to_bytes)
        && !keys.seal.contains(&newest)
    {
        keys.seal.push(newest);
        draft.put(KEYS_IN_USE, &keys)?;
    }
    Ok(Noted::Yes(store))
}

/// Records that nothing is sealed under any key but the newest. Returns the keys that are no longer
/// in use.
pub(crate) fn retire_in(draft: &mut Draft<'_>) -> Result<Vec<KeyId>, StepError> {
    let newest = draft.keyring().key_ids().next().map(KeyId::to_bytes);
    let Some(mut keys) = draft.read(KEYS_IN_USE)? else { return Ok(Vec::new()) };
    let retired: Vec<_> = keys.seal.iter().copied().filter(|kid| Some(*kid) != newest).map(KeyId::from_bytes).collect();
    if !retired.is_empty() {
        keys.seal.retain(|kid| Some(*kid) == newest);
        draft.put(KEYS_IN_USE, &keys)?;
    }
    Ok(retired)
}

fn unknown_key(error: &TransactError) -> Option<KeyId> {
    match error {
        TransactError::Step(StepError::Open(error)) if error.is_unknown_key() => error.kid(),
        _ => None,
    }
}
