//! What the embedding server supplies: who is logging in, the login password, where a request comes from, and what only it
//! can erase or mail.

use std::future::Future;
use std::net::IpAddr;

use keywright_core::{AccountId, SecretString, UnixSeconds};
use keywright_wire::queue::Asker;
use keywright_wire::{HostError, Peer};

use crate::unlock::UnlockMail;

/// The server around the protocol. Those methods that change something are **idempotent**, because they are tried again
/// after a crash.
///
/// None of them is called while anything of an account is held: they may use a driver or a service on the same account,
/// and a slow one holds up nobody but its own request. Still give each a time limit.
///
/// The order of calls for one request: [`client_address`](Self::client_address); [`account`](Self::account) and
/// [`app_token`](Self::app_token); if that was no token, [`check_password`](Self::check_password), which the guess ledger
/// has admitted; [`admit`](Self::admit); the endpoint; then whatever its commit made due
/// ([`end_app_token`](Self::end_app_token), [`erase_data`](Self::erase_data),
/// [`send_unlock_mail`](Self::send_unlock_mail)).
pub trait Host: Send + Sync + 'static {
    /// Returns the stored account id behind a login name, as typed. Case and aliases are the host's: `Alice` and `alice`
    /// are one id or two, but always the same.
    ///
    /// # Errors
    /// [`HostError`] if it cannot be known now; the request is answered 500.
    fn account(&self, login_name: &str) -> impl Future<Output = Result<Option<AccountId>, HostError>> + Send;

    /// Returns the app token with this secret: of that account for HTTP Basic, of any for a Bearer token. App tokens are
    /// random and at least 128 bits long, so they are looked up by a keyed hash and not charged. One that was ended is best
    /// remembered, and returned as [`AppToken::ended`].
    ///
    /// # Errors
    /// [`HostError`]; the request is answered 500.
    fn app_token(
        &self,
        account: Option<&AccountId>,
        secret: &SecretString,
    ) -> impl Future<Output = Result<Option<AppToken>, HostError>> + Send;

    /// Whether this is the account's login password. For `None` (no such account) do the same work on a dummy hash and
    /// return `false`: the time it takes must not show whether a name exists.
    ///
    /// Of one client at most four are asked for at a time, of all unknown clients of an account together four; of unknown
    /// names as many as somebody sends. So have a slow hash wait for its turn in a [`WorkQueue`](crate::queue::WorkQueue),
    /// one for all protocols of the server, by `asker`, and for `None` too.
    ///
    /// # Errors
    /// [`HostError`]; the request is answered 500. The attempt counts as open for two minutes, and is charged then. One that
    /// is [busy](HostError::busy) is answered 503 with `Retry-After`, and costs nothing: say it before you hash.
    fn check_password(
        &self,
        account: Option<&AccountId>,
        password: &SecretString,
        asker: &Asker,
    ) -> impl Future<Output = Result<bool, HostError>> + Send;

    /// Ends an app token, for good: too many wrong proofs came with it. Idempotent.
    ///
    /// # Errors
    /// [`HostError`]; it is tried again later.
    fn end_app_token(
        &self,
        account: &AccountId,
        token: &AppTokenId,
    ) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Erases the account's passwords, folders, tags, shares and settings; not its app tokens. Idempotent. The reset is
    /// confirmed and committed when this is called; the user is not asked again.
    ///
    /// `erasure` is the same however often one reset's erasure is tried. A host that notes its id in the transaction that
    /// erases can refuse a second one that comes late, from a server that was cut off meanwhile.
    ///
    /// # Errors
    /// [`HostError`]; the request is answered 500 and the erasure is tried again later.
    fn erase_data(&self, account: &AccountId, erasure: &Erasure) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Mails the account's owner, at an address that was verified, that others shut out new logins, with a link to a page of
    /// the host's. The page shows a button, and its POST calls [`Nextcloud::admit_by_mail`](crate::Nextcloud::admit_by_mail):
    /// a GET must not, because mail scanners follow links. A host that knows no address returns `Ok(())`; its users are let
    /// in by [`Nextcloud::admit_client`](crate::Nextcloud::admit_client) or the operator.
    ///
    /// At most one a day and secret, ever more seldom while nobody uses the link.
    ///
    /// # Errors
    /// [`HostError`]; it is tried again later, until the link's end.
    fn send_unlock_mail(
        &self,
        account: &AccountId,
        mail: &UnlockMail,
    ) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Returns the address of the client that sent a request, from what the host put into the request's extensions or from
    /// a header of a proxy that it trusts. The guess ledger knows logins by password by their network, an IPv4 address or
    /// an IPv6 /64.
    ///
    /// The default knows none. Then a login by password is known by its session alone, and one without a session can be
    /// shut out by others until the operator unlocks the account.
    fn client_address(&self, peer: Peer<'_>) -> Option<IpAddr> {
        let _ = peer;
        None
    }

    /// Request limits of the host's own, per user and endpoint (protocol § 2.7: `session/open` 10 in 30 s). The default
    /// has none; the guess ledger stays in force either way.
    fn admit(&self, account: &AccountId, endpoint: Endpoint) -> Admittance {
        let _ = (account, endpoint);
        Admittance::Open
    }

    /// Whether this login may do what cannot be undone while the account has **no challenge** to prove: set the first
    /// one, or reset. A host may ask for a recent login, a login by password, or a second factor of its own here. The
    /// default allows it, as the protocol does (protocol § 9, item 5).
    ///
    /// # Errors
    /// [`HostError`]; the request is answered 500.
    fn permit(
        &self,
        account: &AccountId,
        login: &Login,
        act: Unproven,
    ) -> impl Future<Output = Result<bool, HostError>> + Send {
        let _ = (account, login, act);
        std::future::ready(Ok(true))
    }
}

/// One erasure, that of one reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Erasure {
    /// Its id: 16 random bytes, drawn with the reset.
    pub id: [u8; 16],
    /// When the reset was committed. What the user has stored after an erasure was done is not to be erased by another.
    pub since: UnixSeconds,
}

/// The host's stored id of an app token. Not the token: it may be logged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AppTokenId(pub String);

/// An app token that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppToken {
    /// The account that it belongs to.
    pub account: AccountId,
    /// The host's id of it.
    pub id: AppTokenId,
    /// Whether it still lets in. One that has ended is refused as what it is; unknown to the host, it would be taken for
    /// a wrong login password, and a client that goes on using it would shut out others.
    pub live: bool,
}

impl AppToken {
    /// Returns a live token of an account.
    #[must_use]
    pub const fn new(account: AccountId, id: AppTokenId) -> Self {
        Self { account, id, live: true }
    }

    /// Returns a token that has ended and that the host still knows.
    #[must_use]
    pub const fn ended(account: AccountId, id: AppTokenId) -> Self {
        Self { account, id, live: false }
    }
}

/// How a request logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Login {
    /// By an app token.
    AppToken(AppTokenId),
    /// By the login password.
    Password,
}

/// The endpoints, for limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `GET session/request`
    SessionRequest,
    /// `POST session/open`
    SessionOpen,
    /// `GET session/keepalive`
    SessionKeepalive,
    /// `GET session/close`
    SessionClose,
    /// `GET account/challenge/get`
    ChallengeGet,
    /// `POST account/challenge/set`
    ChallengeSet,
    /// `GET`, `POST account/reset`
    AccountReset,
    /// `GET keychain/get`
    KeychainGet,
    /// `POST keychain/set`
    KeychainSet,
}

/// Whether a request is within the host's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admittance {
    /// It is.
    Open,
    /// It is not: 429 with `Retry-After`, in whole seconds.
    Full {
        /// Seconds until it may be tried again, at least 1.
        retry_after: u64,
    },
}

/// What an account without a challenge can do unproven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unproven {
    /// Set the first challenge.
    SetChallenge,
    /// Reset the account.
    ResetAccount,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::SessionRequest,
        Self::SessionOpen,
        Self::SessionKeepalive,
        Self::SessionClose,
        Self::ChallengeGet,
        Self::ChallengeSet,
        Self::AccountReset,
        Self::KeychainGet,
        Self::KeychainSet,
    ];
}
