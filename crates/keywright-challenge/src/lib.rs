//! Client and server halves of PWDv1r1, the password challenge of Nextcloud Passwords, in which the
//! server never sees the password.
//!
//! A client derives a secret of 64 characters from a password and three salts ([`Deriver`],
//! [`DeriverPool`]). A server stores the salts and a random [`UserKey`], which is encrypted
//! ("wrapped") so that only the secret can unwrap it. At a log-in, the client sends the secret as
//! its *proof*, and the server releases the user key if the proof is correct ([`Challenges`]). No
//! hash of the secret is stored: a proof is checked by unwrapping the key, and the wrapped key is
//! stored in a record that is encrypted once more. This crate never logs and never reads a clock
//! itself. It draws randomness only from the [`Entropy`](keywright_core::Entropy) that it is given,
//! and it implements no wire format.
//!
//! # A server
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::sync::Arc;
//! # use keywright_core::{AccountId, Keyring, SystemEntropy};
//! use keywright_challenge::{ChallengeSecret, Challenges, Proof, Salts, Verification};
//! use keywright_core::Client;
//! use keywright_store::{Driver, MemoryStore};
//!
//! # let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
//! # let account = AccountId::new("user-1")?;
//! # let (sent_salts, sent_secret) = (["5a".repeat(256), "5b".repeat(64), "5c".repeat(16)], "1d".repeat(32));
//! let driver = Driver::builder(Arc::new(MemoryStore::new()), keyring).slots(keywright_challenge::SLOT_KINDS).build()?;
//! driver.ensure_account(&account).await?;
//! let challenges = Challenges::new(driver.clone());
//!
//! // The sender of the request, identified by the credential that it presents, such as an app
//! // token. Once it has sent a right secret, the wrong guesses of others do not delay it. A
//! // log-in without a credential is identified by its network.
//! let client = Client::credential(driver.client_tag(&account, b"the id of the app token"));
//!
//! let (secret, salts) = (ChallengeSecret::from_client(&sent_secret)?, Salts::parse(&sent_salts)?);
//! let _first = challenges.set(&account, &secret, &salts, client).await?;
//!
//! let solve = challenges.get(&account).await?; // sent to the client at each log-in
//! # assert_eq!(solve, Some(salts));
//! # let (open_session, mut answers) = (|_user_key| 200, Vec::new());
//! # for sent_proof in [&sent_secret, &"00".repeat(32)] {
//! let proof = Proof::from_client(sent_proof)?; // a text of another length is malformed and is not counted as a guess
//! let status = match challenges.verify(&account, &proof, client).await? {
//!     Verification::Granted(user_key) => open_session(user_key), // a key for the user's encrypted data
//!     Verification::Denied(_) => 401,
//!     Verification::Refused(_) => 429, // not checked; `retry_after()` is the wait
//!     Verification::NoChallenge => 404,
//! };
//! # answers.push(status);
//! # }
//! # assert_eq!(answers, [200, 401]);
//! # Ok(())
//! # }
//! ```
//! [`ChallengeSteps`] has the same operations as *steps*: functions on a
//! [`Draft`](keywright_store::Draft), with names that end in `_in`. A caller can combine them with
//! changes to its own records in one commit.
//!
//! # A client
//! ```
//! # #[cfg(feature = "client")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use keywright_challenge::DeriverPool;
//! use keywright_core::SystemEntropy;
//!
//! // A new challenge, and later the same secret from the salts that the server returns.
//! let pool = DeriverPool::default();
//! let (salts, secret) = pool.create("correct horse battery staple", &SystemEntropy)?;
//! let again = pool.derive("correct horse battery staple", &salts.as_strs())?;
//! assert!(again.ct_eq(&secret));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "client"))]
//! # fn main() {}
//! ```
//!
//! # What it guarantees
//! - **Wrong guesses are counted in one place**, whichever operation the secret is used for:
//!   verifying and replacing are both counted under [`CHALLENGE_SECRET`] in the account's [guess
//!   ledger](keywright_core::ledger). A wrong guess is counted in the same commit that checks it,
//!   so parallel requests get no more guesses than serial ones, on one server or on many.
//! - **Of concurrent changes one succeeds.** The others are checked against the new challenge, for
//!   which the old secret is wrong.
//! - **Replacing** a challenge draws, in one commit, a new user key and a new *server salt* (random
//!   bytes that go into the key that wraps the user key). The same commit changes the account's
//!   credential epoch, a number in its records, and sessions from before the change are void.
//!   [`Keys`] has the old and the new user key, so that data can be re-encrypted.
//! - **A new secret starts without failures**: the wrong guesses, waits and limits of the old one
//!   end with it. The clients that were known stay known, and the one that made the change becomes
//!   known.
//! - **Stricter than Nextcloud Passwords**: salts must have the exact form, in lower-case hex, so
//!   that a faulty client cannot store a malformed salt and so lock its user out. A proof is
//!   compared as text, so upper case is a different secret.
//! - **Damaged data denies access.** If the record is lost, altered, replaced by an older version,
//!   or sealed under a missing key, the result is an error, never "no challenge". No attempt is
//!   counted, and the record is not overwritten.
//!
//! # Lockout
//! - **Unknown clients** are locked out by 50 wrong proofs in a row from unknown clients, which take
//!   at least 39 hours. A *known* client, which has sent a correct proof before, still works, even
//!   after a change that it made. An unknown client can be *admitted*, which allows it ten tries
//!   within an hour:
//!   - [`admit_client`](Challenges::admit_client) requires a fresh proof from a client that is not
//!     locked out.
//!   - [`admit_by_mail`](Challenges::admit_by_mail) requires a click on the link in a mail
//!     ([`guess::unlock_mail`](keywright_store::guess::unlock_mail)).
//!   - If the account has other factors, a caller can check one of them and admit the client in the
//!     same draft ([`attempt_in`](ChallengeSteps::attempt_in)).
//!
//!   The operator can [`unlock`](Challenges::unlock) the secret for all clients.
//! - **A known client** is locked out by 10 wrong proofs in a row of its own. Other clients are not
//!   affected. An admission or an unlock also helps the client that is locked out.
//!
//! An owner who presents no credential and uses the same network as the attacker counts as the same
//! client, and needs an admission.
//!
//! # What a thief can do
//! - *With the database*: the thief learns no salts, no secret, and nothing to test a guess
//!   against. The database reveals only that the account has a challenge, the sizes of its records,
//!   and its security events.
//! - *With the database and the keyring*: the thief can guess the password offline, for one account
//!   at a time, and each guess costs an Argon2id with 64 MiB and two passes. The user key stays
//!   unknown without the password.
//! - *With write access but no keyring*: the thief can replace the **whole** account by an earlier
//!   state, so that an older secret is correct again, or delete it. Restoring an old backup has the
//!   same effect. If only a single record is replaced, this is detected, and the account's requests
//!   are denied.
//! - *With the secret itself*, from a client or the wire: the secret opens the challenge, so it is
//!   as good as the password here. Use TLS.
//!
//! # Requirements
//! Met: NIST SP 800-63B-4 § 3.1.1.2 (salted, memory-hard, a keyed step whose key is stored
//! separately), § 3.2.2; ASVS 5.0 2.3.3, 2.3.4, 6.1.1, 6.2.3, 6.3.4, 11.2.4, 11.3.3, 11.3.4,
//! 15.4.2, 16.2.5, 16.3.1, 16.5.3; OWASP Password Storage (Argon2id above 19 MiB with two passes,
//! bounded input; the server itself does not run Argon2, which therefore cannot be abused for a
//! denial of service). Left to the host, which is the server program that uses this crate: checking
//! who is logged in, the notice of a change (6.3.7; this crate emits the event), ending sessions of
//! an earlier epoch (7.4.3), and request limits. Not possible here: rules for the password (6.2.1
//! and on), because the server never sees it. Only the client's length limits apply.
//!
//! # Features
//! - `client` (default): key derivation with Argon2id, which uses 64 MiB. A server does not need
//!   it.
//!
//! # Types of other crates in the public API
//! The public API names only types of `keywright-core` and `keywright-store`.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "client")]
mod client;
mod error;
pub mod events;
mod outcome;
mod policy;
mod salts;
mod secret;
mod service;
mod state;
mod step;

#[cfg(feature = "client")]
pub use client::{
    CreateError, DeriveError, Deriver, DeriverPool, MAX_DEFAULT_CONCURRENCY, MAX_PASSWORD_UNITS, MEMORY_BYTES,
    MIN_PASSWORD_UNITS,
};
pub use error::ChallengeError;
pub use outcome::{Keys, SetOutcome, Verification};
pub use policy::{CHALLENGE_SECRET, SECRET_BYTES};
pub use salts::{Salts, SaltsError};
pub use secret::{ChallengeSecret, Proof, SecretError};
pub use service::Challenges;
pub use state::UserKey;
pub use step::{ChallengeSteps, SLOTS};

/// The kinds of slots that this crate declares, to be passed to the driver's builder.
pub const SLOT_KINDS: &[keywright_store::SlotKind] = &[state::CHALLENGE.kind()];
