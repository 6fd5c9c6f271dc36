//! The server's key pair: one sealed record of the server's partition, shared by all instances,
//! renewed every day.
//!
//! A pair that lives for ever would make the shared key a password that can be replayed for ever
//! (`docs/security.md` § 11). A pair per process, as upstream has it, would not work behind a load
//! balancer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use async_lock::Mutex;
use keywright_core::{Entropy, EntropyError, UnixSeconds};
use keywright_store::{
    Draft, Driver, Partition, Plain, Receipt, Record, Release, Slot, StepError, Tentative, TransactError, WrongReceipt,
};
use serde::{Deserialize, Serialize};

use crate::protocol::keys::{PrivateKey, PublicKey, SharedKey, verify_shared};

/// How long a pair is handed out: 24 hours (`docs/security.md` § 11).
pub const LIFETIME_SECONDS: u64 = 24 * 60 * 60;

/// How much longer shared keys made with a pair are accepted: 1 hour (`docs/security.md` § 11), far
/// more than a client needs between requesting the public key and using it.
pub const GRACE_SECONDS: u64 = 60 * 60;

/// How far ahead another instance's clock may be: a minute. Without this tolerance, of two
/// instances a second apart the slower would take each new pair for one from the future, and drop
/// it while clients hold its public half.
pub const CLOCK_SKEW_SECONDS: u64 = 60;

/// The pairs of the server, in its own partition.
pub(crate) const SERVER_KEY: Slot<Pairs> = Slot::lasting("lp-server-key");

/// The current pair, and the previous one.
pub struct ServerKeys {
    pairs: Pairs,
}

/// The record. It has its own type because it serialises private keys: only this module can write
/// it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Pairs {
    current: Pair,
    previous: Option<Pair>,
}

#[derive(Serialize, Deserialize)]
struct Pair {
    #[serde(with = "crate::protocol::keys::stored")]
    private: PrivateKey,
    made: UnixSeconds,
}

impl Record for Pairs {
    const SCHEMA: u16 = 1;
}

impl Pair {
    fn new(now: UnixSeconds, entropy: &(impl Entropy + ?Sized)) -> Result<Self, EntropyError> {
        Ok(Self { private: PrivateKey::random(entropy)?, made: now })
    }

    /// Whether the pair was made in the future, or before the fence: then a clock went back, or a
    /// backup was restored. Who has learned the pair since then is not known.
    fn is_suspect(&self, now: UnixSeconds, fence: UnixSeconds) -> bool {
        self.made > now.plus(CLOCK_SKEW_SECONDS) || self.made < fence
    }

    /// Whether shared keys made with the pair are accepted. It was last handed out at the end of
    /// its lifetime, so after the grace period no honest client holds a product made with it.
    fn is_accepted(&self, now: UnixSeconds) -> bool {
        self.made <= now.plus(CLOCK_SKEW_SECONDS)
            && now.since(self.made) < LIFETIME_SECONDS.saturating_add(GRACE_SECONDS)
    }
}

impl ServerKeys {
    /// Draws a first pair.
    ///
    /// # Errors
    /// [`EntropyError`] if the source fails.
    pub fn new(now: UnixSeconds, entropy: &(impl Entropy + ?Sized)) -> Result<Self, EntropyError> {
        Ok(Self { pairs: Pairs { current: Pair::new(now, entropy)?, previous: None } })
    }

    /// Whether the pair must be replaced before it is used: it is [`LIFETIME_SECONDS`] old, or was
    /// made in the future or before the keyring's `fence`.
    #[must_use]
    pub fn is_due(&self, now: UnixSeconds, fence: UnixSeconds) -> bool {
        self.pairs.current.is_suspect(now, fence) || now.since(self.pairs.current.made) >= LIFETIME_SECONDS
    }

    /// Returns the next pair, if this one is due. The current pair becomes the previous one, unless
    /// it was made in the future or before the `fence`: then it is dropped.
    ///
    /// # Errors
    /// [`EntropyError`] if the source fails.
    pub fn renewed(
        &self,
        now: UnixSeconds,
        fence: UnixSeconds,
        entropy: &(impl Entropy + ?Sized),
    ) -> Result<Option<Self>, EntropyError> {
        if !self.is_due(now, fence) {
            return Ok(None);
        }
        let previous = (!self.pairs.current.is_suspect(now, fence) && self.pairs.current.is_accepted(now))
            .then(|| Pair { private: self.pairs.current.private.duplicate(), made: self.pairs.current.made });
        Ok(Some(Self { pairs: Pairs { current: Pair::new(now, entropy)?, previous } }))
    }

    /// Returns the private keys whose shared keys are accepted now: the current one, and for
    /// [`GRACE_SECONDS`] beyond its lifetime the previous one.
    pub fn accepted(&self, now: UnixSeconds) -> impl Iterator<Item = &PrivateKey> {
        std::iter::once(&self.pairs.current)
            .chain(&self.pairs.previous)
            .filter(move |pair| pair.is_accepted(now))
            .map(|pair| &pair.private)
    }

    /// Whether a sent shared key proves the user's private key, with any accepted pair. All
    /// products are computed, so the time does not show which one matched.
    #[must_use]
    pub fn verify(&self, now: UnixSeconds, user: &PublicKey, sent: &SharedKey) -> bool {
        self.accepted(now).fold(false, |found, private| verify_shared(private, user, sent) | found)
    }

    fn read(draft: &mut Draft<'_>) -> Result<Option<Self>, StepError> {
        Ok(draft.read(SERVER_KEY)?.map(|pairs| Self { pairs }))
    }

    /// Returns the public half to hand out.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.pairs.current.private.public_key()
    }

    /// Whether both hand out the same pair.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.pairs.current.private.ct_eq(&other.pairs.current.private)
    }
}

keywright_core::redacted_debug!(ServerKeys { made: pairs.current.made, .. });

/// The server's pair over a store: cached, and the same on every instance.
///
/// It is cheap to clone. Before each use of a pair its age is checked. One that is due is renewed
/// by a guarded commit, so of many instances one wins and the others adopt its pair.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::sync::Arc;
/// # use keywright_core::{Clock, Keyring, SystemClock, SystemEntropy};
/// # use keywright_store::{Driver, MemoryStore};
/// # let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
/// # let driver = Driver::builder(Arc::new(MemoryStore::new()), keyring);
/// # let driver = driver.slots(keywright_librepass::SLOT_KINDS).build()?;
/// use keywright_librepass::{HandshakeKeys, PrivateKey};
///
/// let handshake = HandshakeKeys::load(driver.clone()).await?;
///
/// // The client asks for the public half and proves its own private key with the product.
/// let user = PrivateKey::random(&SystemEntropy)?;
/// let sent = user.agree(&handshake.current().await?.public_key()).expect("not of low order");
///
/// let now = SystemClock.now()?;
/// assert!(handshake.stored().await?.verify(now, &user.public_key(), &sent));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct HandshakeKeys {
    cx: Arc<Context>,
}

struct Context {
    driver: Driver,
    cached: RwLock<Arc<ServerKeys>>,
    /// Held by the task that renews, so that a thousand requests after a day make one commit.
    /// Nothing else takes it: reading what is stored waits for no other request.
    renewing: Mutex<()>,
    /// How often this instance has renewed the pair, or adopted another instance's.
    renewals: AtomicU64,
}

impl HandshakeKeys {
    /// Loads the pair, and draws the first one in a store that has none.
    ///
    /// # Errors
    /// [`TransactError`] if the store failed, and also for a record that does not open: it is never
    /// replaced by a fresh pair.
    pub async fn load(driver: Driver) -> Result<Self, TransactError> {
        let keys = Arc::new(renew(&driver).await?);
        Ok(Self {
            cx: Arc::new(Context {
                driver,
                cached: RwLock::new(keys),
                renewing: Mutex::new(()),
                renewals: AtomicU64::new(0),
            }),
        })
    }

    /// Returns the pairs whose public half is handed out: the cached ones, renewed first if they
    /// are due.
    ///
    /// # Errors
    /// [`TransactError`] if they are due and cannot be renewed. Nothing is handed out or accepted
    /// then.
    pub async fn current(&self) -> Result<Arc<ServerKeys>, TransactError> {
        let renewals = self.renewals();
        match self.in_date()? {
            Some(keys) => Ok(keys),
            None => self.renew(renewals).await,
        }
    }

    /// Returns the pairs as the store has them, renewed first if they are due. Call it **before** a
    /// shared key is checked, and so before it is charged: another instance may have renewed the
    /// pair early, for instance after a restore.
    ///
    /// This is one load, which waits for no other caller's.
    ///
    /// # Errors
    /// [`TransactError`] if the store failed. Nothing is checked then.
    pub async fn stored(&self) -> Result<Arc<ServerKeys>, TransactError> {
        let renewals = self.renewals();
        let look = |draft: &mut Draft<'_>| {
            let (now, fence) = (draft.now(), draft.keyring().fence());
            Ok(ServerKeys::read(draft)?.filter(|keys| !keys.is_due(now, fence)))
        };
        match self.cx.driver.observe(&Partition::server(), &[SERVER_KEY.name()], look).await? {
            Some(keys) => Ok(self.adopt(keys)),
            None => self.renew(renewals).await,
        }
    }

    /// Renews the pairs, unless another task has done so since the caller read the count
    /// `renewals`.
    async fn renew(&self, renewals: u64) -> Result<Arc<ServerKeys>, TransactError> {
        let _renewing = self.cx.renewing.lock().await;
        if self.renewals() != renewals
            && let Some(keys) = self.in_date()?
        {
            return Ok(keys);
        }
        let keys = self.adopt(renew(&self.cx.driver).await?);
        self.cx.renewals.fetch_add(1, Ordering::AcqRel);
        Ok(keys)
    }

    fn renewals(&self) -> u64 {
        self.cx.renewals.load(Ordering::Acquire)
    }

    fn in_date(&self) -> Result<Option<Arc<ServerKeys>>, TransactError> {
        let (now, fence) = (self.cx.driver.clock().now()?, self.cx.driver.keyring().fence());
        let keys = Arc::clone(&self.cx.cached.read().unwrap_or_else(PoisonError::into_inner));
        Ok((!keys.is_due(now, fence)).then_some(keys))
    }

    fn adopt(&self, keys: ServerKeys) -> Arc<ServerKeys> {
        let keys = Arc::new(keys);
        *self.cx.cached.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&keys);
        keys
    }
}

keywright_core::redacted_debug!(HandshakeKeys { driver: cx.driver, .. });

/// Returns the stored pairs, made or renewed if necessary.
async fn renew(driver: &Driver) -> Result<ServerKeys, TransactError> {
    driver.run(&Partition::server(), &[SERVER_KEY.name()], renew_in).await
}

enum Kept {
    Stored(ServerKeys),
    /// Renewed pairs, handed out only if they are committed.
    Renewed(Tentative<ServerKeys>),
}

impl Release for Kept {
    type Released = ServerKeys;
    fn release(self, receipt: &Receipt) -> Result<ServerKeys, WrongReceipt> {
        match self {
            Self::Stored(keys) => Plain(keys).release(receipt),
            Self::Renewed(keys) => keys.release(receipt),
        }
    }
}

fn renew_in(draft: &mut Draft<'_>) -> Result<Kept, StepError> {
    let (now, fence, entropy) = (draft.now(), draft.keyring().fence(), draft.entropy());
    let next = match ServerKeys::read(draft)? {
        None => ServerKeys::new(now, entropy)?,
        Some(keys) => match keys.renewed(now, fence, entropy)? {
            None => return Ok(Kept::Stored(keys)),
            Some(next) => next,
        },
    };
    draft.put(SERVER_KEY, &next.pairs)?;
    Ok(Kept::Renewed(draft.tentative(next)))
}
