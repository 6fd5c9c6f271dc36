//! The traits that a backend must implement.

use keywright_store::{Upkeep, VaultStore};

/// A complete backend: records, vaults and maintenance. Every type that implements these traits of
/// `keywright-store` implements this one too. A backend without vaults can be wrapped in
/// [`NoVault`](crate::NoVault).
pub trait Store: VaultStore + Upkeep {}

impl<T: VaultStore + Upkeep> Store for T {}
