//! The account protocol of LibrePass: a password that the server checks by key agreement and never
//! sees.
//!
//! A client derives an X25519 private key from the password and the e-mail address with Argon2id,
//! and the server stores the public key. At a log-in, the client sends the *shared key*, which is
//! the X25519 product of its private key and the server's public key. The server computes the same
//! product and compares the two: only a client that has the private key can send the right one. The
//! *vault key* is the product of the user's own private and public key, and is never sent.
//!
//! On the server this crate is the whole protocol: it takes an `http::Request` with its body and
//! returns an `http::Response`; with the feature `tower` it is a `tower::Service`. It depends on no
//! framework and no database, and never reads a clock by itself. It draws randomness only from the
//! [`Entropy`](keywright_core::Entropy) that it is given, never logs a header, a query or a body,
//! and never releases a token before its commit.
//!
//! Comments cite the protocol by section, as in "protocol § 4": `docs/protocols/librepass.md` of
//! the repository.
//!
//! # A server
//! This crate manages the accounts itself. The *host*, which is the server program that uses this
//! crate, implements the trait [`Host`]: it sends mails, limits requests, and reports the network
//! address that a request comes from.
//! ```
//! use std::net::{IpAddr, SocketAddr};
//! use std::sync::Arc;
//! use keywright_core::{Keyring, SystemEntropy};
//! use keywright_librepass::{Host, HostError, LibrePass, LibrePassPolicy, Mail, Peer};
//! use keywright_store::{Driver, MemoryStore};
//!
//! struct Outbox;
//! impl Host for Outbox {
//!     async fn mail(&self, mail: Mail<'_>) -> Result<(), HostError> {
//!         let _ = (mail.to, mail.message.subject(), mail.message.text()); // a real host sends this to a mail server
//!         Ok(())
//!     }
//!     // The socket's address, which the web framework stores in the request's extensions. A log-in is
//!     // identified by the network of this address, and a link in a mail can admit that network.
//!     fn client_address(&self, peer: Peer<'_>) -> Option<IpAddr> {
//!         peer.extensions.get::<SocketAddr>().map(SocketAddr::ip)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (store, keyring) = (Arc::new(MemoryStore::new()), Arc::new(Keyring::generate(&SystemEntropy)?));
//! let driver = Driver::builder(store.clone(), keyring)
//!     .slots(keywright_librepass::SLOT_KINDS)
//!     .slots(keywright_rekey::SLOT_KINDS)
//!     .slots(keywright_twofactor::SLOT_KINDS)
//!     .build()?;
//! let policy = LibrePassPolicy::builder("https://pass.example").build()?;
//! let librepass = LibrePass::open(driver, store, Arc::new(Outbox), policy).await?;
//!
//! let request = http::Request::get("/api/auth/preLogin?email=user@example.com")
//!     .extension(SocketAddr::from(([203, 0, 113, 7], 50_000))) // set by the web framework in a real server
//!     .body(Vec::new())?;
//! let response = librepass.handle(request).await;
//! assert_eq!(response.status(), 200);
//! assert!(response.body().starts_with(br#"{"iterations":4,"memory":65536,"parallelism":3,"serverPublicKey":""#));
//! # Ok(())
//! # }
//! ```
//!
//! # A client
//! ```
//! # #[cfg(feature = "client")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use keywright_core::SystemEntropy;
//! use keywright_librepass::{ArgonParameters, LogIn, PreLogin, UserKeys};
//! # use keywright_librepass::{PrivateKey, verify_shared};
//! # let server = PrivateKey::random(&SystemEntropy)?;
//! # let answer = format!(
//! #     r#"{{"parallelism":1,"memory":20480,"iterations":1,"serverPublicKey":"{}"}}"#,
//! #     server.public_key().to_hex().expose()
//! # );
//!
//! // The server's answer to `GET auth/preLogin`. Parameters that are too cheap are refused here.
//! let offer: PreLogin = serde_json::from_str(&answer)?;
//!
//! // This is slow on purpose. The address is the salt, exactly as the user typed it.
//! let keys = UserKeys::derive("user@example.com", "correct horse", offer.parameters)?;
//!
//! // The proof of the password. This fails if the server offers the user's own public key, because the
//! // product would be the vault key: see below.
//! let shared_key = keys.shared_key(&offer.server)?;
//! let body = serde_json::to_string(&LogIn { email: "user@example.com", shared_key: &shared_key })?;
//! # assert!(body.contains(shared_key.to_hex().expose()));
//! # assert!(verify_shared(&server, keys.public_key(), &shared_key));
//!
//! // A cipher that only this user can decrypt.
//! let envelope = keys.vault_key().encrypt(br#"{"name":"site"}"#, &SystemEntropy)?;
//! assert_eq!(keys.vault_key().decrypt(&envelope)?.expose(), br#"{"name":"site"}"#);
//!
//! // A new password is a new key: every cipher must be encrypted again and sent with the change.
//! let new = UserKeys::derive("user@example.com", "battery staple", ArgonParameters::new(1, 20480, 1)?)?;
//! assert!(new.vault_key().decrypt(&envelope).is_err());
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "client"))]
//! # fn main() {}
//! ```
//!
//! # Endpoints, below [`BASE_PATH`]
//! | request | effect |
//! |---|---|
//! | `GET auth/preLogin` | returns the parameters of an address and the server's public key |
//! | `POST auth/register`, `GET auth/verifyEmail`, `auth/resendVerificationEmail`, `auth/passwordHint` | registration, its mails, and the password hint |
//! | `POST auth/oauth?grantType=login` | returns a token for a shared key |
//! | `POST auth/oauth?grantType=2fa` | proves the second factor for a token, by a time-based code or the recovery code |
//! | `GET`, `POST auth/confirmLogin` | this crate's addition: the page on which owners confirm the log-in of an application that cannot ask for the code |
//! | `POST cipher/sync`; `GET`, `PUT`, `PATCH`, `DELETE cipher…` | the vault |
//! | `GET`, `PUT collection`; `GET`, `DELETE collection/{id}` | the names of collections |
//! | `GET`, `POST auth/admitClient` | an addition of this crate: the page behind the link in the mail to an owner whom other clients have locked out; it admits a network |
//! | `PATCH user/email`, `GET user/verifyNewEmail`, `PATCH user/password` | changes address or password, with the whole vault re-encrypted |
//! | `POST user/setup/2fa`, `DELETE user/delete` | sets up the second factor, deletes the account |
//! | `GET` [`INFO_PATH`] | returns what apps check before they accept a server |
//!
//! Every refusal is JSON, `{error, status, message?}`, with an error code of the protocol. The
//! checks come in this order: path and method, the host's request limits, token, body, and the
//! endpoint's own checks. A log-in first checks whether the user exists, then whether the address
//! is verified, then the shared key.
//!
//! # Stricter than the original, with the same requests and answers
//! The first column has the numbers of the protocol page's list of weaknesses, *upstream* is
//! LibrePass itself, and each item has a test in `tests/wire`.
//!
//! | # | upstream | here |
//! |---|---|---|
//! | 1 | a token works before its second factor | 401 everywhere except at `grantType=2fa` |
//! | 2 | a cipher belongs to the user its `owner` field names | it belongs to the account it is stored in; other accounts' ids are never found |
//! | 3, 4 | a change accepts a part of the vault, duplicates and bad data, and takes n + 1 commits | a change must have each cipher of the vault exactly once, and is one commit |
//! | 5 | a change of address that waits for its verification overwrites newer ciphers | it is void once the vault, the password or a factor changed |
//! | 6 | the recovery code works for ever, codes for 90 s, with any number of guesses | each works once, under the guess ledger |
//! | 7 | the password alone suffices to replace a second factor | this also requires that the token has proven the present second factor within 15 minutes |
//! | 8 | a new address is not lower-cased, not checked, and put into an HTML mail; whoever registers it first keeps it; the old address gets no notice | it is lower-cased and must be a single mailbox, and mails are plain text; it belongs to whoever verifies it first; the old address gets a notice |
//! | 9 | declared limits have no effect | Argon2 ranges, hints, bodies and data over a limit are refused, and nothing is written |
//! | 10 | a low-order public key lets anybody in | an all-zero product proves nothing |
//! | 11 | one server key for as long as the process runs | a new key pair every day, stored encrypted and shared by all servers on the store |
//! | 12 | secrets are compared byte by byte, and stored in clear | they are compared in constant time; they are hashed, or stored in encrypted records |
//! | 13 | sessions outlive a change of address | all sessions end, in the commit of the change |
//! | 14 | mailed codes can be guessed, and mail scanners that open links trigger them | links contain 128 or 256 random bits; HEAD, OPTIONS and prefetches have no effect |
//! | 15 | the limit of ciphers counts updated ciphers instead of new ones | new ciphers are counted, in the commit that adds them |
//! | 17 | log-in, hint and mail reveal who has an account | the same by default; with [`Privacy::Uniform`] they do not |
//! | 19 | 500 for bad hex, missing and null members | 400 with a code |
//!
//! # Answers without an upstream equivalent
//! - 429 `LP-RateLimit` with `Retry-After`, before anything is checked, for a wait or a limit of
//!   the guess ledger.
//! - 500 `LP-Database-Error` for a store that failed, and for a vault whose rows do not match the
//!   digest in its head. A change may have happened then, so the code is never that of a refusal.
//! - 503 `LP-Database-Error` with `Retry-After` for an account that too many requests wait for, and
//!   for a store that takes too long to read. Nothing was decided then.
//! - 503 for a prefetch of a mailed link.
//!
//! Further choices:
//!
//! - If a second factor is set up with a device whose clock is off by more than a step, the answer
//!   states by how much.
//! - The message of a refused batch names up to ten ciphers for each fault.
//! - Browsers that open a link (`Accept: text/html`) get pages. For a day, another click on a link
//!   that has worked has the same answer.
//! - The media type is never checked: there is no cookie, so a form on another site can do nothing
//!   that its author could not do alone.
//! - A space in an e-mail parameter is read as a `+`. A parameter that comes twice is refused.
//! - A hint is one line, and is mailed to verified addresses only.
//! - Setting up a second factor ends all other logins
//!   ([`end_other_logins`](LibrePassPolicyBuilder::end_other_logins)).
//!
//! # Registrations
//! An address belongs to the account that verifies it first. Until then several registrations may
//! wait for one address, and none of them owns it: a log-in is answered with 401
//! `LP-Email-Not-Verified`, and `preLogin` with the defaults. Each mail states where its
//! registration came from, so that the owner of the address does not verify another person's
//! registration by mistake. A request for a fresh link renews the registration that came from the
//! same network, or else the newest. Once one is verified, the others are dropped, with an event;
//! their links are answered with 400 `LP-Duplicated`. A registration that is never verified is
//! deleted as a whole, a day or two after its last link.
//!
//! At most ten mails a day are sent to one address. The requests of one network cause at most three
//! of them; an IPv6 site (/48) counts as one network. Three of the ten are reserved for networks
//! that have caused none that day. Beyond these limits a registration is answered with 429. If the
//! policy requires no verification, an address is claimed immediately.
//!
//! # Mails
//! Mails are *due work*: the commit that causes a mail records it as a task. It is sent after that
//! commit, and again after a failure, with pauses that grow from seconds to an hour. By default
//! mails are sent before the request is answered. [`Host::mails_due`] lets the host send them in
//! the background instead, so that no answer waits for a mail server.
//!
//! A notice ("your password was changed") is kept until it is delivered, but at most four of each
//! kind are kept, the newest. A mail with a link is dropped when its link expires. Mails that
//! anybody can request (hints, links of registrations, and the unlock mail, which is described
//! below) are dropped after a day. If more than 64 mails wait, these are dropped first. No request
//! fails because of a mail.
//!
//! # Lockout by others' guesses, and how the owner gets in
//! For the guess ledger, a client is a token or a network. A request with a valid token of the
//! account counts as that token, and so does a log-in that comes with one. Any other log-in counts
//! as its network ([`Host::client_address`]): an IPv4 address or the upper half of an IPv6 address.
//!
//! A client is *known* for a secret after it has sent that secret correctly. A token is known from
//! its log-in on. At the second factor, a fresh token counts as the client that logged in. A client
//! that changes the password or the address is known for the new key, by token and network. The
//! wrong guesses of other clients never delay a known client; even those from the network where a
//! token was issued do not delay that token. There are at most five known clients, tokens and
//! networks together. A new one replaces the one that was right longest ago.
//!
//! Wrong guesses can lock out all unknown clients. The following list states what still works for
//! the owner then. The tests named in it are in `tests/wire`, and in its file `ways_in` if none is
//! named.
//!
//! - **The shared key** ([`SHARED_KEY`]), locked by 50 wrong guesses of unknown clients, or for one
//!   known client by 10 of its own. What still works:
//!   - a known client, or a client that made the last change
//!     (`a_known_client_is_not_held_up_before_and_after_the_change_that_it_made`,
//!     `ways_in_changes::a_change_of_address_…`);
//!   - a login of the account, wherever it is
//!     (`a_token_is_not_held_up_by_strangers_on_the_network_of_its_log_in`);
//!   - the link in a mail to the account's address. There is at most one such mail a day, and they
//!     become less frequent while nobody clicks (`by_the_link_of_a_mail`,
//!     `a_flood_that_never_ends_is_a_few_mails`);
//!   - a login of the account with a fresh proof, which admits a network:
//!     [`LibrePass::admit_network`] (`by_a_session_with_a_fresh_proof`);
//!   - the operator: [`guess::unlock_all`](keywright_store::guess::unlock_all), which is `unlock`
//!     of the `keywright` crate (`by_the_operator`; `librepass` in the tests of `keywright`).
//! - **Time-based codes** ([`TOTP`](keywright_twofactor::TOTP)), locked in the same way. Guessing
//!   them requires the password. What still works:
//!   - a known client, or the client that set the device up;
//!   - the recovery code;
//!   - a login with a fresh code, which admits a network: [`LibrePass::admit_network_at_codes`];
//!   - the operator.
//!
//!   The link in a mail never admits a client here. Tests:
//!   `at_the_second_factor_a_known_client_the_recovery_code_a_session_and_the_operator_get_in`,
//!   `ways_in_changes::a_set_up_…`, `ways_in_codes::a_session_…`.
//! - **The recovery code** ([`RECOVERY`](keywright_twofactor::RECOVERY)) is never locked, because
//!   it has 122 random bits. Unknown clients must wait an hour at most. The guesses of others do
//!   not delay a known client or the client that set the code up. A login with a fresh code and the
//!   operator can help as for time-based codes, a mail cannot. Tests:
//!   `a_recovery_code_is_never_shut`, `ways_in_codes::at_the_recovery_code_…`.
//!
//! This wire protocol has no mailed codes, and the recovery code admits a client for time-based
//! codes only. An owner who logs in **from the attackers' network** shares that network's tries
//! with them: such an owner has to click the link in the mail, and its ten tries are shared too.
//!
//! Under [`Privacy::Uniform`] guesses at an address without an account are counted, delayed and
//! locked out in the same way, so neither the wait nor the lock shows whether there is an account.
//! All such addresses share 65,536 decoy ledgers. An attacker who spends a million guesses can find
//! out which addresses share a ledger, and so have no account: limit requests in [`Host::admit`].
//! If the host does not report networks, only tokens are known, and no mail is sent.
//!
//! # What the host must know
//! - Build the driver with [`SLOT_KINDS`] and those of `keywright-rekey` and `keywright-twofactor`.
//!   The guess ledger's policy is the driver's.
//! - Request limits are the host's ([`Host::admit`]). The guess ledger is in force without them.
//! - [`Host::client_address`] returns where a request comes from; without it, a locked-out owner
//!   has fewer ways to get in.
//! - By default a mail is sent while the client waits, and the time it takes shows that there was
//!   one: implement [`Host::mails_due`], or queue mails on the same machine. Under
//!   [`Privacy::Uniform`], a request whose mail is not sent makes the same commits as one whose
//!   mail is sent.
//! - Vaults are parsed and sealed on the thread that polls the request, unless [`Host::compute`]
//!   moves the other requests of that thread elsewhere.
//! - Bodies of up to [`MAX_VAULT_BODY`] are read from whoever is logged in. How many are held at
//!   once, in all and for one account, must be limited by what reads them.
//! - An account with a passkey, which no client can show, requires a second factor as one with a
//!   device does. A recovery code proves its log-ins (`docs/decisions.md` 237).
//! - [`CONFIRM_PATH`] is for users with a second factor whose application cannot ask for the code;
//!   tell them of it. It works only where [`Host::client_address`] returns an address.
//! - Call [`LibrePass::finish_due`] in a sweep over the accounts with due work, and
//!   [`LibrePass::finish_due_at_start`] at the start of a server that is the only one on its store.
//!   A mail may be sent twice.
//! - A scanner that opens links with a plain GET verifies an address; [`MailedLinks::Confirm`]
//!   requires a click on a button first. The link that admits a network always requires one.
//! - Under [`Privacy::Uniform`] registration still shows that an address is taken. So does `PATCH
//!   user/email`, but only to users who send their password, and at most ten times a day. Each
//!   request for a change of address counts, even if it is refused.
//! - A damaged vault is denied, with an event, a line in the log that names the account, and a
//!   report to the driver's observer, until an operator accepts it:
//!   [`Vaults::accept_damaged`](keywright_rekey::Vaults::accept_damaged).
//!
//! # What a hostile server gets
//! **A server that answers `preLogin` and knows a user's public key gets that user's vault key.**
//! Public keys are sent at registration and kept in sealed records, so such a server is run by the
//! operator, or by an attacker who has a database dump and the keyring, and who answers in the
//! server's place.
//!
//! The vault key is the product of the user's private key `a` and public key `P`. A server that
//! offers `s·P`, for an `s` of its own, is sent `a·s·P` at the next log-in and divides `s` out. To
//! the client, `s·P` looks like any other point, so nothing can refuse it: this is a property of
//! the protocol. [`UserKeys::shared_key`] refuses the naive form, `P` itself in any encoding, and
//! the points whose product everybody knows. The only protection against the rest is TLS, and trust
//! in the server's operator. Without both, a LibrePass vault is not secret from its server.
//!
//! # Features
//! - `tower`: [`LibrePass`] implements `tower::Service`. The host's limits are applied before any
//!   body is read, and bodies that carry a vault are read only after the token is found valid.
//! - `client` (default): key derivation and cipher envelopes, [`UserKeys`] and [`VaultKey`]. A
//!   server does not need it.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod account;
#[cfg(feature = "client")]
mod client;
pub mod events;
mod policy;
mod protocol;
mod wire;

pub use account::credential::SHARED_KEY;
pub use account::mails::{Mail, Message};
#[cfg(feature = "client")]
pub use client::{
    ChangeEmail, ChangePassword, DeriveError, ENVELOPE_OVERHEAD, EnvelopeError, HostileServer, LogIn, MIN_EMAIL_BYTES,
    PreLogin, Reencrypted, Register, SecondFactor, UserKeys, VaultKey,
};
pub use keywright_wire::{DueError, HostError, Peer, RefusedBy};
pub use policy::{
    BASE_PATH, CONFIRM_PATH, DATA_CEILING, INFO_PATH, LINK_SECONDS, LibrePassPolicy, LibrePassPolicyBuilder,
    LibrePassPolicyError, MAILS_PER_DAY, MAX_BODY, MAX_COLLECTION_NAME, MAX_COLLECTIONS, MAX_HINT, MAX_VAULT_BODY,
    MailedLinks, Privacy, VAULT_LIMIT, VERIFICATION_PATH,
};
pub use protocol::address::account_of;
pub use protocol::handshake::{CLOCK_SKEW_SECONDS, GRACE_SECONDS, HandshakeKeys, LIFETIME_SECONDS, ServerKeys};
pub use protocol::keys::{KEY_DIGITS, KeyTextError, PrivateKey, PublicKey, SharedKey, verify_shared};
pub use protocol::parameters::{ArgonParameters, ParameterError};
pub use protocol::token::{TOKEN_PREFIX, Token};
pub use protocol::user::{UserId, UserIdError};
pub use wire::admission::NetworkAdmission;
pub use wire::host::{Admittance, Endpoint, Host, Subject};
pub use wire::service::{LibrePass, OpenError};

use keywright_store::SlotKind;

/// The kinds of slots that this crate declares: those of an account, of an address for which
/// registrations wait, and of the server. Add those of `keywright-rekey` and `keywright-twofactor`.
pub const SLOT_KINDS: &[SlotKind] = &[
    account::credential::CREDENTIAL.kind(),
    account::collections::COLLECTIONS.kind(),
    account::tokens::TOKEN.kind(),
    account::tokens::TOKENS.kind(),
    account::pending::PENDING.kind(),
    account::waiting::WAITING.kind(),
    protocol::handshake::SERVER_KEY.kind(),
];
