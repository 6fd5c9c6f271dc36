//! The two records: what is lost with each, and what bounds their size.

use keywright_confirm::{ConfirmError, KEEP_ON_ERASE, SLOT_KINDS, SLOTS};
use keywright_core::SessionId;
use keywright_store::{Batch, Damage, Revision, SlotName, StepError, TransactError, Write};

use crate::support::{DELETE, Mailed, Outcome, START, World};

impl World {
    fn pending() -> SlotName {
        SLOTS[0]
    }

    fn counts() -> SlotName {
        KEEP_ON_ERASE[0]
    }

    /// Deletes a record without the knowledge of any service, as an attacker who writes the
    /// database could.
    async fn lose(&self, slot: SlotName) {
        let root = self.store.load(&self.partition(), &[]).await.unwrap().root.unwrap();
        let aside = Revision::from_bytes([0xee; 16]);
        let lose = Write { delete: vec![slot], ..Write::root(aside, root.body.clone()) };
        self.store.commit(Batch::new(self.partition(), Some(root.revision), lose).unwrap()).await.unwrap();
        let back = Write::root(root.revision, root.body);
        self.store.commit(Batch::new(self.partition(), Some(aside), back).unwrap()).await.unwrap();
    }

    async fn size(&self, slot: SlotName) -> usize {
        let stored = self.store.load(&self.partition(), &[slot]).await.unwrap();
        stored.records[0].as_ref().map_or(0, |body| body.len())
    }
}

/// The names of the slots are stored, so they must not change.
#[test]
fn one_record_expires_and_one_lasts() {
    let kinds = SLOT_KINDS.iter().map(|kind| (kind.name().to_string(), kind.most(), kind.is_expiring()));
    let expected = [("confirm-pending".to_owned(), 1, true), ("confirm-counts".to_owned(), 1, false)];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn without_what_is_pending_everything_is_denied_and_nothing_is_given_back() {
    let world = World::new().await;
    let typed = world.begin_code(&DELETE, SessionId::new("typed")).await;
    let mailed = world.begin_mailed(&DELETE, SessionId::new("mailed")).await.sent();
    let (_, earliest) = world.wait(DELETE, SessionId::new("wait")).await.unwrap();
    world.lose(World::pending()).await;
    world.set(earliest);
    assert_eq!(world.code(DELETE, SessionId::new("typed"), &typed).await, Outcome::Denied);
    assert_eq!(world.mailed(DELETE, SessionId::new("mailed"), &mailed).await, Outcome::Denied);
    assert!(world.wait(DELETE, SessionId::new("wait")).await.is_some());
    let left = START + 60 - world.now();
    assert_eq!(
        world.begin_mailed(&DELETE, SessionId::new("mailed")).await,
        Mailed::NotYet(left),
        "the mail is still counted"
    );
}

#[tokio::test]
async fn lost_counts_are_an_integrity_error() {
    let world = World::new().await;
    let mailed = world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
    world.lose(World::counts()).await;
    let damage = |error: ConfirmError| match error {
        ConfirmError::Transact(TransactError::Step(StepError::Damaged(Damage::Record(slot)))) => slot,
        other => panic!("{other:?}"),
    };
    let (service, account) = (&world.confirmations, &world.account);
    let client = keywright_core::Client::unknown();
    let outcome = service.confirm_mailed(account, DELETE, SessionId::new("s"), &mailed, client).await;
    assert_eq!(damage(outcome.unwrap_err()), World::counts());
    assert_eq!(damage(service.begin_mailed(account, &DELETE, SessionId::new("s")).await.unwrap_err()), World::counts());
    assert_eq!(damage(service.begin_code(account, &DELETE, SessionId::new("s")).await.unwrap_err()), World::counts());
}

/// Whatever a session requests in a year, the two records stay small.
#[tokio::test]
async fn a_year_of_requests_leaves_two_small_records() {
    let world = World::new().await;
    for quarter in 0..365 * 4_u32 {
        let session = quarter.to_be_bytes();
        world.begin_code(&DELETE, SessionId::new(session)).await;
        world.code(DELETE, SessionId::new(session), "AAAA-AAAA-AAAA-AAAA").await;
        world.begin_mailed(&DELETE, SessionId::new(session)).await;
        world.advance(6 * 3_600);
    }
    let sizes = (world.size(World::pending()).await, world.size(World::counts()).await);
    assert!(sizes.0 < 2_048 && sizes.1 < 2_048, "{sizes:?}");
}
