//! API tokens: what they may do, how long they live, how many there are.
//!
//! A token is 128 random bits behind the user's id; stored is a hash (`docs/security.md` § 10). It carries the epochs
//! it was made in, so a change of password or address ends all of them in the commit that changes it.

use keywright_core::{Client, ClientTag, UnixSeconds};
use keywright_store::slot::Expiring;
use keywright_store::{
    Draft, Full, Members, Partition, Record, Revision, Slot, SlotFamily, SlotName, StepError, Tentative,
};
use keywright_wire::Network;
use serde::{Deserialize, Serialize};

use crate::events::{TOKEN_CONFIRMED, TOKEN_ISSUED};
use crate::protocol::token::Token;
use crate::protocol::user::UserId;

/// The most tokens of an account whose second factor is proven or not needed. The oldest goes.
pub(crate) const MAX_TOKENS: usize = 64;
/// The most that wait for their second factor. Apart, so that whoever has only the password ends no other login.
pub(crate) const MAX_WAITING: usize = 8;
/// A token that was not used for so many seconds is void: 30 days (protocol § 5).
pub(crate) const IDLE_SECONDS: u64 = 30 * 24 * 60 * 60;
/// The last use is written at most this often, in seconds (protocol § 5).
pub(crate) const TOUCH_SECONDS: u64 = 5 * 60;

/// How far servers' clocks may differ, in seconds: a use that lies further in the future comes from a clock that ran ahead.
const CLOCK_SKEW: u64 = 60;

/// What a token's name in the guess ledger begins with, so that no token ever has the tag of a network.
const LABEL: &[u8] = b"librepass/token/";

/// The tokens themselves. The list decides who goes: of those that wait for their second factor the oldest, and of the others
/// the oldest, each for one of its own kind.
pub(crate) const TOKEN: SlotFamily<TokenRecord, Expiring> =
    SlotFamily::expiring("lp-token", MOST, Full::evicts_unlisted(TOKENS));
/// Which there are, in the order in which they go.
pub(crate) const TOKENS: Slot<TokenList> = Slot::lasting("lp-tokens");
/// All tokens of an account.
const MOST: u16 = 72;

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
pub(crate) struct TokenRecord {
    verifier: [u8; 32],
    made: UnixSeconds,
    used: UnixSeconds,
    credential_epoch: u64,
    key_epoch: u64,
    factor: SecondFactor,
    /// The vault's revision at the token's last full read, or after its own last write (`docs/decisions.md` 28).
    head: Option<[u8; 16]>,
    /// Who logged in: a token that came along, else the network, else this token itself. It names the client that proves
    /// the second factor.
    opened_by: ClientTag,
}

impl Record for TokenRecord {
    const SCHEMA: u16 = 1;
}

/// All tokens of an account, the oldest first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct TokenList {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    slot: [u8; 16],
    credential_epoch: u64,
    waits: bool,
    /// As in its record.
    opened_by: ClientTag,
}

impl Record for TokenList {
    const SCHEMA: u16 = 1;
}

impl Members for TokenList {
    fn lists(&self, id: &[u8; 16]) -> bool {
        self.entries.iter().any(|entry| entry.slot == *id)
    }
}

/// A token that was found good, as it stands in its record.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) user: UserId,
    slot: [u8; 16],
    record: TokenRecord,
}

impl Login {
    /// The token as a client of the guess ledger, on the network that its request comes from. It is known by itself,
    /// from its log-in on, and never by the network of that log-in: whoever else is there must not hold it up.
    pub(crate) fn client(&self, draft: &Draft<'_>, network: Option<Network>) -> Client {
        let client = itself(draft, self.slot);
        network.map_or(client, |network| client.on_network(network.tag(draft)))
    }

    /// The same for a change of the second factor: whoever logged in with the token becomes known with it, because the
    /// next log-in from there brings another token.
    pub(crate) fn changer(&self, draft: &Draft<'_>, network: Option<Network>) -> Client {
        self.client(draft, network).introducing(self.record.opened_by, None)
    }

    /// The client of a log-in whose second factor is not proven yet: a fresh token is unknown there, so it counts as who
    /// logged in with it, and becomes known itself.
    pub(crate) fn prover_in(&self, draft: &mut Draft<'_>, network: Option<Network>) -> Result<Client, StepError> {
        let client = introduce_in(draft, Client::credential(self.record.opened_by), self.slot)?;
        Ok(network.map_or(client, |network| client.on_network(network.tag(draft))))
    }

    /// The slot of its record.
    pub(crate) const fn slot(&self) -> SlotName {
        TOKEN.at(self.slot).name()
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
        now.since(self.record.used) >= TOUCH_SECONDS || self.is_ahead(now)
    }

    /// Whether it was made or used by a clock that ran ahead. Until that is settled it grows no older.
    pub(crate) fn is_ahead(&self, now: UnixSeconds) -> bool {
        self.record.made.max(self.record.used) > now.plus(CLOCK_SKEW)
    }

    /// Notes a use. What lies in the future was made now at the latest.
    fn use_at(&mut self, now: UnixSeconds) {
        self.record.made = self.record.made.min(now);
        self.record.used = now;
    }

    fn put(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        draft.put_until(TOKEN.at(self.slot), &self.record, self.record.used.plus(IDLE_SECONDS))
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
    let Some(record) = draft.read(TOKEN.at(slot))? else { return Ok(None) };
    let good = token.matches(&record.verifier)
        && record.credential_epoch == root.credential_epoch
        && record.key_epoch == root.key_epoch
        && record.made >= fence
        && now.since(record.used) < IDLE_SECONDS;
    Ok(good.then(|| Login { user: token.user().clone(), slot, record }))
}

/// Writes the last use, if it is [`TOUCH_SECONDS`] old, or not to be believed.
pub(crate) fn touch_in(draft: &mut Draft<'_>, login: &mut Login) -> Result<(), StepError> {
    let now = draft.now();
    if !login.is_stale(now) {
        return Ok(());
    }
    login.use_at(now);
    login.put(draft)
}

/// Notes the vault's revision that the token knows from now on.
pub(crate) fn follow_in(draft: &mut Draft<'_>, login: &mut Login, head: Option<Revision>) -> Result<(), StepError> {
    let head = head.map(Revision::to_bytes);
    if login.record.head == head {
        return touch_in(draft, login);
    }
    login.record.head = head;
    login.use_at(draft.now());
    login.put(draft)
}

/// The client of a log-in: whoever is named so far, and the fresh token, which becomes known by the same right key.
/// Without a name so far the token is all there is.
pub(crate) fn log_in_client_in(
    draft: &mut Draft<'_>,
    named: Option<Client>,
    token: &Token,
) -> Result<Client, StepError> {
    match named {
        Some(named) => introduce_in(draft, named, token.slot()),
        None => Ok(itself(draft, token.slot())),
    }
}

/// The client, which makes the token in a slot known. Where the guess ledger has no free place, that is the place of the
/// last token that the same client has logged in with: a browser that logs in every day takes no other device's.
fn introduce_in(draft: &mut Draft<'_>, client: Client, slot: [u8; 16]) -> Result<Client, StepError> {
    let before = list(draft)?.entries.into_iter().rev().filter(|entry| entry.slot != slot);
    let before = before.map(|entry| (entry.slot, entry.opened_by)).find(|(_, opener)| client.tag() == Some(*opener));
    let replaced = before.and_then(|(slot, _)| itself(draft, slot).tag());
    Ok(itself(draft, slot).tag().map_or(client, |tag| client.introducing(tag, replaced)))
}

/// The token in a slot, as the guess ledger knows it.
fn itself(draft: &Draft<'_>, slot: [u8; 16]) -> Client {
    Client::credential(draft.client_tag(&[LABEL, slot.as_slice()].concat()))
}

/// Makes a fresh token good. It is drawn outside the step, because its slot must be the same when the step is run again;
/// the commit is what allows to give it out. `client` is who logged in.
pub(crate) fn issue_in(
    draft: &mut Draft<'_>,
    token: &Token,
    factor: SecondFactor,
    client: &Client,
) -> Result<Tentative<()>, StepError> {
    let (root, now) = (draft.root()?, draft.now());
    let opened_by = client.tag().ok_or(StepError::Misuse("a log-in without a name"))?;
    let record = TokenRecord {
        verifier: token.verifier(),
        made: now,
        used: now,
        credential_epoch: root.credential_epoch,
        key_epoch: root.key_epoch,
        factor,
        head: None,
        opened_by,
    };
    let login = Login { user: token.user().clone(), slot: token.slot(), record };
    login.put(draft)?;
    let mut list = list(draft)?;
    let waits = factor == SecondFactor::Waiting;
    list.entries.push(Entry { slot: login.slot, credential_epoch: root.credential_epoch, waits, opened_by });
    put_within_caps(draft, list)?;
    draft.event(&TOKEN_ISSUED);
    Ok(draft.tentative(()))
}

/// The token's login has proven its second factor.
pub(crate) fn confirm_in(draft: &mut Draft<'_>, login: &mut Login) -> Result<(), StepError> {
    let (now, credential_epoch) = (draft.now(), draft.root()?.credential_epoch);
    login.record.factor = SecondFactor::Proven { at: now };
    login.use_at(now);
    // A change of the factors may have moved the epoch in this very draft: the login that made it goes on.
    login.record.credential_epoch = credential_epoch;
    login.put(draft)?;
    let mut list = list(draft)?;
    // It counts among the others from now on, as the newest of them.
    list.entries.retain(|entry| entry.slot != login.slot);
    let opened_by = login.record.opened_by;
    list.entries.push(Entry { slot: login.slot, credential_epoch, waits: false, opened_by });
    put_within_caps(draft, list)?;
    draft.event(&TOKEN_CONFIRMED);
    Ok(())
}

/// Ends every token: for a commit that moves the credential epoch, which voids them by itself.
pub(crate) fn end_all_in(draft: &mut Draft<'_>) -> Result<(), StepError> {
    put_within_caps(draft, TokenList::default())
}

/// The tokens of the present epoch. Those of an epoch that is over are void already.
fn list(draft: &mut Draft<'_>) -> Result<TokenList, StepError> {
    let epoch = draft.root()?.credential_epoch;
    let mut list = draft.read(TOKENS)?.unwrap_or_default();
    list.entries.retain(|entry| entry.credential_epoch == epoch);
    Ok(list)
}

/// Puts the list, without the oldest if there are too many; the records that it does not name go with it.
fn put_within_caps(draft: &mut Draft<'_>, mut list: TokenList) -> Result<(), StepError> {
    for (waits, most) in [(true, MAX_WAITING), (false, MAX_TOKENS)] {
        let count = list.entries.iter().filter(|entry| entry.waits == waits).count();
        for _ in most..count {
            let Some(oldest) = list.entries.iter().position(|entry| entry.waits == waits) else { break };
            list.entries.remove(oldest);
        }
    }
    draft.put_members(TOKEN, TOKENS, &list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declared_bound_is_the_sum_of_both_caps() {
        assert_eq!(usize::from(MOST), MAX_TOKENS + MAX_WAITING);
    }
}
