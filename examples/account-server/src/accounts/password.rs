//! Login passwords: Argon2id, off the executor's threads, as many at once as there are cores.

use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::{Algorithm, Argon2, Params, Version};
use keywright::core::EntropyError;
use keywright::store::secret_field;
use keywright::{Entropy, SecretBytes, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// OWASP Password Storage Cheat Sheet: Argon2id with 19 MiB, two passes, one lane.
const COST: Cost = Cost { memory_kib: 19 * 1024, passes: 2, lanes: 1 };

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// A password's hash, with what it takes to compute it again.
#[derive(Serialize, Deserialize)]
pub(crate) struct PasswordHash {
    cost: Cost,
    salt: [u8; 16],
    #[serde(with = "secret_field")]
    hash: SecretBytes<32>,
}

/// Hashes and checks.
pub(crate) struct Passwords {
    permits: Arc<Semaphore>,
    /// Checked where there is no account: the same work, and never right.
    dummy: PasswordHash,
}

impl Passwords {
    /// # Errors
    /// The generator failed.
    pub(crate) fn new(entropy: &(impl Entropy + ?Sized)) -> Result<Self, EntropyError> {
        let cores = available_parallelism().map_or(1, usize::from);
        let dummy = PasswordHash { cost: COST, salt: [0; 16], hash: SecretBytes::random(entropy)? };
        Ok(Self { permits: Arc::new(Semaphore::new(cores)), dummy })
    }

    /// # Errors
    /// [`PasswordError`].
    pub(crate) async fn hash(
        &self,
        password: &SecretString,
        entropy: &(impl Entropy + ?Sized),
    ) -> Result<PasswordHash, PasswordError> {
        let salt = keywright::core::random_bytes(entropy)?;
        Ok(PasswordHash { cost: COST, salt, hash: self.run(password, salt, COST).await? })
    }

    /// Whether this is the password. Without a hash the same work is done, and the answer is no.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub(crate) async fn check(
        &self,
        password: &SecretString,
        stored: Option<&PasswordHash>,
    ) -> Result<bool, PasswordError> {
        let against = stored.unwrap_or(&self.dummy);
        let hash = self.run(password, against.salt, against.cost).await?;
        Ok(hash.ct_eq(against.hash.expose()) & stored.is_some())
    }

    async fn run(&self, password: &SecretString, salt: [u8; 16], cost: Cost) -> Result<SecretBytes<32>, PasswordError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| PasswordError::Lost)?;
        let password = SecretString::new(password.expose().to_owned());
        let work = move || {
            // The work goes on if the request is given up, and so must its permit.
            let _permit = permit;
            derive(&password, &salt, cost)
        };
        Ok(spawn_blocking(work).await.map_err(|_| PasswordError::Lost)??)
    }
}

fn derive(password: &SecretString, salt: &[u8; 16], cost: Cost) -> Result<SecretBytes<32>, argon2::Error> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32))?;
    let mut hash = SecretBytes::zeroed();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
        password.expose().as_bytes(),
        salt,
        hash.expose_mut(),
    )?;
    Ok(hash)
}

/// A password that could not be hashed. Not a wrong one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("a password cannot be hashed")]
    Hash(#[from] argon2::Error),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error("a password was not hashed to the end")]
    Lost,
}

#[cfg(test)]
mod tests {
    use super::*;
    use keywright::SystemEntropy;

    #[tokio::test]
    async fn right_wrong_and_nobody() {
        let passwords = Passwords::new(&SystemEntropy).unwrap();
        let password = SecretString::new("Grüße: aus Köln".to_owned());
        let stored = passwords.hash(&password, &SystemEntropy).await.unwrap();
        assert!(passwords.check(&password, Some(&stored)).await.unwrap());
        assert!(!passwords.check(&SecretString::new("Grüße".to_owned()), Some(&stored)).await.unwrap());
        assert!(!passwords.check(&password, None).await.unwrap());
    }
}
