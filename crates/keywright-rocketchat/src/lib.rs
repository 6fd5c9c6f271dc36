//! The two-factor wire of Rocket.Chat: `users.resetE2EKey`, and what guards it — as real clients expect it.
//!
//! For a server that wants the clients of Rocket.Chat to reset end-to-end keys behind a second factor. It takes an
//! `http::Request` with its whole body and gives an `http::Response`; with the feature `tower` it is a `tower::Service`.
//! It knows no framework, no database and no user table: those are the [`Host`]'s. It never sees a password, never logs a
//! header, a query or a body, and never lets out a grant before its commit.
//!
//! ```
//! use std::sync::Arc;
//! use keywright_core::{AccountId, Keyring, SecretString, SystemClock, SystemEntropy};
//! use keywright_rocketchat::{
//!     EndLogins, Host, HostError, Login, LoginTokenId, Mail, MailError, Named, Permission, RocketChat, RocketChatPolicy,
//!     User,
//! };
//! use keywright_store::{Driver, MemoryStore, Partition};
//!
//! /// One user, one login. A real host looks these up: the token by its hash, the password by a slow one.
//! struct OneUser(AccountId);
//!
//! impl Host for OneUser {
//!     async fn login(&self, user_id: &str, token: &SecretString) -> Result<Option<Login>, HostError> {
//!         let right = user_id == "alices-id" && token.expose() == "alices-token"; // by a hash in a real host
//!         Ok(right.then(|| Login::new(User::new(self.0.clone(), "alice"), LoginTokenId("laptop".into()))))
//!     }
//!     async fn permitted(&self, _: &AccountId, _: Permission) -> Result<bool, HostError> {
//!         Ok(false)
//!     }
//!     async fn find_user(&self, _: Named<'_>) -> Result<Option<User>, HostError> {
//!         Ok(None)
//!     }
//!     async fn check_password(&self, _: &AccountId, digest: &SecretString) -> Result<bool, HostError> {
//!         Ok(digest.expose() == "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8")
//!     }
//!     async fn mail(&self, _: &User, _: Mail<'_>) -> Result<(), MailError> {
//!         Ok(())
//!     }
//!     async fn remove_keys(&self, _: &AccountId) -> Result<(), HostError> {
//!         Ok(())
//!     }
//!     async fn end_logins(&self, _: &AccountId, _: &EndLogins) -> Result<(), HostError> {
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
//! let driver = Driver::new(Arc::new(MemoryStore::new()), keyring, Arc::new(SystemEntropy), Arc::new(SystemClock));
//! // At sign-up, once: an account that was never made is an error, not a fresh start.
//! let alice = AccountId::new("user-1")?;
//! driver.transact(&Partition::account(&alice), &[], |draft| draft.create_account()).await?;
//!
//! let rocketchat = RocketChat::new(driver, Arc::new(OneUser(alice)), RocketChatPolicy::default())?;
//! let request = http::Request::post("/api/v1/users.resetE2EKey")
//!     .header("x-user-id", "alices-id")
//!     .header("x-auth-token", "alices-token")
//!     .header("x-2fa-method", "password") // nothing stronger is enrolled
//!     .header("x-2fa-code", "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8")
//!     .body(Vec::new())?;
//! let response = rocketchat.handle(request).await;
//! assert_eq!((response.status().as_u16(), response.body().as_ref()), (200, br#"{"success":true}"#.as_slice()));
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # Endpoints, below [`BASE_PATH`]
//! | | in | out |
//! |---|---|---|
//! | `POST users.resetE2EKey`, `users.resetTOTP` | nothing: one's own; `userId`, `username`, `user`: another's | |
//! | `POST users.totp.enable` | | `secret`, `url` |
//! | `POST users.totp.validate` | `code` | `codes`, twelve |
//! | `POST users.totp.disable` | `code` | `disabled`: false for a wrong code |
//! | `POST users.totp.regenerateCodes` | `code` | `codes` |
//! | `GET users.totp.codesRemaining` | | `remaining` |
//! | `POST users.2fa.enableEmail`, `disableEmail` | | |
//! | `POST users.2fa.sendEmailCode` | `emailOrUsername`, no login | always success |
//!
//! A second factor comes in `x-2fa-code`: a time-based code or a recovery code (method `totp`), a mailed code (`email`),
//! the SHA-256 of the login password (`password`). The server chooses which is asked for. For `resetE2EKey` a client can wish
//! for another that is enrolled and offered, a mailed code in the place of a time-based one too: so it is on this wire. For
//! what changes factors it cannot: the strongest that is enrolled is asked for. The password never stands in for an enrolled
//! one. Nothing is remembered: each call proves anew.
//!
//! # Which proof
//! - `resetE2EKey` goes by what is enrolled **and** offered by [`RocketChatPolicy`], else by the password; with two-factor
//!   off it asks for nothing. So it is on this wire.
//! - What changes factors (`totp.enable`, `enableEmail`, `disableEmail`, `resetTOTP`) goes by what is enrolled, whatever is
//!   offered: no switch, and no address that is no longer verified, opens the factors to a stolen login. Recovery codes
//!   without a device count. Where something is enrolled and nothing of it can be asked for (mailed codes without a
//!   verified address), the answer is `error-not-allowed`. `totp.disable` and `regenerateCodes` take a code in any case.
//! - A code under the name `totp` is judged by what the account has: as many digits as one of its devices shows are a
//!   time-based code, anything else is a recovery code or none. Only devices of six digits are enrolled here; an account can
//!   have others from elsewhere. Where a device shows **eight**, eight digits can be both: the door of time-based codes
//!   decides, its wait included, and is charged, once, for what is neither; an unused recovery code passes uncharged.
//! - An enrolment is confirmed by the login that began it, before any epoch moves. Beginning in another login takes its
//!   place.
//!
//! # The order of checks
//! Login, 401 · shape of headers and body, 400 `invalid-params` · request limit and the guess ledger's waits, 429 ·
//! second factor, 400 `totp-*` · permission · look-up · federated · notice mail · reset. Another's account is two commits:
//! the caller's proof, bound to the target as it was named; then, after the notice, the target's reset. A crash or a
//! failure between costs a code and resets nothing. What the host must remove becomes due in the target's commit; until it
//! is done, nothing of the account is served here.
//!
//! A login is found before its account's turn has come, and another request may end it meanwhile. So the commit compares
//! the account's epochs with those that stood before the look-up; if they moved, the login is looked up again, and of two
//! resets with two right codes the second is 401. Both resets move the credential epoch, as a recovery does: all logins
//! end, and with them what they have begun or proven, on the account's other wires too (a Nextcloud session is authorised
//! anew).
//!
//! # Safer than upstream, on the same wire
//! The numbers are those of the protocol page's list of weaknesses; each has a test in `tests/wire`.
//!
//! | # | upstream | here |
//! |---|---|---|
//! | 1 | a code works for 90 s, any number of times | once; a replay is denied and not charged, an event once a minute |
//! | 2 | no limit on guesses; privileged callers have no limit at all | the guess ledger, per account; no permission lifts it |
//! | 3 | two requests can use one recovery code; a used one can come back | one commit spends it |
//! | 4, 5 | unsalted hashes, secrets in clear | keyed hashes, sealed records |
//! | 6 | codes compared as numbers: `"+26920"` passes | ASCII digits; anything else is no guess |
//! | 7 | `sendEmailCode` mails anybody, voids codes, refills guesses | it sends again what a call with a login started, three times a day, and prolongs nothing |
//! | 8 | beginning an enrolment switched the active one off | nothing changes before the new device is proven |
//! | 9 | nothing enrolled and no password: no second factor | refused, as if a password were asked for |
//! | 10 | unparsable JSON resets the caller's own keys | refused, forms too; a body of no bytes is one's own, as ever |
//! | 11 | federated targets are told of resets that are not done | refused before the notice |
//! | 12 | five writes | one commit, and due work that is finished after a crash |
//! | 13 | ids are looked up before the permission | after it: who lacks it always gets `error-not-allowed` |
//! | 14 | a remembered factor bound to an MD5 | never remembered |
//! | 15 | naming `email` mails codes to who never enrolled it | a method that is not enrolled counts as unknown |
//!
//! # Answers of our own
//! Where the wire has no fitting answer, or the page leaves it open: 503 with `Retry-After` while an account is busy; 500
//! when a store or a host fails (a reset may have happened then); 404 and 405 as JSON; `error-unauthorized` for a login
//! without a username; `invalid-totp` for `regenerateCodes` with a wrong code; `error-not-allowed` for `enableEmail` with
//! an address that is not verified, and for `totp.enable` with a username that makes no label (empty, with a colon). Tokens
//! that bypass two-factor and young accounts are not let through. A call without a code, or with a text that is no code, gets
//! 429 only if no code could pass: while time-based codes must wait, a client is still asked for a recovery code. A mailed
//! code is for one act in one login; a second act within a minute waits for its own mail.
//!
//! # What the host must know
//! - The password's guesses are charged here, before [`Host::check_password`] is asked. Do not limit them again.
//! - [`Host::remove_keys`] and [`Host::end_logins`] are called after the commit that made them due, and again after a
//!   crash or a failure. The host's own endpoints call [`RocketChat::finish_due`] first to keep that up.
//! - Request limits are the host's ([`Host::admit`]); the headers are written here. Without them `sendEmailCode` is held
//!   back by the limits on mails alone: a minute apart, five for an act, ten a day for an account and three of them for
//!   callers without a login.
//! - [`Host::login`] is called twice for a request, and more often if the account moves meanwhile: make it cheap.
//! - TOTP and recovery codes belong to the account. What was enrolled elsewhere is asked for here.
//!
//! # What `sendEmailCode` tells
//! One answer, and one look at the store, for who is unknown, has no address, has nothing pending or has had their three
//! mails: at a partition that has nothing, where there is no account. What remains: a mail that does go out is a commit and
//! a call of [`Host::mail`] (at most three a day, and only while a code of the owner's own call is pending); and
//! [`Host::find_user`] takes its own time. The look waits for no turn of the account, and takes none. So queue the mail, and look up who does not exist as slowly as who does. A mail that is sent again voids the code before it, as
//! every fresh one does.
//!
//! # What strangers lock
//! A lock does not outlive its secret: what removes the devices or makes new recovery codes, by a factor's proof or with the
//! permission, empties their doors. A recovery code opens the door of time-based codes. An administrator's `resetTOTP` also
//! opens the door of mailed codes, the one way out for who has those alone; it leaves them switched on.
//!
//! # Limits of the wire
//! A recovery code of this wire has 46 bits: with the database **and** the keyring one falls in about two hours. A mailed
//! code is confirmation, no second factor. A login token alone enrols the first factor of an account that has none.
//!
//! # Features
//! `tower`: `RocketChat` is a `tower::Service`.
#![forbid(unsafe_code)]

mod caller;
mod endpoints;
mod error;
mod factors;
mod guard;
mod host;
mod iso;
mod policy;
mod request;
mod service;
#[cfg(feature = "tower")]
mod tower;

pub use host::{
    Admittance, EndLogins, Endpoint, Host, Login, LoginTokenId, Mail, MailError, Named, Peer, Permission, Quota, User,
};
pub use keywright_wire::{DueError, HostError};
pub use policy::{BASE_PATH, EMAIL_CODE_SECONDS, MAX_BODY, RocketChatPolicy, TOTP_DIGITS};
pub use service::RocketChat;
