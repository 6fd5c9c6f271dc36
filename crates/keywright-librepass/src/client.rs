//! The client half: keys from a password, the shared key, and cipher envelopes. It uses no network,
//! no runtime and no clock.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use keywright_core::SecretBytes;

use crate::protocol::keys::{PrivateKey, PublicKey, SharedKey};
use crate::protocol::parameters::ArgonParameters;

mod body;
mod envelope;
pub use body::{ChangeEmail, ChangePassword, LogIn, PreLogin, Reencrypted, Register, SecondFactor};
pub use envelope::{ENVELOPE_OVERHEAD, EnvelopeError, VaultKey};

/// The shortest e-mail address, in bytes of UTF-8, that keys can be derived from. It is Argon2's
/// shortest salt (RFC 9106 § 3.1 recommends 16 and requires 8; the `argon2` crate refuses less).
/// The stock client's own Argon2 does not check, so a user of `a@b.co` has keys that this client
/// cannot derive (protocol § 2).
pub const MIN_EMAIL_BYTES: usize = argon2::MIN_SALT_LEN;

/// The keys that a user's password and address yield.
///
/// The private key is Argon2id of the password, with the address as salt; the vault key is its
/// product with its own public key (protocol § 2). So a change of either changes every key, and
/// every cipher must be encrypted again.
pub struct UserKeys {
    private: PrivateKey,
    public: PublicKey,
    vault: VaultKey,
}

impl UserKeys {
    /// Derives the keys. Takes the address **as the user typed it**, and the password as it is: no
    /// lower-casing, no trimming, no normalisation (protocol § 2). An e-mail change keeps the
    /// current parameters: derive with those of the old address.
    ///
    /// The call is slow on purpose, and blocks its thread: it uses 20 to 150 MiB of memory and as
    /// many passes as `parameters` require. The memory is wiped before this returns, even by a
    /// panic. A few KiB of stack inside the primitives are not wiped.
    ///
    /// # Errors
    /// [`DeriveError`] if the address is too short, memory is short, or a primitive refuses its
    /// input.
    pub fn derive(email: &str, password: &str, parameters: ArgonParameters) -> Result<Self, DeriveError> {
        let (lanes, memory, passes) = (parameters.parallelism(), parameters.memory(), parameters.iterations());
        Self::from_private_key(PrivateKey::from_secret(argon2id(email, password, lanes, memory, passes)?))
    }

    /// Returns the keys that follow from a private key that was kept.
    ///
    /// # Errors
    /// [`DeriveError::Hash`], which cannot occur: no private key's own public key is of low order.
    pub fn from_private_key(private: PrivateKey) -> Result<Self, DeriveError> {
        let public = private.public_key();
        let product = private.agree(&public).ok_or(DeriveError::Hash)?;
        Ok(Self { private, public, vault: VaultKey::from_product(&product) })
    }

    /// Returns the private key, which is never sent.
    #[must_use]
    pub const fn private_key(&self) -> &PrivateKey {
        &self.private
    }

    /// Returns the public key, which is sent at registration and with each change.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Returns the key of the vault, which is never sent.
    #[must_use]
    pub const fn vault_key(&self) -> &VaultKey {
        &self.vault
    }

    /// Returns the proof of the password for a server.
    ///
    /// A server that answers with the user's own public key, or another encoding of it, would be
    /// sent the vault key (`docs/security.md` § 11). The products are compared, so every encoding
    /// is refused. **No more is guaranteed**: a server that knows the user's public key can answer
    /// with a multiple of it, which looks like any other key, and compute the vault key from what
    /// it is sent. Send this only to servers whose operator you trust, and only over TLS.
    ///
    /// # Errors
    /// [`HostileServer`] if the server's key is one that no honest server sends; send nothing then.
    pub fn shared_key(&self, server: &PublicKey) -> Result<SharedKey, HostileServer> {
        let shared = self.private.agree(server).ok_or(HostileServer::LowOrder)?;
        if self.vault.is_product(&shared) { Err(HostileServer::AsksForVaultKey) } else { Ok(shared) }
    }
}

keywright_core::redacted_debug!(UserKeys);

/// Computes Argon2id, version 1.3: 32 bytes of output, no secret, no associated data (protocol §
/// 2).
fn argon2id(email: &str, password: &str, lanes: u32, memory: u32, passes: u32) -> Result<SecretBytes<32>, DeriveError> {
    if email.len() < MIN_EMAIL_BYTES {
        return Err(DeriveError::EmailTooShort);
    }
    let params = Params::new(memory, passes, lanes, Some(32)).map_err(|_| DeriveError::Hash)?;
    let mut blocks = Vec::new();
    blocks.try_reserve_exact(params.block_count()).map_err(|_| DeriveError::OutOfMemory)?;
    blocks.resize(params.block_count(), Block::new());
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut derived = SecretBytes::zeroed();
    let used = Used(&mut blocks);
    argon2
        .hash_password_into_with_memory(password.as_bytes(), email.as_bytes(), derived.expose_mut(), &mut *used.0)
        .map_err(|_| DeriveError::Hash)?;
    Ok(derived)
}

/// Memory in use. It is wiped when this is dropped, even by an unwinding panic.
struct Used<'a>(&'a mut [Block]);

impl Drop for Used<'_> {
    fn drop(&mut self) {
        // Plain stores become one `memset`, which takes half the time of volatile ones. The barrier
        // keeps the compiler from dropping them.
        self.0.fill(Block::new());
        zeroize::optimization_barrier(self.0);
    }
}

/// Why no keys were derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeriveError {
    /// The address has fewer than [`MIN_EMAIL_BYTES`].
    #[error("the e-mail address is too short to be Argon2's salt: fewer than {MIN_EMAIL_BYTES} bytes")]
    EmailTooShort,
    /// The allocator cannot provide the memory that the parameters require.
    #[error("no memory for the derivation")]
    OutOfMemory,
    /// A primitive refused its input. With checked parameters this does not happen.
    #[error("the derivation failed")]
    Hash,
}

/// Why a server's key is one that no honest server sends. Nothing may be sent back.
///
/// A server that is not found hostile is not thereby honest: one that knows the user's public key
/// can disguise its request, and the client cannot detect that (see *What a hostile server gets* on
/// the crate's page).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostileServer {
    /// The server's public key is of low order: the shared key would be all zero, and known to
    /// everybody.
    #[error("the server's public key is of low order")]
    LowOrder,
    /// The server's public key is the user's own: the shared key would be the vault key.
    #[error("the server's public key would make the client send the vault key")]
    AsksForVaultKey,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct File {
        published_by_original: Published,
    }

    #[derive(Deserialize)]
    struct Published {
        argon2id: Hash,
    }

    #[derive(Deserialize)]
    struct Hash {
        password: String,
        salt: String,
        parallelism: u32,
        memory: u32,
        iterations: u32,
        hash: String,
    }

    /// This is below the checked range (15 MiB), so only the bare derivation accepts it.
    #[test]
    fn the_published_hash() {
        let file: File = serde_json::from_str(include_str!("../tests/data/librepass.json")).unwrap();
        let it = file.published_by_original.argon2id;
        let derived = argon2id(&it.salt, &it.password, it.parallelism, it.memory, it.iterations).unwrap();
        assert_eq!(hex::encode(derived.expose()), it.hash);
        assert!(ArgonParameters::new(it.parallelism, it.memory, it.iterations).is_err());
    }

    #[test]
    fn memory_is_wiped_by_a_panic() {
        let mut memory = [Block::new(); 4];
        memory[3].as_mut()[127] = 7;
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _used = Used(&mut memory);
            panic!("half way");
        }));
        assert!(unwound.is_err());
        assert!(memory.iter().all(|block| block.as_ref().iter().all(|&word| word == 0)));
    }
}
