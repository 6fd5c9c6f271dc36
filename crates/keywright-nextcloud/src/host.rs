//! What the embedding server supplies: who logs in, the login password, where a request comes from,
//! and what only the host can erase or mail.

use std::future::Future;
use std::net::IpAddr;

use keywright_core::{AccountId, SecretString, UnixSeconds};
use keywright_wire::queue::Requester;
use keywright_wire::{HostError, Peer};

use crate::settings::Settings;
use crate::unlock::UnlockMail;

/// The server around the protocol. The methods that change something must be **idempotent**,
/// because they are tried again after a crash.
///
/// No claim on an account is held during a call: a method may use a driver or a service on the same
/// account, and a slow one delays only its own request. Give each a time limit nevertheless.
///
/// The order of calls for one request: [`client_address`](Self::client_address);
/// [`account`](Self::account) and [`app_token`](Self::app_token); if that found no token,
/// [`admit_guess`](Self::admit_guess), and [`check_password`](Self::check_password) once the guess
/// ledger has admitted the guess;
/// [`admit`](Self::admit); the endpoint; then whatever its commit made due
/// ([`end_app_token`](Self::end_app_token), [`erase_data`](Self::erase_data),
/// [`send_unlock_mail`](Self::send_unlock_mail)).
pub trait Host: Send + Sync + 'static {
    /// Returns the stored account id for a login name as typed. Letter case and aliases are the
    /// host's choice: `Alice` and `alice` may have one id or two, but always the same.
    ///
    /// # Errors
    /// [`HostError`] if the account cannot be determined now; the request is answered with 500.
    fn account(&self, login_name: &str) -> impl Future<Output = Result<Option<AccountId>, HostError>> + Send;

    /// Returns the app token with this secret: one of the given account for HTTP Basic, one of any
    /// account for a Bearer token. App tokens are random and at least 128 bits long, so they are
    /// looked up by a keyed hash and not charged. The host should remember a token that was ended,
    /// and return it as [`AppToken::ended`].
    ///
    /// # Errors
    /// [`HostError`] if the token cannot be looked up; the request is answered with 500.
    fn app_token(
        &self,
        account: Option<&AccountId>,
        secret: &SecretString,
    ) -> impl Future<Output = Result<Option<AppToken>, HostError>> + Send;

    /// Whether this is the account's login password. For `None` (no such account) do the same work
    /// on a dummy hash and return `false`: the time it takes must not show whether a name exists.
    ///
    /// For one client at most four calls run at a time, and for all unknown clients of an account
    /// together at most four. For unknown names the number is not bounded. So let a slow hash wait
    /// for its turn in a [`WorkQueue`](crate::queue::WorkQueue), one for all protocols of the
    /// server, by `requester`, and do so for `None` too.
    ///
    /// # Errors
    /// [`HostError`] if the password cannot be checked; the request is answered with 500. The
    /// attempt counts as open for two minutes, and is charged then. If the error is
    /// [busy](HostError::busy), the request is answered with 503 and `Retry-After`, and the attempt
    /// is not charged: return it before hashing.
    fn check_password(
        &self,
        account: Option<&AccountId>,
        password: &SecretString,
        requester: &Requester,
    ) -> impl Future<Output = Result<bool, HostError>> + Send;

    /// Whether a guess at the login password may be checked now: called before anything is committed
    /// for it, with the standing that the ledger would admit it with. A host whose
    /// [`WorkQueue`](crate::queue::WorkQueue) is full, or that limits slow hashes, refuses here, so that
    /// a request of a flood costs no more than a few reads. [`check_password`](Self::check_password)
    /// is then called with a requester that [is admitted](crate::queue::Requester::is_admitted). Take
    /// the same decision for an account and for a decoy, which stands for a name that does not exist.
    ///
    /// The default admits every guess. Not every call of `check_password` has one of this before it.
    ///
    /// # Errors
    /// [`HostError::busy`] if it may not; the request is answered with 503 and `Retry-After`, and
    /// nothing is charged. Any other error is answered with 500.
    fn admit_guess(&self, requester: &Requester) -> Result<(), HostError> {
        let _ = requester;
        Ok(())
    }

    /// Ends an app token for good, because too many wrong proofs came with it. Idempotent.
    ///
    /// # Errors
    /// [`HostError`] if the token could not be ended; the call is tried again later.
    fn end_app_token(
        &self,
        account: &AccountId,
        token: &AppTokenId,
    ) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Erases the account's passwords, folders, tags, shares and settings, but not its app tokens.
    /// Idempotent. The reset is confirmed and committed when this is called; the user is not asked
    /// again.
    ///
    /// `erasure` is the same however often one reset's erasure is tried. A host that records its id
    /// in the transaction that erases can refuse a second one that arrives late, from a server that
    /// was cut off in the meantime.
    ///
    /// # Errors
    /// [`HostError`] if the data could not be erased; the request is answered with 500 and the
    /// erasure is tried again later.
    fn erase_data(&self, account: &AccountId, erasure: &Erasure) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Mails the account's owner, at a verified address, that other clients lock out new logins,
    /// with a link to a page of the host. The page shows a button, and its POST calls
    /// [`Nextcloud::admit_by_mail`](crate::Nextcloud::admit_by_mail): a GET must not, because mail
    /// scanners follow links. A host that knows no address returns `Ok(())`; its users are admitted
    /// by [`Nextcloud::admit_client`](crate::Nextcloud::admit_client) or by the operator.
    ///
    /// At most one mail is sent per day and secret, and increasingly fewer while nobody uses the
    /// link.
    ///
    /// # Errors
    /// [`HostError`] if the mail could not be sent; it is tried again later, until the link
    /// expires.
    fn send_unlock_mail(
        &self,
        account: &AccountId,
        mail: &UnlockMail,
    ) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Returns the address of the client that sent a request, from what the host put into the
    /// request's extensions or from a header of a trusted proxy. The guess ledger knows logins by
    /// password by their network, an IPv4 address or an IPv6 /64.
    ///
    /// The default returns no address. Then a login by password is known only by its session, and
    /// one without a session can be locked out by other clients until the operator unlocks the
    /// account.
    fn client_address(&self, peer: Peer<'_>) -> Option<IpAddr> {
        let _ = peer;
        None
    }

    /// Whether nobody on the way could read this request, where
    /// [`refuse_plain_http`](crate::NextcloudPolicy::refuse_plain_http) is on: a host behind a proxy
    /// finds it in what the proxy has recorded. The default is no, so that every request is refused.
    fn is_encrypted(&self, peer: Peer<'_>) -> bool {
        let _ = peer;
        false
    }

    /// Applies the host's own request limits, per user and endpoint (protocol § 2.7: `session/open`
    /// 10 in 30 s). The default applies none; the guess ledger stays in force either way.
    fn admit(&self, account: &AccountId, endpoint: Endpoint) -> Admittance {
        let _ = (account, endpoint);
        Admittance::Open
    }

    /// Whether this login may do what cannot be undone while the account has **no challenge** to
    /// prove: set the first one, or reset the account. A host may require a recent login, a login
    /// by password, or a second factor of its own here. The default allows it, as the protocol does
    /// (protocol § 9, item 5).
    ///
    /// # Errors
    /// [`HostError`] if this cannot be determined; the request is answered with 500.
    fn permit(
        &self,
        account: &AccountId,
        login: &Login,
        act: Unproven,
    ) -> impl Future<Output = Result<bool, HostError>> + Send {
        let _ = (account, login, act);
        std::future::ready(Ok(true))
    }

    /// Returns the settings that this server shows an account, over the crate's defaults
    /// (protocol § 11): the server's address ([`Settings::with_base_url`]), its theme
    /// (`server.theme.logo`, `server.theme.label`, …), `server.handbook.url`, and whatever else the
    /// host keeps for its users. The crate itself decides `server.app.version`,
    /// `user.session.lifetime`, `user.encryption.cse`, `user.encryption.sse` and
    /// `user.password.security.hash`. A client need not have opened a session to read them.
    ///
    /// The default adds none. Then the settings with an address are null, which stock applications
    /// accept; but give at least the address.
    ///
    /// # Errors
    /// [`HostError`] if the settings cannot be read; the request is answered with 500.
    fn settings(&self, account: &AccountId) -> impl Future<Output = Result<Settings, HostError>> + Send {
        let _ = account;
        std::future::ready(Ok(Settings::new()))
    }

    /// Stores settings of an account, and returns them as stored. `None` means that this server
    /// stores none: the request is answered with 404 `135d4069`, as by a server without the
    /// endpoint. The default returns `None`.
    ///
    /// The names begin with `user.` or `client.`, and the values are text, numbers and booleans. They
    /// are otherwise as the client sent them, up to 1,000 of them: the host decides what it keeps.
    ///
    /// # Errors
    /// [`HostError`] if they could not be stored; the request is answered with 500.
    fn set_settings(
        &self,
        account: &AccountId,
        settings: &Settings,
    ) -> impl Future<Output = Result<Option<Settings>, HostError>> + Send {
        let _ = (account, settings);
        std::future::ready(Ok(None))
    }

    /// Forgets settings of an account that were set, and returns the values that hold now. `None` is
    /// as for [`set_settings`](Self::set_settings), and the default.
    ///
    /// # Errors
    /// [`HostError`] if they could not be forgotten; the request is answered with 500.
    fn reset_settings(
        &self,
        account: &AccountId,
        names: &[&str],
    ) -> impl Future<Output = Result<Option<Settings>, HostError>> + Send {
        let _ = (account, names);
        std::future::ready(Ok(None))
    }
}

/// The erasure that belongs to one reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Erasure {
    /// The erasure's id: 16 random bytes, drawn with the reset.
    pub id: [u8; 16],
    /// When the reset was committed. Data that the user has stored after the erasure was done must
    /// not be erased by a repeated one.
    pub since: UnixSeconds,
}

/// The host's stored id of an app token. It is not the token itself, so it may be logged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AppTokenId(pub String);

/// An app token that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppToken {
    /// The account that the token belongs to.
    pub account: AccountId,
    /// The host's id of the token.
    pub id: AppTokenId,
    /// Whether the token still admits its client. A token that has ended is refused as such. If the
    /// host did not know it, it would be taken for a wrong login password, and a client that
    /// continues to use it would lock out others.
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
    /// The request logged in by an app token.
    AppToken(AppTokenId),
    /// The request logged in by the login password.
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
    /// `GET token/{provider}/request`
    TokenRequest,
    /// `POST settings/get`
    SettingsGet,
    /// `GET`, `POST settings/list`
    SettingsList,
    /// `POST settings/set`
    SettingsSet,
    /// `POST settings/reset`
    SettingsReset,
}

/// Whether a request is within the host's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admittance {
    /// The request is within the limits.
    Open,
    /// The request is over a limit. It is answered with 429 and `Retry-After`.
    Full {
        /// Seconds until the request may be tried again, at least 1.
        retry_after: u64,
    },
}

/// What a login can do without a proof while the account has no challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unproven {
    /// Set the first challenge.
    SetChallenge,
    /// Reset the account.
    ResetAccount,
}

impl Endpoint {
    /// All endpoints.
    pub const ALL: [Self; 14] = [
        Self::SessionRequest,
        Self::SessionOpen,
        Self::SessionKeepalive,
        Self::SessionClose,
        Self::ChallengeGet,
        Self::ChallengeSet,
        Self::AccountReset,
        Self::KeychainGet,
        Self::KeychainSet,
        Self::TokenRequest,
        Self::SettingsGet,
        Self::SettingsList,
        Self::SettingsSet,
        Self::SettingsReset,
    ];
}
