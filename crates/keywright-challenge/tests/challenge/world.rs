//! The test fixture for a challenge, and the outcomes of guesses at it.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use keywright_challenge::{
    ChallengeError, ChallengeSecret, Challenges, Proof, SLOT_KINDS, SLOTS, Salts, SetOutcome, UserKey, Verification,
};
use keywright_core::{Client, ClientTag, EventChain, Keyring, SecretBytes};
use keywright_store::{Batch, Put, Revision, SlotName, StepError, Stored, TransactError, Write, guess};
use keywright_testing::{Store, WorldBuilder};

pub(crate) const START: u64 = keywright_testing::World::START;

/// A client that is unknown and stays so.
pub(crate) const UNKNOWN: Client = Client::unknown();

pub(crate) const CHALLENGE: SlotName = SLOTS[0];
pub(crate) const LEDGER: SlotName = guess::LEDGER.name();

pub(crate) struct World {
    base: keywright_testing::World,
    /// The epoch at the start. It is a random number, so tests compare how far it moved.
    first_epoch: u64,
}

impl Deref for World {
    type Target = keywright_testing::World;

    fn deref(&self) -> &Self::Target {
        &self.base
    }
}

impl World {
    pub(crate) async fn memory() -> Self {
        Self::built(keywright_testing::World::builder()).await
    }

    pub(crate) async fn sqlite() -> Self {
        Self::built(keywright_testing::World::builder().sqlite()).await
    }

    pub(crate) async fn over(store: Arc<dyn Store>) -> Self {
        Self::built(keywright_testing::World::builder().store(store)).await
    }

    async fn built(builder: WorldBuilder) -> Self {
        let base = builder.seed(11).keyring(keyring()).slots(SLOT_KINDS).build().await;
        let first_epoch = base.root().await.credential_epoch;
        Self { base, first_epoch }
    }

    /// Returns the service of the first server.
    pub(crate) fn challenges(&self) -> Challenges {
        Challenges::new(self.driver.clone())
    }

    /// The service of another server on the same store, with its own queue and, here, its own
    /// keyring.
    pub(crate) fn server_with(&self, keyring: Keyring) -> Challenges {
        Challenges::new(self.keyed(keyring, self.next_seed()).driver)
    }

    /// Returns the service of another server on the same store, with the same keyring.
    pub(crate) fn another_server(&self) -> Challenges {
        Challenges::new(self.server(self.next_seed()))
    }

    /// Sets secret `n` by a client that stays unknown. Returns the user key.
    pub(crate) async fn set(&self, n: u8) -> UserKey {
        match self.challenges().set(&self.account, &secret(n), &salts(n), UNKNOWN).await.unwrap() {
            SetOutcome::Set(key) => key,
            SetOutcome::Exists => panic!("there is a challenge"),
        }
    }

    pub(crate) async fn verify(&self, n: u8, client: Client) -> Verification {
        self.challenges().verify(&self.account, &proof(n), client).await.unwrap()
    }

    /// How often the credential epoch has moved since the account was made.
    pub(crate) async fn epochs_moved(&self) -> u64 {
        self.base.root().await.credential_epoch.wrapping_sub(self.first_epoch)
    }

    pub(crate) async fn root(&self) -> Stored {
        self.store.load(&self.partition(), &[]).await.unwrap().root.unwrap()
    }

    pub(crate) async fn stored(&self, slot: SlotName) -> Option<Bytes> {
        self.store.load(&self.partition(), &[slot]).await.unwrap().records.remove(0)
    }

    /// The events in the log of changes and grants, oldest first.
    pub(crate) async fn changes(&self) -> Vec<String> {
        self.log(EventChain::Changes).await
    }

    /// The events in the log of denials, oldest first.
    pub(crate) async fn denials(&self) -> Vec<String> {
        self.log(EventChain::Denials).await
    }

    async fn log(&self, chain: EventChain) -> Vec<String> {
        self.chain(chain).await.iter().map(ToString::to_string).collect()
    }

    /// Changes a record without the knowledge of any service, as an attacker who writes the
    /// database could. The root stays as it is.
    pub(crate) async fn tamper(&self, slot: SlotName, body: Option<Bytes>) {
        let root = self.root().await;
        let aside = Revision::from_bytes([0xee; 16]);
        let mut write = Write::root(aside, root.body.clone());
        match body {
            Some(body) => write.put.push(Put { slot, body, purge_after: None }),
            None => write.delete.push(slot),
        }
        self.store.commit(Batch::new(self.partition(), Some(root.revision), write).unwrap()).await.unwrap();
        let back = Write::root(root.revision, root.body);
        self.store.commit(Batch::new(self.partition(), Some(aside), back).unwrap()).await.unwrap();
    }
}

fn keyring() -> Keyring {
    Keyring::from_keys(&[key(1)], &key(9)).unwrap()
}

pub(crate) fn key(n: u8) -> SecretBytes<32> {
    SecretBytes::from_slice(&[n; 32]).unwrap()
}

pub(crate) fn secret(n: u8) -> ChallengeSecret {
    ChallengeSecret::from_client(&secret_text(n)).unwrap()
}

pub(crate) fn secret_text(n: u8) -> String {
    format!("{n:02x}").repeat(32)
}

pub(crate) fn proof(n: u8) -> Proof {
    Proof::from(secret(n))
}

pub(crate) fn salts(n: u8) -> Salts {
    Salts::parse(&[256, 64, 16].map(|bytes| format!("{:02x}", n ^ 0x5a).repeat(bytes))).unwrap()
}

pub(crate) const fn tag(n: u8) -> ClientTag {
    ClientTag::from_bytes([n; 16])
}

/// A client identified by its credential.
pub(crate) const fn token(n: u8) -> Client {
    Client::credential(tag(n))
}

pub(crate) fn granted<K: std::fmt::Debug>(outcome: Verification<K>) -> K {
    match outcome {
        Verification::Granted(key) => key,
        other => panic!("{other:?}"),
    }
}

/// The streak of a guess that was checked and charged.
pub(crate) fn streak<K: std::fmt::Debug>(outcome: Verification<K>) -> u16 {
    match outcome {
        Verification::Denied(charge) => charge.streak(),
        other => panic!("{other:?}"),
    }
}

/// The wait of a guess that was not checked, in seconds.
pub(crate) fn wait<K: std::fmt::Debug>(outcome: Verification<K>) -> u64 {
    match outcome {
        Verification::Refused(refusal) => refusal.retry_after(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn step_error<T: std::fmt::Debug>(result: Result<T, ChallengeError>) -> StepError {
    match result {
        Err(ChallengeError::Transact(TransactError::Step(error))) => error,
        other => panic!("{other:?}"),
    }
}
