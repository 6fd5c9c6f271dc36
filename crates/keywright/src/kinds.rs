//! The kinds of events of every enabled part.

use keywright_core::EventKind;

use crate::operator::SESSIONS_ENDED_BY_OPERATOR;

/// Returns the kinds of events of every enabled part.
pub(crate) fn event_kinds() -> Vec<&'static EventKind> {
    let parts: &[&[&'static EventKind]] = &[
        keywright_store::EVENT_KINDS,
        &[&SESSIONS_ENDED_BY_OPERATOR],
        #[cfg(feature = "challenge")]
        keywright_challenge::events::EVENT_KINDS,
        #[cfg(feature = "confirm")]
        keywright_confirm::events::EVENT_KINDS,
        #[cfg(feature = "librepass")]
        keywright_librepass::events::EVENT_KINDS,
        #[cfg(feature = "nextcloud")]
        keywright_nextcloud::events::EVENT_KINDS,
        #[cfg(feature = "rekey")]
        keywright_rekey::events::EVENT_KINDS,
        #[cfg(feature = "rocketchat")]
        keywright_rocketchat::events::EVENT_KINDS,
        #[cfg(feature = "twofactor")]
        keywright_twofactor::events::EVENT_KINDS,
    ];
    parts.concat()
}
