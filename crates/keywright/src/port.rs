//! The traits that a backend must implement.

use keywright_store::{Upkeep, VaultStore};

/// A backend that keeps everything: records, vaults, and its own upkeep. Any type that implements
/// the three traits is one. A backend without a vault becomes one inside
/// [`NoVault`](crate::NoVault).
pub trait Store: VaultStore + Upkeep {}

impl<T: VaultStore + Upkeep> Store for T {}
