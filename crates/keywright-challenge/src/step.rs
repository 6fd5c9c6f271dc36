//! The pure transitions: get, set, verify, replace.

use keywright_core::{Charge, DeviceTag, EventKind, Refusal, WrapError};
use keywright_store::guess::{Guess, Guesser, Look, check};
use keywright_store::{Draft, Slot, StepError, Tentative};

use crate::policy::{ChallengePolicy, DOOR, STRENGTH};
use crate::state::{Challenge, UserKey};
use crate::{ChallengeSecret, Proof, Salts};

/// Who proves: the credential that the caller came with, by its tag. The default is a stranger.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Caller {
    /// The credential's tag: a known device if it passed this door before.
    pub tag: Option<DeviceTag>,
    /// The tag that it has after a replacement, which moves the credential epoch: tags name the epoch.
    pub next: Option<DeviceTag>,
}

impl Caller {
    /// A stranger, who stays one.
    #[must_use]
    pub const fn stranger() -> Self {
        Self { tag: None, next: None }
    }

    /// A credential, known by this tag from its first right proof on.
    #[must_use]
    pub const fn with_tag(tag: DeviceTag) -> Self {
        Self { tag: Some(tag), next: Some(tag) }
    }

    /// The same, known by another tag once a replacement has moved the epoch.
    #[must_use]
    pub const fn passing_in_next_epoch(mut self, tag: DeviceTag) -> Self {
        self.next = Some(tag);
        self
    }
}

/// The outcome of a proof. In a step `K` is tentative; only the commit's receipt makes a user key of it.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Verification<K = UserKey> {
    /// The proof is right; here is the user key.
    Granted(K),
    /// The proof is wrong and was charged.
    Denied(Charge),
    /// The proof was not looked at: a wait or a lock.
    Refused(Refusal),
    /// The account has no challenge.
    NoChallenge,
}

/// The outcome of a first challenge.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Setting<K = UserKey> {
    /// It is set; here is the new user key.
    Set(K),
    /// The account has one already: it takes the old secret to replace it.
    Exists,
}

/// The keys around a replacement.
#[derive(Debug)]
#[non_exhaustive]
pub struct Keys {
    /// The user key until now: opens what must be kept.
    pub old: UserKey,
    /// The new user key.
    pub new: UserKey,
}

impl<K> Verification<K> {
    /// The outcome with its grant turned into something else.
    pub fn map<L>(self, grant: impl FnOnce(K) -> L) -> Verification<L> {
        match self {
            Self::Granted(key) => Verification::Granted(grant(key)),
            Self::Denied(charge) => Verification::Denied(charge),
            Self::Refused(refusal) => Verification::Refused(refusal),
            Self::NoChallenge => Verification::NoChallenge,
        }
    }
}

/// What the account's client must solve, if it has a challenge.
pub(crate) fn get(draft: &mut Draft<'_>) -> Result<Option<Salts>, StepError> {
    let Some(challenge) = draft.read::<Challenge>(Slot::Challenge)? else { return Ok(None) };
    challenge.salts().map(Some).map_err(|_| StepError::Decode(Slot::Challenge))
}

/// Whether the account has a challenge.
pub(crate) fn exists(draft: &mut Draft<'_>) -> Result<bool, StepError> {
    Ok(draft.read::<Challenge>(Slot::Challenge)?.is_some())
}

/// Sets the first challenge.
pub(crate) fn set(
    draft: &mut Draft<'_>,
    secret: &ChallengeSecret,
    salts: &Salts,
) -> Result<Setting<Tentative<UserKey>>, StepError> {
    if exists(draft)? {
        return Ok(Setting::Exists);
    }
    let key = write(draft, secret, salts)?;
    draft.event(EventKind::ChallengeSet);
    Ok(Setting::Set(draft.tentative(key)))
}

/// Judges a proof and releases the user key.
pub(crate) fn verify(
    draft: &mut Draft<'_>,
    policy: &ChallengePolicy,
    proof: &Proof,
    caller: &Caller,
) -> Result<Verification<Tentative<UserKey>>, StepError> {
    judge(draft, policy, proof, caller.tag, caller.tag)
}

/// Judges a proof by the credential `tag`, which becomes known as `passes_as`.
fn judge(
    draft: &mut Draft<'_>,
    policy: &ChallengePolicy,
    proof: &Proof,
    tag: Option<DeviceTag>,
    passes_as: Option<DeviceTag>,
) -> Result<Verification<Tentative<UserKey>>, StepError> {
    let Some(challenge) = draft.read::<Challenge>(Slot::Challenge)? else { return Ok(Verification::NoChallenge) };
    let account = draft.partition().as_account().ok_or(StepError::NoAccount)?;
    let guesser = Guesser { door: DOOR, strength: STRENGTH, tag, passes_as };
    let guess = check(draft, &policy.ledger, &guesser, |_| {
        Ok(challenge.unwrap(&account, proof.expose()).map_err(crypto)?.map_or(Look::Wrong, Look::Right))
    })?;
    Ok(match guess {
        Guess::Right(key) => Verification::Granted(draft.tentative(key)),
        Guess::Wrong(charge) => Verification::Denied(charge),
        Guess::Refused(refusal) => Verification::Refused(refusal),
        Guess::Replayed => return Err(StepError::Misuse("a challenge is never replayed")),
    })
}

/// Judges the old secret; if it is right, sets a new challenge with a new user key and ends all sessions by moving the
/// credential epoch. Of two concurrent replacements the second is judged on the challenge of the first.
pub(crate) fn replace(
    draft: &mut Draft<'_>,
    policy: &ChallengePolicy,
    old: &Proof,
    secret: &ChallengeSecret,
    salts: &Salts,
    caller: &Caller,
) -> Result<Verification<Tentative<Keys>>, StepError> {
    let key = match judge(draft, policy, old, caller.tag, caller.next)? {
        Verification::Granted(key) => key,
        Verification::Denied(charge) => return Ok(Verification::Denied(charge)),
        Verification::Refused(refusal) => return Ok(Verification::Refused(refusal)),
        Verification::NoChallenge => return Ok(Verification::NoChallenge),
    };
    let new = write(draft, secret, salts)?;
    draft.event(EventKind::ChallengeReplaced);
    Ok(Verification::Granted(key.map(|old| Keys { old, new })))
}

/// Writes a challenge under a fresh user key and moves the credential epoch (`decisions.md` 6).
fn write(draft: &mut Draft<'_>, secret: &ChallengeSecret, salts: &Salts) -> Result<UserKey, StepError> {
    let account = draft.partition().as_account().ok_or(StepError::NoAccount)?;
    let key = UserKey::random(draft.entropy())?;
    let challenge = Challenge::new(draft.entropy(), &account, salts.clone(), secret.expose(), &key).map_err(crypto)?;
    draft.put(Slot::Challenge, &challenge, None)?;
    let mut root = draft.root()?;
    root.move_credential_epoch();
    draft.put_root(&root)?;
    Ok(key)
}

fn crypto(error: WrapError) -> StepError {
    match error {
        WrapError::Entropy(error) => StepError::Entropy(error),
        _ => StepError::Crypto,
    }
}
