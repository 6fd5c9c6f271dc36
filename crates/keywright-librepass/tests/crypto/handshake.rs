//! The shared server key: one record, several instances, memory and SQLite.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::Arc;

use keywright_core::{Clock, Keyring, ManualClock, SecretBytes, SystemEntropy, UnixSeconds};
use keywright_librepass::{
    CLOCK_SKEW_SECONDS, GRACE_SECONDS, HandshakeKeys, LIFETIME_SECONDS, PrivateKey, ServerKeys, SharedKey,
};
use keywright_store::{Driver, MemoryStore, Partition, StepError, TransactError};
use keywright_store_conformance::{Fault, FaultStore, LoadFault};
use keywright_testing::{Store, WorldBuilder};
use tokio::task::JoinSet;

const START: u64 = keywright_testing::World::START;

struct World(keywright_testing::World);

impl Deref for World {
    type Target = keywright_testing::World;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl World {
    fn built(builder: WorldBuilder) -> Self {
        Self(builder.keyring(keyring(1, 0)).open())
    }

    fn over(store: Arc<dyn Store>) -> Self {
        Self::built(keywright_testing::World::builder().store(store))
    }

    fn both() -> [Self; 2] {
        let builder = keywright_testing::World::builder;
        [Self::built(builder()), Self::built(builder().sqlite())]
    }

    /// Another instance: its own driver over the same store.
    fn another_driver(&self) -> Driver {
        self.server(self.next_seed())
    }

    fn driver_with(&self, clock: Arc<dyn Clock>, keyring: Keyring) -> Driver {
        let builder = self.server_on(self.store.clone(), &Arc::new(keyring), self.next_seed());
        builder.clock(clock).build().unwrap()
    }

    async fn instance(&self) -> HandshakeKeys {
        HandshakeKeys::load(self.another_driver()).await.unwrap()
    }

    fn moment(&self) -> UnixSeconds {
        self.clock.now().unwrap()
    }
}

fn keyring(seal: u8, fence: u64) -> Keyring {
    let key = |byte| SecretBytes::from_slice(&[byte; 32]).unwrap();
    Keyring::from_keys(&[key(seal)], &key(9)).map(|ring| ring.with_fence(UnixSeconds::new(fence).unwrap())).unwrap()
}

/// A user, and what it would send to the pair that an instance hands out.
fn user(keys: &ServerKeys) -> (PrivateKey, SharedKey) {
    let user = PrivateKey::random(&SystemEntropy).unwrap();
    let sent = user.agree(&keys.public_key()).unwrap();
    (user, sent)
}

fn takes(keys: &ServerKeys, now: UnixSeconds, (user, sent): &(PrivateKey, SharedKey)) -> bool {
    keys.verify(now, &user.public_key(), sent)
}

#[tokio::test]
async fn one_pair_for_all_instances_and_after_a_restart() {
    for world in World::both() {
        let (one, two) = (world.instance().await, world.instance().await);
        let (first, second) = (one.current().await.unwrap(), two.current().await.unwrap());
        assert!(first.is_same(&second));
        let login = user(&first);
        assert!(takes(&second, world.moment(), &login));
        assert!(!takes(&second, world.moment(), &(PrivateKey::random(&SystemEntropy).unwrap(), login.1.duplicate())));
        assert!(world.instance().await.current().await.unwrap().is_same(&first));
    }
}

#[tokio::test]
async fn renewed_after_a_day_and_taken_for_an_hour_more() {
    for world in World::both() {
        let instance = world.instance().await;
        let first = instance.current().await.unwrap();
        let login = user(&first);
        world.clock.advance(LIFETIME_SECONDS - 1);
        assert!(instance.current().await.unwrap().is_same(&first));
        world.clock.advance(1);
        let second = instance.current().await.unwrap();
        assert!(!second.is_same(&first));
        assert!(takes(&second, world.moment(), &login));
        world.clock.advance(GRACE_SECONDS - 1);
        assert!(takes(&instance.current().await.unwrap(), world.moment(), &login));
        world.clock.advance(1);
        assert!(!takes(&instance.current().await.unwrap(), world.moment(), &login));
        assert!(instance.current().await.unwrap().is_same(&second));
    }
}

/// The grace counts from the end of the lifetime, not from the renewal: else a key that was captured on one day would
/// replay after a week of quiet.
#[tokio::test]
async fn quiet_weeks_prolong_nothing() {
    let [world, _] = World::both();
    let instance = world.instance().await;
    let login = user(&instance.current().await.unwrap());
    world.clock.advance(7 * LIFETIME_SECONDS);
    assert!(!takes(&instance.current().await.unwrap(), world.moment(), &login));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_instances_one_wins_and_the_others_adopt() {
    for world in World::both() {
        for _ in 0..8 {
            // Nothing stored at first, then a pair that is due.
            let mut tasks = JoinSet::new();
            for _ in 0..4 {
                let driver = world.another_driver();
                tasks.spawn(async move { HandshakeKeys::load(driver).await.unwrap() });
            }
            let instances = tasks.join_all().await;
            same(&instances).await;
            let login = user(&instances[0].current().await.unwrap());

            world.clock.advance(LIFETIME_SECONDS);
            let mut tasks = JoinSet::new();
            for instance in instances.iter().cycle().take(64) {
                let instance = instance.clone();
                tasks.spawn(async move { instance.current().await.unwrap().public_key().to_hex().expose().to_owned() });
            }
            let publics: HashSet<_> = tasks.join_all().await.into_iter().collect();
            assert_eq!(publics.len(), 1);
            same(&instances).await;
            for instance in &instances {
                assert!(takes(&instance.current().await.unwrap(), world.moment(), &login));
            }
            world.clock.advance(LIFETIME_SECONDS);
        }
    }
}

async fn same(instances: &[HandshakeKeys]) {
    let first = instances[0].current().await.unwrap();
    for instance in instances {
        assert!(instance.current().await.unwrap().is_same(&first));
    }
}

/// An instance whose clock is a little ahead renews first. The others learn of it from the store, and keep its pair.
#[tokio::test]
async fn stored_adopts_what_another_instance_renewed() {
    for world in World::both() {
        let slow = world.instance().await;
        let ahead = Arc::new(ManualClock::new(world.moment().plus(CLOCK_SKEW_SECONDS)));
        let fast = HandshakeKeys::load(world.driver_with(ahead.clone(), keyring(1, 0))).await.unwrap();
        for clock in [&ahead, &world.clock] {
            clock.advance(LIFETIME_SECONDS - CLOCK_SKEW_SECONDS);
        }
        let login = user(&fast.current().await.unwrap());
        let cached = slow.current().await.unwrap();
        assert!(!takes(&cached, world.moment(), &login));
        let stored = slow.stored().await.unwrap();
        assert!(!stored.is_same(&cached));
        assert!(takes(&stored, world.moment(), &login));
        assert!(slow.current().await.unwrap().is_same(&stored));
        // With nothing new, nothing is renewed.
        assert!(slow.stored().await.unwrap().is_same(&stored));
        assert!(fast.current().await.unwrap().is_same(&stored));
    }
}

/// `docs/security.md` § 12: the clock went back, or a backup was restored. The pair is replaced
/// immediately, and the previous one is dropped.
#[tokio::test]
async fn suspect_pairs_are_dropped() {
    for world in World::both() {
        let instance = world.instance().await;
        let old = user(&instance.current().await.unwrap());
        world.clock.advance(LIFETIME_SECONDS);
        let before = instance.current().await.unwrap();
        let login = user(&before);

        world.clock.set(world.moment().minus(CLOCK_SKEW_SECONDS));
        assert!(instance.current().await.unwrap().is_same(&before), "another's clock is ahead");
        world.clock.set(world.moment().minus(1));
        let after = instance.current().await.unwrap();
        assert!(!after.is_same(&before));
        assert!(!takes(&after, world.moment(), &login) && !takes(&after, world.moment(), &old));

        world.clock.advance(10);
        let fenced = world.driver_with(world.clock.clone(), keyring(1, world.moment().get()));
        let restored = HandshakeKeys::load(fenced).await.unwrap().current().await.unwrap();
        assert!(!restored.is_same(&after));
        assert!(!takes(&restored, world.moment(), &user(&after)));
        assert!(instance.stored().await.unwrap().is_same(&restored));
    }
}

/// A record that does not open is no reason for a fresh pair.
#[tokio::test]
async fn a_record_under_a_lost_key_is_an_error() {
    for world in World::both() {
        let first = world.instance().await.current().await.unwrap();
        let stranger = world.driver_with(world.clock.clone(), keyring(2, 0));
        let refused = HandshakeKeys::load(stranger).await;
        assert!(matches!(refused.err(), Some(TransactError::Step(StepError::Open(_)))));
        assert!(world.instance().await.current().await.unwrap().is_same(&first));
    }
}

/// The record shows neither half of the pair, and neither does a log.
#[tokio::test]
async fn nothing_shows_the_pair() {
    let [world, _] = World::both();
    let driver = world.server(3);
    let keys = HandshakeKeys::load(driver.clone()).await.unwrap().current().await.unwrap();
    let private = keys.accepted(world.moment()).next().unwrap();
    let slots = driver.slots_of(&Partition::server()).await.unwrap();
    let snapshot = world.store.load(&Partition::server(), &slots).await.unwrap();
    let [Some(stored)] = &snapshot.records[..] else { panic!("one record") };
    let body = hex::encode(stored);
    assert!(!body.contains(private.to_hex().expose()) && !body.contains(keys.public_key().to_hex().expose()));
    let shown = format!("{keys:?}");
    assert_eq!(shown, format!("ServerKeys {{ made: UnixSeconds({START}), .. }}"));
}

/// Whatever becomes of the commit: what is handed out is what the store keeps.
#[tokio::test]
async fn a_lost_reply_hands_out_no_second_pair() {
    for fault in [Fault::Conflict, Fault::LostBefore, Fault::LostAfter, Fault::Held, Fault::CommitFailed] {
        let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
        let world = World::over(store.clone());
        let instance = world.instance().await;
        let first = instance.current().await.unwrap();
        world.clock.advance(LIFETIME_SECONDS);
        store.next_commit(fault.clone());
        let second = instance.current().await.unwrap();
        assert!(!second.is_same(&first), "{fault:?}");
        while let Some(late) = store.deliver().await {
            assert!(late.is_err(), "a commit that was fenced off landed");
        }
        assert!(instance.stored().await.unwrap().is_same(&second), "{fault:?}");
        assert!(world.instance().await.current().await.unwrap().is_same(&second), "{fault:?}");
    }
}

/// A pair that is due is not handed out, nor taken, only because it cannot be renewed.
#[tokio::test]
async fn without_a_store_nothing_overdue_is_used() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::over(store.clone());
    let instance = world.instance().await;
    let first = instance.current().await.unwrap();
    store.next_load(LoadFault::Fails);
    assert!(instance.current().await.unwrap().is_same(&first), "no load while it is in date");
    assert!(instance.stored().await.is_err());
    world.clock.advance(LIFETIME_SECONDS);
    store.next_commit(Fault::Rejected);
    assert!(matches!(instance.current().await.err(), Some(TransactError::Rejected(_))));
    assert!(!instance.current().await.unwrap().is_same(&first));
}
