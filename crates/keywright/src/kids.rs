//! The note of the seal keys in use: one record of the server's partition, written before anything else.
//!
//! It is sealed itself, so a store does not even open it with a wrong keyring; and it names every key, so a keyring that
//! lost an older one is noticed at the start and not at the first account that needs it.

use keywright_core::KeyId;
use keywright_store::{Draft, Driver, Partition, Record, Slot, StepError, TransactError};
use serde::{Deserialize, Serialize};

use crate::StartError;

/// Key ids, oldest first.
#[derive(Serialize, Deserialize)]
struct Kids(Vec<[u8; 8]>);

impl Record for Kids {
    const SCHEMA: u16 = 1;
}

enum Noted {
    Yes,
    Lacks(KeyId),
    NoNote,
}

/// Sees that the keyring has every key in use, and notes its newest.
pub(crate) async fn note(driver: &Driver, store_is_empty: bool) -> Result<(), StartError> {
    let step = |draft: &mut Draft<'_>| note_in(draft, store_is_empty);
    match driver.transact(&Partition::server(), &[Slot::Kids], step).await {
        Ok((Noted::Yes, _)) => Ok(()),
        Ok((Noted::Lacks(kid), _)) => Err(StartError::MissingKey(kid)),
        Ok((Noted::NoNote, _)) => Err(StartError::NoKeyNote),
        Err(error) => Err(unknown_key(&error).map_or(StartError::Note(error), StartError::MissingKey)),
    }
}

fn note_in(draft: &mut Draft<'_>, store_is_empty: bool) -> Result<Noted, StepError> {
    let mut kids = match draft.read::<Kids>(Slot::Kids)? {
        Some(kids) => kids,
        None if store_is_empty => Kids(Vec::new()),
        None => return Ok(Noted::NoNote),
    };
    let keyring = draft.keyring();
    let lost = kids.0.iter().map(|&kid| KeyId::from_bytes(kid)).find(|&kid| keyring.kids().all(|has| has != kid));
    if let Some(kid) = lost {
        return Ok(Noted::Lacks(kid));
    }
    if let Some(newest) = keyring.kids().next().map(KeyId::to_bytes)
        && !kids.0.contains(&newest)
    {
        kids.0.push(newest);
        draft.put(Slot::Kids, &kids, None)?;
    }
    Ok(Noted::Yes)
}

/// Notes that nothing is sealed under any but the newest key. Gives the keys that are no longer in use.
pub(crate) fn retire_in(draft: &mut Draft<'_>) -> Result<Vec<KeyId>, StepError> {
    let newest = draft.keyring().kids().next().map(KeyId::to_bytes);
    let mut kids = draft.read::<Kids>(Slot::Kids)?.unwrap_or(Kids(Vec::new()));
    let retired: Vec<_> = kids.0.iter().copied().filter(|kid| Some(*kid) != newest).map(KeyId::from_bytes).collect();
    if !retired.is_empty() {
        kids.0.retain(|kid| Some(*kid) == newest);
        draft.put(Slot::Kids, &kids, None)?;
    }
    Ok(retired)
}

fn unknown_key(error: &TransactError) -> Option<KeyId> {
    match error {
        TransactError::Step(StepError::Open(error)) if error.is_unknown_key() => error.kid(),
        _ => None,
    }
}
