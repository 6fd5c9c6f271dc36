//! The account protocol of Nextcloud Passwords: sessions, challenge, account reset, keychain — as real clients expect it.
//!
//! For a server that wants the clients of Nextcloud Passwords to reach its accounts. It takes an `http::Request` with its
//! whole body and returns an `http::Response`; with the feature `tower` it is a `tower::Service`. It knows no framework, no
//! database and no user table: those are the [`Host`]'s. It never sees a passphrase, never logs a query or a body, and
//! never lets out a grant before its commit.
//!
//! ```
//! use std::net::{IpAddr, SocketAddr};
//! use std::sync::Arc;
//! use keywright_core::{AccountId, Keyring, SecretString, SystemEntropy};
//! use keywright_nextcloud::{
//!     AppToken, AppTokenId, Erasure, Host, HostError, Nextcloud, NextcloudPolicy, Peer, UnlockMail, queue::Asker,
//! };
//! use keywright_store::{Driver, MemoryStore};
//!
//! /// One user, one app token. A real host looks these up, by keyed hash and by Argon2id.
//! struct OneUser;
//!
//! impl Host for OneUser {
//!     async fn account(&self, login_name: &str) -> Result<Option<AccountId>, HostError> {
//!         let known = login_name.eq_ignore_ascii_case("alice");
//!         Ok(if known { Some(AccountId::new("user-1").map_err(HostError::new)?) } else { None })
//!     }
//!     async fn app_token(&self, account: Option<&AccountId>, secret: &SecretString) -> Result<Option<AppToken>, HostError> {
//!         let right = secret.expose() == "correct-horse-app-token"; // compare in constant time in a real host
//!         Ok(account.filter(|_| right).map(|account| AppToken::new(account.clone(), AppTokenId("phone".into()))))
//!     }
//!     async fn check_password(&self, _: Option<&AccountId>, _: &SecretString, _: &Asker) -> Result<bool, HostError> {
//!         Ok(false)
//!     }
//!     async fn end_app_token(&self, _: &AccountId, _: &AppTokenId) -> Result<(), HostError> {
//!         Ok(())
//!     }
//!     async fn erase_data(&self, _: &AccountId, _: &Erasure) -> Result<(), HostError> {
//!         Ok(())
//!     }
//!     async fn send_unlock_mail(&self, _: &AccountId, _: &UnlockMail) -> Result<(), HostError> {
//!         Ok(()) // mails the link, in a real host
//!     }
//!     // Logins by password are known by it, and mails let its network in. The socket's address, as the web framework notes it in the request's extensions.
//!     fn client_address(&self, peer: Peer<'_>) -> Option<IpAddr> {
//!         peer.extensions.get::<SocketAddr>().map(SocketAddr::ip)
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
//! let driver = Driver::builder(Arc::new(MemoryStore::new()), keyring)
//!     .slots(keywright_challenge::SLOT_KINDS)
//!     .slots(keywright_confirm::SLOT_KINDS)
//!     .slots(keywright_twofactor::SLOT_KINDS)
//!     .slots(keywright_nextcloud::SLOT_KINDS)
//!     .build()?;
//! // At sign-up, once: an account that was never made is an error, not a fresh start.
//! driver.ensure_account(&AccountId::new("user-1")?).await?;
//!
//! let passwords = Nextcloud::new(driver, Arc::new(OneUser), NextcloudPolicy::default())?;
//! let request = http::Request::get("/index.php/apps/passwords/api/1.0/session/request")
//!     .header("authorization", "Basic QWxpY2U6Y29ycmVjdC1ob3JzZS1hcHAtdG9rZW4=")
//!     .extension(SocketAddr::from(([203, 0, 113, 7], 50_000))) // by the web framework, in a real server
//!     .body(Vec::new())?;
//! let response = passwords.handle(request).await;
//! assert_eq!((response.status().as_u16(), response.body().as_ref()), (200, b"{}".as_slice()));
//! assert!(response.headers().contains_key("x-api-session"));
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # Safer than upstream, on the same wire
//! The numbers are those of protocol § 9; each has a test in `tests/wire`.
//!
//! | # | upstream | here |
//! |---|---|---|
//! | 1, 2, 3 | a reset code never dies | five wrong tries or ten minutes end it; constant time; same 403 |
//! | 4 | a GET with `?code=` resets the account | a GET may ask for a code; a code in a query is never looked at; HEAD acts on nothing |
//! | 6 | a wrong `oldSecret` is free | it is charged to the same ledger entry as a wrong proof; same 401, then 403 |
//! | 7, 8 | other sessions survive a change of passphrase | all others are void; so are those from before the first challenge |
//! | 9 | the session id survives `open` | `open`, `set` and every first record rotate it; an id that a client chose never becomes a session |
//! | 10, 12 | one counter per user, for ever | a ledger: unknown clients wait and are shut out, a client that passed before still gets in; malformed input is not charged; a token ends by its own failures alone |
//! | 13, 14, 20 | any text is taken as salt or secret | exact shapes, lower-case hex; 400 with the protocol's own ids |
//! | 15 | a change is several writes | one commit; of two changes one wins, the other is judged on the new challenge |
//! | 16, 17 | old and new records can be guessed at from a dump | the old one is erased; all are sealed under a key that is not in the database |
//! | 18 | a reset marks rows | it drops every record but the second factor, moves the epochs and ends with the host's erasure, finished after a crash |
//! | 19 | every request writes a session row | a row only where something must be kept |
//! | 21 | no absolute lifetime | 24 hours |
//! | 22 | challenge and keychain can part | the old keychain stays readable until the new one arrives |
//! | 23 | a remote list switches tokens off | [`NextcloudPolicy::require_token`]; a code works once, in every protocol |
//!
//! Item 5 (any app token can set the first challenge or reset an account that has none) is the host's choice:
//! [`Host::permit`]. POST takes JSON only: a form can be sent by any web page. Uploads over [`NextcloudPolicy::max_body`]
//! are answered 413.
//!
//! # Guesses, and the ways in
//! Wrong guesses are limited by the one ledger of the account ([`keywright_core::ledger`]), under the driver's policy. A
//! client is known at a secret if it passed it before, or changed it: an app token; a session counts as the credential that
//! opened it; a login by password without such a session is known by its network ([`Host::client_address`]), or, where the
//! host knows no networks, by the session id that came with it; a new id in its place is known from the answer on. Known
//! clients are never held up by others.
//!
//! | secret | what shuts it | ways in for an owner whom others have shut out | the tests that walk them |
//! |---|---|---|---|
//! | login password ([`LOGIN_PASSWORD`]) | 50 wrong logins of unknown clients | an app token; a known network or session; the client that changed it ([`Nextcloud::password_changed`]); the link of a mail ([`Host::send_unlock_mail`], [`Nextcloud::admit_by_mail`]); a session with a fresh proof of the password or more ([`Nextcloud::admit_client`]); the operator ([`Nextcloud::unlock`]) | `ways_in::the_login_password_…`, `ways_in::a_mail_lets_in_the_network_…`, `ways_in::without_addresses_…`, `ways_in::a_login_that_is_known_stays_so_…`, `ways_in_proofs::what_a_proof_is_not_for_…` |
//! | challenge | 50 wrong proofs of unknown clients | a known app token, session or network; whoever changed it; the same mail; a session with a fresh proof of the challenge itself ([`Nextcloud::admit_client_by_challenge`]) or of a factor ([`Nextcloud::admit_client`]); the operator | `ways_in::the_challenge_…`, `ways_in::a_mail_lets_in_the_client_…`, `ways_in_proofs::at_the_challenge_…` |
//! | time-based codes | 50 wrong codes of unknown clients | a known client; whoever enrolled the device; a recovery code, which lets its client in; a session with a fresh proof of a factor and the operator, both in [`keywright_twofactor`]; never a mail | `two_factor::a_recovery_code_lets_its_client_in_…`, `two_factor::every_way_in_at_time_based_codes`, `ways_in_proofs::at_time_based_codes_…` |
//! | recovery codes | nothing: they wait, an hour at most, and are too long to be guessed | the wait's end; a known client; whoever made the codes; a session and the operator, as above; never a mail | `ways_in_proofs::recovery_codes_…` |
//!
//! This wire has no mailed codes. A recovery code is no way in at the password or the challenge, only at time-based codes.
//! An owner *on the hostile network itself*, who logs in by password, needs a click and shares its ten tries with the
//! attackers: use an app token. A name that is nobody's waits and is shut as an account is, on one of 65,536 decoys, so
//! whoever spends a million guesses can tell which names share one: limit requests per network in front of this.
//!
//! The fifth wrong proof of one app token since its last right one is answered 403 `b927b225` and ends that token. Every
//! guess that is not looked at, right or wrong, is answered 429 with `Retry-After`: applications forget their login on 403.
//! Where only an act lets the client in, `Retry-After` is a day and the message says so.
//!
//! # Two-factor tokens
//! An account with a time-based device ([`keywright_twofactor`]) is asked for a token: `totp`, or `backup_codes` while
//! recovery codes are left. It is judged before the passphrase. A wrong one is charged to its own secret and the
//! passphrase is not looked at; an absent one, a malformed one, and a replay are not charged. A right one with a wrong
//! passphrase is spent, and its session keeps a credit: for [`CREDIT_TRIES`] further passphrases within
//! [`CREDIT_SECONDS`], at `session/open` alone, no token is asked for or looked at. So a slip costs no second code, and
//! the code is worth nothing elsewhere. While the passphrase is not looked at, no token is, so none is spent.
//!
//! # Answers of our own
//! Where upstream has no fitting answer: 503 with `Retry-After` while an account is busy, while the store takes too long to
//! read, or while the host is busy, for everybody alike ([`HostError::busy`]: a password that it did not look at is not
//! charged); 429 with an empty list while a
//! login password is not looked at, and with the error `64a6cf1f` while a proof or a token is not; 415 for a POST that is
//! no JSON; 500 with the protocol's generic body when a store or a host fails. `challenge/set` may answer 500 `114cbe8d`
//! for a change that **did** happen, if the store's reply was lost: a client should try both passphrases then.
//!
//! # What the host must know
//! - Nothing of the host runs inside a commit: its methods may use a driver on the same account, and a slow one holds up
//!   its own request alone. A password check is counted before and after, in two commits; while four of a client are open,
//!   further ones wait for a verdict, at most 64 of an account.
//! - The login password's guesses are limited here. Do not limit them again. Announce its changes by
//!   [`Nextcloud::password_changed`].
//! - [`Host::erase_data`], [`Host::end_app_token`] and [`Host::send_unlock_mail`] are called after the commit that made
//!   them due, and again after a crash or a failure, after pauses that grow from 2 s to an hour. Until an erasure is done,
//!   this protocol serves nothing of the account; the host's own endpoints call [`Nextcloud::finish_due`] first to keep
//!   that up.
//! - One server at a time is at a due task; it should need no longer than
//!   [`CLAIM_SECONDS`](keywright_store::due::CLAIM_SECONDS). After [`CLAIM_LASTS`](keywright_store::due::CLAIM_LASTS)
//!   another one begins it anew; [`Erasure::id`] is for hosts that must tell the two apart.
//! - An answer 500 or 503 carries the session id as it was sent, if it is well formed, without a look at it.
//!
//! # Features
//! `tower`: `Nextcloud` is a `tower::Service`.
#![forbid(unsafe_code)]

mod answer;
mod client;
mod context;
mod endpoints;
mod error;
pub mod events;
mod failures;
mod guard;
mod host;
mod keychain;
mod login;
mod open_checks;
mod policy;
mod request;
mod service;
mod session;
mod token;
mod unlock;

use keywright_store::SlotKind;

pub use host::{Admittance, AppToken, AppTokenId, Endpoint, Erasure, Host, Login, Unproven};
pub use keywright_wire::{DueError, HostError, Peer, queue};
pub use policy::{
    BASE_PATH, CREDIT_SECONDS, CREDIT_TRIES, MAX_BODY, MAX_SESSIONS, NextcloudPolicy, ResetStyle, SESSION_ABSOLUTE,
    SESSION_LIFETIME, TOKEN_TRIES,
};
pub use service::Nextcloud;
pub use unlock::{GuessedSecret, LOGIN_PASSWORD, MailAdmits, UnlockMail};

/// The kinds of slots that this crate declares, for the driver's builder.
pub const SLOT_KINDS: &[SlotKind] = &[
    session::list::SESSIONS.kind(),
    session::SESSION.kind(),
    keychain::KEYCHAIN.kind(),
    failures::TOKEN_FAILURES.kind(),
];
