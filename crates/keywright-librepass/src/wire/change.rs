//! The common parts of a change of password and a change of address: the body, the keys, the batch,
//! and the final commit.
//!
//! The body is read in one pass and borrowed from. Then the checks follow in this order
//! (`docs/decisions.md` 29): the old key, which is charged if it is wrong; the new key; the batch,
//! against the vault outside of any draft. Finally one commit checks token, old key and vault once
//! more. A batch that was made from another state of the vault is refused, and never checked again
//! against the current one: that would overwrite a cipher that was written in the meantime.

use keywright_core::{AccountId, ClientTag};
use keywright_rekey::{Difference, Fault, PlanOutcome, SealedSwap, Submission, VAULT_SLOTS};
use keywright_store::guess::LEDGER;
use keywright_store::names::NAMES;
use keywright_store::{Draft, Plain, Receipt, Release, Revision, SlotName, StageId, StepError, WrongReceipt};
use keywright_wire::Network;

use crate::account::credential::{CREDENTIAL, Credential};
use crate::account::guard::{KeyCheck, Proof, Sender};
use crate::account::pending::PENDING;
use crate::account::tokens::{self, Login, TOKENS};
use crate::protocol::change::Keys;
use crate::protocol::error::ApiError;
use crate::wire::answer::Failure;
use crate::wire::context::{Caller, Context};
use crate::wire::host::Host;

/// The slots that a change touches, except for the token itself.
pub(crate) const SLOTS: [SlotName; 7] = {
    let [vault, held] = VAULT_SLOTS;
    [CREDENTIAL.name(), LEDGER.name(), vault, held, PENDING.name(), NAMES.name(), TOKENS.name()]
};

/// The client that makes a change, and where it comes from.
#[derive(Clone, Copy)]
pub(crate) struct Changer<'c> {
    pub(crate) caller: &'c Caller,
    pub(crate) network: Option<Network>,
}

impl Changer<'_> {
    /// Returns the clients that are known at the new key from the start: the login that made the
    /// change, and its network, because the change ends every login.
    pub(crate) fn tags(&self, draft: &Draft<'_>, login: &Login) -> Vec<ClientTag> {
        let client = login.client(draft, self.network);
        let mut tags: Vec<ClientTag> = client.tag().into_iter().chain(client.network_tag()).collect();
        tags.dedup();
        tags
    }
}

/// The outcome of a request behind the old key.
enum Guarded<T> {
    /// The key is right, and the act was done.
    Done(T),
    /// The key is wrong and charged, or was not checked. This is committed.
    Denied(ApiError),
    /// Refused for another reason: nothing is written.
    Refused(ApiError),
}

impl<T: Release> Release for Guarded<T> {
    type Released = Guarded<T::Released>;
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Done(done) => Guarded::Done(done.release(receipt)?),
            Self::Denied(error) => Guarded::Denied(error),
            Self::Refused(error) => Guarded::Refused(error),
        })
    }
}

/// The vault revision that a batch must be based on: the one that the token has read last
/// (`docs/decisions.md` 28). For a token that never read the vault it is the revision at the
/// request's arrival, so that even then no cipher that is written while the change is made is
/// overwritten.
#[derive(Clone, Copy)]
pub(crate) struct Known(Option<Revision>);

/// Checks the old key, then the new one. That the old key is right is revealed only after a commit,
/// which writes nothing; it is forgiven with the change. `look` returns what else must be known of
/// the account.
pub(crate) async fn check_keys<H: Host, T: Copy + Send>(
    cx: &Context<H>,
    changer: Changer<'_>,
    keys: &Keys,
    look: impl Fn(&mut Draft<'_>) -> Result<T, StepError> + Send + Sync,
) -> Result<(Known, T), Failure> {
    let step = |draft: &mut Draft<'_>, check: &KeyCheck<'_>| {
        let judged = draft.judge(|draft| {
            enter(draft, check, changer, keys, |draft, login, _| {
                let arrival = cx.vaults.steps().revision_in(draft);
                Ok(Ok(Plain((Known(login.head().or(arrival)), look(draft)?))))
            })
        })?;
        match judged.outcome() {
            Guarded::Denied(_) => draft.stage(judged),
            Guarded::Refused(error) => Ok(Guarded::Refused(*error)),
            Guarded::Done(seen) => Ok(Guarded::Done(*seen)),
        }
    };
    let entry = cx.with_shared_key(changer.caller.account(), &slots(changer.caller), step).await?;
    let seen = entry.granted()?;
    // The new key opens nothing yet, so a wrong one is not charged.
    if !cx.are_a_pair(&keys.new_public, &keys.new_shared).await? {
        return Err(ApiError::SHARED_KEY.into());
    }
    Ok(seen)
}

/// Checks the batch of a body against the current vault, which must be the revision that is known,
/// and seals it.
pub(crate) async fn check_batch<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    known: Known,
    (body, batch): (&[u8], &Submission<'_>),
) -> Result<SealedSwap, Failure> {
    let account = caller.account();
    let manifest = cx.vaults.manifest(account).await?;
    let accepting = cx.vaults.accepting_long(account, batch).await?;
    let batch = accepting.as_ref().unwrap_or(batch);
    match cx.compute(body, || cx.vaults.plan_against(account, batch, &manifest, known.0))?? {
        PlanOutcome::Ready(sealed) => Ok(sealed),
        PlanOutcome::Refused(difference) => Err(Failure::Batch(verdict(&difference), Box::new(difference))),
    }
}

/// Commits a change: token and old key are checked again, then `act` makes the change. A refusal by
/// `act` writes nothing.
pub(crate) async fn commit_change<H: Host, T: Release + Send>(
    cx: &Context<H>,
    changer: Changer<'_>,
    keys: &Keys,
    act: impl Fn(&mut Draft<'_>, &Login, Credential) -> Result<Result<T, ApiError>, StepError> + Send + Sync,
) -> Result<T::Released, Failure> {
    let step = |draft: &mut Draft<'_>, check: &KeyCheck<'_>| {
        let judged = draft.judge(|draft| enter(draft, check, changer, keys, &act))?;
        match judged.outcome() {
            Guarded::Refused(error) => Ok(Guarded::Refused(*error)),
            Guarded::Done(_) | Guarded::Denied(_) => draft.stage(judged),
        }
    };
    let entry = cx.with_shared_key(changer.caller.account(), &slots(changer.caller), step).await?;
    entry.granted()
}

/// Checks the token and the old key, then runs `act`.
fn enter<T>(
    draft: &mut Draft<'_>,
    check: &KeyCheck<'_>,
    changer: Changer<'_>,
    keys: &Keys,
    act: impl Fn(&mut Draft<'_>, &Login, Credential) -> Result<Result<T, ApiError>, StepError>,
) -> Result<Guarded<T>, StepError> {
    let login = tokens::verify_in(draft, &changer.caller.token)?.filter(Login::may_act);
    let Some(login) = login else { return Ok(Guarded::Refused(ApiError::INVALID_TOKEN)) };
    let Some(credential) = Credential::read(draft)? else { return Ok(Guarded::Refused(ApiError::INVALID_TOKEN)) };
    let sender = Sender { client: login.client(draft, changer.network), network: changer.network };
    Ok(match check.judge_in(draft, &credential, &keys.old, &sender)? {
        Proof::Wrong => Guarded::Denied(ApiError::SHARED_KEY),
        Proof::Refused { retry_after } => Guarded::Denied(ApiError::too_many(retry_after)),
        Proof::Right => match act(draft, &login, credential)? {
            Ok(done) => Guarded::Done(done),
            Err(error) => Guarded::Refused(error),
        },
    })
}

/// Removes a staged vault that nothing holds any more. If it cannot be removed, the sweep does it.
pub(crate) async fn unstage<H: Host>(cx: &Context<H>, account: &AccountId, stage: Option<StageId>) {
    let Some(stage) = stage else { return };
    if let Err(error) = cx.vaults.unstage(account, stage).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "a staged vault is left to the sweep");
    }
}
impl<T> Guarded<T> {
    fn granted(self) -> Result<T, Failure> {
        match self {
            Self::Done(done) => Ok(done),
            Self::Denied(error) | Self::Refused(error) => Err(error.into()),
        }
    }
}

/// Whether a plan still fits what the token knows: the token may have read or written since.
pub(crate) fn is_known(login: &Login, sealed: &SealedSwap) -> bool {
    login.head().is_none() || login.head() == sealed.head()
}

fn slots(caller: &Caller) -> Vec<SlotName> {
    SLOTS.into_iter().chain([caller.login.slot()]).collect()
}

/// Returns the code for a batch that does not fit (`docs/decisions.md` 35).
fn verdict(difference: &Difference) -> ApiError {
    let has = |fault| difference.count(fault) > 0;
    if has(Fault::WrongType) {
        return ApiError::NOT_READABLE;
    }
    let malformed = [Fault::MalformedId, Fault::MalformedText, Fault::Duplicate, Fault::Unchanged, Fault::ReusedNonce];
    // A client corrects missing and stale ciphers by reading the vault again, so these are reported
    // first.
    if !malformed.into_iter().any(has) || has(Fault::Stale) { ApiError::MISSING_CIPHER } else { ApiError::CIPHER }
}

/// How many ids or positions the message of a refused batch has for each fault
/// (`docs/decisions.md` 63).
const NAMED: usize = 10;

/// Returns the faults of a batch with the ciphers that have them, for the author of the client:
/// `missing <id>, <id> and 2 more; duplicate <id>`. An entry without a usable id is named by its
/// place in the batch, from 0.
pub(crate) fn named(difference: &Difference) -> String {
    let fault = |fault: Fault| {
        let ids = difference.ids(fault).iter().map(|id| keywright_rekey::id_text(*id));
        let places = difference.positions(fault).iter().map(|place| format!("at {place}"));
        let names: Vec<String> = ids.chain(places).take(NAMED).collect();
        let more = difference.count(fault).saturating_sub(names.len());
        match (names.is_empty(), more) {
            (true, _) => fault.to_string(),
            (false, 0) => format!("{fault} {}", names.join(", ")),
            (false, more) => format!("{fault} {} and {more} more", names.join(", ")),
        }
    };
    difference.faults().map(fault).collect::<Vec<_>>().join("; ")
}
