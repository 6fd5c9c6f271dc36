//! API tokens: what they may do, how long they live, and how many there are.
//!
//! A token is 128 random bits behind the user's id; a hash is stored (`docs/security.md` § 10). It
//! carries the epochs it was made in, so a change of password or address ends all tokens in the
//! commit that makes the change.

use keywright_core::{Client, ClientTag, UnixSeconds};
use keywright_store::slot::Expiring;
use keywright_store::{
    Draft, Full, Members, Partition, Record, Revision, Root, Slot, SlotFamily, SlotName, StepError, Tentative,
};
use keywright_twofactor::Method;
use keywright_wire::Network;
use serde::{Deserialize, Serialize};

use crate::events::{TOKEN_CONFIRMED, TOKEN_ISSUED};
use crate::protocol::token::Token;
use crate::protocol::user::UserId;

/// The most tokens of an account whose second factor is proven or not needed. Beyond that the
/// oldest is removed.
pub(crate) const MAX_TOKENS: usize = 64;
/// The most tokens that wait for their second factor. They are counted apart, so that a client that
/// has only the password ends no other login.
pub(crate) const MAX_WAITING: usize = 8;
/// How many seconds a token may be unused before it is void: 30 days (protocol § 5).
pub(crate) const IDLE_SECONDS: u64 = 30 * 24 * 60 * 60;
/// The last use is written at most this often, in seconds (protocol § 5).
pub(crate) const TOUCH_SECONDS: u64 = 5 * 60;

/// How old a login may be that its owner confirms on a page, in seconds: a quarter of an hour.
pub(crate) const CONFIRM_SECONDS: u64 = 15 * 60;

/// How far servers' clocks may differ, in seconds: a use further in the future comes from a clock
/// that ran ahead.
const CLOCK_SKEW: u64 = 60;

/// The prefix of a token's name in the guess ledger, so that no token ever has the tag of a
/// network.
const LABEL: &[u8] = b"librepass/token/";

/// The slots of the tokens themselves. The list decides which is removed: a new token replaces the
/// oldest of its own kind, either of those that wait for their second factor or of the others.
pub(crate) const TOKEN: SlotFamily<TokenRecord, Expiring> =
    SlotFamily::expiring("lp-token", MOST, Full::evicts_unlisted(TOKENS));
/// The slot of the list, which is in the order of removal.
pub(crate) const TOKENS: Slot<TokenList> = Slot::lasting("lp-tokens");
/// The most tokens of an account, of both kinds together.
const MOST: u16 = 72;

/// The state of a token's login with regard to the second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SecondFactor {
    /// The account had no second factor when the token was made.
    NotNeeded,
    /// The token may do nothing except prove the second factor.
    Waiting,
    Proven {
        at: UnixSeconds,
        /// Whether by a recovery code, which stands in for a passkey.
        by_recovery: bool,
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
    /// The vault as the token knows it: at its last read that counts, or after its own last write
    /// (`docs/decisions.md` 28).
    known: Option<KnownVault>,
    /// The client that logged in: a token that came along, else the network, else this token
    /// itself. It names the client that proves the second factor.
    opened_by: ClientTag,
    /// The network that the log-in came from, and the client's name for itself, for the page on
    /// which its owner confirms it (`docs/decisions.md` 57).
    network: Option<ClientTag>,
    client_name: Option<String>,
}

/// A vault as a token knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownVault {
    head: [u8; 16],
    /// The number of the vault's edits by then. What was stored by a later one the token has not
    /// read.
    edits: u64,
}

impl KnownVault {
    pub(crate) const fn new(head: Revision, edits: u64) -> Self {
        Self { head: head.to_bytes(), edits }
    }
}

impl Record for TokenRecord {
    const SCHEMA: u16 = 1;
}

impl TokenRecord {
    /// Whether no change of credentials or keys has ended the login.
    const fn is_current(&self, root: &Root) -> bool {
        self.credential_epoch == root.credential_epoch && self.key_epoch == root.key_epoch
    }
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
    /// The same as in the token's record.
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

/// A token that was found valid, with the contents of its record.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) user: UserId,
    slot: [u8; 16],
    record: TokenRecord,
}

impl Login {
    /// Returns the token as a client of the guess ledger, on the network that its request comes
    /// from. It is known by itself, from its log-in on, and never by the network of that log-in:
    /// other clients there must not hold it up.
    pub(crate) fn client(&self, draft: &Draft<'_>, network: Option<Network>) -> Client {
        let client = itself(draft, self.slot);
        network.map_or(client, |network| client.on_network(network.tag(draft)))
    }

    /// Like [`client`](Self::client), for a change of the second factor: the client that logged in
    /// with the token becomes known with it, because its next log-in brings another token.
    pub(crate) fn changer(&self, draft: &Draft<'_>, network: Option<Network>) -> Client {
        self.client(draft, network).introducing(self.record.opened_by, None)
    }

    /// Returns the client of a log-in whose second factor is not proven yet. A fresh token is
    /// unknown there, so it counts as the client that logged in with it, and becomes known itself.
    pub(crate) fn prover_in(&self, draft: &mut Draft<'_>, network: Option<Network>) -> Result<Client, StepError> {
        let client = introduce_in(draft, Client::credential(self.record.opened_by), self.slot)?;
        Ok(network.map_or(client, |network| client.on_network(network.tag(draft))))
    }

    /// Returns the slot of the token's record.
    pub(crate) const fn slot(&self) -> SlotName {
        TOKEN.at(self.slot).name()
    }

    /// Whether the token may act at all.
    pub(crate) const fn may_act(&self) -> bool {
        !matches!(self.record.factor, SecondFactor::Waiting)
    }

    /// Whether the second factor was proven within so many seconds. A proof in the future is not
    /// fresh.
    pub(crate) fn proven_within(&self, now: UnixSeconds, seconds: u64) -> bool {
        matches!(self.record.factor, SecondFactor::Proven { at, .. } if at <= now && now.since(at) < seconds)
    }

    /// Whether the second factor was proven by a recovery code.
    pub(crate) const fn is_proven_by_recovery(&self) -> bool {
        matches!(self.record.factor, SecondFactor::Proven { by_recovery: true, .. })
    }

    /// Returns the fence of the token's cipher writes.
    pub(crate) const fn key_epoch(&self) -> u64 {
        self.record.key_epoch
    }

    /// Returns the vault's revision as this token knows it, or `None` if it never read the whole
    /// vault.
    pub(crate) fn head(&self) -> Option<Revision> {
        self.record.known.map(|known| Revision::from_bytes(known.head))
    }

    /// Whether the token knows every cipher that an edit up to this one has stored.
    pub(crate) fn knows_edit(&self, edit: u64) -> bool {
        self.record.known.is_some_and(|known| edit <= known.edits)
    }

    /// Whether the token's last use must be written.
    pub(crate) fn is_stale(&self, now: UnixSeconds) -> bool {
        now.since(self.record.used) >= TOUCH_SECONDS || self.is_ahead(now)
    }

    /// Whether the token was made or used by a clock that ran ahead. Until that is settled the
    /// token does not age.
    pub(crate) fn is_ahead(&self, now: UnixSeconds) -> bool {
        self.record.made.max(self.record.used) > now.plus(CLOCK_SKEW)
    }

    /// Records a use. If the token's creation lies in the future, it is set to now.
    fn use_at(&mut self, now: UnixSeconds) {
        self.record.made = self.record.made.min(now);
        self.record.used = now;
    }

    fn put(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        draft.put_until(TOKEN.at(self.slot), &self.record, self.record.used.plus(IDLE_SECONDS))
    }
}

/// Returns the login of a token that is valid now. Returns `None` if it is unknown, was unused for
/// too long, belongs to an epoch that has ended, or is from before the keyring's fence. This
/// changes nothing. In a draft of another account no token is valid.
pub(crate) fn verify_in(draft: &mut Draft<'_>, token: &Token) -> Result<Option<Login>, StepError> {
    if *draft.partition() != Partition::account(token.user().account()) {
        return Ok(None);
    }
    let root = match draft.root() {
        Err(StepError::NoAccount) => return Ok(None),
        root => root?,
    };
    let (now, fence, slot) = (draft.now(), draft.keyring().fence(), token.slot());
    let Some(record) = draft.read(TOKEN.at(slot))? else { return Ok(None) };
    let good = token.matches(&record.verifier)
        && record.is_current(&root)
        && record.made >= fence
        && now.since(record.used) < IDLE_SECONDS;
    Ok(good.then(|| Login { user: token.user().clone(), slot, record }))
}

/// A login that waits for its second factor, as its owner is shown it.
pub(crate) struct WaitingLogin {
    /// The slot of its token, which names it.
    pub(crate) slot: [u8; 16],
    /// How long ago it was made, in seconds.
    pub(crate) seconds_ago: u64,
    /// The client's name for itself, in a form that can be shown.
    pub(crate) client: Option<String>,
}

/// Returns the logins from a network that wait for their second factor, the newest first. This
/// changes nothing.
pub(crate) fn waiting_in(draft: &mut Draft<'_>, network: ClientTag) -> Result<Vec<WaitingLogin>, StepError> {
    let now = draft.now();
    let mut found = Vec::new();
    for entry in list(draft)?.entries.into_iter().rev().filter(|entry| entry.waits) {
        if let Some(record) = waiting_record_in(draft, entry.slot, network)? {
            found.push(WaitingLogin {
                slot: entry.slot,
                seconds_ago: now.since(record.made),
                client: record.client_name,
            });
        }
    }
    Ok(found)
}

/// Returns a login from a network that waits for its second factor, by the slot of its token.
pub(crate) fn waiting_login_in(
    draft: &mut Draft<'_>,
    user: &UserId,
    slot: [u8; 16],
    network: ClientTag,
) -> Result<Option<Login>, StepError> {
    if *draft.partition() != Partition::account(user.account()) {
        return Ok(None);
    }
    Ok(waiting_record_in(draft, slot, network)?.map(|record| Login { user: user.clone(), slot, record }))
}

fn waiting_record_in(
    draft: &mut Draft<'_>,
    slot: [u8; 16],
    network: ClientTag,
) -> Result<Option<TokenRecord>, StepError> {
    let (now, fence) = (draft.now(), draft.keyring().fence());
    let root = match draft.root() {
        Err(StepError::NoAccount) => return Ok(None),
        root => root?,
    };
    let Some(record) = draft.read(TOKEN.at(slot))? else { return Ok(None) };
    let waits = record.is_current(&root)
        && record.factor == SecondFactor::Waiting
        && record.network == Some(network)
        && record.made >= fence
        && record.made <= now
        && now.since(record.made) < CONFIRM_SECONDS;
    Ok(waits.then_some(record))
}

/// Writes the last use, if it is [`TOUCH_SECONDS`] old, or not credible.
pub(crate) fn touch_in(draft: &mut Draft<'_>, login: &mut Login) -> Result<(), StepError> {
    let now = draft.now();
    if !login.is_stale(now) {
        return Ok(());
    }
    login.use_at(now);
    login.put(draft)
}

/// Records the vault that the token knows from now on.
pub(crate) fn follow_in(draft: &mut Draft<'_>, login: &mut Login, vault: KnownVault) -> Result<(), StepError> {
    if login.record.known == Some(vault) {
        return touch_in(draft, login);
    }
    login.record.known = Some(vault);
    login.use_at(draft.now());
    login.put(draft)
}

/// Returns the client of a log-in: the client named so far, together with the fresh token, which
/// becomes known by the same right key. If no client is named so far, it is the token alone.
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

/// Returns the client, extended so that it makes the token in a slot known. If the guess ledger has
/// no free place, the token takes that of the last token that the same client has logged in with: a
/// browser that logs in every day takes no other device's place.
fn introduce_in(draft: &mut Draft<'_>, client: Client, slot: [u8; 16]) -> Result<Client, StepError> {
    let before = list(draft)?.entries.into_iter().rev().filter(|entry| entry.slot != slot);
    let before = before.map(|entry| (entry.slot, entry.opened_by)).find(|(_, opener)| client.tag() == Some(*opener));
    let replaced = before.map(|(slot, _)| own_tag(draft, slot));
    Ok(client.introducing(own_tag(draft, slot), replaced))
}

/// Returns the token in a slot as a client of the guess ledger.
fn itself(draft: &Draft<'_>, slot: [u8; 16]) -> Client {
    Client::credential(own_tag(draft, slot))
}

fn own_tag(draft: &Draft<'_>, slot: [u8; 16]) -> ClientTag {
    draft.client_tag(&[LABEL, slot.as_slice()].concat())
}

/// Makes a fresh token valid. It is drawn outside the step, because its slot must be the same when
/// the step is run again; only after the commit may it be handed out. `client` is the client that
/// logged in; one without a name is known by the new token. `client_name` is what it calls itself.
pub(crate) fn issue_in(
    draft: &mut Draft<'_>,
    token: &Token,
    factor: SecondFactor,
    client: &Client,
    client_name: Option<&str>,
) -> Result<Tentative<()>, StepError> {
    let (root, now) = (draft.root()?, draft.now());
    let opened_by = client.tag().unwrap_or_else(|| own_tag(draft, token.slot()));
    let record = TokenRecord {
        verifier: token.verifier(),
        made: now,
        used: now,
        credential_epoch: root.credential_epoch,
        key_epoch: root.key_epoch,
        factor,
        known: None,
        opened_by,
        network: client.network_tag(),
        client_name: client_name.map(str::to_owned),
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

/// Records that the token's login has proven its second factor by a method.
pub(crate) fn confirm_in(draft: &mut Draft<'_>, login: &mut Login, by: Method) -> Result<(), StepError> {
    let (now, credential_epoch) = (draft.now(), draft.root()?.credential_epoch);
    login.record.factor = SecondFactor::Proven { at: now, by_recovery: by == Method::Recovery };
    login.use_at(now);
    // A change of the factors may have moved the epoch in this very draft: the login that made it
    // remains valid.
    login.record.credential_epoch = credential_epoch;
    login.put(draft)?;
    let mut list = list(draft)?;
    // From now on the token counts among the proven ones, as the newest of them.
    list.entries.retain(|entry| entry.slot != login.slot);
    let opened_by = login.record.opened_by;
    list.entries.push(Entry { slot: login.slot, credential_epoch, waits: false, opened_by });
    put_within_caps(draft, list)?;
    draft.event(&TOKEN_CONFIRMED);
    Ok(())
}

/// Ends every token, for a commit that moves the credential epoch, which voids them by itself.
pub(crate) fn end_all_in(draft: &mut Draft<'_>) -> Result<(), StepError> {
    put_within_caps(draft, TokenList::default())
}

/// Returns the tokens of the current epoch. Those of an epoch that has ended are void already.
fn list(draft: &mut Draft<'_>) -> Result<TokenList, StepError> {
    let epoch = draft.root()?.credential_epoch;
    let mut list = draft.read(TOKENS)?.unwrap_or_default();
    list.entries.retain(|entry| entry.credential_epoch == epoch);
    Ok(list)
}

/// Puts the list, without the oldest if there are too many; the records that it does not name are
/// removed with it.
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
