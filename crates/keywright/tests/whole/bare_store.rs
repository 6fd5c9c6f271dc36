//! A store that implements the two ports without a vault serves all that needs none: by nothing but them.

use keywright::challenge::{ChallengeSecret, Proof, SetOutcome, Verification};
use keywright::confirm::{Confirmation, SendOutcome, WaitOutcome};
use keywright::store::{
    Batch, BoxFuture, CommitError, EventNumber, LoadError, Partition, RecordStore, SlotName, Snapshot, StoredEvents,
    StoredSlots, Upkeep,
};
use keywright::twofactor::recovery::Liveness;
use keywright::twofactor::{Attested, CHANGE_FACTORS, EnrolmentOutcome, EnrolmentStart, FactorChange, VerifyOutcome};
use keywright::{
    AccountId, Erasure, EventChain, Keyring, Keywright, ManualClock, MemoryStore, NoVault, SystemEntropy, UnixSeconds,
};
use std::sync::Arc;

use crate::world::{DeleteVault, START, code_of, salts, secret};

/// Records and upkeep; no vault.
#[derive(Debug)]
struct Bare(MemoryStore);

impl RecordStore for Bare {
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        self.0.load(partition, slots)
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        self.0.commit(batch)
    }

    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        chain: EventChain,
        before: Option<EventNumber>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredEvents, LoadError>> {
        self.0.events(partition, chain, before, limit)
    }
}

impl Upkeep for Bare {
    fn horizon(&self) -> BoxFuture<'_, Result<Option<UnixSeconds>, LoadError>> {
        self.0.horizon()
    }

    fn move_horizon(&self, now: UnixSeconds) -> BoxFuture<'_, Result<UnixSeconds, CommitError>> {
        self.0.move_horizon(now)
    }

    fn sweep(&self, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.0.sweep(limit)
    }

    fn forget_events(&self, age: u64, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.0.forget_events(age, limit)
    }

    fn due(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        self.0.due(before, limit)
    }

    fn partitions(&self, after: Option<Partition>, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        self.0.partitions(after, limit)
    }

    fn slots<'a>(
        &'a self,
        partition: &'a Partition,
        after: Option<SlotName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredSlots, LoadError>> {
        self.0.slots(partition, after, limit)
    }
}

#[tokio::test]
async fn challenge_confirm_and_two_factor_are_served_without_a_vault() {
    let clock = Arc::new(ManualClock::new(UnixSeconds::new(START).unwrap()));
    let builder = Keywright::builder(NoVault(Bare(MemoryStore::new()))).clock(Arc::clone(&clock) as _);
    let keywright = builder.keyring(Keyring::generate(&SystemEntropy).unwrap()).open().await.unwrap();
    let alice = AccountId::new("alice").unwrap();
    keywright.ensure_account(&alice).await.unwrap();
    let phone = keywright.client(&alice, b"the phone");
    let session = b"session 1";

    let challenges = keywright.challenges();
    let first = ChallengeSecret::from_client(&secret(1)).unwrap();
    let set = challenges.set(&alice, &first, &salts(1), phone).await.unwrap();
    assert!(matches!(set, SetOutcome::Set(_)));
    let verify = async |n| challenges.verify(&alice, &Proof::from_client(&secret(n)).unwrap(), phone).await.unwrap();
    assert!(matches!(verify(2).await, Verification::Denied(_)));
    assert!(matches!(verify(1).await, Verification::Granted(_)));

    let confirmations = keywright.confirmations();
    let shown = confirmations.ask_code(&alice, &DeleteVault(1), session).await.unwrap();
    let typed = confirmations.confirm_code(&alice, DeleteVault(1), session, shown.expose()).await.unwrap();
    assert!(matches!(typed, Confirmation::Granted(_)));
    let SendOutcome::Send(code) = confirmations.ask_mailed(&alice, &DeleteVault(2), session).await.unwrap() else {
        panic!("no code")
    };
    let typed = confirmations.confirm_mailed(&alice, DeleteVault(2), session, code.expose(), phone).await.unwrap();
    assert!(matches!(typed, Confirmation::Granted(_)));
    let wait = confirmations.begin_wait(&alice, &DeleteVault(3), session).await.unwrap();
    clock.advance(wait.seconds());
    let waited = confirmations.confirm_wait(&alice, DeleteVault(3), session).await.unwrap();
    assert!(matches!(waited, WaitOutcome::Granted(_)));

    let two_factor = keywright.two_factor().unwrap();
    let password = two_factor.step_up_attested(&alice, CHANGE_FACTORS, session, Attested::Password).await.unwrap();
    let begun = two_factor.begin_enrolment(FactorChange::from(password.unwrap()), "phone", None).await.unwrap();
    let EnrolmentStart::Begun(pending) = begun else { panic!("{begun:?}") };
    let seed = pending.secret().expose().to_vec();
    let now = || keywright::Clock::now(&*clock).unwrap().get();
    let confirmed = two_factor.confirm_enrolment(&alice, session, &code_of(&seed, now()), phone).await.unwrap();
    assert!(matches!(confirmed, EnrolmentOutcome::Active(_)), "{confirmed:?}");
    clock.advance(30);
    let code = code_of(&seed, now());
    let verify = async || two_factor.verify_totp(&alice, &code, "log-in", phone).await.unwrap();
    assert!(matches!(verify().await, VerifyOutcome::Granted(_)));
    assert!(!matches!(verify().await, VerifyOutcome::Granted(_)), "once");
    clock.advance(30);
    let stepped = two_factor.step_up_totp(&alice, CHANGE_FACTORS, session, &code_of(&seed, now()), phone).await;
    let VerifyOutcome::Granted(proof) = stepped.unwrap() else { panic!("no proof") };
    let codes = two_factor.make_recovery(proof, Liveness::Now, phone).await.unwrap();
    let recovery = codes.iter().next().unwrap().to_owned();
    let verified = two_factor.verify_recovery(&alice, &recovery, "log-in", phone).await.unwrap();
    assert!(matches!(verified, VerifyOutcome::Granted(_)));

    assert!(keywright.recent_events(&alice, 100).await.unwrap().len() >= 8);
    let housekeeping = keywright.housekeeping();
    housekeeping.move_horizon().await.unwrap();
    housekeeping.sweep(100).await.unwrap();
    assert_eq!(keywright.erase_account(&alice).await.unwrap(), Erasure::Erased);
    assert!(challenges.get(&alice).await.unwrap().is_none());
}
