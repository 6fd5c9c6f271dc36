//! What the embedding server supplies: who is logging in, the login password, and what only it can erase.

use core::fmt;
use core::future::Future;

use keywright_core::{AccountId, SecretString, UnixSeconds};
use keywright_wire::HostError;

/// The server around the protocol. Five methods, two more with defaults; those that change something are **idempotent**, because they are tried
/// again after a crash.
///
/// **They run inside the account's turn.** A method that starts a transaction of its own on the same account, through a
/// driver or a service, waits for itself for ever; keep what a host stores there in a partition of its own. A call that
/// never returns holds the account up: give each a time limit.
///
/// The order of calls for one request: [`account`](Self::account) and [`app_token`](Self::app_token); if that was no
/// token, [`check_password`](Self::check_password), already charged to the guess ledger; [`admit`](Self::admit); the
/// endpoint; then whatever its commit made due ([`end_app_token`](Self::end_app_token),
/// [`erase_data`](Self::erase_data)).
pub trait Host: Send + Sync + 'static {
    /// The stored account id behind a login name, as typed. Case and aliases are the host's: `Alice` and `alice` must
    /// give one id or two, but always the same.
    ///
    /// # Errors
    /// [`HostError`] if it cannot be known now; the request is answered 500.
    fn account(&self, login_name: &str) -> impl Future<Output = Result<Option<AccountId>, HostError>> + Send;

    /// The app token with this secret: of that account for HTTP Basic, of any for a Bearer token. App tokens are random
    /// and at least 128 bits long, so they are looked up by a keyed hash and not charged. One that was ended is best
    /// remembered, and given as [`AppToken::ended`].
    ///
    /// # Errors
    /// [`HostError`]; the request is answered 500.
    fn app_token(
        &self,
        account: Option<&AccountId>,
        secret: &SecretString,
    ) -> impl Future<Output = Result<Option<AppToken>, HostError>> + Send;

    /// Whether this is the account's login password. For `None` (no such account) do the same work on a dummy hash and
    /// say no: a name must not be told by the time it takes.
    ///
    /// # Errors
    /// [`HostError`]; the request is answered 500, and the attempt stays charged.
    fn check_password(
        &self,
        account: Option<&AccountId>,
        password: &SecretString,
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

    /// Request limits of the host's own, per user and endpoint (dossier § 2.7: `session/open` 10 in 30 s). The default
    /// has none; the guess ledger stays in force either way.
    fn admit(&self, account: &AccountId, endpoint: Endpoint) -> Admittance {
        let _ = (account, endpoint);
        Admittance::Open
    }

    /// Whether this login may do what cannot be undone while the account has **no challenge** to prove: set the first
    /// one, or reset. A host may ask for a recent login, a login by password, or a second factor of its own here. The
    /// default allows it, as the protocol does (dossier § 9, item 5).
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
        core::future::ready(Ok(true))
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
    /// Whose it is.
    pub account: AccountId,
    /// Which it is.
    pub id: AppTokenId,
    /// Whether it still lets in. One that has ended is refused as what it is; unknown to the host, it would be taken for
    /// a wrong login password, and a client that goes on using it would shut that door.
    pub live: bool,
}

impl AppToken {
    /// A live token of an account.
    #[must_use]
    pub const fn new(account: AccountId, id: AppTokenId) -> Self {
        Self { account, id, live: true }
    }

    /// A token that has ended and that the host still knows.
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

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
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

    /// The path below `…/api/1.0/`.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::SessionRequest => "session/request",
            Self::SessionOpen => "session/open",
            Self::SessionKeepalive => "session/keepalive",
            Self::SessionClose => "session/close",
            Self::ChallengeGet => "account/challenge/get",
            Self::ChallengeSet => "account/challenge/set",
            Self::AccountReset => "account/reset",
            Self::KeychainGet => "keychain/get",
            Self::KeychainSet => "keychain/set",
        }
    }
}
