//! The account area of Rocket.Chat 8.8 over REST, as real clients expect it: logging in, second
//! factors, the request that resets a user's end-to-end keys (`users.resetE2EKey`), and what
//! protects it.
//!
//! This crate is for a server that wants the clients of Rocket.Chat to log in and to reset
//! end-to-end keys behind a second factor. It takes an `http::Request` with its whole body and
//! returns an `http::Response`; with the feature `tower` it is a `tower::Service`. It depends on no
//! framework, database or user table: the server program that uses this crate (the *host*) has
//! those, and implements the trait [`Host`]. This crate stores no password, never logs a header, a
//! query or a body, and never releases a grant before its commit.
//!
//! **The websocket protocol (DDP, `/websocket`) is not served.** Rocket.Chat's web and mobile
//! applications need it for everything beyond their first contact, so they do not run against a
//! server that has this crate alone. REST clients do: `@rocket.chat/api-client`, `rocketchat_API`.
//!
//! Comments cite the protocol by section, as in "protocol § 4": `docs/protocols/rocket-chat.md` of
//! the repository.
//!
//! ```
//! use std::net::{IpAddr, SocketAddr};
//! use std::sync::Arc;
//! use keywright_core::{AccountId, Keyring, SecretString, SystemEntropy};
//! use keywright_rocketchat::{
//!     EndLogins, EndToEndKeys, Host, HostError, IssuedLogin, KeysStored, Login, LoginTokenId, Mail, MailError, Named,
//!     Peer, Permission, Profile, RocketChat, RocketChatPolicy, SentPassword, User, queue::Requester,
//! };
//! use keywright_store::{Driver, MemoryStore};
//!
//! /// One user with one login. A real host looks up the token by its hash, and checks the password against a slow hash.
//! struct OneUser(AccountId);
//!
//! impl Host for OneUser {
//!     async fn login(&self, user_id: &str, token: &SecretString) -> Result<Option<Login>, HostError> {
//!         let right = user_id == "alices-id" && token.expose() == "alices-token"; // a real host looks up a hash
//!         Ok(right.then(|| Login::new(User::new(self.0.clone(), "alice"), LoginTokenId("laptop".into()))))
//!     }
//!     async fn permitted(&self, _: &AccountId, _: Permission) -> Result<bool, HostError> {
//!         Ok(false)
//!     }
//!     async fn find_user(&self, _: Named<'_>) -> Result<Option<User>, HostError> {
//!         Ok(None)
//!     }
//!     async fn resume(&self, token: &SecretString) -> Result<Option<Login>, HostError> {
//!         self.login("alices-id", token).await
//!     }
//!     async fn issue_login(&self, _: &AccountId) -> Result<IssuedLogin, HostError> {
//!         Err(HostError::new("this host has one token")) // a real host draws a random one and stores its hash
//!     }
//!     async fn profile(&self, _: &AccountId) -> Result<Option<Profile>, HostError> {
//!         Ok(Some(Profile::new("alices-id", "alice")))
//!     }
//!     async fn check_password(
//!         &self,
//!         account: Option<&AccountId>, // `None`: hash all the same
//!         password: SentPassword<'_>,
//!         _: &Requester,
//!     ) -> Result<bool, HostError> {
//!         let right = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";
//!         Ok(account == Some(&self.0) && password.digest().expose() == right)
//!     }
//!     async fn store_keys(
//!         &self,
//!         _: &AccountId,
//!         _: &LoginTokenId,
//!         _: &EndToEndKeys,
//!         _: bool,
//!     ) -> Result<KeysStored, HostError> {
//!         Err(HostError::new("this host keeps no keys"))
//!     }
//!     async fn fetch_keys(&self, _: &AccountId) -> Result<Option<EndToEndKeys>, HostError> {
//!         Ok(None)
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
//!     // The socket's address, which the web framework stores in the request's extensions. The link in
//!     // a mail to an owner who is locked out can admit the network of this address.
//!     fn client_address(&self, peer: Peer<'_>) -> Option<IpAddr> {
//!         peer.extensions.get::<SocketAddr>().map(SocketAddr::ip)
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
//! let kinds = [keywright_confirm::SLOT_KINDS, keywright_twofactor::SLOT_KINDS, keywright_rocketchat::SLOT_KINDS];
//! let driver = Driver::builder(Arc::new(MemoryStore::new()), keyring).slots(&kinds.concat()).build()?;
//! // Once, at sign-up. For an account that was never created, every request fails.
//! let alice = AccountId::new("user-1")?;
//! driver.ensure_account(&alice).await?;
//!
//! let rocketchat = RocketChat::new(driver, Arc::new(OneUser(alice)), RocketChatPolicy::default())?;
//! let request = http::Request::post("/api/v1/users.resetE2EKey")
//!     .header("x-user-id", "alices-id")
//!     .header("x-auth-token", "alices-token")
//!     .header("x-2fa-method", "password") // nothing stronger is enrolled
//!     .header("x-2fa-code", "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8")
//!     .extension(SocketAddr::from(([203, 0, 113, 7], 50_000))) // set by the web framework in a real server
//!     .body(Vec::new())?;
//! let response = rocketchat.handle(request).await;
//! assert_eq!((response.status().as_u16(), response.body().as_ref()), (200, br#"{"success":true}"#.as_slice()));
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # Endpoints, below [`BASE_PATH`]
//! | request | parameters | result |
//! |---|---|---|
//! | `POST users.resetE2EKey`, `users.resetTOTP` | nothing for one's own account; `userId`, `username` or `user` for another's | |
//! | `POST users.enableTotp` | | `secret`, `url` |
//! | `POST users.validateTotp` | `code` | `codes`, twelve |
//! | `POST users.disableTotp` | `code` | `disabled`: false for a wrong code |
//! | `POST users.regenerateTotpCodes` | `code` | `codes` |
//! | `GET users.totpCodesRemaining` | | `remaining` |
//! | `POST users.2fa.enableEmail`, `disableEmail` | | |
//! | `POST users.2fa.sendEmailCode` | `emailOrUsername`, no login | always success |
//! | `POST login` | a name and a password, and `code`; or `resume` | `userId`, `authToken`, `me` |
//! | `GET`, `POST logout` | | a message |
//! | `GET me` | | the caller, and which factors are enrolled |
//! | `POST users.logoutOtherClients` | | `token`, which is the caller's own, and `tokenExpires` |
//! | `POST users.removeOtherTokens` | | |
//! | `POST users.logout` | nothing, or `userId` | a message |
//! | `POST twoFactorChallenges.sendEmailCode` | `challengeId`, no login | |
//! | `POST twoFactorChallenges.verifyChallenge` | `challengeId`, `code`, no login | `loginToken`, `userId` |
//! | `POST loginCode.redeem` | `code`, no login | `loginToken`, `userId` |
//! | `POST e2e.setUserPublicAndPrivateKeys` | `public_key`, `private_key`, `force` | |
//! | `GET e2e.fetchMyKeys` | | `public_key`, `private_key` |
//! | `GET info`, also [`INFO_PATH`] | no login | `version` |
//!
//! The names that earlier versions of this crate had for the endpoints of TOTP ([`Endpoint::aliases`])
//! are served for one release more.
//!
//! # Logging in
//! - `login` takes a username, an address or either, the password as typed or its SHA-256, and, where
//!   a time-based or mailed code is enrolled and offered, that code: in the body (`code`) or in
//!   `x-2fa-code`. Without one the answer is 401 `totp-required`. The password is no second factor
//!   of a log-in.
//! - Guesses at the password are charged to [`LOGIN_PASSWORD`]. A client is known there by its
//!   network ([`Host::client_address`]), because a log-in has no token yet. A name without an
//!   account makes the same commits, waits and calls of the host, on one of 65,536 ledgers that
//!   replace an account's. Only [`Host::find_user`] can tell the two apart: look up an unknown name
//!   as slowly as a known one.
//! - A login whose token has not passed a secret counts there as its network, if that has.
//! - The token is issued after the commit that grants ([`Host::issue_login`]). If all logins were
//!   ended meanwhile, it is ended too, and the answer is 503.
//! - A log-in whose first factor the host has seen itself (an identity provider) becomes a
//!   challenge ([`RocketChat::create_challenge`]): five minutes, five wrong codes. Its id contains
//!   the host's account id. One that is complete can be handed on as a login code
//!   ([`RocketChat::create_login_code`]): 64 characters, once, within a minute.
//!
//! A second factor comes in `x-2fa-code`: a time-based code or a recovery code (method `totp`), a
//! mailed code (`email`), or the SHA-256 of the login password (`password`). The server chooses
//! which one is required.
//!
//! - For `resetE2EKey` a client can name another method that is enrolled and that the policy
//!   offers, even a mailed code in place of a time-based one, because the protocol allows it.
//! - For a change of factors it cannot: the strongest enrolled method is required.
//! - The password never replaces an enrolled method.
//! - No proof is remembered: each call requires a new one.
//!
//! # Which proof is required
//! - `resetE2EKey` requires a method that is enrolled **and** that [`RocketChatPolicy`] offers. If
//!   there is none, it requires the password. If the policy switches two-factor off, it requires no
//!   proof. Both follow the protocol.
//! - A change of factors (`enableTotp`, `enableEmail`, `disableEmail`, `resetTOTP`) requires an
//!   enrolled method, even one that the policy does not offer. Otherwise a stolen login could
//!   change the factors after a method was switched off, or after the address lost its
//!   verification. Recovery codes count as enrolled even without a device. If something is enrolled
//!   and none of it can be requested (mailed codes without a verified address), the answer is
//!   `error-not-allowed`. `disableTotp` and `regenerateTotpCodes` accept a code in any case.
//! - A passkey, which no client can show, counts as an enrolled `totp`: log-ins and acts require a
//!   recovery code, or the code of a device if there is one (`docs/decisions.md` 237).
//! - **The first factor** (`enableTotp`, `enableEmail` with nothing enrolled) requires the login
//!   password, even if the policy switches two-factor or the password fallback off. So nobody can
//!   enrol a factor with a stolen login token alone. An account without a password enrols its first
//!   factor elsewhere, on a page of the host.
//! - A code under the name `totp` is interpreted by what the account has. If it has as many digits
//!   as one of the account's devices shows, ignoring blanks and hyphens, it is a time-based code;
//!   anything else is a recovery code or malformed. Only devices of six digits are enrolled here;
//!   an account can have others from elsewhere. If a device shows **eight** digits, eight digits
//!   can also be a recovery code. They are then checked as both. The waits for time-based codes
//!   apply, a wrong guess is counted once, as one at time-based codes, and an unused recovery code
//!   is accepted without being counted.
//! - An enrolment is confirmed by the login that began it, before any epoch of the account (a
//!   number to which logins are bound) changes. An enrolment that is begun in another login
//!   replaces it.
//! - A change of factors ends all other logins. For `validateTotp` and `enableEmail` the protocol
//!   requires it; for `disableTotp`, `regenerateTotpCodes` and `disableEmail` the policy's
//!   [`ends_other_logins`](keywright_twofactor::TwoFactorPolicy::ends_other_logins) decides, which
//!   is on by default.
//!
//! # The order of checks
//! 1. Login: 401.
//! 2. Shape of headers and body: 400 `invalid-params`.
//! 3. Request limit and the guess ledger's waits: 429.
//! 4. Second factor: 400 `totp-*`.
//! 5. Permission.
//! 6. Look-up of the user whose keys are to be reset.
//! 7. Refusal if that user is federated.
//! 8. Notice mail to that user.
//! 9. Reset.
//!
//! A reset of another user's account takes two commits: the first records the caller's proof, bound
//! to that user (the *target*) as the request named it; then the notice is sent; and the second
//! resets the target. After a crash in between, the caller's code is used up and nothing is reset.
//! A notice or a look-up that fails does not use up the code: for five minutes, the same login can
//! repeat the same act with it. If the target's logins are being ended at that moment, the answer
//! is 503, and the code is used up. What the host must remove becomes due in the target's commit;
//! until it is done, requests for the account fail here.
//!
//! A login is looked up before the commit that acts, and another request may end it in between. So
//! the commit compares the account's epochs with those from before the look-up. If they changed,
//! the login is looked up again; of two resets with two right codes, the second is answered with
//! 401. Both resets change the credential epoch, as a recovery does. All logins end, together with
//! what they have begun or proven, on the account's other protocols too (a Nextcloud session must
//! be authorized again).
//!
//! # Safer than the original, with the same requests and answers
//! The first column has the numbers of the protocol page's list of weaknesses, *upstream* is
//! Rocket.Chat itself, and each item has a test in `tests/wire`.
//!
//! | # | upstream | here |
//! |---|---|---|
//! | 1 | a code works for 90 s, any number of times | it works once; a replay is denied and not charged, with an event once an hour |
//! | 2 | no limit on guesses; privileged callers have no limit at all | the guess ledger, per account; no permission lifts it |
//! | 3 | two requests can use one recovery code; a used one can come back | one commit spends it |
//! | 4, 5 | unsalted hashes, secrets in clear | keyed hashes, sealed records |
//! | 6 | codes compared as numbers: `"+26920"` passes | ASCII digits, ignoring blanks and hyphens; anything else is not a guess |
//! | 7 | `sendEmailCode` mails anybody, voids codes, grants new guesses | it only sends again a code that a call with a login requested, at most three times a day, and extends neither its lifetime nor its number of guesses |
//! | 8 | beginning an enrolment switched the active one off | nothing changes before the new device is proven |
//! | 9 | nothing enrolled and no password: no second factor | refused, as if a password were required |
//! | 10 | unparsable JSON resets the caller's own keys | refused, forms too; an empty body still means the caller's own account |
//! | 11 | federated targets are notified of resets that are not done | refused before the notice |
//! | 12 | five writes | one commit, and due work that is finished after a crash |
//! | 13 | ids are looked up before the permission | after it: a caller who lacks it always gets `error-not-allowed` |
//! | 14 | a remembered factor bound to an MD5 | never remembered |
//! | 15 | naming `email` mails codes to users who never enrolled it | a method that is not enrolled counts as unknown |
//!
//! # Answers without an upstream equivalent
//! Where the protocol has no fitting answer, or its page leaves it open, this crate uses the
//! following:
//!
//! - 503 with `Retry-After` while an account is busy (its logins are being ended, too many requests
//!   wait for it, or four passwords of a client are not checked yet), while the host is busy
//!   ([`HostError::busy`]; a password that the host did not check is not counted as a guess), and
//!   while the store takes too long to read.
//! - 500 when a store or a host fails (a reset may have happened then).
//! - 404 and 405 as JSON.
//! - `error-unauthorized` for a login without a username.
//! - `invalid-totp` for `regenerateTotpCodes` with a wrong code.
//! - `error-not-allowed` for `enableEmail` with an address that is not verified, and for
//!   `enableTotp` with an empty username.
//!
//! There is no exemption for tokens that bypass two-factor, and none for young accounts. A call
//! without a code, or with a malformed one, gets 429 only if no code could pass: while time-based
//! codes must wait, a client is still asked for a recovery code. A mailed code is valid for one
//! action in one login; a second action within a minute has to wait for its own mail.
//!
//! # Guess limits, and how a locked-out owner gets in
//! Wrong guesses are limited by the account's guess ledger ([`keywright_core::ledger`]), under the
//! driver's policy. A login is *known* for a secret after it has entered that secret correctly or
//! changed it. Any other login of the account, for instance a stolen one, is an unknown client. The
//! wrong guesses of other clients never delay a known login. A change of factors by `disableTotp`,
//! `validateTotp` or `regenerateTotpCodes` restarts the counts for the secrets that it changes, and
//! the login that made the change is known for them.
//!
//! Wrong guesses can lock out all unknown clients. The following list states what still works for
//! the owner then. The tests named in it are in `tests/wire`, and in its file `ways_in` if none is
//! named.
//!
//! - **Login password** ([`LOGIN_PASSWORD`]), locked by 50 wrong digests of unknown clients, over
//!   all protocols of the account. What still works:
//!   - a login that has sent the right password, or that changed it
//!     ([`RocketChat::password_changed`]);
//!   - the link in a mail ([`Mail::ShutOut`], [`RocketChat::admit_by_mail`]);
//!   - a session with a fresh proof of the password or of a stronger method, which admits the new
//!     client ([`RocketChat::admit_client`]);
//!   - the operator ([`RocketChat::unlock`]).
//!
//!   Tests: `the_login_password_…`, `a_mail_lets_in_the_network_…`, `a_mail_lets_in_the_login_…`.
//! - **Time-based codes**, locked by 50 wrong codes of unknown clients. What still works:
//!   - a login that has sent a right code, or that enrolled the device;
//!   - a recovery code, which admits the login that sent it;
//!   - a session with a fresh proof of a factor, or the operator (both in
//!     [`TwoFactor`](keywright_twofactor::TwoFactor));
//!   - an administrator's `resetTOTP`.
//!
//!   Tests: `time_based_codes_…`.
//! - **Recovery codes** (46 bits), locked by 50 wrong codes of unknown clients. What still works:
//!   - a login that has sent a right code, or that made the codes;
//!   - a session or the operator, as for time-based codes;
//!   - a time-based code, with which new recovery codes can be made;
//!   - an administrator's `resetTOTP`.
//!
//!   Tests: `recovery_codes_…`.
//! - **Mailed codes**, locked by 50 wrong codes of unknown clients; no change restarts this count.
//!   What still works:
//!   - a login that has sent a right code;
//!   - a session with a fresh proof of a mailed code or of a stronger method
//!     ([`RocketChat::admit_client`]);
//!   - the operator ([`RocketChat::unlock`]);
//!   - an administrator's `resetTOTP`, which leaves mailed codes switched on.
//!
//!   The link in a mail never admits a client here. Tests: `mailed_codes_…`, and
//!   `an_administrators_reset_is_a_way_in_…` in `locks`.
//!
//! A recovery code admits a login for time-based codes only.
//!
//! The mail with the link is sent when a login is first refused for more than 15 minutes. That is
//! usually the attacker's login. The page behind the link should therefore offer to admit the
//! network from which the link was opened ([`MailAdmits::Address`]), which requires a host that
//! reports its clients' addresses ([`Host::client_address`]). An owner who comes *from the
//! attackers' network* has to click the link, and then shares its ten tries with the attackers.
//! Where a login can be admitted only by someone's action, `Retry-After` is a day; the protocol's
//! answer has no place for the reason.
//!
//! # What the host must know
//! - No code of the host runs inside a commit: its methods may use a driver on the same account,
//!   and a slow one delays only its own request. A password check needs two commits: the first
//!   counts it as a guess, and the second records the result. A result that comes after 120 s
//!   counts as "wrong". Do not limit the password's guesses again; announce its changes with
//!   [`RocketChat::password_changed`].
//! - [`Host::remove_keys`], [`Host::end_logins`] and the mail to an owner who is locked out run
//!   after the commit that made them due, and again after a crash or a failure, after pauses that
//!   grow from 2 s to an hour. By default that mail is sent before the answer; [`Host::mails_due`]
//!   lets the host send it in the background instead. Until logins have ended, requests for the
//!   account fail here. The host's own endpoints should call [`RocketChat::finish_due`] first, so
//!   that the same holds for them.
//! - Request limits are the host's ([`Host::admit`]); this crate writes the headers. Without
//!   request limits, `sendEmailCode` is held back only by the limits on mails: a minute apart, five
//!   for an action, ten a day for an account and three of them for callers without a login.
//! - [`Host::login`] is called twice for a request, and more often if the account's epochs change
//!   meanwhile. It should therefore be fast.
//! - TOTP and recovery codes belong to the account. Those enrolled elsewhere are required here too.
//!
//! # What `sendEmailCode` reveals
//! A name that is unknown, has no address, has nothing pending or has had its three mails gets the
//! same answer after one read of the store. For a name without an account, an empty partition is
//! read instead. Two differences remain:
//!
//! - A mail that is sent takes a commit and a call of [`Host::mail`]. That happens at most three
//!   times a day, and only while a code of the owner's own call is pending.
//! - [`Host::find_user`] takes its own time.
//!
//! The read does not wait for other requests, and does not delay them. To hide the two differences,
//! queue the mail, and look up an unknown name as slowly as a known one. A mail that is sent again
//! voids the code before it, as every fresh one does.
//!
//! # Limits of the protocol
//! A recovery code of this protocol has 46 bits: an attacker with the database **and** the keyring
//! finds one in about two hours. A mailed code only shows that the user can read the mailbox; it is
//! not a second factor. With two-factor off, a stolen login token alone resets end-to-end keys.
//!
//! # Features
//! `tower`: `RocketChat` implements `tower::Service`.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod act;
mod answer;
mod challenge;
mod context;
mod endpoints;
mod error;
pub mod events;
mod factors;
mod guard;
mod host;
mod iso;
mod issue;
mod login;
mod login_code;
mod method;
mod params;
mod policy;
mod request;
mod reset;
mod second_factor;
mod service;
mod state;
mod unlock;
mod user;

pub use challenge::LoginChallenge;
pub use host::{Admittance, EndLogins, Endpoint, Host, Mail, MailError, Named, Permission, Quota, UnlockMail};
pub use keywright_wire::{DueError, HostError, Peer, RefusedBy, queue};
pub use policy::{
    BASE_PATH, CHALLENGE_SECONDS, CHALLENGE_TRIES, CREDIT_SECONDS, EMAIL_CODE_SECONDS, INFO_PATH, LEAST_MAX_BODY,
    LOGIN_CODE_SECONDS, MAX_BODY, MAX_CHALLENGES, MAX_CREDITS, ORIGIN, RocketChatPolicy, RocketChatPolicyBuilder,
    RocketChatPolicyError, TOTP_DIGITS, VERSION,
};
pub use service::RocketChat;
pub use unlock::{GuessedSecret, LOGIN_PASSWORD, MailAdmits};
pub use user::{EndToEndKeys, IssuedLogin, KeysStored, Login, LoginTokenId, Profile, SentPassword, User};

/// The kinds of slots that this crate declares, to be passed to the driver's builder together with
/// those of [`keywright_twofactor`] and [`keywright_confirm`].
pub const SLOT_KINDS: &[keywright_store::SlotKind] =
    &[state::CHALLENGES.kind(), state::CREDITS.kind(), state::LOGIN_CODE.kind()];
