//! What the embedding server supplies: who calls, what callers may do, mail, and what only the host
//! can remove.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;

use keywright_core::{AccountId, SecretString, UnixSeconds};
use keywright_wire::queue::Requester;
use keywright_wire::{HostError, Peer};

use crate::user::{EndToEndKeys, IssuedLogin, KeysStored, Login, LoginTokenId, Profile, SentPassword, User};

/// The server around the protocol. Methods that change something must be **idempotent**, because
/// they are tried again after a crash.
///
/// No claim on an account is held during a call: a method may use a driver or a service on the same
/// account, and a slow one delays only its own request. Give each a time limit nevertheless.
///
/// The order of calls for one request:
///
/// 1. [`client_address`](Self::client_address).
/// 2. [`login`](Self::login), twice: the first call shows which account to read, the second comes
///    after that read. Both are repeated if the account moved before the commit, or work was due.
///    For a log-in, [`find_user`](Self::find_user), or [`resume`](Self::resume) twice.
/// 3. [`permitted`](Self::permitted) for the limits, and [`admit`](Self::admit).
/// 4. The second factor, which may call [`check_password`](Self::check_password), once the guess
///    ledger has admitted the guess, or [`mail`](Self::mail) with a code.
/// 5. For another user's account, only after the caller's proof is committed: `permitted`,
///    [`find_user`](Self::find_user), `mail` with the notice, then the target's commit.
/// 6. After a log-in, [`issue_login`](Self::issue_login) and [`profile`](Self::profile), and
///    [`end_logins`](Self::end_logins) if the account moved meanwhile.
/// 7. Whatever a commit made due: [`remove_keys`](Self::remove_keys),
///    [`end_logins`](Self::end_logins), and for an owner who is locked out
///    [`mails_due`](Self::mails_due), or `find_user` and `mail`.
pub trait Host: Send + Sync + 'static {
    /// Returns the login that has this user id **and** this token, which is a login token or a
    /// personal access token. Tokens are random, so they are looked up by a hash and not charged. A
    /// token of another user is not a login.
    ///
    /// # Errors
    /// [`HostError`] if the login cannot be looked up; the request is answered with 500.
    fn login(
        &self,
        user_id: &str,
        token: &SecretString,
    ) -> impl Future<Output = Result<Option<Login>, HostError>> + Send;

    /// Whether a user has a permission.
    ///
    /// # Errors
    /// [`HostError`] if this cannot be determined; the request is answered with 500.
    fn permitted(
        &self,
        account: &AccountId,
        permission: Permission,
    ) -> impl Future<Output = Result<bool, HostError>> + Send;

    /// Returns the user that a request names.
    ///
    /// # Errors
    /// [`HostError`] if the user cannot be looked up; the request is answered with 500.
    fn find_user(&self, named: Named<'_>) -> impl Future<Output = Result<Option<User>, HostError>> + Send;

    /// Returns the login that has this token, for a client that continues a login
    /// (`POST login` with `resume`). As [`login`](Self::login), without the user id.
    ///
    /// # Errors
    /// [`HostError`] if the login cannot be looked up; the request is answered with 500.
    fn resume(&self, token: &SecretString) -> impl Future<Output = Result<Option<Login>, HostError>> + Send;

    /// Issues a fresh login token for an account that has just proven who it is. The token is
    /// random and long; store a hash of it. If the account moved meanwhile, the token is ended
    /// again with [`EndLogins::Only`], and never shown to anybody.
    ///
    /// # Errors
    /// [`HostError`] if no token could be issued; the request is answered with 500.
    fn issue_login(&self, account: &AccountId) -> impl Future<Output = Result<IssuedLogin, HostError>> + Send;

    /// Returns what `me` and a log-in show of a user, or `None` if the user is gone. It must hold no
    /// secret.
    ///
    /// # Errors
    /// [`HostError`] if the user cannot be looked up; the request is answered with 500.
    fn profile(&self, account: &AccountId) -> impl Future<Output = Result<Option<Profile>, HostError>> + Send;

    /// Whether `password` is the account's login password, typed in full or as its digest
    /// ([`SentPassword`]). For `None` (no such account) do the same work, and return any verdict:
    /// it is ignored. Do not limit the calls again: guesses are counted before and after. A verdict
    /// that takes longer than 120 s counts as "wrong". Let the hash wait for its turn in a
    /// [`WorkQueue`](crate::queue::WorkQueue), one for all protocols of the server, by `requester`.
    ///
    /// # Errors
    /// [`HostError`] if the password cannot be checked; the request is answered with 500, and the
    /// attempt is charged after 120 s. If the error is [busy](HostError::busy), the request is
    /// answered with 503 and `Retry-After`, and the attempt is not charged: return it before
    /// hashing.
    fn check_password(
        &self,
        account: Option<&AccountId>,
        password: SentPassword<'_>,
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

    /// Sends a mail to **every** verified address of a user, in the user's language. This is not
    /// called for a user without a verified address. A mail that was queued durably counts as sent.
    /// Queue a mail with a code: a caller without a login may be waiting, and must not learn from
    /// the time it takes that there was one to send.
    ///
    /// # Errors
    /// [`MailError`] if the mail could not be sent; its text is shown to the caller. If a notice
    /// fails, nothing is changed.
    fn mail(&self, to: &User, mail: Mail<'_>) -> impl Future<Output = Result<(), MailError>> + Send;

    /// Notifies the host, after the commit that made it so, that a mail to an owner who is locked
    /// out ([`Mail::ShutOut`]) is due. A host that returns `true` undertakes to call
    /// [`RocketChat::finish_due`](crate::RocketChat::finish_due) for the account soon: it wakes the
    /// sweep that it needs anyway, which finds the account in the index of due work. Then no answer
    /// waits for a mail server, and the time an answer takes does not show that there was a mail.
    /// The method must return immediately.
    ///
    /// The default is `false`: the mail is sent before the request is answered, which is good
    /// enough for a mail queue on the same machine.
    fn mails_due(&self, account: &AccountId) -> bool {
        let _ = account;
        false
    }

    /// Removes the account's end-to-end keys: the key pair and the group keys of its subscriptions,
    /// suggested and old ones too. It also queues the account for new ones, and ends **all** its
    /// login tokens, personal access tokens included. Idempotent. The reset is committed when this
    /// is called.
    ///
    /// # Errors
    /// [`HostError`] if the keys could not be removed; the request is answered with 500 and the
    /// removal is tried again later.
    fn remove_keys(&self, account: &AccountId) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Stores the account's end-to-end key pair as it was sent, **only while the login `by` is
    /// valid**: a login that a reset has ended meanwhile must store nothing. Without `replace` an
    /// existing pair stays.
    ///
    /// # Errors
    /// [`HostError`] if the pair could not be stored; the request is answered with 500.
    fn store_keys(
        &self,
        account: &AccountId,
        by: &LoginTokenId,
        keys: &EndToEndKeys,
        replace: bool,
    ) -> impl Future<Output = Result<KeysStored, HostError>> + Send;

    /// Returns the account's end-to-end key pair.
    ///
    /// # Errors
    /// [`HostError`] if the pair could not be read; the request is answered with 500.
    fn fetch_keys(&self, account: &AccountId) -> impl Future<Output = Result<Option<EndToEndKeys>, HostError>> + Send;

    /// Ends login tokens: all, all but one, or one. Idempotent.
    ///
    /// # Errors
    /// [`HostError`] if the logins could not be ended, handled as for
    /// [`remove_keys`](Self::remove_keys).
    fn end_logins(&self, account: &AccountId, which: &EndLogins) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Returns the address of the client that sent a request, from what the host put into the
    /// request's extensions or from a header of a trusted proxy. Mails to an owner who is locked
    /// out name its network, an IPv4 address or an IPv6 /64, and their link can admit a network.
    /// The default returns no address.
    fn client_address(&self, peer: Peer<'_>) -> Option<IpAddr> {
        let _ = peer;
        None
    }

    /// Applies the host's own request limits, per client address and endpoint: upstream's are 10 in
    /// a fixed window of 60 s (protocol § 13), fewer for some endpoints
    /// ([`Endpoint::calls_per_minute`]). It is not called for callers with
    /// [`Permission::BypassRateLimit`]. The default counts nothing; the guess ledger stays in force
    /// either way.
    fn admit(&self, peer: Peer<'_>, endpoint: Endpoint) -> Admittance {
        let _ = (peer, endpoint);
        Admittance::Uncounted
    }
}

/// How a request names a user.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Named<'a> {
    /// By `userId`, exactly.
    Id(&'a str),
    /// By `username` or `user`, ignoring letter case.
    Username(&'a str),
    /// By a verified address or a name, for a log-in or for a code to be sent again.
    EmailOrUsername(&'a str),
    /// By a verified address, for a log-in.
    Email(&'a str),
    /// By the host's stored id of the account, for a mail to its owner.
    Account(&'a AccountId),
}

impl fmt::Debug for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Id(_) => "Id(..)",
            Self::Username(_) => "Username(..)",
            Self::EmailOrUsername(_) => "EmailOrUsername(..)",
            Self::Email(_) => "Email(..)",
            Self::Account(_) => "Account(..)",
        })
    }
}

/// What a user may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Permission {
    /// `edit-other-user-e2ee`
    EditOtherUserE2ee,
    /// `edit-other-user-totp`
    EditOtherUserTotp,
    /// `logout-other-user`
    LogoutOtherUser,
    /// `api-bypass-rate-limit`: lifts the request limits, never the guess ledger.
    BypassRateLimit,
}

/// The contents of a mail.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Mail<'a> {
    /// A code to be typed back. It confirms that someone reads the mailbox; do not call it a second
    /// factor.
    Code {
        /// `123-456`
        code: &'a SecretString,
        /// The first moment at which the code is no longer accepted.
        expires: UnixSeconds,
    },
    /// A notice that another user is resetting this user's end-to-end keys and ending all logins.
    KeysReset,
    /// A notice that another user is removing this user's second factors and ending all logins.
    TotpReset,
    /// A notice that other clients guess at the login password, and lock out the logins that have
    /// not proven it before. The mail carries a link to a page of the host with a button, and the
    /// button's POST calls [`RocketChat::admit_by_mail`](crate::RocketChat::admit_by_mail): a GET
    /// must not, because mail scanners follow links.
    ///
    /// At most one is sent per day, and increasingly fewer while nobody uses the link. One that
    /// fails is tried again until the link expires.
    ShutOut(&'a UnlockMail),
}

/// A mail to an owner whose login password is under attack by guessing.
#[derive(Debug)]
#[non_exhaustive]
pub struct UnlockMail {
    /// What the link must carry back to
    /// [`RocketChat::admit_by_mail`](crate::RocketChat::admit_by_mail): lower-case hex.
    pub token: SecretString,
    /// When the link expires. Once it has been used, it works for no more than another day.
    pub until: UnixSeconds,
    /// How many wrong guesses unknown clients have made since the last right one.
    pub wrong_guesses: u16,
    /// When the first of them was made.
    pub since: Option<UnixSeconds>,
    /// The login that was refused, or `None` if it was a log-in, which has no token yet. It may be
    /// the attacker's: the page must show which one it is before it offers to admit it.
    pub refused: Option<LoginTokenId>,
    /// The network that was refused, if [`Host::client_address`] knows it: an IPv4 address, or an
    /// IPv6 network.
    pub refused_network: Option<String>,
}

/// Which login tokens end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndLogins {
    /// All, personal access tokens included.
    All,
    /// All except this one; personal access tokens are kept.
    OthersThan(LoginTokenId),
    /// This one alone.
    Only(LoginTokenId),
}

/// Whether a request is within the host's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admittance {
    /// There are no limits.
    Uncounted,
    /// The request is counted and within the limits. The answer carries the three headers.
    Counted(Quota),
    /// The request is over a limit. It is answered with 429.
    Full {
        /// The figures for the three headers.
        quota: Quota,
        /// Seconds until the window ends, at least 1.
        retry_after: u64,
    },
}

/// The figures of one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the three headers of the wire")]
pub struct Quota {
    /// How many calls a window allows.
    pub limit: u32,
    /// How many calls are left in this window.
    pub remaining: u32,
    /// The window's end, in **milliseconds** since 1970.
    pub reset: u64,
}

/// The endpoints, for limits and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `POST users.resetE2EKey`
    ResetE2eKey,
    /// `POST users.resetTOTP`
    ResetTotp,
    /// `POST users.enableTotp`
    TotpEnable,
    /// `POST users.validateTotp`
    TotpValidate,
    /// `POST users.disableTotp`
    TotpDisable,
    /// `POST users.regenerateTotpCodes`
    TotpRegenerateCodes,
    /// `GET users.totpCodesRemaining`
    TotpCodesRemaining,
    /// `POST users.2fa.enableEmail`
    EnableEmail,
    /// `POST users.2fa.disableEmail`
    DisableEmail,
    /// `POST users.2fa.sendEmailCode`
    SendEmailCode,
    /// `POST login`
    Login,
    /// `GET` and `POST logout`
    Logout,
    /// `GET me`
    Me,
    /// `POST users.logoutOtherClients`
    LogoutOtherClients,
    /// `POST users.removeOtherTokens`
    RemoveOtherTokens,
    /// `POST users.logout`
    LogoutUser,
    /// `POST twoFactorChallenges.sendEmailCode`
    SendChallengeCode,
    /// `POST twoFactorChallenges.verifyChallenge`
    VerifyChallenge,
    /// `POST loginCode.redeem`
    RedeemLoginCode,
    /// `POST e2e.setUserPublicAndPrivateKeys`
    SetKeys,
    /// `GET e2e.fetchMyKeys`
    FetchKeys,
    /// `GET info`, below [`BASE_PATH`](crate::BASE_PATH) and as [`INFO_PATH`](crate::INFO_PATH)
    Info,
}

impl Endpoint {
    /// All endpoints.
    pub const ALL: [Self; 22] = [
        Self::ResetE2eKey,
        Self::ResetTotp,
        Self::TotpEnable,
        Self::TotpValidate,
        Self::TotpDisable,
        Self::TotpRegenerateCodes,
        Self::TotpCodesRemaining,
        Self::EnableEmail,
        Self::DisableEmail,
        Self::SendEmailCode,
        Self::Login,
        Self::Logout,
        Self::Me,
        Self::LogoutOtherClients,
        Self::RemoveOtherTokens,
        Self::LogoutUser,
        Self::SendChallengeCode,
        Self::VerifyChallenge,
        Self::RedeemLoginCode,
        Self::SetKeys,
        Self::FetchKeys,
        Self::Info,
    ];

    /// Returns how many calls of this endpoint upstream allows a client in a minute (protocol §§ 13,
    /// 15), for [`Host::admit`].
    #[must_use]
    pub const fn calls_per_minute(self) -> u32 {
        match self {
            Self::VerifyChallenge => 5,
            _ => 10,
        }
    }
}

/// A mail could not be sent.
#[derive(Debug, thiserror::Error)]
#[error("the mail was not sent")]
pub struct MailError {
    shown: String,
    #[source]
    source: Option<keywright_store::BoxError>,
}

impl MailError {
    /// Returns the error with a text for the caller (`error-email-send-failed`). `shown` must hold
    /// no address, and no raw message of a mail server, which may reveal too much.
    #[must_use]
    pub fn new(shown: impl Into<String>) -> Self {
        Self { shown: shown.into(), source: None }
    }

    /// Adds the underlying error, for the log.
    #[must_use]
    pub fn with_source(self, source: impl Into<keywright_store::BoxError>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }
}
