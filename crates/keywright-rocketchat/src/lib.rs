//! The two-factor wire of Rocket.Chat: `users.resetE2EKey`, and what guards it — as real clients expect it.
//!
//! For a server that wants the clients of Rocket.Chat to reset end-to-end keys behind a second factor. It takes an
//! `http::Request` with its whole body and returns an `http::Response`; with the feature `tower` it is a `tower::Service`.
//! It knows no framework, no database and no user table: those are the [`Host`]'s. It never sees a password, never logs a
//! header, a query or a body, and never lets out a grant before its commit.
//!
//! Comments cite the protocol by section, as in "protocol § 4": `docs/protocols/rocket-chat.md` of the repository.
//!
//! ```
//! use std::net::{IpAddr, SocketAddr};
//! use std::sync::Arc;
//! use keywright_core::{AccountId, Keyring, SecretString, SystemEntropy};
//! use keywright_rocketchat::{
//!     EndLogins, Host, HostError, Login, LoginTokenId, Mail, MailError, Named, Peer, Permission, RocketChat,
//!     RocketChatPolicy, User, queue::Asker,
//! };
//! use keywright_store::{Driver, MemoryStore};
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
//!     async fn check_password(&self, _: &AccountId, digest: &SecretString, _: &Asker) -> Result<bool, HostError> {
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
//!     // Mails to an owner who is shut out let its network in. The socket's address, as the web framework notes it in the request's extensions.
//!     fn client_address(&self, peer: Peer<'_>) -> Option<IpAddr> {
//!         peer.extensions.get::<SocketAddr>().map(SocketAddr::ip)
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
//! let driver = Driver::builder(Arc::new(MemoryStore::new()), keyring).build()?;
//! // At sign-up: an account that was never made is an error, not a fresh start.
//! let alice = AccountId::new("user-1")?;
//! driver.ensure_account(&alice).await?;
//!
//! let rocketchat = RocketChat::new(driver, Arc::new(OneUser(alice)), RocketChatPolicy::default())?;
//! let request = http::Request::post("/api/v1/users.resetE2EKey")
//!     .header("x-user-id", "alices-id")
//!     .header("x-auth-token", "alices-token")
//!     .header("x-2fa-method", "password") // nothing stronger is enrolled
//!     .header("x-2fa-code", "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8")
//!     .extension(SocketAddr::from(([203, 0, 113, 7], 50_000))) // by the web framework, in a real server
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
//! the SHA-256 of the login password (`password`). The server chooses which is asked for. For `resetE2EKey` a client can
//! name another that is enrolled and offered, a mailed code in the place of a time-based one too: so it is on this wire. For
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
//! - **The first factor** (`totp.enable`, `enableEmail` with nothing enrolled) is proven by the login password, two-factor
//!   and the password fallback on or off: a stolen login token alone puts nothing on the account. An account without a
//!   password enrols its first factor elsewhere, by a page of the host's.
//! - A code under the name `totp` is judged by what the account has: as many digits as one of its devices shows are a
//!   time-based code, blanks and hyphens aside; anything else is a recovery code or malformed. Only devices of six digits are
//!   enrolled here; an account can have others from elsewhere. Where a device shows **eight**, eight digits can be both: they
//!   are judged as a time-based code, its wait included, and charged, once, as that; an unused recovery code passes
//!   uncharged.
//! - An enrolment is confirmed by the login that began it, before any epoch moves. Beginning in another login takes its
//!   place.
//! - A change of factors ends all other logins: by the protocol for `validate` and `enableEmail`, and for `disable`,
//!   `regenerateCodes` and `disableEmail` if the policy's
//!   [`ends_other_logins`](keywright_twofactor::TwoFactorPolicy::ends_other_logins) does, which is the default.
//!
//! # The order of checks
//! Login, 401 · shape of headers and body, 400 `invalid-params` · request limit and the guess ledger's waits, 429 ·
//! second factor, 400 `totp-*` · permission · look-up · federated · notice mail · reset. Another's account is two commits:
//! the caller's proof, bound to the target as it was named; then, after the notice, the target's reset. A crash or a
//! failure between costs a code and resets nothing; so does a target whose logins are just being ended, which is 503. What
//! the host must remove becomes due in the target's commit; until it is done, nothing of the account is served here.
//!
//! A login is found before the commit that acts, and another request may end it meanwhile. So the commit compares the
//! account's epochs with those that stood before the look-up; if they moved, the login is looked up again, and of two
//! resets with two right codes the second is 401. Both resets move the credential epoch, as a recovery does: all logins
//! end, and with them what they have begun or proven, on the account's other wires too (a Nextcloud session is authorised
//! anew).
//!
//! # Safer than upstream, on the same wire
//! The numbers are those of that page's list of weaknesses; each has a test in `tests/wire`.
//!
//! | # | upstream | here |
//! |---|---|---|
//! | 1 | a code works for 90 s, any number of times | once; a replay is denied and not charged, an event once an hour |
//! | 2 | no limit on guesses; privileged callers have no limit at all | the guess ledger, per account; no permission lifts it |
//! | 3 | two requests can use one recovery code; a used one can come back | one commit spends it |
//! | 4, 5 | unsalted hashes, secrets in clear | keyed hashes, sealed records |
//! | 6 | codes compared as numbers: `"+26920"` passes | ASCII digits, blanks and hyphens aside; anything else is no guess |
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
//! Where the wire has no fitting answer, or the page leaves it open: 503 with `Retry-After` while an account is busy (its
//! logins are being ended, too many wait for it, or four passwords of a client are not judged yet) while
//! the host is ([`HostError::busy`]: a password that it did not look at is not charged), and while the store takes too long to
//! read; 500 when a store or a
//! host fails (a reset may have happened then); 404 and 405 as JSON; `error-unauthorized` for a login without a username;
//! `invalid-totp` for `regenerateCodes` with a wrong code; `error-not-allowed` for `enableEmail` with an address that is not
//! verified, and for `totp.enable` with an empty username. Tokens that bypass two-factor and young accounts are not let
//! through. A call without a code, or with a malformed one, gets 429 only if no code could pass: while time-based codes must
//! wait, a client is still asked for a recovery code. A mailed code is for one act in one login; a second act within a
//! minute waits for its own mail.
//!
//! # Guesses, and the ways in
//! Wrong guesses are limited by the one ledger of the account ([`keywright_core::ledger`]), under the driver's policy. A
//! login is known at a secret if it passed it before, or changed it; any other login of the account, a stolen one for
//! instance, is an unknown client. Known logins are never held up by others. A change of factors by `totp.disable`,
//! `totp.validate` or `regenerateCodes` begins the counts of what it changes anew, and the login that made it is known.
//!
//! | secret | what shuts it | ways in for an owner whom others have shut out | the tests that walk them, in `ways_in` |
//! |---|---|---|---|
//! | login password ([`LOGIN_PASSWORD`]) | 50 wrong digests of unknown clients, those of the account's other wires included | a login that passed it; the one that changed it ([`RocketChat::password_changed`]); the link of a mail ([`Mail::ShutOut`], [`RocketChat::admit_by_mail`]); a session with a fresh proof of the password or more ([`RocketChat::admit_client`]); the operator ([`RocketChat::unlock`]) | `the_login_password_…`, `a_mail_lets_in_the_network_…`, `a_mail_lets_in_the_login_…` |
//! | time-based codes | 50 wrong codes of unknown clients | a login that passed one, or enrolled the device; a recovery code, which lets its login in; a session with a fresh proof of a factor and the operator, both in [`TwoFactor`](keywright_twofactor::TwoFactor); an administrator's `resetTOTP` | `time_based_codes_…` |
//! | recovery codes (46 bits) | 50 wrong codes of unknown clients | a login that passed one, or made them; a session and the operator, as above; a time-based code, which makes new ones; an administrator's `resetTOTP` | `recovery_codes_…` |
//! | mailed codes | 50 wrong codes of unknown clients; no change begins them anew | a login that passed one; a session with a fresh proof of a mailed code or more ([`RocketChat::admit_client`]); the operator ([`RocketChat::unlock`]); never a mail; an administrator's `resetTOTP`, which leaves them switched on | `mailed_codes_…`, and `an_administrators_reset_is_a_way_in_…` in `locks` |
//!
//! A recovery code is a way in at time-based codes alone.
//! The mail goes with the first refusal of more than 15 minutes, so it usually names the attacker's login: the page should
//! offer the network that the link was opened from ([`MailAdmits::Address`]), for which the host tells its clients'
//! addresses ([`Host::client_address`]). An owner *on the hostile network itself* needs a click, and shares its ten tries
//! with the attackers. Where only an act lets a login in, `Retry-After` is a day; the wire's text cannot say more.
//!
//! # What the host must know
//! - Nothing of the host runs inside a commit: its methods may use a driver on the same account, and a slow one holds up
//!   its own request alone. A password check is counted before and after, in two commits, and a verdict that comes after
//!   120 s counts as "wrong". Do not limit the password's guesses again; announce its changes by
//!   [`RocketChat::password_changed`].
//! - [`Host::remove_keys`], [`Host::end_logins`] and the mail to an owner who is shut out are called for after the commit
//!   that made them due, and again after a crash or a failure, after pauses that grow from 2 s to an hour. A host that wakes
//!   its sweep for that mail ([`Host::mails_due`]) lets no answer wait for a mail server. Until logins have ended, this protocol serves nothing of the account; the host's own endpoints call [`RocketChat::finish_due`] first to
//!   keep that up.
//! - Request limits are the host's ([`Host::admit`]); the headers are written here. Without them `sendEmailCode` is held
//!   back by the limits on mails alone: a minute apart, five for an act, ten a day for an account and three of them for
//!   callers without a login.
//! - [`Host::login`] is called twice for a request, and more often if the account moves meanwhile: make it cheap.
//! - TOTP and recovery codes belong to the account. What was enrolled elsewhere is asked for here.
//!
//! # What `sendEmailCode` reveals
//! There is one answer, and one look at the store, for a name that is unknown, has no address, has nothing pending or has
//! had its three mails: at a partition that has nothing, where there is no account. What remains: a mail that does go out is
//! a commit and a call of [`Host::mail`] (at most three a day, and only while a code of the owner's own call is pending);
//! and [`Host::find_user`] takes its own time. The look waits for nobody and holds up nobody. So queue the mail, and look up
//! an unknown name as slowly as a known one. A mail that is sent again voids the code before it, as every fresh one does.
//!
//! # Limits of the wire
//! A recovery code of this wire has 46 bits: with the database **and** the keyring one falls in about two hours. A mailed
//! code is confirmation, no second factor. With two-factor off a stolen login token alone resets end-to-end keys.
//!
//! # Features
//! `tower`: `RocketChat` is a `tower::Service`.
#![forbid(unsafe_code)]

mod act;
mod answer;
mod context;
mod endpoints;
mod error;
pub mod events;
mod factors;
mod guard;
mod host;
mod iso;
mod method;
mod policy;
mod request;
mod reset;
mod service;
mod unlock;

pub use host::{
    Admittance, EndLogins, Endpoint, Host, Login, LoginTokenId, Mail, MailError, Named, Permission, Quota, UnlockMail,
    User,
};
pub use keywright_wire::{DueError, HostError, Peer, queue};
pub use policy::{BASE_PATH, EMAIL_CODE_SECONDS, MAX_BODY, RocketChatPolicy, TOTP_DIGITS};
pub use service::RocketChat;
pub use unlock::{GuessedSecret, LOGIN_PASSWORD, MailAdmits};

/// The kinds of slots that this crate declares: none. It keeps everything in those of [`keywright_twofactor`] and
/// [`keywright_confirm`].
pub const SLOT_KINDS: &[keywright_store::SlotKind] = &[];
