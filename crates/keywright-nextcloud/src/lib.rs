//! The account protocol of Nextcloud Passwords: sessions, challenge, account reset, keychain and
//! settings, as real clients expect it.
//!
//! This crate is for a server that wants the clients of Nextcloud Passwords to reach its accounts.
//! It takes an `http::Request` with its whole body and returns an `http::Response`; with the
//! feature `tower` it is a `tower::Service`. It depends on no framework, database or user table:
//! the server program that uses this crate (the *host*) has those, and implements the trait
//! [`Host`]. This crate never sees a passphrase, never logs a query or a body, and never releases a
//! grant before its commit.
//!
//! Comments cite the protocol by section, as in "protocol § 4":
//! `docs/protocols/nextcloud-passwords.md` of the repository.
//!
//! ```
//! use std::net::{IpAddr, SocketAddr};
//! use std::sync::Arc;
//! use keywright_core::{AccountId, Keyring, SecretString, SystemEntropy};
//! use keywright_nextcloud::{
//!     AppToken, AppTokenId, Erasure, Host, HostError, Nextcloud, NextcloudPolicy, Peer, UnlockMail, queue::Requester,
//! };
//! use keywright_store::{Driver, MemoryStore};
//!
//! /// One user with one app token. A real host looks up the token by a keyed hash, and checks passwords with Argon2id.
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
//!     async fn check_password(&self, _: Option<&AccountId>, _: &SecretString, _: &Requester) -> Result<bool, HostError> {
//!         Ok(false)
//!     }
//!     async fn end_app_token(&self, _: &AccountId, _: &AppTokenId) -> Result<(), HostError> {
//!         Ok(())
//!     }
//!     async fn erase_data(&self, _: &AccountId, _: &Erasure) -> Result<(), HostError> {
//!         Ok(())
//!     }
//!     async fn send_unlock_mail(&self, _: &AccountId, _: &UnlockMail) -> Result<(), HostError> {
//!         Ok(()) // a real host mails the link
//!     }
//!     // The socket's address, which the web framework stores in the request's extensions. A log-in by
//!     // password is identified by the network of this address, and a link in a mail can admit that network.
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
//! // Once, at sign-up. For an account that was never created, every request fails.
//! driver.ensure_account(&AccountId::new("user-1")?).await?;
//!
//! let passwords = Nextcloud::new(driver, Arc::new(OneUser), NextcloudPolicy::default())?;
//! let request = http::Request::get("/index.php/apps/passwords/api/1.0/session/request")
//!     .header("authorization", "Basic QWxpY2U6Y29ycmVjdC1ob3JzZS1hcHAtdG9rZW4=")
//!     .extension(SocketAddr::from(([203, 0, 113, 7], 50_000))) // set by the web framework in a real server
//!     .body(Vec::new())?;
//! let response = passwords.handle(request).await;
//! assert_eq!((response.status().as_u16(), response.body().as_ref()), (200, b"{}".as_slice()));
//! assert!(response.headers().contains_key("x-api-session"));
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # Safer than the original, with the same requests and answers
//! The first column has the numbers of protocol § 9, *upstream* is Nextcloud Passwords itself, and
//! each item has a test in `tests/wire`.
//!
//! | # | upstream | here |
//! |---|---|---|
//! | 1, 2, 3 | a reset code never expires | five wrong tries or ten minutes end it; it is compared in constant time; the answer is the same 403 |
//! | 4 | a GET with `?code=` resets the account | a GET may request a code; a code in a query is never checked; HEAD has no effect |
//! | 6 | a wrong `oldSecret` is not counted | it is counted together with wrong proofs; the answer is the same 401, then 403 |
//! | 7, 8 | other sessions survive a change of passphrase | all others become void, and so do those from before the first challenge |
//! | 9 | the session id survives `open` | `open`, `set` and the first storing of a session replace it by a new one; an id that a client chose never becomes a session |
//! | 10, 12 | one counter per user, for ever | the guess ledger: unknown clients must wait and are finally locked out, but a client that was right before is not; malformed input does not count; an app token ends only by its own wrong guesses |
//! | 13, 14, 20 | any text is accepted as salt or secret | exact shapes, lower-case hex; 400 with the protocol's own ids |
//! | 15 | a change is several writes | one commit; of two changes one wins, the other is checked against the new challenge |
//! | 16, 17 | a database dump allows guessing the old and the new passphrase | the old record is erased; all records are encrypted under a key that is not in the database |
//! | 18 | a reset marks rows | it deletes every record but the second factor, changes the account's epochs (numbers to which sessions and proofs are bound), and then calls [`Host::erase_data`], which is repeated after a crash |
//! | 19 | every request writes a session row | a row is written only if something must be stored |
//! | 21 | no absolute lifetime | 24 hours |
//! | 22 | challenge and keychain can get out of step | the old keychain stays readable until the new one arrives |
//! | 23 | a list on a remote server can switch the second factor off | [`NextcloudPolicy::require_token`] decides; each code is accepted once, over all protocols of the server |
//!
//! Item 5 (any app token can set the first challenge of an account that has none, or reset it) is
//! the host's choice: [`Host::permit`]. A form or an absent body is accepted only if no header of the
//! browser names another site, because any web page can send those. An object that names a member
//! twice is refused. Uploads over [`NextcloudPolicy::max_body`] are answered with 413.
//!
//! # What the host must bring
//! This crate has the fourteen endpoints of [`Endpoint`]. A stock application calls more of a
//! server, and the host serves it beside this crate:
//!
//! | part | paths | who needs it |
//! |---|---|---|
//! | login flow, version 1 | `index.php/login/flow`, a web page | Android |
//! | login flow, version 2 | `index.php/login/v2` and its poll | iOS, the crate and the Python package if they have no app password yet |
//! | OCS | `ocs/v2.php/…`; `DELETE ocs/v2.php/core/apppassword` ends the app password | iOS on logout, Python |
//! | passwords, folders, tags, shares | `…/api/1.0/password/*`, `folder/*`, `tag/*`, `share/*` | every application after its session is open; Android and iOS stop without them |
//! | services | `…/api/1.0/service/*` (avatars, favicons, previews, hashes) | shown where present |
//! | PassLink | `…/api/1.0/link/connect/*` | the extension, to connect by a link |
//! | WebDAV | `remote.php/webdav` | file pickers; its address is in the settings |
//! | settings that users change | [`Host::set_settings`], [`Host::reset_settings`] | nobody at first contact; 404 without |
//! | the server's address and theme | [`Host::settings`] | give at least [`Settings::with_base_url`] |
//!
//! The host's own endpoints below `…/api/1.0/` follow the protocol's rules: every answer has
//! `X-API-SESSION`, an unknown path is 404 with the protocol's body (route what you do not serve to
//! [`Nextcloud`]), and an account with a challenge needs an authorized session. An application that
//! has an app password from somewhere else (typed in, or a QR code of the host's) needs no login
//! flow.
//!
//! Route everything below [`APP_PATH`] here, in the form that [`canonical_path`] gives it: stock
//! clients call `/index.php/apps/passwords/api//1.0/session/open`, or leave `index.php` out.
//!
//! # Guess limits, and how a locked-out owner gets in
//! Wrong guesses are limited by the account's guess ledger ([`keywright_core::ledger`]), under the
//! driver's policy. For the ledger, a client is one of these:
//!
//! - an app token;
//! - a session, which counts as the credential that opened it;
//! - the network of a log-in by password without such a session ([`Host::client_address`]);
//! - if the host does not report networks, the session id of such a log-in. If the answer replaces
//!   the id, the new id is known from then on.
//!
//! A client is *known* for a secret after it has entered that secret correctly or changed it. The
//! wrong guesses of other clients never delay a known client, but they can lock out all unknown
//! clients. The following list states what still works for the owner then. The tests named in it
//! are those of `tests/wire`.
//!
//! - **Login password** ([`LOGIN_PASSWORD`]), locked by 50 wrong log-ins of unknown clients. What
//!   still works:
//!   - an app token, a known network or a known session;
//!   - the client that changed the password ([`Nextcloud::password_changed`]);
//!   - the link in a mail ([`Host::send_unlock_mail`], [`Nextcloud::admit_by_mail`]);
//!   - a session with a fresh proof of the password or of a stronger method, which admits the new
//!     client ([`Nextcloud::admit_client`]);
//!   - the operator ([`Nextcloud::unlock`]).
//!
//!   Tests: `ways_in::the_login_password_…`, `ways_in::a_mail_lets_in_the_network_…`,
//!   `ways_in::without_addresses_…`, `ways_in::a_login_that_is_known_stays_so_…`,
//!   `ways_in_proofs::what_a_proof_is_not_for_…`.
//! - **Challenge**, locked by 50 wrong proofs of unknown clients. What still works:
//!   - a known app token, session or network;
//!   - the client that changed the challenge;
//!   - the link in the same mail;
//!   - a session with a fresh proof of the challenge itself
//!     ([`Nextcloud::admit_client_by_challenge`]) or of a factor ([`Nextcloud::admit_client`]);
//!   - the operator.
//!
//!   Tests: `ways_in::the_challenge_…`, `ways_in::a_mail_lets_in_the_client_…`,
//!   `ways_in_proofs::at_the_challenge_…`.
//! - **Time-based codes**, locked by 50 wrong codes of unknown clients. What still works:
//!   - a known client, or the client that enrolled the device;
//!   - a recovery code, which admits the client that sent it;
//!   - a session with a fresh proof of a factor, or the operator (both in [`keywright_twofactor`]).
//!
//!   A mail never admits a client here. Tests: `two_factor::a_recovery_code_lets_its_client_in_…`,
//!   `two_factor::every_way_in_at_time_based_codes`, `ways_in_proofs::at_time_based_codes_…`.
//! - **Recovery codes** are never locked, because they are too long to be guessed. Unknown clients
//!   must wait an hour at most. The guesses of others do not delay a known client or the client
//!   that made the codes. A session and the operator can help as for time-based codes, a mail
//!   cannot. Tests: `ways_in_proofs::recovery_codes_…`.
//!
//! This wire protocol has no mailed codes. A recovery code admits a client only for time-based
//! codes, not for the password or the challenge. An owner who logs in by password *from the
//! attackers' network* has to click the link, and then shares its ten tries with the attackers.
//! Such an owner should use an app token.
//!
//! Guesses at a name that does not exist are counted, delayed and locked out as for an account, so
//! that the answers do not reveal which names exist. For this, all such names share 65,536 decoy
//! ledgers. An attacker who spends a million guesses can find out which names share a ledger, and
//! so do not exist: limit requests per network in front of this crate.
//!
//! The fifth wrong proof of one app token since its last right one is answered with 403 `b927b225`
//! and ends that token. A guess that is not checked, because the client must wait or is locked out,
//! is answered with 429 and `Retry-After`. On 403, applications would forget their login. Where the
//! client can be admitted only by someone's action, `Retry-After` is a day and the message states
//! that.
//!
//! # Two-factor tokens
//! An account with a time-based device ([`keywright_twofactor`]) requires a token: `totp`, or
//! `backup_codes` while recovery codes are left. So does one with a passkey, which no client can
//! show: only `backup_codes` passes there (`docs/decisions.md` 237). The token is checked before the
//! passphrase.
//!
//! - If the token is wrong, the wrong guess is counted for the token's secret, and the passphrase
//!   is not checked.
//! - An absent token, a malformed one and one that was used before are not counted as guesses.
//! - A right token with a wrong passphrase is used up, and its session remembers that: for
//!   [`CREDIT_TRIES`] further passphrases within [`CREDIT_SECONDS`], at `session/open` only, no
//!   token is required or checked. So a user who mistypes the passphrase needs no second code, and
//!   the first code cannot be used elsewhere.
//! - While the passphrase is not checked (because of a wait or a lockout), the token is not checked
//!   either, so no code is used up.
//!
//! # Answers without an upstream equivalent
//! Where upstream has no fitting answer, this crate uses the following:
//!
//! - 503 with `Retry-After` if too many requests wait for the account, if reading from the store
//!   takes too long, or if the host is busy ([`HostError::busy`]; a password that the host did not
//!   check is not counted). The answer is the same for every client.
//! - 429 while guesses are not checked because of a wait or a lockout: with an empty list for a
//!   login password, and with the error `64a6cf1f` for a proof or a token.
//! - 415 for a POST that is neither JSON nor a form, or whose form may come from another site's page.
//! - 404 for `settings/set` and `settings/reset` if the host stores no settings.
//! - 500 with the protocol's generic body when a store or a host fails.
//! - `challenge/set` may answer 500 `114cbe8d` for a change that **did** happen, if the store's
//!   reply was lost. A client should then try both passphrases.
//!
//! # What the host must know
//! - No code of the host runs inside a commit: its methods may use a driver on the same account,
//!   and a slow one delays only its own request. A password check needs two commits: the first
//!   counts it as a guess, and the second records the result. While the host is checking four
//!   passwords of a client, that client's further guesses must wait, at most 64 per account.
//! - The login password's guesses are limited here. Do not limit them again. Announce its changes
//!   with [`Nextcloud::password_changed`].
//! - [`Host::erase_data`], [`Host::end_app_token`] and [`Host::send_unlock_mail`] are called after
//!   the commit that made them due, and again after a crash or a failure, after pauses that grow
//!   from 2 s to an hour. Until an erasure is done, every request for the account fails here. The
//!   host's own endpoints should call [`Nextcloud::finish_due`] first, so that the same holds for
//!   them.
//! - One server at a time works on a due task. The task should need no longer than
//!   [`CLAIM_SECONDS`](keywright_store::due::CLAIM_SECONDS). After
//!   [`CLAIM_LASTS`](keywright_store::due::CLAIM_LASTS) another server starts it again;
//!   [`Erasure::id`] is for hosts that must distinguish the two.
//! - An answer with 500 or 503 carries the session id as it was sent, if it is well formed, without
//!   checking it.
//!
//! # Features
//! `tower`: `Nextcloud` implements `tower::Service`.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod body;
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
mod path;
mod policy;
mod request;
mod service;
mod session;
mod settings;
mod token;
mod unlock;

use keywright_store::SlotKind;

pub use host::{Admittance, AppToken, AppTokenId, Endpoint, Erasure, Host, Login, Unproven};
pub use keywright_wire::{DueError, HostError, Peer, RefusedBy, queue};
pub use path::{APP_PATH, canonical_path};
pub use policy::{
    APP_VERSION, BASE_PATH, CREDIT_SECONDS, CREDIT_TRIES, MAX_BODY, MAX_SESSIONS, NextcloudPolicy,
    NextcloudPolicyBuilder, NextcloudPolicyError, ORIGIN, ResetStyle, SESSION_ABSOLUTE, SESSION_LIFETIME, TOKEN_TRIES,
};
pub use service::Nextcloud;
pub use settings::Settings;
pub use unlock::{GuessedSecret, LOGIN_PASSWORD, MailAdmits, UnlockMail};

/// The kinds of slots that this crate declares, for the driver's builder.
pub const SLOT_KINDS: &[SlotKind] = &[
    session::list::SESSIONS.kind(),
    session::SESSION.kind(),
    keychain::KEYCHAIN.kind(),
    failures::TOKEN_FAILURES.kind(),
];
