//! The service: `…_in` composes into a caller's draft, the bare names run it.

mod damage;
mod harm;
mod reading;
mod swapping;
mod upload;

use std::fmt;
use std::sync::Arc;

use keywright_core::AccountId;
use keywright_store::{Draft, Driver, Partition, Revision, StageId, StepError, VaultStore};

pub use damage::Unreadable;
pub use reading::{Cipher, Contents};

use crate::error::VaultError;
use crate::outcome::{CreateOutcome, EditOutcome, HoldOutcome, Promotion, SwapOutcome};
use crate::policy::VaultPolicy;
use crate::seal::SealedSwap;
use crate::stage::{CheckedStage, StagedSwap};
use crate::state::{VAULT, VAULT_SLOT};
use crate::step::edit::{Edit, Existing};
use crate::step::{self, Head};

/// The server half: pure transitions with a policy. `Vaults` runs them on a store.
///
/// They never touch a credential: the caller's own step changes it in the same draft, so one commit carries both.
#[derive(Debug, Clone, Default)]
pub struct VaultSteps {
    policy: VaultPolicy,
}

impl VaultSteps {
    /// Steps under a policy.
    #[must_use]
    pub const fn new(policy: VaultPolicy) -> Self {
        Self { policy }
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &VaultPolicy {
        &self.policy
    }

    /// Makes an empty vault, at the registration.
    ///
    /// # Errors
    /// [`StepError`]; nothing is made.
    pub fn create_in(&self, draft: &mut Draft<'_>) -> Result<CreateOutcome, StepError> {
        step::create(draft)
    }

    /// What is known of the vault without its ciphers; `None` if there is none.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn head_in(&self, draft: &mut Draft<'_>) -> Result<Option<Head>, StepError> {
        step::head(draft)
    }

    /// The vault's version, as the root names it: what [`Head::revision`] is, without opening the head. `None` if there is
    /// no vault.
    #[must_use]
    pub fn revision_in(&self, draft: &Draft<'_>) -> Option<Revision> {
        draft.revision(VAULT)
    }

    /// Puts and deletes ciphers. `existing` was read before, outside the draft; `key_epoch` is the one in which the
    /// writer's session or token was made. One draft takes one change of the vault.
    ///
    /// # Errors
    /// [`StepError`]; [`StepError::Misuse`] if `existing` was not asked about an id of the edit.
    pub fn edit_in(
        &self,
        draft: &mut Draft<'_>,
        edit: &Edit<'_>,
        existing: &Existing,
        key_epoch: u64,
    ) -> Result<EditOutcome, StepError> {
        step::edit(draft, &self.policy, edit, existing, key_epoch)
    }

    /// Replaces every cipher, and moves the key epoch and the credential epoch: sessions, pending confirmations, held
    /// vaults and stale devices are void. A session that the protocol keeps is written anew **after** this step.
    ///
    /// # Errors
    /// [`StepError`]; [`StepError::Misuse`] in another account's draft.
    pub fn swap_in(&self, draft: &mut Draft<'_>, sealed: &SealedSwap) -> Result<SwapOutcome, StepError> {
        step::swap(draft, sealed)
    }

    /// Holds a staged vault back until it is promoted. What the account held before is void.
    ///
    /// # Errors
    /// As [`swap_in`](Self::swap_in).
    pub fn hold_in(&self, draft: &mut Draft<'_>, staged: &StagedSwap) -> Result<HoldOutcome, StepError> {
        step::hold(draft, staged)
    }

    /// Makes the held vault the vault, if all that it rests on still stands: the head, the epochs, its time. As a swap it
    /// moves the epochs. `checked` comes from [`Vaults::covered`](crate::Vaults::covered): exactly these rows are
    /// promoted, or the commit conflicts.
    ///
    /// # Errors
    /// [`StepError`]; nothing is promoted.
    pub fn promote_in(&self, draft: &mut Draft<'_>, checked: &CheckedStage) -> Result<Promotion, StepError> {
        step::promote(draft, checked)
    }

    /// The stage that is held or being uploaded, if there is one. To be asked before a step that replaces or drops it: once
    /// that is committed, [`Vaults::unstage`](crate::Vaults::unstage) takes its rows away.
    ///
    /// # Errors
    /// [`StepError`].
    pub fn staged_in(&self, draft: &mut Draft<'_>) -> Result<Option<StageId>, StepError> {
        step::stage(draft)
    }

    /// Drops what is held or being uploaded; its rows go with the sweep, or at once as with
    /// [`staged_in`](Self::staged_in). Returns whether a held vault was there.
    ///
    /// # Errors
    /// [`StepError`]; nothing is dropped.
    pub fn drop_held_in(&self, draft: &mut Draft<'_>) -> Result<bool, StepError> {
        step::drop_held(draft)
    }
}

/// The server half over a store.
///
/// ```
/// # #[cfg(feature = "json")]
/// # fn main() -> Result<(), Box<dyn std::error::Error>> { futures_lite::future::block_on(async {
/// use std::sync::Arc;
/// use keywright_core::{AccountId, Keyring, SystemEntropy};
/// use keywright_rekey::{CipherList, Edit, Hex, Limits, Put, Swap, VaultPolicy, Vaults, parse_id};
/// use keywright_store::{Driver, MemoryStore, Which};
///
/// let (store, account) = (Arc::new(MemoryStore::new()), AccountId::new("user-1")?);
/// let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
/// let driver = Driver::builder(store.clone(), keyring).slots(keywright_rekey::SLOT_KINDS).build()?;
/// let vaults = Vaults::new(driver, store, VaultPolicy::default());
/// vaults.driver().ensure_account(&account).await?;
///
/// // An empty vault, and one cipher that the client encrypted.
/// let _ = vaults.create(&account).await?;
/// let head = vaults.head(&account).await?.ok_or("no vault")?;
/// let id = "1d2f8a60-43c1-4c39-9d1c-1c6a7f1b8a01";
/// let text = "a1".repeat(40);
/// let nonce = Limits::default().check(&Hex, &text)?;
/// let put = Put::new(parse_id(id).ok_or("no UUID")?, nonce, &text, b"a login");
/// let _ = vaults.edit(&account, &Edit::new(vec![put], Vec::new()), head.key_epoch).await?;
///
/// // The password changes: the client sends every cipher anew, and the credential changes in the same commit.
/// let read = vaults.read(&account, Which::All).await?.ok_or("no vault")?;
/// let body = format!(r#"[{{"id": "{id}", "data": "{}"}}]"#, "b2".repeat(40));
/// let submission = CipherList::new(body.as_bytes(), Limits::default(), &Hex).read_json()?;
/// let swap = vaults.swap(&account, &submission, Some(read.head.revision), &[], |_draft| {
///     // Here the caller's own step puts the new credential.
///     Ok(())
/// });
/// assert!(matches!(swap.await?, Swap::Done { ciphers: 1, .. }));
/// let read = vaults.read(&account, Which::All).await?.ok_or("no vault")?;
/// assert_eq!((read.ciphers[0].text(), read.ciphers[0].note()), (&*"b2".repeat(40), &b"a login"[..]));
/// # Ok(()) }) }
/// # #[cfg(not(feature = "json"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Vaults {
    driver: Driver,
    store: Arc<dyn VaultStore>,
    steps: VaultSteps,
}

impl Vaults {
    /// A service over a driver and the vault side of **the same store**.
    #[must_use]
    pub const fn new(driver: Driver, store: Arc<dyn VaultStore>, policy: VaultPolicy) -> Self {
        Self { driver, store, steps: VaultSteps::new(policy) }
    }

    /// The steps, to compose with others in one draft.
    #[must_use]
    pub const fn steps(&self) -> &VaultSteps {
        &self.steps
    }

    /// The driver.
    #[must_use]
    pub const fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Makes an empty vault for an account that has records already.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn create(&self, account: &AccountId) -> Result<CreateOutcome, VaultError> {
        let partition = Partition::account(account);
        let step = |draft: &mut Draft<'_>| self.steps.create_in(draft);
        Ok(self.driver.transact(&partition, &[VAULT_SLOT], step).await?)
    }

    /// What is known of the vault without its ciphers; `None` if there is none.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn head(&self, account: &AccountId) -> Result<Option<Head>, VaultError> {
        let partition = Partition::account(account);
        Ok(self.driver.observe(&partition, &[VAULT_SLOT], |draft| self.steps.head_in(draft)).await?)
    }

    /// Puts and deletes ciphers; reads before what exists. [`EditOutcome::HeadMoved`] if the vault changed meanwhile.
    ///
    /// # Errors
    /// [`VaultError`]; if [it is unknown](VaultError::is_unknown), it may be done.
    pub async fn edit(&self, account: &AccountId, edit: &Edit<'_>, key_epoch: u64) -> Result<EditOutcome, VaultError> {
        let Some(existing) = self.existing(account, &edit.ids()).await? else { return Ok(EditOutcome::HeadMoved) };
        let partition = Partition::account(account);
        let step = |draft: &mut Draft<'_>| self.steps.edit_in(draft, edit, &existing, key_epoch);
        Ok(self.driver.transact(&partition, &[VAULT_SLOT], step).await?)
    }
}

impl fmt::Debug for Vaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vaults").field("steps", &self.steps).finish_non_exhaustive()
    }
}
