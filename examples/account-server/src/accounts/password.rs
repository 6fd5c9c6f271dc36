//! Login passwords: Argon2id, off the executor's threads, as many at once as there are cores.
//! Further ones wait in a bounded queue that is fair between accounts, and between the networks of
//! unknown clients. A request that finds no
//! place in it is answered "busy" before anything is hashed.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use keywright::core::EntropyError;
use keywright::nextcloud::queue::{Busy, Limits, Requester, WorkQueue};
use keywright::store::secret_field;
use keywright::{Entropy, SecretBytes, SecretString};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::limits::slow_work::SlowWork;

/// OWASP Password Storage Cheat Sheet: Argon2id with 19 MiB, two passes, one lane.
const COST: Cost = Cost { memory_kib: 19 * 1024, passes: 2, lanes: 1 };

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// A password's hash, with the parameters that computed it.
#[derive(Serialize, Deserialize)]
pub(crate) struct PasswordHash {
    cost: Cost,
    salt: [u8; 16],
    #[serde(with = "secret_field")]
    hash: SecretBytes<32>,
}

/// Hashes and checks passwords.
pub(crate) struct Passwords {
    queue: WorkQueue,
    work: SlowWork,
    /// Memory that is not in use now. There is one for each hash at a time.
    memory: Memory,
    /// The hash to check where there is no account. It takes the same work, and never matches.
    dummy: PasswordHash,
}

impl Passwords {
    /// # Errors
    /// An [`EntropyError`] if the generator fails.
    pub(crate) fn new(entropy: &(impl Entropy + ?Sized)) -> Result<Self, EntropyError> {
        let dummy = PasswordHash { cost: COST, salt: [0; 16], hash: SecretBytes::random(entropy)? };
        Ok(Self {
            queue: WorkQueue::new(Limits::default()),
            work: SlowWork::new(false),
            memory: Memory::default(),
            dummy,
        })
    }

    /// Limits the work for unknown clients.
    pub(crate) fn limit(&mut self, work: SlowWork) {
        self.work = work;
    }

    /// # Errors
    /// A [`PasswordError`] if the password cannot be hashed.
    pub(crate) async fn hash(
        &self,
        requester: &Requester,
        password: &SecretString,
        entropy: &(impl Entropy + ?Sized),
    ) -> Result<PasswordHash, PasswordError> {
        let salt = keywright::core::random_bytes(entropy)?;
        Ok(PasswordHash { cost: COST, salt, hash: self.run(requester, password, salt, COST).await? })
    }

    /// Whether this is the password. Without a hash, the same work is done, and the answer is no.
    ///
    /// # Errors
    /// A [`PasswordError`] if the password cannot be hashed.
    pub(crate) async fn check(
        &self,
        requester: &Requester,
        password: &SecretString,
        stored: Option<&PasswordHash>,
    ) -> Result<bool, PasswordError> {
        let against = stored.unwrap_or(&self.dummy);
        let hash = self.run(requester, password, against.salt, against.cost).await?;
        Ok(hash.ct_eq(against.hash.expose()) & stored.is_some())
    }

    /// Whether a password may be hashed for this requester now. The queue is asked first, because what
    /// finds no place in it must not count as a hash.
    ///
    /// # Errors
    /// A [`PasswordError`] if it may not.
    pub(crate) fn admit(&self, requester: &Requester) -> Result<(), PasswordError> {
        self.queue.check_place(&self.work.in_line(requester))?;
        if self.work.admit(requester) { Ok(()) } else { Err(PasswordError::TooManyHashes) }
    }

    async fn run(
        &self,
        requester: &Requester,
        password: &SecretString,
        salt: [u8; 16],
        cost: Cost,
    ) -> Result<SecretBytes<32>, PasswordError> {
        if !requester.is_admitted() {
            self.admit(requester)?;
        }
        let turn = self.queue.acquire(&self.work.in_line(requester)).await?;
        let memory = Arc::clone(&self.memory);
        let password = composed(password);
        let work = move || {
            // The work continues if the request is dropped, so its place must be held as long.
            let _turn = turn;
            derive(&password, &salt, cost, &memory)
        };
        Ok(spawn_blocking(work).await.map_err(|_| PasswordError::Lost)??)
    }
}

/// Returns a password in NFC. Keyboards and systems differ in how they write an accent, and the
/// owner cannot see which (NIST SP 800-63B-4 § 3.1.1.2).
pub(crate) fn composed(password: &SecretString) -> SecretString {
    let typed = password.expose();
    if is_nfc(typed) {
        return SecretString::new(typed.to_owned());
    }
    // UTF-8 in NFC has at most three times the bytes (UAX 15 § 9), so no growth leaves a copy
    // behind.
    let mut composed = String::with_capacity(typed.len().saturating_mul(3));
    composed.extend(typed.nfc());
    SecretString::new(composed)
}

/// Memory of hashes that have ended. A hash takes one, and gives it back wiped, so a thousand log-ins
/// do not leave a thousand allocations behind.
type Memory = Arc<Mutex<Vec<Vec<Block>>>>;

fn derive(
    password: &SecretString,
    salt: &[u8; 16],
    cost: Cost,
    memory: &Memory,
) -> Result<SecretBytes<32>, argon2::Error> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32))?;
    let mut hash = SecretBytes::zeroed();
    let mut blocks = memory.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
    blocks.resize(params.block_count(), Block::new());
    let hashed = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into_with_memory(
        password.expose().as_bytes(),
        salt,
        hash.expose_mut(),
        &mut *blocks,
    );
    blocks.fill(Block::new());
    memory.lock().unwrap_or_else(PoisonError::into_inner).push(blocks);
    hashed?;
    Ok(hash)
}

/// A password could not be hashed. This does not mean that it is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error("an unknown client's network has had too many passwords hashed")]
    TooManyHashes,
    #[error("a password cannot be hashed")]
    Hash(#[from] argon2::Error),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error("a password was not hashed to the end")]
    Lost,
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use keywright::nextcloud::queue::Standing;
    use keywright::store::Partition;
    use keywright::{AccountId, SystemEntropy};

    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::new(text.to_owned())
    }

    #[tokio::test]
    async fn right_wrong_and_nobody() {
        let passwords = Passwords::new(&SystemEntropy).unwrap();
        let requester = Requester::known(&AccountId::new("acc-00").unwrap());
        let password = secret("Grüße: aus Köln");
        let stored = passwords.hash(&requester, &password, &SystemEntropy).await.unwrap();
        assert!(passwords.check(&requester, &password, Some(&stored)).await.unwrap());
        assert!(!passwords.check(&requester, &secret("Grüße"), Some(&stored)).await.unwrap());
        assert!(!passwords.check(&requester, &password, None).await.unwrap());
    }

    #[tokio::test]
    async fn an_accent_is_the_same_however_it_is_written() {
        let passwords = Passwords::new(&SystemEntropy).unwrap();
        let requester = Requester::known(&AccountId::new("acc-00").unwrap());
        let spellings = ["Gr\u{fc}\u{df}e \u{1e69} \u{ac00}", "Gru\u{308}\u{df}e s\u{307}\u{323} \u{1100}\u{1161}"];
        for (one, other) in [(spellings[0], spellings[1]), (spellings[1], spellings[0])] {
            let stored = passwords.hash(&requester, &secret(one), &SystemEntropy).await.unwrap();
            for typed in [one, other] {
                assert!(passwords.check(&requester, &secret(typed), Some(&stored)).await.unwrap(), "{typed:?}");
            }
            // Case and compatibility forms carry meaning.
            for typed in ["gr\u{fc}\u{df}e \u{1e69} \u{ac00}", "Gr\u{fc}sse \u{1e69} \u{ac00}"] {
                assert!(!passwords.check(&requester, &secret(typed), Some(&stored)).await.unwrap(), "{typed:?}");
            }
        }
        assert_eq!(composed(&secret("\u{fb01} \u{ff21}")).expose(), "\u{fb01} \u{ff21}");
    }

    /// Unknown clients that guess at many names at once are answered "busy", alike for names that
    /// exist and names that do not, before anything is hashed. The owner's known device is served
    /// before all that wait.
    #[tokio::test]
    async fn a_crowd_is_told_busy_whoever_it_asks_for_and_known_clients_come_first() {
        let queue = WorkQueue::new(Limits::default().at_once(1).waiting(4, 2));
        let owner = AccountId::new("acc-00").unwrap();
        let stranger = |number: u8| Requester::new(Partition::name(&[number; 32]), Standing::Unknown);
        let passwords = Passwords { queue: queue.clone(), ..Passwords::new(&SystemEntropy).unwrap() };
        let password = secret("login");
        let stored = passwords.hash(&Requester::known(&owner), &password, &SystemEntropy).await.unwrap();
        let at_work = queue.acquire(&stranger(0)).await.unwrap();
        let (first, second, third) =
            (stranger(1), stranger(2), Requester::new(Partition::account(&owner), Standing::Unknown));
        let mut waiting = pin!(passwords.check(&first, &password, None));
        let mut others = pin!(passwords.check(&second, &password, Some(&stored)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        assert!(others.as_mut().poll(&mut context).is_pending());
        for stored in [None, Some(&stored)] {
            // It is not pending for a moment, because nothing was handed to a thread.
            let told = pin!(passwords.check(&third, &password, stored)).poll(&mut context);
            assert!(matches!(told, Poll::Ready(Err(PasswordError::Busy(_)))), "{told:?}");
        }
        let known = Requester::known(&owner);
        let mut owners = pin!(passwords.check(&known, &password, Some(&stored)));
        assert!(owners.as_mut().poll(&mut context).is_pending());
        drop(at_work);
        assert_eq!(queue.waiting(), (0, 2), "the owner is at work, the others wait");
        assert!(owners.await.unwrap());
        assert!(!waiting.await.unwrap());
        assert!(others.await.unwrap());
    }
}
