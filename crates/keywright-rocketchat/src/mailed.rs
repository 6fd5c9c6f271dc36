//! What one login was mailed last: the wire tells when a pending code expires, and sends no second one while it lives.
//!
//! A note beside the confirmation, not a part of it: it opens nothing. The confirmation decides.

use keywright_confirm::Action;
use keywright_core::UnixSeconds;
use keywright_store::{Draft, Epochs, Record, Slot, StepError};
use serde::{Deserialize, Serialize};

use crate::guard::Act;
use crate::host::{Host, Login};
use crate::service::Parts;

#[derive(Serialize, Deserialize)]
struct Note {
    /// Names the act, keyed.
    act: [u8; 32],
    made: UnixSeconds,
    expires: UnixSeconds,
    epochs: Epochs,
}

impl Record for Note {
    const SCHEMA: u16 = 1;
}

/// The login, as confirmations know it.
pub(crate) fn session<H: Host>(parts: &Parts<H>, caller: &Login) -> [u8; 32] {
    parts.devices.mac(&[b"rocketchat-session", caller.user.account.as_str().as_bytes(), caller.token.0.as_bytes()])
}

/// Where the note lies. An index value of its own purpose: no session of another protocol has it.
pub(crate) fn slot<H: Host>(parts: &Parts<H>, caller: &Login) -> Slot {
    let account = caller.user.account.as_str().as_bytes();
    Slot::Session(parts.devices.tag(&[b"rocketchat-mailed", account, caller.token.0.as_bytes()]))
}

/// When the code expires that is pending for this very act, in this login.
pub(crate) fn pending<H: Host>(
    draft: &mut Draft<'_>,
    parts: &Parts<H>,
    caller: &Login,
    act: &Act,
) -> Result<Option<UnixSeconds>, StepError> {
    let (now, epochs, fence) = (draft.now(), draft.root()?.epochs(), draft.keyring().fence());
    let note = draft.read::<Note>(slot(parts, caller))?;
    let live = note.filter(|note| {
        note.act == name(parts, act)
            && note.epochs == epochs
            && note.made <= now
            && note.made >= fence
            && now < note.expires
    });
    Ok(live.map(|note| note.expires))
}

/// Notes a code that is being mailed.
pub(crate) fn note<H: Host>(
    draft: &mut Draft<'_>,
    parts: &Parts<H>,
    caller: &Login,
    act: &Act,
    expires: UnixSeconds,
) -> Result<(), StepError> {
    let note = Note { act: name(parts, act), made: draft.now(), expires, epochs: draft.root()?.epochs() };
    draft.put(slot(parts, caller), &note, Some(expires))
}

/// The code is spent.
pub(crate) fn forget<H: Host>(draft: &mut Draft<'_>, parts: &Parts<H>, caller: &Login) -> Result<(), StepError> {
    let slot = slot(parts, caller);
    if draft.read::<Note>(slot)?.is_some() { draft.delete(slot) } else { Ok(()) }
}

fn name<H: Host>(parts: &Parts<H>, act: &Act) -> [u8; 32] {
    parts.devices.mac(&[b"rocketchat-act", act.target().as_bytes(), &act.parameters()])
}
