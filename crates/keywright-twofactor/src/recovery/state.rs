//! The sealed record: the live set, and the one that is yet to be acknowledged.

use std::fmt;

use keywright_core::{ClientTag, Generation, SecretBytes, SecretKind, UnixSeconds};
use keywright_store::{Draft, Epochs, Record, Slot, StepError, guess, secret_field};
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::MAX_CODES;
use super::set::MAC;
use crate::origin::Origin;
use crate::recovery::code::Preset;
use crate::recovery::set::CodeSet;
use crate::session::SessionDigest;

/// The account's recovery codes.
pub(crate) const RECOVERY_CODES: Slot<Recovery> = Slot::lasting("recovery");

/// Recovery codes as the guess ledger knows them, with the [strength](Preset::strength) of their
/// form. Email never admits a client to them.
pub const RECOVERY: SecretKind = SecretKind::new("recovery").without_mail();

/// An account's recovery codes. Once created, the record is kept. Its stored form is hostile input:
/// anything that this crate cannot have written is an error of the decoder.
pub(crate) struct Recovery {
    /// The generation is drawn again whenever a set becomes live, and when the live one is removed.
    pub(crate) generation: Generation,
    pub(crate) live: Option<CodeSet>,
    /// Through what the live set was made.
    pub(crate) origin: Origin,
    pub(crate) pending: Option<Pending>,
}

/// A set that was shown but not yet acknowledged.
pub(crate) struct Pending {
    pub(crate) set: CodeSet,
    /// The session that was shown the codes.
    pub(crate) session: SessionDigest,
    /// The epochs at which it was made. A change of password, challenge, address or factors since
    /// then makes it void.
    pub(crate) epochs: Epochs,
    /// The first time at which it can no longer be acknowledged.
    pub(crate) expires: UnixSeconds,
}

impl Pending {
    /// Whether this session was shown the codes. No other session of the account was, and one of
    /// those may be stolen.
    pub(crate) fn is_of(&self, session: &SessionDigest) -> bool {
        self.session.as_slice().ct_eq(session.as_slice()).into()
    }

    /// Whether the set may become live: it has not expired, no restore happened since, and the
    /// clock is not earlier than the time at which it was made.
    pub(crate) fn is_live(&self, draft: &Draft<'_>) -> Result<bool, StepError> {
        let (now, fence, epochs) = (draft.now(), draft.keyring().fence(), draft.root()?.epochs());
        Ok(self.epochs == epochs && self.set.made <= now && now < self.expires && self.set.made >= fence)
    }
}

impl Default for Recovery {
    fn default() -> Self {
        Self { generation: Generation::HOST, live: None, origin: Origin::LIBRARY, pending: None }
    }
}

impl Recovery {
    pub(crate) fn read(draft: &mut Draft<'_>) -> Result<Self, StepError> {
        Ok(draft.read(RECOVERY_CODES)?.unwrap_or_default())
    }

    pub(crate) fn put(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        draft.put(RECOVERY_CODES, self)
    }

    /// Records in the guess ledger that the live set was replaced or removed. Guesses are counted
    /// from zero, known clients stay known, and the client that makes the change is known from the
    /// start.
    pub(crate) fn renew(&mut self, draft: &mut Draft<'_>, changed_by: &[ClientTag]) -> Result<(), StepError> {
        let next = Generation::random(draft.entropy())?;
        guess::renew(draft, RECOVERY, self.generation, next, changed_by)?;
        self.generation = next;
        Ok(())
    }
}

impl Record for Recovery {
    const SCHEMA: u16 = 1;
}

/// The stored form, borrowed for writing. Sets are not `Serialize` themselves, so this is the only
/// place that writes a key.
#[derive(Serialize)]
struct RecoveryOut<'a> {
    generation: Generation,
    live: Option<SetOut<'a>>,
    origin: &'a Origin,
    pending: Option<(SetOut<'a>, SessionDigest, Epochs, UnixSeconds)>,
}

#[derive(Serialize)]
struct SetOut<'a> {
    preset: Preset,
    #[serde(serialize_with = "secret_field::serialize")]
    key: &'a SecretBytes<32>,
    #[serde(serialize_with = "write_macs")]
    macs: &'a [u8],
    used: u32,
    made: UnixSeconds,
    digests: bool,
}

impl<'a> From<&'a CodeSet> for SetOut<'a> {
    fn from(set: &'a CodeSet) -> Self {
        Self {
            preset: set.preset,
            key: &set.key,
            macs: &set.macs,
            used: set.used,
            made: set.made,
            digests: set.digests,
        }
    }
}

impl Serialize for Recovery {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let pending = self.pending.as_ref();
        let pending = pending.map(|pending| ((&pending.set).into(), pending.session, pending.epochs, pending.expires));
        let live = self.live.as_ref().map(SetOut::from);
        RecoveryOut { generation: self.generation, live, origin: &self.origin, pending }.serialize(to)
    }
}

/// The stored form, before it is validated.
#[derive(Deserialize)]
struct RecoveryIn {
    generation: Generation,
    live: Option<SetIn>,
    origin: Origin,
    pending: Option<(SetIn, SessionDigest, Epochs, UnixSeconds)>,
}

#[derive(Deserialize)]
struct SetIn {
    preset: Preset,
    #[serde(deserialize_with = "secret_field::deserialize")]
    key: SecretBytes<32>,
    #[serde(deserialize_with = "read_macs")]
    macs: Zeroizing<Vec<u8>>,
    used: u32,
    made: UnixSeconds,
    digests: bool,
}

/// A stored form that this crate cannot have written.
#[derive(Debug, thiserror::Error)]
#[error("recovery codes are out of bounds")]
struct OutOfBounds;

impl TryFrom<SetIn> for CodeSet {
    type Error = OutOfBounds;
    fn try_from(stored: SetIn) -> Result<Self, OutOfBounds> {
        let SetIn { preset, key, macs, used, made, digests } = stored;
        restore(Self { preset, key, macs, used, made, digests }).ok_or(OutOfBounds)
    }
}

/// Returns a set that was stored or exported, if this crate can have made it.
pub(crate) fn restore(set: CodeSet) -> Option<CodeSet> {
    let whole = set.macs.len().checked_rem(MAC) == Some(0);
    let beyond = set.used.checked_shr(set.count()).unwrap_or(0);
    let bounded = (1..=MAX_CODES).contains(&(set.macs.len() / MAC)) && whole && beyond == 0;
    let kind = !set.digests || set.preset == Preset::RocketChat;
    (bounded && kind).then_some(set)
}

impl TryFrom<RecoveryIn> for Recovery {
    type Error = OutOfBounds;
    fn try_from(stored: RecoveryIn) -> Result<Self, OutOfBounds> {
        let live = stored.live.map(CodeSet::try_from).transpose()?;
        let pending = stored.pending.map(|(set, session, epochs, expires)| {
            let set = CodeSet::try_from(set)?;
            let bounded = set.used == 0 && set.made <= expires;
            if bounded { Ok(Pending { set, session, epochs, expires }) } else { Err(OutOfBounds) }
        });
        Ok(Self { generation: stored.generation, live, origin: stored.origin, pending: pending.transpose()? })
    }
}

impl<'de> Deserialize<'de> for Recovery {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::try_from(RecoveryIn::deserialize(from)?).map_err(D::Error::custom)
    }
}

pub(crate) fn write_macs<S: Serializer>(macs: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bytes(macs)
}

pub(crate) fn read_macs<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<Vec<u8>>, D::Error> {
    struct Macs;
    impl Visitor<'_> for Macs {
        type Value = Zeroizing<Vec<u8>>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("hashes")
        }
        fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            Ok(Zeroizing::new(bytes.to_vec()))
        }
    }
    from.deserialize_bytes(Macs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keywright_core::LocalRng;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn full() -> Recovery {
        let rng = LocalRng::new(ChaCha20Rng::seed_from_u64(1));
        let made = UnixSeconds::new(1_700_000_000).unwrap();
        let (mut live, codes) = CodeSet::make(&rng, Preset::Default, made).unwrap();
        if let Some(Ok(super::super::Matched::Unused(code))) = codes.iter().nth(9).map(|code| live.judge(code)) {
            live.spend(code);
        }
        let (set, _) = CodeSet::make(&rng, Preset::RocketChat, made).unwrap();
        // Epochs can be constructed in no other way.
        let epochs = postcard::from_bytes(&[1, 1]).unwrap();
        let generation = Generation::from_u64(7);
        let pending = Pending { set, session: [7; 32], epochs, expires: made.plus(600) };
        Recovery { generation, live: Some(live), origin: Origin::LIBRARY, pending: Some(pending) }
    }

    fn bytes(recovery: &Recovery) -> Vec<u8> {
        postcard::to_allocvec(recovery).unwrap()
    }

    #[test]
    fn the_stored_form_reads_back() {
        let body = bytes(&full());
        // The body holds two keys, 22 hashes, a session's digest, and little else.
        assert!(body.len() < 25 * 32 + 48, "{}", body.len());
        let back = Recovery::decode(1, &body).unwrap();
        assert_eq!(bytes(&back), body);
        assert_eq!(back.live.unwrap().remaining(), 9);
        assert!(Recovery::decode(2, &body).is_err(), "another schema");
    }

    #[test]
    fn what_cannot_have_been_written_is_an_error() {
        let refuses = |change: fn(&mut Recovery)| {
            let mut recovery = full();
            change(&mut recovery);
            assert!(Recovery::decode(1, &bytes(&recovery)).is_err());
        };
        refuses(|recovery| recovery.live.as_mut().unwrap().used = 1 << 10);
        refuses(|recovery| recovery.live.as_mut().unwrap().digests = true);
        refuses(|recovery| recovery.live.as_mut().unwrap().macs.clear());
        refuses(|recovery| recovery.live.as_mut().unwrap().macs.truncate(319));
        refuses(|recovery| *recovery.live.as_mut().unwrap().macs = vec![0; 33 * 32]);
        refuses(|recovery| recovery.pending.as_mut().unwrap().set.used = 1);
        refuses(|recovery| recovery.pending.as_mut().unwrap().expires = UnixSeconds::EPOCH);
        refuses(|recovery| recovery.pending.as_mut().unwrap().set.macs.clear());
    }

    #[test]
    fn the_largest_set_reads_back() {
        let mut recovery = full();
        let live = recovery.live.as_mut().unwrap();
        *live.macs = vec![0; 32 * 32];
        live.used = u32::MAX;
        assert_eq!(Recovery::decode(1, &bytes(&recovery)).unwrap().live.unwrap().remaining(), 0);
    }

    proptest! {
        #[test]
        fn any_stored_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Recovery::decode(1, &bytes);
        }

        /// Decoding either fails, or encoding the result gives back the same body.
        #[test]
        fn a_damaged_body_is_refused_or_whole(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
            let mut body = bytes(&full());
            *at.get_mut(&mut body) = byte;
            if let Ok(recovery) = Recovery::decode(1, &body) {
                let again = Recovery::decode(1, &bytes(&recovery)).unwrap();
                prop_assert_eq!(bytes(&again), bytes(&recovery));
            }
        }
    }
}
