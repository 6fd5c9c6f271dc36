//! What a session has proven lately, in one record per session.

use keywright_core::{SessionId, UnixSeconds};
use keywright_store::slot::Expiring;
use keywright_store::{Draft, Epochs, Full, Record, Slot, SlotFamily, SlotName, StepError};
use serde::{Deserialize, Serialize};

use super::policy::{MAX_FRESH_SECONDS, METHODS};
use crate::attested::method::{MAX_ATTESTED_METHODS, is_name};
use crate::outcome::Method;
use crate::session::session_digest;

/// The maximum number of sessions of an account that are remembered at once: those that were
/// authenticated in the last hour, and up to a day's worth that are not swept yet. One more
/// replaces a void record, or else that of the session that was authenticated longest ago, which
/// expires first and then has to authenticate again.
pub(crate) const MAX_STEP_UPS: u16 = 16;

/// The records of sessions, by a digest of the session.
pub(crate) const STEP_UPS: SlotFamily<SessionWindow, Expiring> =
    SlotFamily::expiring("step-up", MAX_STEP_UPS, Full::EvictsFirstToExpire);

/// The label of the digest that names a session's record.
const SESSION_LABEL: &[u8] = b"keywright/v1/stepup";

/// What one session has proven lately.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub(crate) struct SessionWindow {
    /// The methods and when they were proven, with at most one entry per method.
    proven: Vec<(Stated, UnixSeconds)>,
    epochs: Epochs,
}

/// A method in its stored form.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Stated {
    Totp,
    Recovery,
    Password,
    Mailed,
    /// An attested method, by its name.
    Attested(String),
}

impl From<Method> for Stated {
    fn from(method: Method) -> Self {
        match method {
            Method::Totp => Self::Totp,
            Method::Recovery => Self::Recovery,
            Method::Password => Self::Password,
            Method::Mailed => Self::Mailed,
            Method::Attested(method) => Self::Attested(method.name().into()),
        }
    }
}

/// The maximum number of methods that a session can have proven.
const MAX_PROVEN: usize = METHODS.len().saturating_add(MAX_ATTESTED_METHODS);

impl Record for SessionWindow {
    const SCHEMA: u16 = 1;
}

#[derive(Deserialize)]
struct Stored {
    proven: Vec<(Stated, UnixSeconds)>,
    epochs: Epochs,
}

/// A stored form that this crate cannot have written.
#[derive(Debug, thiserror::Error)]
#[error("a stored step-up window is out of bounds")]
struct OutOfBounds;

impl TryFrom<Stored> for SessionWindow {
    type Error = OutOfBounds;
    fn try_from(stored: Stored) -> Result<Self, OutOfBounds> {
        let Stored { proven, epochs } = stored;
        let once = |method: &Stated| proven.iter().filter(|(one, _)| one == method).count() == 1;
        let named = |method: &Stated| !matches!(method, Stated::Attested(name) if !is_name(name));
        let bounded =
            (1..=MAX_PROVEN).contains(&proven.len()) && proven.iter().all(|(method, _)| once(method) && named(method));
        if bounded { Ok(Self { proven, epochs }) } else { Err(OutOfBounds) }
    }
}

impl SessionWindow {
    /// Returns the slot of a session's record.
    pub(super) fn slot(session: SessionId) -> Slot<Self, Expiring> {
        let digest = session_digest(SESSION_LABEL, session);
        STEP_UPS.at(digest.first_chunk().copied().unwrap_or_default())
    }

    /// Returns what the session has proven, without what is void: proofs of other epochs, from the
    /// future, or from before the fence.
    pub(super) fn live(draft: &mut Draft<'_>, slot: Slot<Self, Expiring>) -> Result<Option<Self>, StepError> {
        let Some(mut window) = draft.read(slot)? else { return Ok(None) };
        if window.epochs != draft.root()?.epochs() {
            return Ok(None);
        }
        let (now, fence) = (draft.now(), draft.keyring().fence());
        window.proven.retain(|(_, at)| *at <= now && *at >= fence);
        Ok(Some(window))
    }

    /// Whether a method was proven less than this many seconds ago.
    pub(super) fn has_fresh(&self, method: Method, now: UnixSeconds, seconds: u64) -> bool {
        // A time in the future is not fresh: the clock went back, so the proof's age is unknown.
        let method = Stated::from(method);
        self.proven.iter().any(|(one, at)| *one == method && *at <= now && now.since(*at) < seconds)
    }

    /// Records that a session has proven a method now.
    pub(super) fn remember(draft: &mut Draft<'_>, slot: Slot<Self, Expiring>, method: Method) -> Result<(), StepError> {
        let (now, epochs) = (draft.now(), draft.root()?.epochs());
        let mut proven = Self::live(draft, slot)?.map_or_else(Vec::new, |window| window.proven);
        let method = Stated::from(method);
        proven.retain(|(one, _)| *one != method);
        // A policy that once registered other methods leaves theirs behind.
        while proven.len() >= MAX_PROVEN {
            proven.remove(0);
        }
        proven.push((method, now));
        drop_void(draft, slot.name())?;
        draft.put_until(slot, &Self { proven, epochs }, now.plus(MAX_FRESH_SECONDS))
    }
}

/// Drops void records if there is none for `slot` and no room for one more. They must not outlast a
/// record that still counts, even if they expire after it.
fn drop_void(draft: &mut Draft<'_>, slot: SlotName) -> Result<(), StepError> {
    let ids = draft.ids(&STEP_UPS);
    if ids.len() < usize::from(MAX_STEP_UPS) || slot.id().is_some_and(|id| ids.contains(&id)) {
        return Ok(());
    }
    let names: Vec<SlotName> = ids.iter().map(|id| STEP_UPS.at(*id).name()).collect();
    draft.require(&names)?;
    for slot in ids.into_iter().map(|id| STEP_UPS.at(id)) {
        // A record left by a clock that ran ahead never counts.
        if SessionWindow::live(draft, slot)?.is_none_or(|window| window.proven.is_empty()) {
            draft.discard(slot)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attested::method::{AttestedMethod, Strength};
    use proptest::prelude::*;

    fn window(methods: &[Method]) -> Vec<u8> {
        // Epochs come from a stored root: they can be constructed in no other way.
        let epochs = postcard::from_bytes(&[1, 1]).unwrap();
        let proven = methods.iter().map(|method| (Stated::from(*method), UnixSeconds::MAX)).collect();
        postcard::to_allocvec(&SessionWindow { proven, epochs }).unwrap()
    }

    #[test]
    fn what_cannot_have_been_written_is_an_error() {
        let key = AttestedMethod::new("passkey", Strength::PhishingResistant);
        let all: Vec<Method> = METHODS.into_iter().chain([Method::Attested(key)]).collect();
        let body = window(&all);
        let back = SessionWindow::decode(1, &body).unwrap();
        assert_eq!(postcard::to_allocvec(&back).unwrap(), body);
        assert!(SessionWindow::decode(2, &body).is_err());
        assert!(SessionWindow::decode(1, &window(&[])).is_err());
        assert!(SessionWindow::decode(1, &window(&[Method::Totp, Method::Totp])).is_err());
        assert!(SessionWindow::decode(1, &window(&[Method::Attested(key); 2])).is_err());
        assert!(SessionWindow::decode(1, &window(&[Method::Totp; 9])).is_err());
    }

    #[test]
    fn a_time_in_the_future_is_not_fresh() {
        let epochs = postcard::from_bytes(&[1, 1]).unwrap();
        let now = UnixSeconds::EPOCH.plus(1_000_000);
        for (at, fresh) in [
            (now, true),
            (now.minus(59), true),
            (now.minus(60), false),
            (now.plus(1), false),
            (UnixSeconds::MAX, false),
        ] {
            let window = SessionWindow { proven: vec![(Stated::Totp, at)], epochs };
            assert_eq!(window.has_fresh(Method::Totp, now, 60), fresh, "{at}");
            assert!(!window.has_fresh(Method::Recovery, now, 60));
        }
    }

    #[test]
    fn sessions_have_slots_of_their_own() {
        let name = |session: &str| SessionWindow::slot(SessionId::new(session)).name();
        assert_ne!(name("a"), name("b"));
        assert_eq!(name("a"), name("a"));
    }

    proptest! {
        #[test]
        fn any_stored_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = SessionWindow::decode(1, &bytes);
        }
    }
}
