//! API tokens: what they may do, how long they live, how many there are.
//!
//! A token is 128 random bits behind the user's id; stored is a hash (`security.md` § 10). It carries the epochs it was
//! made in, so a change of password or address ends all of them in the commit that changes it.

use keywright_core::{EventKind, UnixSeconds};
use keywright_store::{Draft, Partition, Record, Revision, Slot, StepError, Tentative};
use serde::{Deserialize, Serialize};

use crate::{Token, UserId};

/// The most tokens of an account whose second factor is proven or not needed. The oldest goes.
pub(crate) const MAX_TOKENS: usize = 64;
/// The most that wait for their second factor. Apart, so that whoever has only the password ends no other login.
pub(crate) const MAX_WAITING: usize = 8;
/// A token that was not used for so many seconds is void: 30 days (dossier § 5).
pub(crate) const IDLE_SECONDS: u64 = 30 * 24 * 60 * 60;
/// The last use is written at most this often, in seconds (dossier § 5).
pub(crate) const TOUCH_SECONDS: u64 = 5 * 60;

/// How a token's login stands to the second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SecondFactor {
    /// There was none when it was made.
    NotNeeded,
    /// It may do nothing but prove it.
    Waiting,
    Proven {
        at: UnixSeconds,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct TokenRecord {
    verifier: [u8; 32],
    made: UnixSeconds,
    used: UnixSeconds,
    credential_epoch: u64,
    key_epoch: u64,
    factor: SecondFactor,
    /// The vault's revision at the token's last full read, or after its own last write (`decisions.md` 28).
    head: Option<[u8; 16]>,
}

impl Record for TokenRecord {
    const SCHEMA: u16 = 1;
}

/// All tokens of an account, the oldest first.
#[derive(Debug, Default, Serialize, Deserialize)]
struct TokenList {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    slot: [u8; 16],
    credential_epoch: u64,
    waits: bool,
}

impl Record for TokenList {
    const SCHEMA: u16 = 1;
}

/// A token that was found good, as it stands in its record.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) user: UserId,
    slot: [u8; 16],
    record: TokenRecord,
}

impl Login {
    /// Names the token, not secret: for its tag at a door.
    pub(crate) const fn id(&self) -> &[u8; 16] {
        &self.slot
    }

    /// Whether it may act at all.
    pub(crate) const fn may_act(&self) -> bool {
        !matches!(self.record.factor, SecondFactor::Waiting)
    }

    /// Whether the second factor was proven within so many seconds. A proof in the future is not fresh.
    pub(crate) fn proven_within(&self, now: UnixSeconds, seconds: u64) -> bool {
        matches!(self.record.factor, SecondFactor::Proven { at } if at <= now && now.since(at) < seconds)
    }

    /// The fence of its cipher writes.
    pub(crate) const fn key_epoch(&self) -> u64 {
        self.record.key_epoch
    }

    /// The vault's revision as this token knows it; `None` if it never read all of it.
    pub(crate) fn head(&self) -> Option<Revision> {
        self.record.head.map(Revision::from_bytes)
    }

    /// Whether its last use must be written.
    pub(crate) fn is_stale(&self, now: UnixSeconds) -> bool {
        now.since(self.record.used) >= TOUCH_SECONDS
    }

    fn put(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        let purge_after = self.record.used.plus(IDLE_SECONDS);
        draft.put(Slot::Token(self.slot), &self.record, Some(purge_after))
    }
}

/// Finds out whose token this is and whether it is good now. `None`: unknown, idle for too long, of an epoch that is
/// over, from before the keyring's fence. Changes nothing. The draft is the partition of the token's user.
pub(crate) fn verify_in(draft: &mut Draft<'_>, token: &Token) -> Result<Option<Login>, StepError> {
    if *draft.partition() != Partition::account(token.user().account()) {
        return Err(StepError::Misuse("a token of another account"));
    }
    let root = match draft.root() {
        Err(StepError::NoAccount) => return Ok(None),
        root => root?,
    };
    let (now, fence, slot) = (draft.now(), draft.keyring().fence(), token.slot());
    let Some(record) = draft.read::<TokenRecord>(Slot::Token(slot))? else { return Ok(None) };
    let good = token.matches(&record.verifier)
        && record.credential_epoch == root.credential_epoch
        && record.key_epoch == root.key_epoch
        && record.made >= fence
        && now.since(record.used) < IDLE_SECONDS;
    Ok(good.then(|| Login { user: token.user().clone(), slot, record }))
}

/// Writes the last use, if it is [`TOUCH_SECONDS`] old.
pub(crate) fn touch_in(draft: &mut Draft<'_>, login: &mut Login) -> Result<(), StepError> {
    let now = draft.now();
    if !login.is_stale(now) {
        return Ok(());
    }
    login.record.used = now;
    login.put(draft)
}

/// Notes the vault's revision that the token knows from now on.
pub(crate) fn follow_in(draft: &mut Draft<'_>, login: &mut Login, head: Option<Revision>) -> Result<(), StepError> {
    let head = head.map(Revision::to_bytes);
    if login.record.head == head {
        return touch_in(draft, login);
    }
    login.record.head = head;
    login.record.used = draft.now();
    login.put(draft)
}

/// Makes a fresh token good. It is drawn outside the step, because its slot must be the same when the step is run again;
/// the receipt of the commit is what allows to give it out.
pub(crate) fn issue_in(draft: &mut Draft<'_>, token: &Token, factor: SecondFactor) -> Result<Tentative<()>, StepError> {
    let (root, now) = (draft.root()?, draft.now());
    let record = TokenRecord {
        verifier: token.verifier(),
        made: now,
        used: now,
        credential_epoch: root.credential_epoch,
        key_epoch: root.key_epoch,
        factor,
        head: None,
    };
    let login = Login { user: token.user().clone(), slot: token.slot(), record };
    login.put(draft)?;
    let mut list = draft.read::<TokenList>(Slot::Tokens)?.unwrap_or_default();
    // Those of an epoch that is over are void already; their records are swept.
    list.entries.retain(|entry| entry.credential_epoch == root.credential_epoch);
    let waits = factor == SecondFactor::Waiting;
    list.entries.push(Entry { slot: login.slot, credential_epoch: root.credential_epoch, waits });
    put_within_caps(draft, list)?;
    draft.event(EventKind::TokenIssued);
    Ok(draft.tentative(()))
}

/// The token's login has proven its second factor.
pub(crate) fn confirm_in(draft: &mut Draft<'_>, login: &mut Login) -> Result<(), StepError> {
    let now = draft.now();
    login.record.factor = SecondFactor::Proven { at: now };
    login.record.used = now;
    login.put(draft)?;
    let mut list = draft.read::<TokenList>(Slot::Tokens)?.unwrap_or_default();
    // It counts among the others from now on, as the newest of them.
    list.entries.retain(|entry| entry.slot != login.slot);
    let credential_epoch = login.record.credential_epoch;
    list.entries.push(Entry { slot: login.slot, credential_epoch, waits: false });
    put_within_caps(draft, list)?;
    draft.event(EventKind::TokenConfirmed);
    Ok(())
}

/// Ends every token: for a commit that moves the credential epoch, which voids them by itself. Their records are swept.
pub(crate) fn end_all_in(draft: &mut Draft<'_>) -> Result<(), StepError> {
    draft.put(Slot::Tokens, &TokenList::default(), None)
}

fn put_within_caps(draft: &mut Draft<'_>, mut list: TokenList) -> Result<(), StepError> {
    for (waits, most) in [(true, MAX_WAITING), (false, MAX_TOKENS)] {
        let count = list.entries.iter().filter(|entry| entry.waits == waits).count();
        for _ in most..count {
            let Some(oldest) = list.entries.iter().position(|entry| entry.waits == waits) else { break };
            let gone = list.entries.remove(oldest);
            draft.delete(Slot::Token(gone.slot))?;
        }
    }
    draft.put(Slot::Tokens, &list, None)
}
