//! The service. The steps `…_in` are composed in a caller's draft; the methods of `Vaults` with the
//! same names, but without `_in`, run them on a store.

mod damage;
mod harm;
mod reading;
mod swapping;
mod upload;

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

/// The server half as pure steps over a draft, under a policy. `Vaults` runs them on a store.
///
/// The steps never change a credential. The caller's own step does so in the same draft, so that
/// both changes are one commit.
#[derive(Debug, Clone, Default)]
pub struct VaultSteps {
    policy: VaultPolicy,
}

impl VaultSteps {
    /// Creates the steps under a policy.
    #[must_use]
    pub const fn new(policy: VaultPolicy) -> Self {
        Self { policy }
    }

    /// Returns the policy.
    #[must_use]
    pub const fn policy(&self) -> &VaultPolicy {
        &self.policy
    }

    /// Creates an empty vault, for use at registration.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written or the generator fails; then
    /// nothing is created.
    pub fn create_in(&self, draft: &mut Draft<'_>) -> Result<CreateOutcome, StepError> {
        step::create(draft)
    }

    /// Returns what is known of the vault without its ciphers, or `None` if there is none.
    ///
    /// # Errors
    /// Returns a [`StepError`] if the vault's head cannot be read.
    pub fn head_in(&self, draft: &mut Draft<'_>) -> Result<Option<Head>, StepError> {
        step::head(draft)
    }

    /// Returns the vault's version as the root records it. It equals [`Head::revision`], but does
    /// not require opening the head. Returns `None` if there is no vault.
    #[must_use]
    pub fn revision_in(&self, draft: &Draft<'_>) -> Option<Revision> {
        draft.revision(VAULT)
    }

    /// Puts and deletes ciphers. `existing` must have been read before, outside the draft;
    /// `key_epoch` is the one in which the writer's session or token was made. Only one change of
    /// the vault is possible in a draft.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written. Returns [`StepError::Misuse`]
    /// if `existing` does not cover an id of the edit.
    pub fn edit_in(
        &self,
        draft: &mut Draft<'_>,
        edit: &Edit<'_>,
        existing: &Existing,
        key_epoch: u64,
    ) -> Result<EditOutcome, StepError> {
        step::edit(draft, &self.policy, edit, existing, key_epoch)
    }

    /// Replaces every cipher, and moves the key epoch and the credential epoch, so that sessions,
    /// pending confirmations, held vaults and stale devices are void. To keep a session, write its
    /// record again **after** this step, with the new epochs.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written. Returns [`StepError::Misuse`]
    /// in another account's draft.
    pub fn swap_in(&self, draft: &mut Draft<'_>, sealed: &SealedSwap) -> Result<SwapOutcome, StepError> {
        step::swap(draft, sealed)
    }

    /// Records that a staged vault waits until it is promoted ("held"). If the account has a held
    /// vault already, that one becomes void.
    ///
    /// # Errors
    /// The errors are those of [`swap_in`](Self::swap_in).
    pub fn hold_in(&self, draft: &mut Draft<'_>, staged: &StagedSwap) -> Result<HoldOutcome, StepError> {
        step::hold(draft, staged)
    }

    /// Makes the held vault the current one, if everything that it depends on is still current: the
    /// head, the epochs and its expiry. Like a swap, this moves the epochs. `checked` comes from
    /// [`Vaults::covered`](crate::Vaults::covered): exactly these rows are promoted, or the commit
    /// conflicts.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is promoted.
    pub fn promote_in(&self, draft: &mut Draft<'_>, checked: &CheckedStage) -> Result<Promotion, StepError> {
        step::promote(draft, checked)
    }

    /// Returns the stage that is held or being uploaded, if there is one. Call this before a step
    /// that replaces or drops the stage. Once that step is committed,
    /// [`Vaults::unstage`](crate::Vaults::unstage) removes its rows.
    ///
    /// # Errors
    /// Returns a [`StepError`] if the record of the stage cannot be read.
    pub fn staged_in(&self, draft: &mut Draft<'_>) -> Result<Option<StageId>, StepError> {
        step::stage(draft)
    }

    /// Drops the vault that is held or being uploaded. Its rows are deleted by the next sweep, or
    /// immediately as described at [`staged_in`](Self::staged_in). Returns whether there was a held
    /// vault.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is dropped.
    pub fn drop_held_in(&self, draft: &mut Draft<'_>) -> Result<bool, StepError> {
        step::drop_held(draft)
    }
}

/// The server half, which runs the steps on a store.
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
/// // The password changes: the client sends every cipher again, and the credential changes in the same commit.
/// let read = vaults.read(&account, Which::All).await?.ok_or("no vault")?;
/// let body = format!(r#"[{{"id": "{id}", "data": "{}"}}]"#, "b2".repeat(40));
/// let submission = CipherList::new(body.as_bytes(), Limits::default(), &Hex).read_json()?;
/// let swap = vaults.swap(&account, &submission, Some(read.head.revision), &[], |_draft| {
///     // Here the caller's own step writes the new credential.
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
    /// Creates a service over a driver and the [`VaultStore`](keywright_store::VaultStore)
    /// implementation of **the same store**.
    #[must_use]
    pub const fn new(driver: Driver, store: Arc<dyn VaultStore>, policy: VaultPolicy) -> Self {
        Self { driver, store, steps: VaultSteps::new(policy) }
    }

    /// Returns the steps, to be composed with others in one draft.
    #[must_use]
    pub const fn steps(&self) -> &VaultSteps {
        &self.steps
    }

    /// Returns the driver.
    #[must_use]
    pub const fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Creates an empty vault for an account that has records already.
    ///
    /// # Errors
    /// Returns a [`VaultError`] if the store, the clock or the generator fails, the account is
    /// busy, or stored data is damaged.
    pub async fn create(&self, account: &AccountId) -> Result<CreateOutcome, VaultError> {
        let partition = Partition::account(account);
        let step = |draft: &mut Draft<'_>| self.steps.create_in(draft);
        Ok(self.driver.named("vault.create").transact(&partition, &[VAULT_SLOT], step).await?)
    }

    /// Returns what is known of the vault without its ciphers, or `None` if there is none.
    ///
    /// # Errors
    /// Returns a [`VaultError`] if the store, the clock or the generator fails, the account is
    /// busy, or stored data is damaged.
    pub async fn head(&self, account: &AccountId) -> Result<Option<Head>, VaultError> {
        let partition = Partition::account(account);
        Ok(self
            .driver
            .named("vault.head")
            .observe(&partition, &[VAULT_SLOT], |draft| self.steps.head_in(draft))
            .await?)
    }

    /// Puts and deletes ciphers, after reading which of them exist. Returns
    /// [`EditOutcome::HeadMoved`] if the vault changed in the meantime.
    ///
    /// # Errors
    /// Returns a [`VaultError`] if the store, the clock or the generator fails, the account is
    /// busy, or stored data is damaged. If [it is unknown](VaultError::is_unknown), the edit may
    /// have happened.
    pub async fn edit(&self, account: &AccountId, edit: &Edit<'_>, key_epoch: u64) -> Result<EditOutcome, VaultError> {
        let Some(existing) = self.existing(account, &edit.ids()).await? else { return Ok(EditOutcome::HeadMoved) };
        let partition = Partition::account(account);
        let step = |draft: &mut Draft<'_>| self.steps.edit_in(draft, edit, &existing, key_epoch);
        Ok(self.driver.named("vault.edit").transact(&partition, &[VAULT_SLOT], step).await?)
    }
}

keywright_core::redacted_debug!(Vaults { steps, .. });
