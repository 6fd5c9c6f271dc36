//! The client half, which derives the secret from a password and salts. Argon2's memory is kept
//! between calls and wiped after each.

use std::sync::LazyLock;
use std::thread;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use blake2::Blake2bMac512;
use blake2::digest::{FixedOutput, Update};
use keywright_core::{Entropy, EntropyError, SecretBytes};

use crate::salts::Salts;
use crate::secret::ChallengeSecret;

mod pool;

pub use pool::{DeriverPool, MAX_DEFAULT_CONCURRENCY};

/// The minimum length of a password that the real client accepts, in UTF-16 code units
/// (`docs/protocols/nextcloud-passwords.md` § 3). Six emoji are 12.
pub const MIN_PASSWORD_UNITS: usize = 12;

/// The maximum length of a password that the real client accepts, in UTF-16 code units
/// (`docs/protocols/nextcloud-passwords.md` § 3).
pub const MAX_PASSWORD_UNITS: usize = 128;

/// The memory of one Argon2 derivation, in bytes: 64 MiB (`docs/protocols/nextcloud-passwords.md` §
/// 3, libsodium's `memlimit` 67108864).
pub const MEMORY_BYTES: usize = 64 * 1024 * 1024;

const BLOCKS: usize = MEMORY_BYTES / Block::SIZE;

/// The parameters of Argon2id: memory in KiB, passes, lanes, output bytes
/// (`docs/protocols/nextcloud-passwords.md` § 3).
const PARAMS: Result<Params, argon2::Error> = Params::new(64 * 1024, 2, 1, Some(32));

/// Derives secrets one after the other in a single allocation of [`MEMORY_BYTES`] bytes.
///
/// The memory is wiped at the end of each derivation, even of one that panics. A few KiB of stack
/// inside the primitives are not wiped.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use keywright_challenge::{DeriveError, Deriver};
///
/// let mut deriver = Deriver::new()?;
/// let salts = ["00".repeat(256), "01".repeat(64), "02".repeat(16)];
/// let secret = deriver.derive("correct horse battery staple", &salts)?;
/// assert_eq!(secret.expose_str().len(), 64);
/// assert_eq!(deriver.derive("short", &salts).err(), Some(DeriveError::PasswordTooShort));
/// # Ok(())
/// # }
/// ```
pub struct Deriver {
    memory: Vec<Block>,
}

impl Deriver {
    /// Creates a deriver and allocates its memory.
    ///
    /// # Errors
    /// Returns [`DeriveError::OutOfMemory`] if the allocator cannot provide the memory.
    pub fn new() -> Result<Self, DeriveError> {
        let mut memory = Vec::new();
        memory.try_reserve_exact(BLOCKS).map_err(|_| DeriveError::OutOfMemory)?;
        memory.resize(BLOCKS, Block::new());
        Ok(Self { memory })
    }

    /// Derives the secret of `password` under the salts that a server sent.
    ///
    /// Salts are decoded as the real client does: hex in either case, salt 0 of any length, salt 1
    /// of 0 to 64 bytes, salt 2 of 16; salts beyond the third are ignored. The password is used as
    /// it is, without trimming or normalisation.
    ///
    /// # Errors
    /// Returns a [`DeriveError`] if the password or a salt has a length that is not accepted, a
    /// salt is missing or not hex, or a primitive fails. Nothing is hashed, except for
    /// [`DeriveError::Hash`].
    pub fn derive<S: AsRef<str>>(&mut self, password: &str, salts: &[S]) -> Result<ChallengeSecret, DeriveError> {
        check_password(password)?;
        self.run(password, &Decoded::from_server(salts)?)
    }

    /// Creates a challenge: salts of 256, 64 and 16 random bytes, and the secret of `password`
    /// under them.
    ///
    /// # Errors
    /// Returns a [`CreateError`] if no client accepts the password, a primitive fails, or the
    /// source of randomness fails.
    pub fn create(
        &mut self,
        password: &str,
        entropy: &(impl Entropy + ?Sized),
    ) -> Result<(Salts, ChallengeSecret), CreateError> {
        check_password(password)?;
        let salts = Salts::random(entropy)?;
        let secret = self.run(password, &Decoded::from_server(&salts.as_strs())?)?;
        Ok((salts, secret))
    }

    /// Runs the derivation, without checking the password's length.
    fn run(&mut self, password: &str, salts: &Decoded) -> Result<ChallengeSecret, DeriveError> {
        let digest = generic_hash(password, salts)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, PARAMS.map_err(|_| DeriveError::Hash)?);
        let mut derived = SecretBytes::<32>::zeroed();
        {
            let memory = Used(&mut self.memory);
            argon2
                .hash_password_into_with_memory(digest.expose(), &salts.hash_salt, derived.expose_mut(), &mut *memory.0)
                .map_err(|_| DeriveError::Hash)?;
        }
        ChallengeSecret::encode(&derived).map_err(|_| DeriveError::Hash)
    }
}

keywright_core::redacted_debug!(Deriver);

/// Memory in use. It is wiped when this is dropped, even by an unwinding panic.
struct Used<'a>(&'a mut [Block]);

impl Drop for Used<'_> {
    fn drop(&mut self) {
        wipe_by_halves(self.0);
    }
}

fn wipe(memory: &mut [Block]) {
    // Plain stores are compiled to one `memset`, which takes half the time of `zeroize`'s volatile
    // stores word by word. The barrier keeps the compiler from removing them.
    memory.fill(Block::new());
    zeroize::optimization_barrier(memory);
}

/// Wipes the memory on two threads. One core does not saturate the memory bus: a second one, where
/// there is one, reduces the time by a third. Both halves are wiped when this returns.
fn wipe_by_halves(memory: &mut [Block]) {
    static ONE_CORE: LazyLock<bool> =
        LazyLock::new(|| thread::available_parallelism().is_ok_and(|cores| cores.get() == 1));

    let half = memory.len() / 2;
    let (first, second) = memory.split_at_mut(half);
    if *ONE_CORE {
        wipe(first);
        return wipe(second);
    }
    let begun = thread::scope(|scope| {
        let begun = thread::Builder::new().spawn_scoped(scope, || wipe(first)).is_ok();
        wipe(second);
        begun
    });
    if !begun {
        // No thread could be started: the closure was dropped, but the memory is still here.
        wipe(memory);
    }
}

/// The salts, decoded as the real client does.
struct Decoded {
    appended: Vec<u8>,
    key: Vec<u8>,
    hash_salt: [u8; 16],
}

impl Decoded {
    fn from_server<S: AsRef<str>>(salts: &[S]) -> Result<Self, DeriveError> {
        let [first, second, third, ..] = salts else {
            return Err(DeriveError::TooFewSalts);
        };
        let decode = |salt: &S, index| hex::decode(salt.as_ref()).map_err(|_| DeriveError::SaltNotHex { index });
        let appended = decode(first, 0)?;
        let key = decode(second, 1)?;
        if key.len() > 64 {
            return Err(DeriveError::SaltLength { index: 1 });
        }
        let hash_salt = decode(third, 2)?.try_into().map_err(|_| DeriveError::SaltLength { index: 2 })?;
        Ok(Self { appended, key, hash_salt })
    }
}

/// Computes BLAKE2b-512 of the password's UTF-8 bytes and salt 0, keyed with salt 1. This is
/// libsodium's `crypto_generichash`.
fn generic_hash(password: &str, salts: &Decoded) -> Result<SecretBytes<64>, DeriveError> {
    // An empty key means unkeyed; a zero-length key block would be hashed otherwise.
    let key = Some(salts.key.as_slice()).filter(|key| !key.is_empty());
    let mut hash = Blake2bMac512::new_with_salt_and_personal(key, &[], &[]).map_err(|_| DeriveError::Hash)?;
    hash.update(password.as_bytes());
    hash.update(&salts.appended);
    let mut digest = SecretBytes::zeroed();
    hash.finalize_into(digest.expose_mut().into());
    Ok(digest)
}

fn check_password(password: &str) -> Result<(), DeriveError> {
    // Counting stops at the first unit in excess, so a very long text costs no more.
    match password.encode_utf16().take(MAX_PASSWORD_UNITS.saturating_add(1)).count() {
        ..MIN_PASSWORD_UNITS => Err(DeriveError::PasswordTooShort),
        MIN_PASSWORD_UNITS..=MAX_PASSWORD_UNITS => Ok(()),
        _ => Err(DeriveError::PasswordTooLong),
    }
}

/// Why no secret was derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeriveError {
    /// The password is shorter than [`MIN_PASSWORD_UNITS`].
    #[error("the password is too short: fewer than {MIN_PASSWORD_UNITS} UTF-16 code units")]
    PasswordTooShort,
    /// The password is longer than [`MAX_PASSWORD_UNITS`].
    #[error("the password is too long: more than {MAX_PASSWORD_UNITS} UTF-16 code units")]
    PasswordTooLong,
    /// The server sent fewer than three salts.
    #[error("the challenge has fewer than three salts")]
    TooFewSalts,
    /// A salt from the server is not hex, or has an odd number of digits.
    #[error("salt {index} is not hex")]
    SaltNotHex {
        /// The index of the salt: 0, 1 or 2.
        index: u8,
    },
    /// A salt from the server has a length that its primitive does not accept.
    #[error("salt {index} has the wrong length")]
    SaltLength {
        /// The index of the salt: 1 or 2.
        index: u8,
    },
    /// All derivations of the pool are in use. This is returned only by calls that do not wait.
    #[error("too many derivations at once")]
    Busy,
    /// The allocator cannot provide [`MEMORY_BYTES`].
    #[error("not enough memory for the derivation")]
    OutOfMemory,
    /// A primitive refused its input. With the fixed parameters of this protocol this does not
    /// happen.
    #[error("the derivation failed")]
    Hash,
}

/// Why no challenge was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The secret could not be derived.
    #[error(transparent)]
    Derive(#[from] DeriveError),
    /// No salts could be drawn.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct File {
        vectors: Vec<Vector>,
    }

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        password: String,
        utf16_units: usize,
        salts: Vec<String>,
        generic_hash: String,
        secret: String,
        upstream_client: String,
    }

    fn vectors() -> Vec<Vector> {
        serde_json::from_str::<File>(include_str!("../tests/data/pwdv1r1.json")).unwrap().vectors
    }

    /// The intermediate value of all vectors. `tests/challenge/vectors.rs` holds the secrets
    /// through the public API.
    #[test]
    fn generic_hash_of_every_vector() {
        let vectors = vectors();
        assert_eq!(vectors.len(), 41);
        for vector in vectors {
            let digest = generic_hash(&vector.password, &Decoded::from_server(&vector.salts).unwrap()).unwrap();
            assert_eq!(hex::encode(digest.expose()), vector.generic_hash, "{}", vector.name);
        }
    }

    /// Vectors outside the length limits are refused; without the check, their digest is correct.
    #[test]
    fn bare_derivation_outside_the_limits() {
        let mut deriver = Deriver::new().unwrap();
        let mut seen = 0;
        for vector in vectors() {
            let refusal = match vector.upstream_client.as_str() {
                "ok" => continue,
                "error: Password is too short" => DeriveError::PasswordTooShort,
                "error: Password is too long" => DeriveError::PasswordTooLong,
                other => panic!("{other}"),
            };
            seen += 1;
            assert_eq!(vector.password.encode_utf16().count(), vector.utf16_units, "{}", vector.name);
            assert_eq!(deriver.derive(&vector.password, &vector.salts).err(), Some(refusal), "{}", vector.name);
            let secret = deriver.run(&vector.password, &Decoded::from_server(&vector.salts).unwrap()).unwrap();
            assert_eq!(secret.expose_str(), vector.secret, "{}", vector.name);
        }
        assert_eq!(seen, 6);
    }

    /// No vector has an empty salt 1. The value is that of Python's `hashlib.blake2b(b"abc",
    /// digest_size=64)`, which is also the example of RFC 7693, appendix A.
    #[test]
    fn an_empty_key_is_unkeyed() {
        let salts = Decoded::from_server(&["", "", &"00".repeat(16)]).unwrap();
        assert_eq!(
            hex::encode(generic_hash("abc", &salts).unwrap().expose()),
            "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1\
             7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"
        );
    }

    #[test]
    fn memory_is_wiped_after_each_derivation() {
        let mut deriver = Deriver::new().unwrap();
        let vector = &vectors()[0];
        let secret = deriver.derive(&vector.password, &vector.salts).unwrap();
        assert!(deriver.memory.iter().all(|block| block.as_ref().iter().all(|&word| word == 0)));
        // Wiped memory gives the same result again, so nothing of the first run is read.
        assert!(deriver.derive(&vector.password, &vector.salts).unwrap().ct_eq(&secret));
        assert_eq!(deriver.memory.len(), BLOCKS);
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

    #[test]
    fn errors_say_nothing_of_the_input() {
        let salts = ["PLANTED!", "", ""];
        let error = Decoded::from_server(&salts).err().unwrap();
        assert_eq!(error, DeriveError::SaltNotHex { index: 0 });
        assert!(!format!("{error} {error:?}").contains("PLANTED"));
    }

    #[test]
    fn limits_are_utf16_units() {
        assert_eq!(check_password(&"x".repeat(11)), Err(DeriveError::PasswordTooShort));
        assert_eq!(check_password(&"x".repeat(12)), Ok(()));
        assert_eq!(check_password(&"😀".repeat(6)), Ok(()));
        assert_eq!(check_password(&"😀".repeat(64)), Ok(()));
        assert_eq!(check_password(&"😀".repeat(65)), Err(DeriveError::PasswordTooLong));
        assert_eq!(check_password(&"x".repeat(1 << 20)), Err(DeriveError::PasswordTooLong));
    }
}
