//! The root of a draft: the account's epochs, its creation and its erasure.

use std::collections::BTreeMap;

use keywright_core::{EventKind, Severity, UnixSeconds};

use super::Draft;
use crate::root::Root;
use crate::slot::SlotName;
use crate::step_error::{Damage, StepError};

/// The account's records were created.
pub static ACCOUNT_CREATED: EventKind =
    EventKind::change("account_created", Severity::Info, "the account's security records were made");
/// All records of the account were dropped.
pub static ACCOUNT_ERASED: EventKind =
    EventKind::change("account_erased", Severity::Notice, "the account's security records were dropped");

/// The account was seeded from one of the host's files.
pub static ACCOUNT_SEEDED: EventKind =
    EventKind::change("account_seeded", Severity::Info, "the account was seeded from a file");

impl Draft<'_> {
    /// Whether the partition has a root with records. For an account, this is whether it was
    /// created.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.staged.state.is_some()
    }

    /// Returns the root. An account's partition must have one. In other partitions, if there is no
    /// root, this returns one whose epochs are 0.
    ///
    /// # Errors
    /// Returns [`StepError::NoAccount`] if the account's records were never created.
    pub fn root(&self) -> Result<Root, StepError> {
        match self.staged.state {
            Some(root) => Ok(root),
            None if self.loaded.orphans => Err(StepError::Damaged(Damage::Orphans)),
            None if self.partition.is_account() => Err(StepError::NoAccount),
            None => Ok(Root {
                credential_epoch: 0,
                factor_epoch: 0,
                key_epoch: 0,
                created: self.env.now,
                seeded: false,
                erased: false,
            }),
        }
    }

    /// Moves the credential epoch, which makes sessions, tokens, pending confirmations and step-ups
    /// void. The same step must emit an event.
    ///
    /// # Errors
    /// Returns the errors of [`root`](Self::root).
    pub fn move_credential_epoch(&mut self) -> Result<(), StepError> {
        self.change_root(|root| root.credential_epoch = root.credential_epoch.wrapping_add(1))
    }

    /// Moves the factor epoch, which makes everything void that depends on the account's second
    /// factors. The same step must emit an event.
    ///
    /// # Errors
    /// Returns the errors of [`root`](Self::root).
    pub fn move_factor_epoch(&mut self) -> Result<(), StepError> {
        self.change_root(|root| root.factor_epoch = root.factor_epoch.wrapping_add(1))
    }

    /// Moves the key epoch, which makes everything void that depends on the keys of the account's
    /// vault. The same step must emit an event.
    ///
    /// # Errors
    /// Returns the errors of [`root`](Self::root).
    pub fn move_key_epoch(&mut self) -> Result<(), StepError> {
        self.change_root(|root| root.key_epoch = root.key_epoch.wrapping_add(1))
    }

    /// Records that a host has imported the account's data from a file ("seeded" it), which happens
    /// at most once. This can never be undone.
    ///
    /// # Errors
    /// Returns the errors of [`root`](Self::root).
    pub fn mark_seeded(&mut self) -> Result<(), StepError> {
        self.change_root(|root| root.seeded = true)?;
        self.event(&ACCOUNT_SEEDED);
        Ok(())
    }

    /// Allows the whole partition to be swept from `expiry` on, for example that of an account that
    /// was never verified. Each commit may set another moment, and
    /// [`make_permanent`](Self::make_permanent) removes it.
    ///
    /// # Errors
    /// Returns the errors of [`root`](Self::root).
    pub fn expire_partition(&mut self, expiry: UnixSeconds) -> Result<(), StepError> {
        self.root()?;
        if self.staged.expires != Some(expiry) {
            self.staged.expires = Some(expiry);
            self.touch_root();
        }
        Ok(())
    }

    /// Marks the account as erased, and allows what is left after an [`erase`](Self::erase) (the
    /// log and the due work) to be swept from `expiry` on.
    ///
    /// An account that is used again is kept: the first record that is put afterwards, in this
    /// batch or a later one, removes the mark and the expiry, as
    /// [`make_permanent`](Self::make_permanent) does. The list of [due work](crate::due) is an
    /// exception: it only postpones the expiry for as long as a task is due.
    ///
    /// # Errors
    /// Returns the errors of [`root`](Self::root).
    pub fn expire_erased(&mut self, expiry: UnixSeconds) -> Result<(), StepError> {
        self.change_root(|root| root.erased = true)?;
        self.expire_partition(expiry)
    }

    /// Keeps the partition permanently.
    ///
    /// # Errors
    /// Returns the errors of [`root`](Self::root).
    pub fn make_permanent(&mut self) -> Result<(), StepError> {
        if self.root()?.erased {
            self.change_root(|root| root.erased = false)?;
        }
        if self.staged.expires.is_some() {
            self.staged.expires = None;
            self.touch_root();
        }
        Ok(())
    }

    /// Returns when the whole partition may be swept, if it may.
    #[must_use]
    pub const fn partition_expiry(&self) -> Option<UnixSeconds> {
        self.staged.expires
    }

    /// Creates the root of an account that has none. Nothing else creates a first root: a missing
    /// root is never treated as a new account.
    ///
    /// # Errors
    /// Returns [`StepError::AccountExists`] if the account has records, and [`StepError::Damaged`]
    /// if the root is gone but other rows are left.
    pub fn create_account(&mut self) -> Result<Root, StepError> {
        if self.exists() {
            return Err(StepError::AccountExists);
        }
        if self.loaded.orphans {
            return Err(StepError::Damaged(Damage::Orphans));
        }
        let root = Root::new(self.env.entropy, self.env.now)?;
        self.staged.state = Some(root);
        self.staged.expires = None;
        self.touch_root();
        self.event(&ACCOUNT_CREATED);
        Ok(root)
    }

    /// Deletes every record and vault row of the partition except those in `keep`, and moves all
    /// epochs. Events are kept, and so are records that are put after this call.
    ///
    /// # Errors
    /// Returns the errors of [`read`](Self::read).
    pub fn erase(&mut self, keep: &[SlotName]) -> Result<Root, StepError> {
        let root = self.root()?;
        let mut kept = BTreeMap::new();
        for &name in keep {
            if let Some(plain) = self.plain(name)? {
                kept.insert(name, Some(plain));
            }
        }
        let next = Root {
            credential_epoch: root.credential_epoch.wrapping_add(1),
            factor_epoch: root.factor_epoch.wrapping_add(1),
            key_epoch: root.key_epoch.wrapping_add(1),
            created: self.env.now,
            seeded: root.seeded,
            erased: root.erased,
        };
        self.staged.writes = kept;
        self.staged.vault = None;
        self.staged.erase = true;
        self.staged.state = Some(next);
        self.touch_root();
        self.event(&ACCOUNT_ERASED);
        Ok(next)
    }

    /// Records when the partition next has due work.
    pub(crate) fn set_due_at(&mut self, due_at: Option<UnixSeconds>) {
        self.staged.due_at = due_at;
        self.touch_root();
    }

    /// When the partition next has due work, according to its sealed root.
    pub(crate) const fn due_at(&self) -> Option<UnixSeconds> {
        self.staged.due_at
    }

    fn change_root(&mut self, change: impl FnOnce(&mut Root)) -> Result<(), StepError> {
        let mut root = self.root()?;
        change(&mut root);
        self.staged.state = Some(root);
        self.touch_root();
        Ok(())
    }

    /// Keeps an erased account that is used again, so that what is stored now is not swept with
    /// what was erased.
    pub(super) fn revive(&mut self) -> Result<(), StepError> {
        if self.staged.state.is_some_and(|root| root.erased) { self.make_permanent() } else { Ok(()) }
    }
}
