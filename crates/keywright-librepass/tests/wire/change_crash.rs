//! The process dies at every commit there is: nobody is stranded, and what was asked for can be asked for again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use keywright_core::{EventChain, UnixSeconds};
use keywright_librepass::UserId;
use keywright_store::{
    Batch, BoxFuture, CipherId, CommitError, EventNumber, LoadError, Manifest, Mark, MemoryStore, Partition,
    RecordStore, Rows, SlotName, Snapshot, StageId, StagedText, StoredEvents, StoredSlots, Upkeep, VaultRows,
    VaultStore, Which,
};
use keywright_store_conformance::{Backend, Fault, FaultStore};

use super::support::{Person, World, alice, on_both, policy};
use super::vaults::{with_address, with_password};

const NEW: &str = "a.new@example.com";

/// A process that dies after so many writes: from then on nothing reaches the store, and nothing comes back.
#[derive(Debug)]
pub(crate) struct DyingStore {
    inner: Arc<dyn Backend>,
    /// Writes until death.
    left: AtomicI64,
    /// Whether the first row of every vault is gone, as if somebody had deleted it in the database.
    pub(crate) loses_a_row: AtomicBool,
}

impl DyingStore {
    pub(crate) fn new(inner: Arc<dyn Backend>, writes: i64) -> Arc<Self> {
        Arc::new(Self { inner, left: AtomicI64::new(writes), loses_a_row: AtomicBool::new(false) })
    }

    fn is_dead(&self) -> bool {
        self.left.load(Ordering::SeqCst) <= 0
    }

    /// Whether this write still reaches the store.
    fn lives(&self) -> bool {
        self.left.fetch_sub(1, Ordering::SeqCst) > 0
    }
}

fn dead() -> LoadError {
    LoadError::Failed("the process is dead".into())
}

impl RecordStore for DyingStore {
    fn load<'a>(&'a self, at: &'a Partition, slots: &'a [SlotName]) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        Box::pin(async move { if self.is_dead() { Err(dead()) } else { self.inner.load(at, slots).await } })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            if !self.lives() {
                return Err(CommitError::Unknown("the process is dead".into()));
            }
            let result = self.inner.commit(batch).await;
            // It dies with its last write: the reply is never heard.
            if self.is_dead() { Err(CommitError::Unknown("the process is dead".into())) } else { result }
        })
    }

    fn events<'a>(
        &'a self,
        at: &'a Partition,
        chain: EventChain,
        before: Option<EventNumber>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredEvents, LoadError>> {
        self.inner.events(at, chain, before, limit)
    }
}

impl VaultStore for DyingStore {
    fn manifest<'a>(&'a self, at: &'a Partition) -> BoxFuture<'a, Result<Manifest, LoadError>> {
        Box::pin(async move {
            if self.is_dead() {
                return Err(dead());
            }
            let mut manifest = self.inner.manifest(at).await?;
            if self.loses_a_row.load(Ordering::SeqCst) && !manifest.rows.is_empty() {
                manifest.rows.remove(0);
            }
            Ok(manifest)
        })
    }

    fn read<'a>(&'a self, at: &'a Partition, which: Which<'a>) -> BoxFuture<'a, Result<VaultRows, LoadError>> {
        Box::pin(async move {
            if self.is_dead() {
                return Err(dead());
            }
            let mut read = self.inner.read(at, which).await?;
            if self.loses_a_row.load(Ordering::SeqCst) {
                if matches!(which, Which::All) && !read.rows.is_empty() {
                    read.rows.remove(0);
                }
                if let Some(marks) = read.marks.as_mut().filter(|marks| !marks.is_empty()) {
                    marks.remove(0);
                }
            }
            Ok(read)
        })
    }

    fn stage<'a>(
        &'a self,
        at: &'a Partition,
        stage: StageId,
        rows: Rows,
        purge_after: UnixSeconds,
    ) -> BoxFuture<'a, Result<(), CommitError>> {
        Box::pin(async move {
            if !self.lives() {
                return Err(CommitError::Unknown("the process is dead".into()));
            }
            self.inner.stage(at, stage, rows, purge_after).await
        })
    }

    fn unstage<'a>(&'a self, at: &'a Partition, stage: StageId) -> BoxFuture<'a, Result<(), CommitError>> {
        Box::pin(async move {
            if !self.lives() {
                return Err(CommitError::Unknown("the process is dead".into()));
            }
            self.inner.unstage(at, stage).await
        })
    }

    fn staged<'a>(
        &'a self,
        at: &'a Partition,
        stage: StageId,
    ) -> BoxFuture<'a, Result<Vec<(CipherId, Mark)>, LoadError>> {
        Box::pin(async move { if self.is_dead() { Err(dead()) } else { self.inner.staged(at, stage).await } })
    }

    fn staged_texts<'a>(
        &'a self,
        at: &'a Partition,
        stage: StageId,
        after: Option<CipherId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StagedText>, LoadError>> {
        Box::pin(async move {
            if self.is_dead() { Err(dead()) } else { self.inner.staged_texts(at, stage, after, limit).await }
        })
    }
}

impl Upkeep for DyingStore {
    fn horizon(&self) -> BoxFuture<'_, Result<Option<UnixSeconds>, LoadError>> {
        self.inner.horizon()
    }

    fn move_horizon(&self, now: UnixSeconds) -> BoxFuture<'_, Result<UnixSeconds, CommitError>> {
        self.inner.move_horizon(now)
    }

    fn sweep(&self, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.inner.sweep(limit)
    }

    fn forget_events(&self, age: u64, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.inner.forget_events(age, limit)
    }

    fn due(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        self.inner.due(before, limit)
    }

    fn partitions(&self, after: Option<Partition>, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        self.inner.partitions(after, limit)
    }

    fn slots<'a>(
        &'a self,
        partition: &'a Partition,
        after: Option<SlotName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredSlots, LoadError>> {
        self.inner.slots(partition, after, limit)
    }
}

/// More writes than any request makes.
const MOST: i64 = 40;

async fn settled(world: &World, name: &str) -> (Person, UserId) {
    let person = Person::new(name);
    let user = world.settle(&person).await;
    world.fill(&user, &person, 3).await;
    (person, user)
}

/// Whose the account is, whole; one of the two.
async fn owner<'p>(world: &World, user: &UserId, old: &'p Person, new: &'p Person) -> &'p Person {
    let owner = if world.log_in(old).await.status == 200 { old } else { new };
    world.belongs_to(user, owner, 3).await;
    owner
}

#[tokio::test]
async fn a_password_change_is_whole_or_was_not() {
    on_both(|world| async move {
        let (mut old, user) = settled(&world, "alice@example.com").await;
        let (mut done, mut writes) = (false, 1);
        let mut ends = [0, 0];
        while !done {
            assert!(writes < MOST, "it ends");
            let new = with_password(&alice(), &writes.to_string());
            let body = world.password_body(&user, &old, &new).await;
            let token = world.client_of(&old).await.token;
            let dying = world.moved_to(DyingStore::new(world.store.clone(), writes), writes as u64 + 100).await;
            let answer = dying.client().with_token(&token.unwrap()).change_password(&body).await;
            done = answer.status == 200 && writes > 8;
            if answer.status != 200 {
                answer.fails(500, "LP-Database-Error");
            }
            let changed = std::ptr::eq(owner(&world, &user, &old, &new).await, &raw const new);
            ends[usize::from(changed)] += 1;
            if changed {
                old = new;
            }
            writes += 1;
        }
        assert!(ends[0] >= 1 && ends[1] >= 1, "{ends:?}");
    })
    .await;
}

#[tokio::test]
async fn a_request_for_another_address_leaves_all_as_it_was() {
    on_both(|world| async move {
        for writes in 1..12 {
            let (old, user) = settled(&world, &format!("a{writes}@example.com")).await;
            let new = with_address(&old, &format!("b{writes}@example.com"));
            let body = world.address_body(&user, &old, &new).await;
            let token = world.client_of(&old).await.token;
            let dying = world.moved_to(DyingStore::new(world.store.clone(), writes), writes as u64 + 100).await;
            let answer = dying.client().with_token(&token.unwrap()).change_address(&body).await;
            assert!([200, 500].contains(&answer.status), "{answer:?}");
            world.belongs_to(&user, &old, 3).await;
            // Asked for again, it goes its way.
            world.ask_for(&user, &old, &new).await.is_empty();
            world.open_link(&new.email).await.redirects();
            world.belongs_to(&user, &new, 3).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_link_is_opened_whole_or_opens_again() {
    on_both(|world| async move {
        let mut ends = [0, 0];
        for writes in 1..12 {
            let (old, user) = settled(&world, &format!("a{writes}@example.com")).await;
            let new = with_address(&old, &format!("b{writes}@example.com"));
            world.ask_for(&user, &old, &new).await.is_empty();
            let path = world.path_to(&new.email);
            let dying = world.moved_to(DyingStore::new(world.store.clone(), writes), writes as u64 + 100).await;
            let answer = dying.client().get(&path).send().await;
            assert!([302, 500].contains(&answer.status), "{answer:?}");
            let moved = std::ptr::eq(owner(&world, &user, &old, &new).await, &raw const new);
            ends[usize::from(moved)] += 1;
            // A click on a link that has worked finds nothing; one on a link that has not, works.
            if moved {
                world.client().get(&path).send().await.fails(404, "LP-User-404");
            } else {
                assert_eq!(answer.status, 500);
                world.client().get(&path).send().await.redirects();
            }
            world.belongs_to(&user, &new, 3).await;
            // The old address is free, whatever was left of it; the new one is not.
            world.settle(&old).await;
            world.register(&Person { email: new.email.clone(), key: alice().key }).await.fails(400, "LP-Duplicated");
        }
        assert!(ends[0] >= 2 && ends[1] >= 2, "{ends:?}");
    })
    .await;
}

#[tokio::test]
async fn whoever_dies_on_the_way_to_an_address_keeps_it_from_nobody() {
    on_both(|world| async move {
        for writes in 1..8 {
            let target = format!("t{writes}@example.com");
            let (one, user) = settled(&world, &format!("a{writes}@example.com")).await;
            let (two, other) = settled(&world, &format!("b{writes}@example.com")).await;
            let (one_new, two_new) = (with_address(&one, &target), with_address(&two, &target));
            world.ask_for(&user, &one, &one_new).await.is_empty();
            let first = world.path_to(&target);
            world.ask_for(&other, &two, &two_new).await.is_empty();
            let second = world.path_to(&target);
            let dying = world.moved_to(DyingStore::new(world.store.clone(), writes), writes as u64 + 100).await;
            dying.client().get(&first).send().await;
            let moved = std::ptr::eq(owner(&world, &user, &one, &one_new).await, &raw const one_new);
            let answer = world.client().get(&second).send().await;
            if moved {
                answer.fails(400, "LP-Duplicated");
                world.belongs_to(&other, &two, 3).await;
            } else {
                answer.redirects();
                world.belongs_to(&other, &two_new, 3).await;
                world.client().get(&first).send().await.fails(400, "LP-Duplicated");
                world.belongs_to(&user, &one, 3).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn without_verification_a_death_leaves_the_old_or_the_new() {
    on_both(|world| async move {
        let world = world.ruled_by(policy().verify_email(false), 3).await;
        let mut ends = [0, 0];
        for writes in 1..14 {
            let (old, user) = settled(&world, &format!("a{writes}@example.com")).await;
            let new = with_address(&old, &format!("b{writes}@example.com"));
            let body = world.address_body(&user, &old, &new).await;
            let token = world.client_of(&old).await.token;
            let dying = world.moved_to(DyingStore::new(world.store.clone(), writes), writes as u64 + 100).await;
            dying.client().with_token(&token.unwrap()).change_address(&body).await;
            let moved = std::ptr::eq(owner(&world, &user, &old, &new).await, &raw const new);
            ends[usize::from(moved)] += 1;
            if !moved {
                world.ask_for(&user, &old, &new).await.is_empty();
            }
            world.belongs_to(&user, &new, 3).await;
            world.settle(&old).await;
        }
        assert!(ends[0] >= 2 && ends[1] >= 2, "{ends:?}");
    })
    .await;
}

/// A world over a store whose commits can be made to fail, and the store.
async fn faulty() -> (World, Arc<FaultStore<MemoryStore>>) {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    (World::on(store.clone(), policy()).await, store)
}

#[tokio::test]
async fn a_lost_reply_is_looked_into_at_every_commit() {
    for fault in [Fault::LostBefore, Fault::LostAfter, Fault::Conflict, Fault::CommitFailed, Fault::Held] {
        for at in 0..8 {
            let (world, store) = faulty().await;
            let (old, user) = settled(&world, "alice@example.com").await;
            let new = with_address(&old, NEW);
            world.ask_for(&user, &old, &new).await.is_empty();
            let path = world.path_to(NEW);
            for _ in 0..at {
                store.next_commit(Fault::None);
            }
            store.next_commit(fault.clone());
            let answer = world.client().get(&path).send().await;
            store.calm();
            // What is delivered late changes nothing any more.
            while store.deliver().await.is_some() {}
            let moved = std::ptr::eq(owner(&world, &user, &old, &new).await, &raw const new);
            if answer.status == 302 {
                assert!(moved);
            } else {
                // The very first record of a name has nothing to be fenced with: that is unknown, and asked again.
                answer.fails(500, "LP-Database-Error");
                assert!(!moved);
                world.client().get(&path).send().await.redirects();
            }
            world.belongs_to(&user, &new, 3).await;

            let pass = with_password(&new, "new");
            let body = world.password_body(&user, &new, &pass).await;
            let client = world.client_of(&new).await;
            for _ in 0..at {
                store.next_commit(Fault::None);
            }
            store.next_commit(fault.clone());
            client.change_password(&body).await.is_empty();
            store.calm();
            while store.deliver().await.is_some() {}
            world.belongs_to(&user, &pass, 3).await;
        }
    }
}
