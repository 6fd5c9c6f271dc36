//! The PWDv1r1 password challenge, server and client half: the server never sees the password.
//!
//! A client turns a password and three salts into a secret of 64 characters ([`Deriver`], [`DeriverPool`]). A server
//! keeps the salts and a random [`UserKey`] that only the secret unwraps, and releases it for the right proof
//! ([`Challenges`]). There is no stored hash: the wrap is the check, and it lies in a sealed record. This crate never
//! logs, never reads a clock by itself, draws only from the [`Entropy`](keywright_core::Entropy) it is given, and knows
//! no wire format.
//!
//! # A server
//! ```
//! # #[cfg(feature = "std")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::sync::Arc;
//! # use keywright_core::{AccountId, Keyring, SystemClock, SystemEntropy};
//! # use keywright_store::{Driver, MemoryStore, Partition};
//! use keywright_challenge::{Caller, ChallengePolicy, ChallengeSecret, Challenges, Proof, Salts, Verification};
//!
//! # let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
//! # let driver = Driver::new(Arc::new(MemoryStore::new()), keyring, Arc::new(SystemEntropy), Arc::new(SystemClock));
//! # let account = AccountId::new("user-1")?;
//! # driver.transact(&Partition::account(&account), &[], |draft| draft.create_account()).await?;
//! # let (sent_salts, sent_secret) = (["5a".repeat(256), "5b".repeat(64), "5c".repeat(16)], "1d".repeat(32));
//! let challenges = Challenges::new(driver, ChallengePolicy::default());
//! let (secret, salts) = (ChallengeSecret::from_client(&sent_secret)?, Salts::parse(&sent_salts)?);
//! let _first = challenges.set(&account, &secret, &salts).await?;
//!
//! let solve = challenges.get(&account).await?; // for the client, with each log-in
//! # assert_eq!(solve, Some(salts));
//! # let (open_session, sent_proof, mut answers) = (|_user_key| 200, sent_secret, Vec::new());
//! # for sent_proof in [&sent_proof, &"00".repeat(32)] {
//! let proof = Proof::from_client(sent_proof)?; // of another length: malformed, and costs nothing
//! let status = match challenges.verify(&account, &proof, &Caller::stranger()).await? {
//!     Verification::Granted(user_key) => open_session(user_key), // it opens what is sealed for the user
//!     Verification::Denied(_) => 401,
//!     Verification::Refused(_) => 429, // not looked at; `retry_after()` says how long
//!     _ => 404,
//! };
//! # answers.push(status);
//! # }
//! # assert_eq!(answers, [200, 401]);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "std"))]
//! # fn main() {}
//! ```
//! [`ChallengeSteps`] has the same acts as `…_in(&mut Draft, …)`, to be committed together with a caller's own records.
//!
//! # A client
//! ```
//! # #[cfg(all(feature = "client", feature = "std"))]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use keywright_challenge::DeriverPool;
//! use keywright_core::SystemEntropy;
//!
//! // A new challenge, and later the same secret from the salts that the server gives back.
//! let pool = DeriverPool::default();
//! let (salts, secret) = pool.create("correct horse battery staple", &SystemEntropy)?;
//! let again = pool.derive("correct horse battery staple", &salts.as_strs())?;
//! assert!(again.ct_eq(&secret));
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "client", feature = "std")))]
//! # fn main() {}
//! ```
//!
//! # What it guarantees
//! - **One ledger entry for the secret**, whichever act takes it: verifying and replacing charge the same door
//!   ([`Door::Challenge`](keywright_core::Door)). The verdict and its charge are one commit, so parallel requests get no
//!   more guesses than serial ones, on one server or on many. A known device ([`Caller::with_tag`]) is not held up by
//!   strangers' failures.
//! - **Of concurrent changes one wins.** The others are judged on the new challenge, where the old secret is wrong.
//! - **Replacing** makes a new salt and a new user key and moves the credential epoch by one, in one commit: whatever was
//!   made in the old epoch is void. [`Keys`] has both user keys, to carry over what must be kept.
//! - **Strict where upstream is not**: salts of exact shape, lower-case hex, so that no client's slip is stored that
//!   locks its user out. A proof is compared as text; upper case is another secret.
//! - **Damage denies.** A row that is lost, altered, or sealed under a key that is not there is an error, never "no
//!   challenge", costs no attempt and is not overwritten.
//!
//! # What a thief gets
//! - *The database*: no salts, no secret, nothing to test a guess against; only that the account has a challenge, how
//!   large the records are, and the events.
//! - *The database and the keyring*: offline guesses at the password, each one Argon2id with 64 MiB and two passes, for
//!   one account. Not the user key, without the password.
//! - *Write access without the keyring*: can put back an old row of the same account and slot, so that an older secret
//!   is right again, or delete the whole account. An old backup put back does the same.
//! - *The secret itself*, from a client or the wire, opens the challenge: it is as good as the password here. Use TLS.
//!
//! # Requirements
//! Met: NIST SP 800-63B-4 § 3.1.1.2 (salted, memory-hard, a keyed step whose key lies elsewhere), § 3.2.2; ASVS 5.0
//! 2.3.3, 2.3.4, 6.1.1, 6.2.3, 6.3.4, 11.2.4, 11.3.3, 11.3.4, 15.4.2, 16.2.5, 16.3.1, 16.5.3; OWASP Password Storage
//! (Argon2id above 19 MiB with two passes, bounded input; the server itself does no Argon2, so it is no lever for a
//! denial of service). Left to the host: who is logged in, the notice of a change (6.3.7; the event is there), ending
//! sessions whose epoch is past (7.4.3), request limits. Not possible here: rules for the password (6.2.1 and on),
//! because the server never sees it. Only the client's length limits hold.
//!
//! # Features
//! - `std` (default): the service, [`Challenges`], and [`DeriverPool`]. Without it the crate needs only `alloc`.
//! - `client` (default): key derivation, Argon2id with 64 MiB. A server does not need it.
//!
//! # Foreign types
//! The public API names only types of `keywright-core` and `keywright-store`.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "std")]
mod error;
mod policy;
mod salts;
mod secret;
mod service;
mod state;
mod step;

#[cfg(feature = "client")]
pub use client::{CreateError, DeriveError, Deriver, MAX_PASSWORD_UNITS, MEMORY_BYTES, MIN_PASSWORD_UNITS};
#[cfg(all(feature = "client", feature = "std"))]
pub use client::{DeriverPool, MAX_DEFAULT_CONCURRENCY};
#[cfg(feature = "std")]
pub use error::ChallengeError;
pub use policy::ChallengePolicy;
pub use salts::{Salts, SaltsError};
pub use secret::{ChallengeSecret, Proof, SECRET_BYTES, SecretError};
pub use service::ChallengeSteps;
#[cfg(feature = "std")]
pub use service::Challenges;
pub use state::UserKey;
pub use step::{Caller, Keys, Setting, Verification};
