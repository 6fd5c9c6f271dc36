//! One-time challenges: an answer to one of them grants once.

use keywright_core::{SessionId, UnixSeconds, append_lp};
use keywright_store::slot::Expiring;
use keywright_store::{Draft, Epochs, Record, Slot, StepError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::method::{Strength, is_name as is_method};
use crate::totp::active::is_name;

/// How long a challenge is valid, in seconds. Source: Web Authentication Level 3 § 15.1, which
/// recommends a timeout of 300 to 600 seconds.
pub const ASSERTION_SECONDS: u64 = 300;

/// The length of the shortest challenge of the host's own, in bytes. Source: Web Authentication
/// Level 3 § 13.4.3.
pub const MIN_CHALLENGE_BYTES: usize = 16;

/// The length of the longest challenge of the host's own, in bytes.
pub const MAX_CHALLENGE_BYTES: usize = 1_024;

/// The maximum number of challenges of an account that are pending at once, as for confirmations
/// (`docs/decisions.md` 8).
const MAX_PENDING: usize = 8;

/// The pending challenges.
pub(crate) const CHALLENGES: Slot<Challenges, Expiring> = Slot::expiring("factor-challenges");

/// The label of the digest that binds a challenge.
const LABEL: &[u8] = b"keywright/v1/twofactor.challenge";

/// The label of the digest of the place that a challenge occupies.
const PLACE_LABEL: &[u8] = b"keywright/v1/twofactor.challenge.place";

/// A challenge, to be sent to the client. The client's factor answers it, the host checks the
/// answer, and the challenge is redeemed in the commit that grants.
pub struct AssertionChallenge {
    bytes: Vec<u8>,
    expires: UnixSeconds,
}

impl AssertionChallenge {
    /// Returns the challenge: 32 random bytes, or those that the host supplied.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the first time at which the challenge is no longer valid. It ends earlier if a
    /// credential or a factor of the account changes.
    #[must_use]
    pub const fn expires(&self) -> UnixSeconds {
        self.expires
    }
}

keywright_core::redacted_debug!(AssertionChallenge { expires, .. });

/// What a challenge is issued for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use<'a> {
    /// An enrolled factor is used for a purpose.
    Prove(&'a str),
    /// A factor is enrolled.
    Enrol,
}

impl<'a> Use<'a> {
    const fn parts(self) -> [&'a [u8]; 2] {
        match self {
            Self::Prove(purpose) => [b"prove", purpose.as_bytes()],
            Self::Enrol => [b"enrol", b""],
        }
    }
}

/// The pending challenges of an account. The stored form is hostile input.
#[derive(Default, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub(crate) struct Challenges {
    /// The challenges, oldest first, with at most one for each use in a session.
    pending: Vec<Pending>,
}

#[derive(Serialize, Deserialize)]
struct Pending {
    place: [u8; 16],
    digest: [u8; 32],
    made: UnixSeconds,
    expires: UnixSeconds,
    epochs: Epochs,
    enrols: Option<Enrols>,
}

/// The factor that an enrolment adds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Enrols {
    pub(crate) method: String,
    pub(crate) strength: Strength,
    pub(crate) name: String,
}

impl Pending {
    fn is_live(&self, draft: &Draft<'_>) -> Result<bool, StepError> {
        let (now, fence, epochs) = (draft.now(), draft.keyring().fence(), draft.root()?.epochs());
        // A creation time in the future means that the clock went back, so the age is unknown.
        Ok(self.made <= now && self.made >= fence && self.epochs == epochs && now < self.expires)
    }
}

/// Issues a challenge in a session. One that was pending there for the same use becomes void. If
/// the account has too many, the oldest is dropped. `given` is a challenge of the host's own.
pub(crate) fn issue(
    draft: &mut Draft<'_>,
    session: SessionId,
    usage: Use<'_>,
    given: Option<&[u8]>,
    enrols: Option<Enrols>,
) -> Result<AssertionChallenge, StepError> {
    let bytes = match given {
        Some(given) if !(MIN_CHALLENGE_BYTES..=MAX_CHALLENGE_BYTES).contains(&given.len()) => {
            return Err(StepError::Misuse("a challenge must have 16 to 1,024 bytes"));
        }
        Some(given) => given.to_vec(),
        None => draft.random::<32>()?.to_vec(),
    };
    let (made, epochs) = (draft.now(), draft.root()?.epochs());
    let expires = made.plus(ASSERTION_SECONDS);
    let mut challenges = draft.read(CHALLENGES)?.unwrap_or_default();
    let place = place(session, usage);
    let mut kept = Vec::with_capacity(MAX_PENDING);
    for one in std::mem::take(&mut challenges.pending) {
        if one.place != place && one.is_live(draft)? {
            kept.push(one);
        }
    }
    while kept.len() >= MAX_PENDING {
        kept.remove(0);
    }
    kept.push(Pending { place, digest: digest(session, usage, &bytes), made, expires, epochs, enrols });
    challenges.pending = kept;
    challenges.put(draft)?;
    Ok(AssertionChallenge { bytes, expires })
}

/// Redeems a challenge: it is no longer pending. Returns `None` if it is not pending in this
/// session for this use, or is void; otherwise what it enrols.
pub(crate) fn redeem(
    draft: &mut Draft<'_>,
    session: SessionId,
    usage: Use<'_>,
    challenge: &[u8],
) -> Result<Option<Option<Enrols>>, StepError> {
    let mut challenges = draft.read(CHALLENGES)?.unwrap_or_default();
    let digest = digest(session, usage, challenge);
    // Every challenge is compared, without early exit.
    let found = challenges.pending.iter().enumerate().fold(None, |found, (at, one)| {
        if bool::from(one.digest.as_slice().ct_eq(digest.as_slice())) { Some(at) } else { found }
    });
    let Some(at) = found else { return Ok(None) };
    let redeemed = challenges.pending.remove(at);
    if !redeemed.is_live(draft)? {
        return Ok(None);
    }
    // The record is written, not deleted (`docs/decisions.md` 7).
    challenges.put(draft)?;
    Ok(Some(redeemed.enrols))
}

impl Challenges {
    fn put(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        draft.put_until(CHALLENGES, self, draft.now().plus(ASSERTION_SECONDS))
    }
}

fn digest(session: SessionId, usage: Use<'_>, challenge: &[u8]) -> [u8; 32] {
    let [kind, purpose] = usage.parts();
    let mut message = LABEL.to_vec();
    append_lp(&mut message, &[session.as_bytes(), kind, purpose, challenge]);
    Sha256::digest(&message).into()
}

fn place(session: SessionId, usage: Use<'_>) -> [u8; 16] {
    let [kind, purpose] = usage.parts();
    let mut message = PLACE_LABEL.to_vec();
    append_lp(&mut message, &[session.as_bytes(), kind, purpose]);
    Sha256::digest(&message).first_chunk().copied().unwrap_or_default()
}

impl Record for Challenges {
    const SCHEMA: u16 = 1;
}

/// The stored form, before it is validated.
#[derive(Deserialize)]
struct Stored {
    pending: Vec<Pending>,
}

/// A stored form that this crate cannot have written.
#[derive(Debug, thiserror::Error)]
#[error("stored challenges are out of bounds")]
struct OutOfBounds;

impl TryFrom<Stored> for Challenges {
    type Error = OutOfBounds;
    fn try_from(stored: Stored) -> Result<Self, OutOfBounds> {
        let Stored { pending } = stored;
        let bounded = |one: &Pending| {
            one.made <= one.expires
                && one.enrols.as_ref().is_none_or(|enrols| is_method(&enrols.method) && is_name(&enrols.name))
        };
        if pending.len() <= MAX_PENDING && pending.iter().all(bounded) {
            Ok(Self { pending })
        } else {
            Err(OutOfBounds)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pending(enrols: Option<Enrols>) -> Pending {
        // Epochs come from a stored root: they can be constructed in no other way.
        let epochs = postcard::from_bytes(&[1, 1]).unwrap();
        let (made, expires) = (UnixSeconds::EPOCH, UnixSeconds::EPOCH.plus(ASSERTION_SECONDS));
        Pending { place: [1; 16], digest: [2; 32], made, expires, epochs, enrols }
    }

    fn decodes(pending: Vec<Pending>) -> bool {
        Challenges::decode(1, &postcard::to_allocvec(&Challenges { pending }).unwrap()).is_ok()
    }

    #[test]
    fn what_cannot_have_been_written_is_an_error() {
        let enrols = |method: &str| Enrols { method: method.into(), strength: Strength::OutOfBand, name: "n".into() };
        assert!(decodes((0..MAX_PENDING).map(|_| pending(None)).collect()));
        assert!(!decodes((0..=MAX_PENDING).map(|_| pending(None)).collect()));
        assert!(decodes(vec![pending(Some(enrols("sms")))]));
        assert!(!decodes(vec![pending(Some(enrols("totp")))]));
        assert!(!decodes(vec![Pending { made: UnixSeconds::MAX, ..pending(None) }]));
    }

    #[test]
    fn a_challenge_is_bound_to_session_use_and_purpose() {
        let (one, two) = (SessionId::new("one"), SessionId::new("two"));
        let base = digest(one, Use::Prove("login"), b"challenge");
        assert_eq!(base, digest(one, Use::Prove("login"), b"challenge"));
        for other in [
            digest(two, Use::Prove("login"), b"challenge"),
            digest(one, Use::Prove("logi"), b"nchallenge"),
            digest(one, Use::Prove(""), b"challenge"),
            digest(one, Use::Enrol, b"challenge"),
            digest(one, Use::Prove("login"), b"challenge2"),
        ] {
            assert_ne!(base, other);
        }
        assert_ne!(place(one, Use::Prove("")), place(one, Use::Enrol));
    }

    proptest! {
        #[test]
        fn any_stored_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = Challenges::decode(1, &bytes);
        }
    }
}
