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
//! // Who sends the request: the credential that it came with, such as an app token. Once it was right, nobody else's
//! // wrong guesses hold it up. A log-in without a credential is named by its network instead.
//! let client = Client::credential(driver.client_tag(&account, b"the id of the app token"));
//!
//! let (secret, salts) = (ChallengeSecret::from_client(&sent_secret)?, Salts::parse(&sent_salts)?);
//! let _first = challenges.set(&account, &secret, &salts, client).await?;
//!
//! let solve = challenges.get(&account).await?; // for the client, with each log-in
//! # assert_eq!(solve, Some(salts));
//! # let (open_session, mut answers) = (|_user_key| 200, Vec::new());
//! # for sent_proof in [&sent_secret, &"00".repeat(32)] {
//! let proof = Proof::from_client(sent_proof)?; // of another length: malformed, and costs nothing
//! let status = match challenges.verify(&account, &proof, client).await? {
//!     Verification::Granted(user_key) => open_session(user_key), // it opens what is sealed for the user
//!     Verification::Denied(_) => 401,
//!     Verification::Refused(_) => 429, // not looked at; `retry_after()` says how long
//!     Verification::NoChallenge => 404,
//! };
//! # answers.push(status);
//! # }
//! # assert_eq!(answers, [200, 401]);
//! # Ok(())
//! # }
//! ```
//! [`ChallengeSteps`] has the same acts as `…_in(&mut Draft, …)`, to be committed together with a caller's own records.
//!
//! # A client
//! ```
//! # #[cfg(feature = "client")]
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
//! # #[cfg(not(feature = "client"))]
//! # fn main() {}
//! ```
//!
//! # What it guarantees
//! - **One ledger entry for the secret**, whichever act takes it: verifying and replacing charge [`CHALLENGE_SECRET`].
//!   The verdict and its charge are one commit, so parallel requests get no more guesses than serial ones, on one server
//!   or on many.
//! - **Of concurrent changes one wins.** The others are judged on the new challenge, where the old secret is wrong.
//! - **Replacing** makes a new salt and a new user key and moves the credential epoch by one, in one commit: whatever was
//!   made in the old epoch is void. [`Keys`] has both user keys, to carry over what must be kept.
//! - **A new secret is a new generation**: the wrong guesses, waits and limits of the old one end with it. The clients
//!   that were known stay known, and so does the one that made the change.
//! - **Strict where upstream is not**: salts of exact shape, lower-case hex, so that no client's slip is stored that
//!   locks its user out. A proof is compared as text; upper case is another secret.
//! - **Damage denies.** A record that is lost, altered, put back, or sealed under a key that is not there is an error,
//!   never "no challenge", costs no attempt and is not overwritten.
//!
//! # Ways in
//! | what shuts it | who is refused | ways in |
//! |---|---|---|
//! | 50 wrong proofs of unknown clients in a row, 39 hours at the least | unknown clients | any known client, also after a change that it made; [`admit_client`](Challenges::admit_client), by a fresh proof of the challenge from a client that still gets in; [`admit_by_mail`](Challenges::admit_by_mail), by a click in a mail ([`guess::unlock_mail`](keywright_store::guess::unlock_mail)); where the account has other factors, a proof of one, in a draft of the wire's ([`attempt_in`](ChallengeSteps::attempt_in)); [`unlock`](Challenges::unlock), by the operator |
//! | 10 wrong proofs of a known client in a row | that client | an admission; an unlock; any other client |
//!
//! An owner on the very network that guesses shares its tries, and needs an admission.
//!
//! # What a thief gets
//! - *The database*: no salts, no secret, nothing to test a guess against; only that the account has a challenge, how
//!   large the records are, and the events.
//! - *The database and the keyring*: offline guesses at the password, each one Argon2id with 64 MiB and two passes, for
//!   one account. Not the user key, without the password.
//! - *Write access without the keyring*: can put the **whole** account back to an earlier state, so that an older secret
//!   is right again, or delete it. An old backup put back does the same. A single record put back is noticed and denies.
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
//! - `client` (default): key derivation, Argon2id with 64 MiB. A server does not need it.
//!
//! # Foreign types
//! The public API names only types of `keywright-core` and `keywright-store`.
#![forbid(unsafe_code)]

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

/// The kinds of slots that this crate declares.
pub const SLOT_KINDS: &[keywright_store::SlotKind] = &[state::CHALLENGE.kind()];
