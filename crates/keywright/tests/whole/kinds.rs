//! Every kind of slot of every crate does what it declares when it is full.
//!
//! The records are stand-ins: what a kind declares is carried out by the draft, whatever is in its slots. That the owners of
//! the lists leave out the right ones is shown where they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use keywright::core::ManualClock;
use keywright::store::slot::{Expiring, KindName, Lasting, MAX_SLOTS};
use keywright::store::{
    Draft, Driver, Full, Members, Partition, Record, Slot, SlotFamily, SlotKind, SlotName, StepError, TransactError,
};
use keywright::{Keyring, SystemEntropy, UnixSeconds, slot_kinds};
use keywright_store_conformance::glass::GlassStore;
use serde::{Deserialize, Serialize};

use crate::host::account;

const NOW: UnixSeconds = UnixSeconds::EPOCH.plus(1_700_000_000);

type Id = [u8; 16];

/// Stands in for every record: a list of members, whose first is treated specially.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct StandIn(Vec<Id>);

impl Record for StandIn {
    const SCHEMA: u16 = 1;
}

impl Members for StandIn {
    fn lists(&self, id: &Id) -> bool {
        self.0.contains(id)
    }
}

/// An account, and a driver that knows all kinds.
struct Bench {
    store: Arc<GlassStore>,
    driver: Driver,
    account: Partition,
}

impl Bench {
    async fn new() -> Self {
        let store = Arc::new(GlassStore::default());
        let keyring = Arc::new(Keyring::generate(&SystemEntropy).unwrap());
        let driver = Driver::builder(Arc::clone(&store) as _, keyring).clock(Arc::new(ManualClock::new(NOW)));
        let driver = driver.slots(&slot_kinds()).build().unwrap();
        let account = account("full");
        driver.ensure_account(&account).await.unwrap();
        Self { store, driver, account: Partition::account(&account) }
    }

    async fn run<T: Send>(
        &self,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T, TransactError> {
        self.driver.transact(&self.account, &[], step).await
    }

    /// The rows of a kind.
    fn rows(&self, kind: KindName) -> BTreeSet<SlotName> {
        let rows = self.store.rows();
        rows.records.keys().map(|(_, slot)| *slot).filter(|slot| slot.kind() == kind).collect()
    }

    /// A step that must find no room, and leave everything as it is.
    async fn is_refused(&self, kind: SlotKind, step: impl FnMut(&mut Draft<'_>) -> Result<(), StepError> + Send) {
        let before = self.store.rows();
        let result = self.run(step).await;
        let refused =
            matches!(&result, Err(TransactError::Step(StepError::TooManySlots(slot))) if slot.kind() == kind.name());
        assert!(refused, "{kind:?}: {result:?}");
        assert_eq!(self.store.rows(), before, "{kind:?}");
    }
}

/// A constant's name for a kind that was declared elsewhere.
fn name(kind: KindName) -> &'static str {
    Box::leak(kind.to_string().into_boxed_str())
}

fn id(number: u16) -> Id {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    id
}

/// Ends in another order than that of the ids.
fn end(number: u16) -> UnixSeconds {
    NOW.plus(100 + u64::from(number.wrapping_mul(40_503) % 1_009))
}

fn names<L>(family: SlotFamily<StandIn, L>, numbers: impl IntoIterator<Item = u16>) -> BTreeSet<SlotName> {
    numbers.into_iter().map(|number| family.at(id(number)).name()).collect()
}

async fn a_put_replaces(bench: &Bench, kind: SlotKind) {
    for number in 0..3 {
        let value = StandIn(vec![id(number)]);
        let back = if kind.is_expiring() {
            let slot = Slot::<StandIn, Expiring>::expiring(name(kind.name()));
            assert_eq!(slot.kind(), kind);
            bench.run(|draft| draft.put_until(slot, &value, end(number))).await.unwrap();
            bench.run(|draft| draft.read(slot)).await
        } else {
            let slot = Slot::<StandIn, Lasting>::lasting(name(kind.name()));
            assert_eq!(slot.kind(), kind);
            bench.run(|draft| draft.put(slot, &value)).await.unwrap();
            bench.run(|draft| draft.read(slot)).await
        };
        assert_eq!(back.unwrap(), Some(value), "{kind:?}");
        assert_eq!(bench.rows(kind.name()).len(), 1, "{kind:?}");
    }
}

async fn one_more_is_refused(bench: &Bench, kind: SlotKind) {
    if kind.is_expiring() {
        let family = SlotFamily::<StandIn, Expiring>::expiring(name(kind.name()), kind.most(), kind.full());
        let put =
            |draft: &mut Draft<'_>, number| draft.put_until(family.at(id(number)), &StandIn::default(), end(number));
        bench.run(|draft| (0..kind.most()).try_for_each(|number| put(draft, number))).await.unwrap();
        bench.is_refused(kind, |draft| put(draft, kind.most())).await;
        return;
    }
    let family = SlotFamily::<StandIn, Lasting>::lasting(name(kind.name()), kind.most());
    assert_eq!(family.kind(), kind);
    let put = |draft: &mut Draft<'_>, number| draft.put(family.at(id(number)), &StandIn::default());
    bench.run(|draft| (0..kind.most()).try_for_each(|number| put(draft, number))).await.unwrap();
    bench.is_refused(kind, |draft| put(draft, kind.most())).await;
}

async fn the_first_to_expire_goes(bench: &Bench, kind: SlotKind) {
    let most = kind.most();
    let family = SlotFamily::<StandIn, Expiring>::expiring(name(kind.name()), most, kind.full());
    assert_eq!(family.kind(), kind);
    let put = |draft: &mut Draft<'_>, number| draft.put_until(family.at(id(number)), &StandIn::default(), end(number));
    bench.run(|draft| (0..most).try_for_each(|number| put(draft, number))).await.unwrap();
    // A record that has a place takes no other record's place.
    bench.run(|draft| put(draft, most / 2)).await.unwrap();
    assert_eq!(bench.rows(kind.name()), names(family, 0..most), "{kind:?}");
    let mut there: Vec<u16> = (0..most).collect();
    for number in most..most + 3 {
        there.sort_by_key(|number| std::cmp::Reverse(end(*number)));
        there.pop();
        there.push(number);
        let ids = bench.run(|draft| put(draft, number).map(|()| draft.ids(&family).len())).await.unwrap();
        assert_eq!(ids, usize::from(most), "{kind:?}: the step sees it gone");
        assert_eq!(bench.rows(kind.name()), names(family, there.iter().copied()), "{kind:?}");
    }
    // What a batch puts is never evicted by it.
    bench.is_refused(kind, |draft| (1_000..=1_000 + most).try_for_each(|number| put(draft, number))).await;
    bench.run(|draft| (1_000..1_000 + most).try_for_each(|number| put(draft, number))).await.unwrap();
    assert_eq!(bench.rows(kind.name()), names(family, 1_000..1_000 + most), "{kind:?}");
}

async fn the_unlisted_go(bench: &Bench, kind: SlotKind, list: KindName) {
    let most = kind.most();
    let family = SlotFamily::<StandIn, Expiring>::expiring(name(kind.name()), most, kind.full());
    let list = Slot::<StandIn, Lasting>::lasting(name(list));
    assert_eq!((family.kind(), kind.full()), (kind, Full::evicts_unlisted(list)));
    let put = |draft: &mut Draft<'_>, number| draft.put_until(family.at(id(number)), &StandIn::default(), end(number));
    let members = |numbers: &[u16]| StandIn(numbers.iter().copied().map(id).collect());
    let all: Vec<u16> = (0..most).collect();
    let fill = |draft: &mut Draft<'_>| {
        all.iter().try_for_each(|number| put(draft, *number))?;
        draft.put_members(family, list, &members(&all))
    };
    bench.run(fill).await.unwrap();
    assert_eq!(bench.rows(kind.name()), names(family, 0..most), "{kind:?}");
    bench.is_refused(kind, |draft| put(draft, most)).await;
    // A record that is left out is removed, whenever it would expire, and wherever it is in the
    // list.
    let mut listed = all;
    for number in most..most + 3 {
        listed.remove(usize::from(number * 7 % most));
        listed.push(number);
        let step = |draft: &mut Draft<'_>| {
            put(draft, number)?;
            draft.put_members(family, list, &members(&listed))
        };
        bench.run(step).await.unwrap();
        assert_eq!(bench.rows(kind.name()), names(family, listed.iter().copied()), "{kind:?}");
    }
    bench.run(|draft| draft.put_members(family, list, &members(&[]))).await.unwrap();
    assert!(bench.rows(kind.name()).is_empty(), "{kind:?}");
    let stray = Slot::<StandIn, Lasting>::lasting("test-no-list");
    let misuse = bench.run(|draft| draft.put_members(family, stray, &members(&[]))).await;
    assert!(matches!(misuse, Err(TransactError::Step(StepError::Misuse(_)))), "{misuse:?}");
}

#[tokio::test]
async fn every_kind_does_what_it_declares_when_it_is_full() {
    let kinds = slot_kinds();
    assert!(kinds.iter().map(|kind| kind.most()).sum::<u16>() <= MAX_SLOTS);
    let mut tried = BTreeSet::new();
    for &kind in &kinds {
        let bench = Bench::new().await;
        match kind.full() {
            Full::Replaces => {
                assert_eq!(kind.most(), 1, "{kind:?}");
                a_put_replaces(&bench, kind).await;
            }
            Full::Refuses => one_more_is_refused(&bench, kind).await,
            Full::EvictsFirstToExpire => the_first_to_expire_goes(&bench, kind).await,
            Full::EvictsUnlisted(list) => the_unlisted_go(&bench, kind, list).await,
            other => panic!("{other:?} is tried by nothing"),
        }
        tried.insert(kind.name());
    }
    assert_eq!(tried.len(), kinds.len(), "no kind is declared twice");
    for family in ["session", "lp-token", "step-up"] {
        assert!(tried.contains(&KindName::new(family)), "{family}");
    }
}

/// The rule that no crate of ours declares, and those that lists of another form break.
#[tokio::test]
async fn a_kind_that_refuses_refuses() {
    let lasting = SlotFamily::<StandIn, Lasting>::lasting("test-lasting", 3).kind();
    let expiring = SlotFamily::<StandIn, Expiring>::expiring("test-expiring", 3, Full::Refuses).kind();
    for kind in [lasting, expiring] {
        let Bench { store, account, .. } = Bench::new().await;
        let keyring = Arc::new(Keyring::generate(&SystemEntropy).unwrap());
        let driver = Driver::builder(Arc::clone(&store) as _, keyring).slots(&[kind]).build().unwrap();
        store.edit(|rows| *rows = keywright_store_conformance::glass::Rows::default());
        driver.ensure_account(&account.as_account().unwrap()).await.unwrap();
        one_more_is_refused(&Bench { store, driver, account }, kind).await;
    }
}
