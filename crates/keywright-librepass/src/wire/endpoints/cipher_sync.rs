//! `POST cipher/sync` and the deprecated `GET cipher/sync?lastSync=S`: apply what a client changed,
//! then return what it has missed.

use http::Method;
use keywright_core::UnixSeconds;
use keywright_rekey::{Cipher, Contents, Edit, EditOutcome, Existing, Put, VAULT_SLOT};
use keywright_store::{CipherId, Draft, StepError, Which, released_as_is};
use keywright_wire::Reply;
use serde::{Deserialize, Serialize};

use crate::account::tokens::{self, KnownVault, Login};
use crate::protocol::cipher::{Bounded, Incoming, Note, Sent, SentId, Shown};
use crate::protocol::error::ApiError;
use crate::wire::answer::{Answered, Failure, ok};
use crate::wire::context::{Caller, Context};
use crate::wire::host::Host;
use crate::wire::request::Input;

/// How often a change is tried again because the vault was changed meanwhile. Each time another
/// client's change succeeds; after that the answer is "busy", which changes nothing.
const TRIES: usize = 32;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'b> {
    last_sync_timestamp: i64,
    #[serde(borrow)]
    updated: Bounded<Sent<'b>>,
    deleted: Bounded<SentId>,
}

#[derive(Serialize)]
struct Answer<'a> {
    ids: Vec<String>,
    ciphers: Vec<Shown<'a>>,
}

/// The changes that a client sends, checked as far as is possible without the vault.
#[derive(Default)]
pub(crate) struct Change<'b> {
    /// Sorted by id, none twice.
    put: Vec<Incoming<'b>>,
    /// Sorted, none twice, none that is also put: deletions come first, so a cipher that is both
    /// deleted and put is there afterwards.
    delete: Vec<CipherId>,
}

impl<'b> Change<'b> {
    /// Checks the lists. One id must not come twice among the updates, because it would be unclear
    /// which of the two is meant.
    pub(crate) fn new(mut put: Vec<Incoming<'b>>, mut delete: Vec<CipherId>) -> Result<Self, ApiError> {
        put.sort_unstable_by_key(|cipher| cipher.id);
        if put.windows(2).any(|pair| matches!(pair, [a, b] if a.id == b.id)) {
            return Err(ApiError::CIPHER);
        }
        delete.sort_unstable();
        delete.dedup();
        let mut change = Self { put, delete: Vec::new() };
        delete.retain(|id| change.incoming(*id).is_none());
        change.delete = delete;
        Ok(change)
    }

    fn incoming(&self, id: CipherId) -> Option<&Incoming<'b>> {
        self.put.binary_search_by_key(&id, |cipher| cipher.id).ok().and_then(|at| self.put.get(at))
    }

    fn deletes(&self, id: CipherId) -> bool {
        self.delete.binary_search(&id).is_ok()
    }

    /// Returns the ciphers that the change leaves as they are.
    fn leaves<'v>(&self, before: &'v Contents) -> impl Iterator<Item = &'v Cipher> {
        let ciphers = before.ciphers.iter();
        ciphers.filter(|cipher| !self.deletes(cipher.id()) && self.incoming(cipher.id()).is_none())
    }

    /// Whether the change leaves the vault unchanged. If so, the head does not move.
    fn is_idle(&self, existing: &Existing) -> bool {
        self.put.is_empty() && !self.delete.iter().any(|id| existing.contains(*id))
    }
}

/// A change that is done, and the state that it was applied to.
pub(crate) struct Changed {
    /// The vault, or the requested part of it, as it was before.
    pub(crate) before: Contents,
    /// The time of the change.
    now: UnixSeconds,
}

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Result<Reply, Failure> {
    let (stamp, change) = if input.method == Method::GET {
        let stamp = input.parameter("lastSync")?.parse().map_err(|_| ApiError::ARGUMENT_TYPE)?;
        (stamp, Change::default())
    } else {
        let body: Body<'_> = cx.compute(input.body, || input.json())??;
        if body.updated.over || body.deleted.over {
            return Err(ApiError::CIPHER.into());
        }
        let delete: Option<Vec<_>> = body.deleted.entries.into_iter().map(|SentId(id)| id).collect();
        let delete = delete.ok_or(ApiError::NOT_READABLE)?;
        let limits = &cx.policy.limits;
        let put = body.updated.entries.into_iter().map(|cipher| cipher.check(&caller.login.user, limits));
        (body.last_sync_timestamp, Change::new(put.collect::<Result<_, _>>()?, delete)?)
    };
    let reading = if input.is_head { Reading::Part } else { Reading::Since(stamp) };
    let changed = apply(cx, caller, &change, Which::All, reading).await?;
    show(caller, &change, &changed, stamp)
}

/// How much of what was read is in the answer.
#[derive(Clone, Copy)]
pub(crate) enum Reading {
    /// All of it, as the list has it.
    All,
    /// What this server stored since a client's stamp.
    Since(i64),
    /// Some ciphers, or none.
    Part,
}

impl Reading {
    /// Whether this read shows the token everything that it does not know yet
    /// (`docs/decisions.md` 28). What counts is what the answer leaves out, not the stamp: clocks
    /// may disagree or go back.
    fn is_complete(
        self,
        login: &Login,
        change: &Change<'_>,
        before: &Contents,
        now: UnixSeconds,
    ) -> Result<bool, StepError> {
        let since = match self {
            Self::All => return Ok(true),
            Self::Since(stamp) => since(stamp, now, before),
            Self::Part => return Ok(false),
        };
        for cipher in change.leaves(before) {
            let note = note_of(cipher)?;
            if note.stored < since && !login.knows_edit(note.edit) {
                return Ok(false);
            }
        }
        Ok(since == UnixSeconds::EPOCH || login.head().is_some())
    }
}

/// Reads the vault, or the requested part of it, all of one head, and changes it: one commit, on
/// exactly what was read. A complete read is recorded with the token, and so is the token's own
/// change if it knew the vault until then (`docs/decisions.md` 28).
pub(crate) async fn apply<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    change: &Change<'_>,
    which: Which<'_>,
    reading: Reading,
) -> Result<Changed, Failure> {
    for _ in 0..TRIES {
        // The token was removed together with its account in the meantime.
        let before = cx.vaults.read(caller.account(), which).await?.ok_or(ApiError::INVALID_TOKEN)?;
        if before.head.key_epoch != caller.login.key_epoch() {
            // The vault was encrypted again since: what was read is no longer this token's.
            return Err(ApiError::INVALID_TOKEN.into());
        }
        let existing = before.existing();
        let step = |draft: &mut Draft<'_>| change_in(cx, draft, caller, change, (&before, &existing), reading);
        match cx.step(caller.account(), &[caller.login.slot(), VAULT_SLOT], step).await? {
            Changing::Done(now) => return Ok(Changed { before, now }),
            Changing::HeadMoved => {}
            Changing::Refused(error) => return Err(error.into()),
        }
    }
    Err(ApiError::BUSY.into())
}

fn change_in<H: Host>(
    cx: &Context<H>,
    draft: &mut Draft<'_>,
    caller: &Caller,
    change: &Change<'_>,
    (before, existing): (&Contents, &Existing),
    reading: Reading,
) -> Result<Changing, StepError> {
    let Some(mut login) = tokens::verify_in(draft, &caller.token)?.filter(Login::may_act) else {
        return Ok(Changing::Refused(ApiError::INVALID_TOKEN));
    };
    let now = draft.now();
    let (head, edits) = (existing.head(), before.head.edits);
    let is_complete = reading.is_complete(&login, change, before, now)?;
    if change.is_idle(existing) {
        if is_complete {
            tokens::follow_in(draft, &mut login, KnownVault::new(head, edits))?;
        }
        // What was read is shown only to a token that is still valid afterwards: the batch consists
        // of checks alone.
        drop(draft.tentative(()));
        return Ok(Changing::Done(now));
    }
    let edit = edits.saturating_add(1);
    let notes: Vec<Vec<u8>> = change.put.iter().map(|cipher| cipher.note(now, edit).encode()).collect();
    let puts = change.put.iter().zip(&notes);
    let puts = puts.map(|(cipher, note)| Put::new(cipher.id, cipher.nonce, &cipher.text, note)).collect();
    let delete = change.delete.iter().copied().filter(|id| existing.contains(*id)).collect();
    let editing = cx.vaults.steps().edit_in(draft, &Edit::new(puts, delete), existing, login.key_epoch())?;
    Ok(match editing {
        EditOutcome::Done { head, .. } => {
            if is_complete || login.head() == Some(existing.head()) {
                tokens::follow_in(draft, &mut login, KnownVault::new(head, edit))?;
            }
            Changing::Done(now)
        }
        EditOutcome::HeadMoved => Changing::HeadMoved,
        EditOutcome::Full { limit } => Changing::Refused(ApiError::cipher_limit(limit)),
        EditOutcome::TooLarge { limit } => Changing::Refused(ApiError::vault_size(limit)),
        EditOutcome::Twice => Changing::Refused(ApiError::CIPHER),
        // A swap has ended the token.
        EditOutcome::Fenced => Changing::Refused(ApiError::INVALID_TOKEN),
    })
}

/// Returns the moment from which on stored ciphers are in an answer. After a whole vault was
/// encrypted again, all of its ciphers are new, whatever their descriptions state (protocol § 11,
/// 13). A stamp that is not in the past does not show what the client has missed, so the client
/// gets everything.
fn since(stamp: i64, now: UnixSeconds, before: &Contents) -> UnixSeconds {
    let stamp = u64::try_from(stamp).ok().and_then(|stamp| UnixSeconds::new(stamp).ok());
    let since = stamp.filter(|stamp| *stamp <= now).unwrap_or(UnixSeconds::EPOCH);
    if before.head.rekeyed >= since { UnixSeconds::EPOCH } else { since }
}

/// Returns all ids, and the ciphers that this server accepted since the stamp.
fn show(caller: &Caller, change: &Change<'_>, changed: &Changed, stamp: i64) -> Answered {
    let since = since(stamp, changed.now, &changed.before);
    let owner = caller.login.user.to_string();
    let left = change.leaves(&changed.before).map(|cipher| Ok((cipher.id(), cipher.text(), note_of(cipher)?)));
    // What is shown of a note does not depend on the edit.
    let put = change.put.iter().map(|cipher| Ok((cipher.id, &*cipher.text, cipher.note(changed.now, 0))));
    let mut all = left.chain(put).collect::<Result<Vec<_>, StepError>>()?;
    all.sort_unstable_by_key(|(id, ..)| *id);
    let ids = all.iter().map(|(id, ..)| keywright_rekey::id_text(*id)).collect();
    let new = all.iter().filter(|(.., note)| note.stored >= since);
    let ciphers = new.map(|(id, text, note)| note.shown(*id, &owner, text)).collect();
    ok(&Answer { ids, ciphers })
}
enum Changing {
    Done(UnixSeconds),
    HeadMoved,
    Refused(ApiError),
}

released_as_is!(Changing);

/// Returns the description of a stored cipher. One that cannot be read makes the whole answer fail:
/// it is never left out.
pub(crate) fn note_of(cipher: &Cipher) -> Result<Note, StepError> {
    Note::decode(cipher.note()).ok_or(StepError::Decode(VAULT_SLOT))
}
