//! The kinds of slots with which the driver is built.

use keywright_store::SlotKind;

use crate::key_note;

/// Returns the kinds of slots of every enabled part: how many records of each a partition may have,
/// and what happens when one more is put. It is for a driver that is built by hand;
/// [`Keywright`](crate::Keywright) uses it by itself.
#[must_use]
pub fn slot_kinds() -> Vec<SlotKind> {
    let parts: &[&[SlotKind]] = &[
        keywright_store::SLOT_KINDS,
        &[key_note::KEYS_IN_USE.kind()],
        #[cfg(feature = "challenge")]
        keywright_challenge::SLOT_KINDS,
        #[cfg(feature = "confirm")]
        keywright_confirm::SLOT_KINDS,
        #[cfg(feature = "librepass")]
        keywright_librepass::SLOT_KINDS,
        #[cfg(feature = "nextcloud")]
        keywright_nextcloud::SLOT_KINDS,
        #[cfg(feature = "rekey")]
        keywright_rekey::SLOT_KINDS,
        #[cfg(feature = "rocketchat")]
        keywright_rocketchat::SLOT_KINDS,
        #[cfg(feature = "twofactor")]
        keywright_twofactor::SLOT_KINDS,
    ];
    parts.concat()
}
