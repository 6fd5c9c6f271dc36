//! The real code: drivers over one store in memory, advanced one answer at a time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use keywright_core::{AccountId, EventChain, EventKind, Keyring, ManualClock, Severity, SystemEntropy, UnixSeconds};
use keywright_model::coverage;
use keywright_model::model::{Config, Start};
use keywright_model::step::Act;
use keywright_model::world::{Expiry, PROMOTED, SLOTS, VAULT};
use keywright_store::probe::{RootView, open_record};
use keywright_store::slot::Expiring;
use keywright_store::{
    Batch, CommitError, Draft, Driver, MemoryStore, Partition, Record, RecordStore, Revision, Slot, SlotName, Snapshot,
    StepError, TransactError, Upkeep, VaultStore, VaultWrite, Which,
};
use serde::{Deserialize, Serialize};

use crate::gate::{Answer, Asked, Gate, gated};
use crate::seen::{self, Root, Row, Seen, Sent, Wants, Write};
use crate::vault::{CIPHERS, HEAD, Head, STAGE, Staged, ciphers, head, head_of, promote};

const DAY: u64 = 86_400;
const START: UnixSeconds = UnixSeconds::EPOCH.plus(1_700_000_000);

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Number {
    value: u8,
}
impl Record for Number {
    const SCHEMA: u16 = 1;
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Session {
    until: Option<u64>,
}
impl Record for Session {
    const SCHEMA: u16 = 1;
}

const CODE: Slot<Number> = Slot::lasting("code");
const COUNTER: Slot<Number> = Slot::lasting("counter");
/// One slot, whose record may expire or be kept permanently.
const SESSION: Slot<Session, Expiring> = Slot::expiring("session");
const KEPT: Slot<Session> = Slot::lasting("session");
/// The slots that a step names if it finds out later that it needs the session too.
const FIRST: &[SlotName] = &[CODE.name(), COUNTER.name(), HEAD.name()];
/// In the order of the model.
const NAMES: [SlotName; SLOTS] = [CODE.name(), COUNTER.name(), SESSION.name(), HEAD.name()];

static REDEEMED: EventKind = EventKind::change("test_redeemed", Severity::Info, "a code was redeemed");
static CHANGED: EventKind = EventKind::change("test_changed", Severity::Info, "the counter was moved");
static VERIFIED: EventKind = EventKind::change("test_verified", Severity::Info, "an account was verified");

/// A day of the model.
fn moment(day: u8) -> UnixSeconds {
    START.plus(u64::from(day) * DAY)
}

fn day(moment: UnixSeconds) -> u8 {
    let since = moment.get().checked_sub(START.get()).unwrap();
    assert_eq!(since % DAY, 0, "all moments are whole days");
    u8::try_from(since / DAY).unwrap()
}

fn expiry(moment: Option<UnixSeconds>) -> Expiry {
    moment.map(day)
}

fn id(revision: Revision) -> u128 {
    u128::from_be_bytes(revision.to_bytes())
}

/// A store in memory answers every call at once.
fn at_once<T>(mut future: Pin<Box<dyn Future<Output = T> + Send + '_>>) -> T {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a store in memory waits"),
    }
}

type ActResult = Result<bool, TransactError>;

struct Server {
    gate: Arc<Gate>,
    clock: Arc<ManualClock>,
    driver: Driver,
    act: Option<Pin<Box<dyn Future<Output = ActResult> + Send>>>,
    /// The first of two reads.
    half: Option<Snapshot>,
}

pub(crate) struct Real {
    config: Config,
    account: Partition,
    keyring: Arc<Keyring>,
    store: Arc<MemoryStore>,
    servers: Vec<Server>,
    held: Vec<(Option<u8>, Batch)>,
    staged: Staged,
    now: u8,
    /// The answer to the last caller.
    pub(crate) answer: Option<coverage::Answer>,
}

impl Real {
    pub(crate) fn new(config: &Config) -> Self {
        let mut real = Self {
            config: config.clone(),
            account: Partition::account(&AccountId::new("user-1").unwrap()),
            keyring: Arc::new(Keyring::generate(&SystemEntropy).unwrap()),
            store: Arc::new(MemoryStore::new()),
            servers: Vec::new(),
            held: Vec::new(),
            staged: Staged::default(),
            now: config.first_day,
            answer: None,
        };
        let horizon = at_once(real.store.move_horizon(moment(config.first_day))).unwrap();
        assert_eq!(day(horizon), config.first_day);
        if config.start != Start::Nothing {
            let clock = Arc::new(ManualClock::new(moment(config.first_day)));
            let driver =
                Driver::new(Arc::clone(&real.store) as _, Arc::clone(&real.keyring), Arc::new(SystemEntropy), clock);
            let until = moment(config.first_day + 1);
            let begin = |draft: &mut Draft<'_>| {
                create(draft)?;
                if config.start == Start::Session {
                    draft.put_until(SESSION, &Session { until: Some(until.get()) }, until)?;
                }
                if config.start == Start::Vault {
                    draft.put(HEAD, &head(1))?;
                    draft.write_vault(VaultWrite::Edit { put: ciphers(1), delete: Vec::new() })?;
                }
                Ok(())
            };
            at_once(Box::pin(driver.transact(&real.account, &NAMES, begin))).unwrap();
        }
        for number in 0..config.ahead.len() {
            let server = real.server(number);
            real.servers.push(server);
        }
        real
    }

    fn clock(&self, number: usize) -> UnixSeconds {
        moment(self.now.checked_add_signed(self.config.ahead[number]).unwrap())
    }

    fn horizon(&self) -> UnixSeconds {
        at_once(self.store.horizon()).unwrap().unwrap()
    }

    /// A server at its start: it learns the current horizon, and believes it up to its own clock.
    fn server(&self, number: usize) -> Server {
        let gate = Arc::new(Gate::default());
        let clock = Arc::new(ManualClock::new(self.clock(number)));
        let driver =
            Driver::new(gated(&gate), Arc::clone(&self.keyring), Arc::new(SystemEntropy), Arc::clone(&clock) as _);
        driver.set_horizon(self.horizon().min(self.clock(number)));
        Server { gate, clock, driver, act: None, half: None }
    }

    pub(crate) fn begin(&mut self, number: usize, act: Act) {
        if act == Act::Stage {
            return self.stage();
        }
        let staged = Arc::clone(&self.staged);
        let slots: &'static [SlotName] = if self.config.extra_load { FIRST } else { &NAMES };
        let (driver, account) = (self.servers[number].driver.clone(), self.account.clone());
        self.servers[number].act =
            Some(Box::pin(async move { driver.transact(&account, slots, |draft| step(act, &staged, draft)).await }));
        self.go_on(number);
        self.load(number, true);
    }

    /// Stages rows over the vault as it is.
    fn stage(&mut self) {
        let snapshot = at_once(self.store.load(&self.account, &[HEAD.name()])).unwrap();
        let Some((root, body)) = snapshot.root.zip(snapshot.records.into_iter().next().flatten()) else { return };
        let view = RootView::open(&self.keyring, &self.account, root.revision, &root.body).unwrap();
        let (_, base, _) = view.contents.iter().find(|(name, ..)| *name == HEAD.name()).unwrap();
        let there: Head = open_record(&self.keyring, &self.account, HEAD.name(), *base, &body).unwrap();
        let state = there.state + PROMOTED;
        at_once(self.store.stage(&self.account, STAGE, ciphers(state), UnixSeconds::MAX)).unwrap();
        *self.staged.lock().unwrap() = Some((*base, state));
    }

    /// Answers a load. With `first`, it only reads the root if loads take two reads.
    pub(crate) fn load(&mut self, number: usize, first: bool) {
        let Some(Asked::Load(slots)) = self.servers[number].gate.asked() else { panic!("no load was asked for") };
        let snapshot = at_once(self.store.load(&self.account, &slots)).unwrap();
        let server = &mut self.servers[number];
        let snapshot = match server.half.take() {
            None if first && self.config.two_reads => {
                server.half = Some(snapshot);
                return;
            }
            None => snapshot,
            Some(half) => {
                let has_rows = snapshot.records.iter().any(Option::is_some);
                Snapshot { records: snapshot.records, has_rows, ..half }
            }
        };
        server.gate.answer(Answer::Loaded(snapshot));
        self.go_on(number);
    }

    fn batch(&self, number: usize) -> Batch {
        match self.servers[number].gate.asked() {
            Some(Asked::Commit(batch)) => batch,
            other => panic!("no commit was asked for: {other:?}"),
        }
    }

    pub(crate) fn commit(&mut self, number: usize) {
        let answer = at_once(self.store.commit(self.batch(number)));
        assert!(matches!(answer, Ok(()) | Err(CommitError::Conflict)), "{answer:?}");
        self.reply(number, answer);
    }

    pub(crate) fn lose(&mut self, number: usize) {
        let batch = self.batch(number);
        if batch.write().is_some() {
            self.held.push((u8::try_from(number).ok(), batch));
        }
        self.reply(number, Err(CommitError::Unknown("the reply is lost".into())));
    }

    pub(crate) fn refuse(&mut self, number: usize) {
        self.reply(number, Err(CommitError::Conflict));
    }

    fn reply(&mut self, number: usize, answer: Result<(), CommitError>) {
        self.servers[number].gate.answer(Answer::Commit(answer));
        self.go_on(number);
    }

    pub(crate) fn restart(&mut self, number: usize) {
        self.servers[number].act = None;
        self.disown(number);
        self.servers[number] = self.server(number);
        self.answer = Some(coverage::Answer::Unknown);
    }

    pub(crate) fn land(&mut self, held: usize) {
        let (_, batch) = self.held.remove(held);
        at_once(self.store.commit(batch)).unwrap();
    }

    pub(crate) fn pass_a_day(&mut self) {
        self.now += 1;
        for number in 0..self.servers.len() {
            self.servers[number].clock.set(self.clock(number));
        }
    }

    pub(crate) fn sweep(&mut self, ahead: u8) {
        let was = self.root().is_some();
        at_once(self.store.move_horizon(moment(self.now + ahead))).unwrap();
        at_once(self.store.sweep(u32::MAX)).unwrap();
        if !self.config.late_news {
            (0..self.servers.len()).for_each(|number| self.hear(number));
        }
        if was && self.root().is_none() {
            // What was sent before there was a root is as old as the model assumes.
            self.held.retain(|(_, batch)| batch.expect().is_some());
        }
    }

    pub(crate) fn hear(&mut self, number: usize) {
        self.servers[number].driver.set_horizon(self.horizon());
    }

    /// Lets a driver continue with its answer.
    fn go_on(&mut self, number: usize) {
        let Some(act) = &mut self.servers[number].act else { panic!("nothing was begun") };
        let Poll::Ready(result) = act.as_mut().poll(&mut Context::from_waker(Waker::noop())) else { return };
        self.servers[number].act = None;
        self.disown(number);
        self.answer = Some(match result {
            Ok(true) => coverage::Answer::Done,
            Ok(false) | Err(TransactError::Busy) => coverage::Answer::Refused,
            Err(TransactError::Unknown(_)) => coverage::Answer::Unknown,
            Err(TransactError::Step(error)) if error.is_damage() => coverage::Answer::Integrity,
            Err(error) => panic!("{error:?}"),
        });
    }

    fn disown(&mut self, number: usize) {
        for (owner, _) in &mut self.held {
            *owner = owner.filter(|owner| usize::from(*owner) != number);
        }
    }

    fn root(&self) -> Option<(Revision, Bytes)> {
        let snapshot = at_once(self.store.load(&self.account, &[])).unwrap();
        snapshot.root.map(|root| (root.revision, root.body))
    }

    /// The same form as the model's.
    pub(crate) fn seen(&mut self) -> Seen {
        // In the model's order.
        self.held.sort_by_key(|(owner, _)| *owner);
        let snapshot = at_once(self.store.load(&self.account, &NAMES)).unwrap();
        let root = snapshot.root.map(|root| self.open_root(root.revision, &root.body));
        let mut rows = [None; SLOTS];
        for (slot, body) in snapshot.records.iter().enumerate() {
            let Some(body) = body else { continue };
            let Some((put, expiry)) = root.as_ref().and_then(|root| root.contents[slot]) else {
                panic!("a row that no root names");
            };
            rows[slot] = Some((put, self.open(slot, Revision::from_bytes(put.to_be_bytes()), body), expiry));
        }
        let log = at_once(self.store.events(&self.account, EventChain::Changes, None, u32::MAX)).unwrap();
        let log = log.events.iter().rev().map(|event| event.number).collect();
        let (vault, stage) = (self.vault(&root), self.staged());
        let held = self.held.iter().map(|(owner, batch)| (*owner, self.sent(batch))).collect();
        let wants = |server: &Server| match server.gate.asked() {
            _ if server.act.is_none() => Wants::Nothing,
            Some(Asked::Commit(batch)) => Wants::Commit(self.sent(&batch)),
            Some(Asked::Load(_)) => Wants::Load,
            None => panic!("a driver waits for nothing"),
        };
        Seen { root, rows, log, vault, stage, held, drivers: self.servers.iter().map(wants).collect() }.numbered()
    }

    /// Returns the value of the vault's rows. The head must vouch for exactly these, by count and
    /// digest.
    fn vault(&self, root: &Option<Root>) -> Option<u8> {
        let seen = at_once(self.store.read(&self.account, Which::All)).unwrap();
        let manifest = at_once(self.store.manifest(&self.account)).unwrap();
        assert!(seen.rows.iter().map(|row| &row.marks).eq(&manifest.rows));
        let put = root.as_ref().and_then(|root| root.contents[VAULT]).map(|(put, _)| put);
        let Some(put) = put else {
            assert!(seen.rows.is_empty(), "ciphers without a head");
            return None;
        };
        let body = at_once(self.store.load(&self.account, &[HEAD.name()])).unwrap().records[0].clone().unwrap();
        let revision = Revision::from_bytes(put.to_be_bytes());
        let there: Head = open_record(&self.keyring, &self.account, HEAD.name(), revision, &body).unwrap();
        assert_eq!(there, head_of(there.state, &manifest.rows), "count and digest");
        assert!(seen.rows.iter().all(|row| row.text[..] == [there.state]));
        Some(there.state)
    }

    /// Returns what is in the stage, and the head under which it was staged.
    fn staged(&self) -> Option<(u128, u8)> {
        let texts = at_once(self.store.staged_texts(&self.account, STAGE, None, u32::MAX)).unwrap();
        let known = *self.staged.lock().unwrap();
        let (base, state) = known.filter(|_| !texts.is_empty())?;
        assert!(texts.len() == usize::from(CIPHERS) && texts.iter().all(|text| text.text[..] == [state]));
        Some((id(base), state))
    }

    fn open_root(&self, revision: Revision, body: &Bytes) -> Root {
        let view = RootView::open(&self.keyring, &self.account, revision, body).unwrap();
        let mut contents = [None; SLOTS];
        for (name, put, until) in &view.contents {
            contents[slot(name)] = Some((id(*put), expiry(*until)));
        }
        let recent = view.recent.iter().take(self.config.depth).copied().map(id).collect();
        assert_eq!(view.newest.denials, 0, "nothing is denied");
        let events = view.newest.changes;
        Root { revision: id(revision), recent, contents, expires: expiry(view.expires), events }
    }

    /// Returns a record's value. It must open under exactly this revision.
    fn open(&self, slot: usize, revision: Revision, body: &Bytes) -> u8 {
        let (keyring, account, name) = (&self.keyring, &self.account, NAMES[slot]);
        if name == SESSION.name() {
            open_record::<Session>(keyring, account, name, revision, body).unwrap();
            return 0;
        }
        if name == HEAD.name() {
            return open_record::<Head>(keyring, account, name, revision, body).unwrap().state;
        }
        open_record::<Number>(keyring, account, name, revision, body).unwrap().value
    }

    fn sent(&self, batch: &Batch) -> Sent {
        let write = batch.write().map(|write| {
            let root = self.open_root(write.revision, &write.root);
            assert_eq!(expiry(write.purge_after), root.expires, "the hint says what the root says");
            let (mut puts, mut deletes): ([Row; SLOTS], _) = ([None; SLOTS], [false; SLOTS]);
            for put in &write.put {
                let slot = slot(&put.slot);
                let value = self.open(slot, write.revision, &put.body);
                puts[slot] = Some((id(write.revision), value, expiry(put.purge_after)));
            }
            write.delete.iter().for_each(|name| deletes[slot(name)] = true);
            let tells: Vec<u64> = write.events.iter().map(|event| event.number).collect();
            assert!(tells.len() <= 1 && write.forget.is_empty());
            let vault = write.vault.as_ref().map(|vault| match vault {
                VaultWrite::Edit { put, .. } => seen::VaultWrite::Edit(put[0].text[0]),
                VaultWrite::Promote { rows, .. } => {
                    let is_of =
                        |state: &u8| ciphers(*state).iter().map(|row| (row.id(), row.marks.text)).eq(rows.clone());
                    seen::VaultWrite::Promote((0..=u8::MAX).find(is_of).unwrap())
                }
                VaultWrite::Swap { .. } => panic!("nothing is swapped"),
            });
            Write { root, puts, deletes, erase: write.erase, tells: tells.first().copied(), vault }
        });
        Sent { expect: batch.expect().map_or(0, id), write }
    }
}

fn slot(name: &SlotName) -> usize {
    NAMES.iter().position(|known| known == name).unwrap()
}

fn create(draft: &mut Draft<'_>) -> Result<(), StepError> {
    draft.create_account()?;
    draft.put(CODE, &Number { value: 0 })?;
    draft.put(COUNTER, &Number { value: 0 })
}

/// The model's `decide`, as a step.
fn step(act: Act, staged: &Staged, draft: &mut Draft<'_>) -> Result<bool, StepError> {
    let now = draft.now();
    if !draft.exists() {
        match draft.root() {
            Ok(_) | Err(StepError::NoAccount) => {}
            Err(error) => return Err(error),
        }
        match act {
            Act::Create => create(draft)?,
            Act::Register => {
                create(draft)?;
                draft.expire_partition(now.plus(DAY))?;
            }
            _ => return Ok(false),
        }
        return Ok(true);
    }
    let code = draft.read(CODE)?;
    let counter = draft.read(COUNTER)?.unwrap().value;
    let session = draft.read(SESSION)?;
    let vault = draft.read(HEAD)?;
    let next = Number { value: counter + 1 };
    match act {
        Act::Redeem if code.is_some_and(|code| code.value == 0) => {
            draft.put(CODE, &Number { value: 1 })?;
            draft.event(&REDEEMED);
            let _code = draft.tentative(());
        }
        Act::Change => {
            draft.put(COUNTER, &next)?;
            draft.event(&CHANGED);
        }
        Act::Touch => {
            let until = now.plus(DAY);
            draft.put_until(SESSION, &Session { until: Some(until.get()) }, until)?;
        }
        Act::Keep => draft.put(KEPT, &Session { until: None })?,
        Act::End if session.is_some() => draft.delete(SESSION)?,
        Act::Use if session.is_some_and(|session| session.until.is_none_or(|until| now.get() < until)) => {
            let _grant = draft.tentative(());
        }
        Act::Erase => {
            draft.erase(&[])?;
            draft.put(COUNTER, &next)?;
        }
        Act::Verify => {
            draft.make_permanent()?;
            draft.event(&VERIFIED);
        }
        Act::Edit => {
            let Some(there) = vault else { return Ok(false) };
            draft.put(HEAD, &head(there.state + 1))?;
            draft.write_vault(VaultWrite::Edit { put: ciphers(there.state + 1), delete: Vec::new() })?;
        }
        Act::Promote => return promote(staged, draft),
        Act::Redeem | Act::End | Act::Use | Act::Create | Act::Register | Act::Stage => return Ok(false),
    }
    Ok(true)
}
