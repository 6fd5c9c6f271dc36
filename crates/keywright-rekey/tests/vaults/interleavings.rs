//! 1,000 random interleavings of edits, insertions, deletions, changes and reads by several clients
//! on two servers. After each, every cipher is under the same key of the client's, which is the
//! account's.

use std::sync::Arc;

use keywright_core::{AccountId, below};
use keywright_rekey::{Edit, EditOutcome, HoldOutcome, PlanOutcome, SwapOutcome, VaultError, Vaults};
use keywright_sqlite::SqliteStore;
use keywright_store::{Draft, MemoryStore, StepError, TransactError, Which};
use keywright_store_conformance::{FaultStore, Odds};
use keywright_testing::{SeededRng, Store, seeded};

use crate::world::{
    CLIENT_KEY, CLIENT_SLOTS, ClientKey, PENDING, World, anew, id, put, read_text, set_key, submission, text,
};

const SEEDS: u64 = 1_000;
const CLIENTS: u32 = 3;
const ACTS: u32 = 3;
/// Ciphers with these numbers are only ever edited: their values count the edits.
const COUNTED: u32 = 3;

/// A client: what it last learned, and for each counted cipher how many edits it knows to be done,
/// and how many may have been done.
struct Client {
    number: u32,
    generation: u32,
    key_epoch: u64,
    credential_epoch: u64,
    done: [u32; COUNTED as usize],
    unknown: [u32; COUNTED as usize],
}

fn pick(rng: &SeededRng, bound: u32) -> u32 {
    below(rng, bound).unwrap()
}

/// No decision was made: a load failed, the store refused, the account was busy, or the outcome is
/// unknown.
fn undecided<T>(result: Result<T, VaultError>) -> Result<T, bool> {
    result.map_err(|error| match error {
        VaultError::Transact(TransactError::Unknown(_)) => true,
        VaultError::Transact(TransactError::Busy | TransactError::Load(_) | TransactError::Rejected(_))
        | VaultError::Load(_)
        | VaultError::Stage(_)
        | VaultError::Restless => false,
        other => panic!("{other:?}"),
    })
}

impl Client {
    /// Logs in again: learns the account's present key.
    async fn log_in(&mut self, world: &World, vaults: &Vaults) {
        let look = |draft: &mut Draft<'_>| {
            let root = draft.root()?;
            let key = draft.read(CLIENT_KEY)?.ok_or(StepError::NoAccount)?;
            Ok((root.key_epoch, root.credential_epoch, key.generation))
        };
        if let Ok(seen) = vaults.driver().observe(&world.partition(), &[CLIENT_KEY.name()], look).await {
            (self.key_epoch, self.credential_epoch, self.generation) = seen;
        }
    }

    /// Reads one counted cipher and writes its value incremented by one.
    async fn edit(&mut self, rng: &SeededRng, world: &World, vaults: &Vaults) -> Result<(), bool> {
        let number = pick(rng, COUNTED);
        let contents =
            undecided(vaults.read(&world.account, Which::Ids { ids: &[id(number)], with_marks: false }).await)?
                .unwrap();
        let (generation, value) = read_text(contents.ciphers[0].text());
        if generation != self.generation {
            // The cipher does not open for this client, whose key is old.
            self.log_in(world, vaults).await;
            return Ok(());
        }
        let next = text(self.generation, value + 1);
        let edit = Edit::new(vec![put(id(number), &next, "")], Vec::new());
        let (existing, key_epoch) = (contents.existing(), self.key_epoch);
        let step = |draft: &mut Draft<'_>| vaults.steps().edit_in(draft, &edit, &existing, key_epoch);
        let result = vaults.driver().transact(&world.partition(), &[], step).await;
        let at = usize::try_from(number).unwrap();
        match undecided(result.map_err(VaultError::from)) {
            Ok(EditOutcome::Done { .. }) => self.done[at] += 1,
            Ok(EditOutcome::Fenced) => self.log_in(world, vaults).await,
            Ok(EditOutcome::HeadMoved) => {}
            Ok(other) => panic!("{other:?}"),
            Err(true) => self.unknown[at] += 1,
            Err(false) => {}
        }
        Ok(())
    }

    async fn insert_or_delete(&mut self, rng: &SeededRng, world: &World, vaults: &Vaults) -> Result<(), bool> {
        let (new, number) = (text(self.generation, 0), id(COUNTED + pick(rng, 6)));
        let edit = if pick(rng, 2) == 0 {
            Edit::new(vec![put(number, &new, "new")], Vec::new())
        } else {
            Edit::new(Vec::new(), vec![number])
        };
        match undecided(vaults.edit(&world.account, &edit, self.key_epoch).await)? {
            EditOutcome::Fenced => self.log_in(world, vaults).await,
            EditOutcome::Done { .. } | EditOutcome::HeadMoved => {}
            other => panic!("{other:?}"),
        }
        Ok(())
    }

    /// Reads all ciphers, encrypts them under a key that no other client draws, and changes the
    /// account's key with them, like a service whose session is void if the credential was changed
    /// in the meantime.
    async fn change(&mut self, rng: &SeededRng, world: &World, vaults: &Vaults, generation: u32) -> Result<(), bool> {
        let contents = undecided(vaults.read(&world.account, Which::All).await)?.unwrap();
        if contents.ciphers.iter().any(|cipher| read_text(cipher.text()).0 != self.generation) {
            self.log_in(world, vaults).await;
            return Ok(());
        }
        let body = anew(&contents, generation);
        let known = Some(contents.head.revision);
        let sealed = match undecided(vaults.plan(&world.account, &submission(&body), known).await)? {
            PlanOutcome::Ready(sealed) => sealed,
            _ => return Ok(()),
        };
        let hold = pick(rng, 4) == 0;
        let credential_epoch = self.credential_epoch;
        let authorised = |draft: &mut Draft<'_>| Ok::<_, StepError>(draft.root()?.credential_epoch == credential_epoch);
        let result = if hold {
            let staged = undecided(vaults.stage(sealed, world.at(100)).await)?;
            let step = |draft: &mut Draft<'_>| {
                if authorised(draft)? && vaults.steps().hold_in(draft, &staged)? == HoldOutcome::Held {
                    draft.put(PENDING, &ClientKey { generation })?;
                }
                Ok(())
            };
            undecided(vaults.driver().transact(&world.partition(), &[], step).await.map_err(VaultError::from))?;
            // The client that follows the link promotes what is held, with the key that was
            // recorded beside it.
            let promoted = vaults.promote(&world.account, CLIENT_SLOTS, |draft| {
                let pending = draft.read(PENDING)?.ok_or(StepError::NoAccount)?;
                set_key(draft, pending.generation)
            });
            undecided(promoted.await).map(|_| ())
        } else {
            let step = |draft: &mut Draft<'_>| {
                if authorised(draft)? && matches!(vaults.steps().swap_in(draft, &sealed)?, SwapOutcome::Done { .. }) {
                    set_key(draft, generation)?;
                }
                Ok(())
            };
            undecided(vaults.driver().transact(&world.partition(), &[], step).await.map_err(VaultError::from))
                .map(|_| ())
        };
        self.log_in(world, vaults).await;
        result
    }

    async fn act(mut self, seed: u64, world: World, vaults: Vaults) -> Self {
        let rng = seeded(seed * 100 + u64::from(self.number));
        for act in 0..ACTS {
            // If a fault prevents a decision, the client tries later or not at all.
            let _ = match pick(&rng, 10) {
                0..=3 => self.edit(&rng, &world, &vaults).await,
                4..=5 => self.insert_or_delete(&rng, &world, &vaults).await,
                6..=8 => self.change(&rng, &world, &vaults, 10 + self.number * 100 + act).await,
                _ => undecided(vaults.read(&world.account, Which::All).await).map(|_| ()),
            };
        }
        self
    }
}

async fn interleave(store: Arc<dyn Store>) {
    let (mut swapped, mut edited) = (0, 0);
    for seed in 0..SEEDS {
        let account = AccountId::new(format!("user-{seed}")).unwrap();
        let calm = World::over(Arc::clone(&store)).of(account);
        let _ = calm.register(COUNTED + 3).await;
        let epochs = |draft: &mut Draft<'_>| draft.root().map(|root| (root.key_epoch, root.credential_epoch));
        let epochs = calm.server().driver().observe(&calm.partition(), &[], epochs).await;
        let (key_epoch, credential_epoch) = epochs.unwrap();
        let faults = Arc::new(FaultStore::new(Arc::clone(&store)));
        // Every second one uses a store that loses replies, delays commits, and fails.
        let faulty = u16::try_from(seed % 2).unwrap();
        let odds = Odds {
            conflict: 20 * faulty,
            rejected: 20 * faulty,
            lost_before: 40 * faulty,
            lost_after: 40 * faulty,
            held: 40 * faulty,
            load_fails: 10 * faulty,
            delivery: 50 * faulty,
            pause: 400,
        };
        faults.randomise(seed, odds);
        let world = calm.on(faults.clone());
        let servers = [world.server(), world.server()];
        let clients = (0..CLIENTS).map(|number| {
            let client = Client {
                number,
                generation: 1,
                key_epoch,
                credential_epoch,
                done: [0; COUNTED as usize],
                unknown: [0; COUNTED as usize],
            };
            let vaults = servers[usize::try_from(number % 2).unwrap()].clone();
            tokio::spawn(client.act(seed, world.clone(), vaults))
        });
        let mut clients = clients.collect::<Vec<_>>();
        let (mut done, mut unknown) = ([0; COUNTED as usize], [0; COUNTED as usize]);
        for client in clients.drain(..) {
            let client = client.await.unwrap();
            for at in 0..done.len() {
                done[at] += client.done[at];
                unknown[at] += client.unknown[at];
            }
        }
        faults.calm();
        while faults.deliver().await.is_some() {}
        let contents = calm.check().await;
        for (at, cipher) in contents.ciphers.iter().take(done.len()).enumerate() {
            let value = read_text(cipher.text()).1;
            assert!((done[at]..=done[at] + unknown[at]).contains(&value), "seed {seed}: an edit was lost or doubled");
        }
        swapped += calm.swaps().await;
        edited += done.iter().sum::<u32>();
    }
    assert!(swapped > SEEDS / 4 && u64::from(edited) > SEEDS, "it did swap and edit: {swapped}, {edited}");
}

#[tokio::test]
async fn every_vault_is_under_one_key_on_memory() {
    interleave(Arc::new(MemoryStore::new())).await;
}

#[tokio::test]
async fn every_vault_is_under_one_key_on_sqlite() {
    interleave(Arc::new(SqliteStore::open_in_memory().unwrap())).await;
}
