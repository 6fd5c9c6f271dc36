//! What the embedding server supplies: who calls, what they may do, mail, and what only it can remove.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;

use keywright_core::{AccountId, SecretString, UnixSeconds};
use keywright_wire::queue::Asker;
use keywright_wire::{HostError, Peer};

/// The server around the protocol. Methods that change something are **idempotent**, because they are tried again after a
/// crash.
///
/// None of them is called while anything of an account is held: they may use a driver or a service on the same account,
/// and a slow one holds up nobody but its own request. Still give each a time limit.
///
/// The order of calls for one request: [`client_address`](Self::client_address); [`login`](Self::login), twice: the first
/// shows whose account to look at, the second comes after that look (both once more if the account moved before the
/// commit, or work was due); [`permitted`](Self::permitted) for the limits and [`admit`](Self::admit); the second factor,
/// which may ask for [`check_password`](Self::check_password), which the guess ledger has admitted, or for
/// [`mail`](Self::mail) with a code. For another's account, only after the caller's proof is committed: `permitted`,
/// [`find_user`](Self::find_user), `mail` with the notice, then the target's commit. Last, whatever a commit made due:
/// [`remove_keys`](Self::remove_keys), [`end_logins`](Self::end_logins), and for an owner who is shut out
/// [`mails_due`](Self::mails_due), or `find_user` and `mail`.
pub trait Host: Send + Sync + 'static {
    /// The login that has this user id **and** this token, login token or personal access token; tokens are random, so
    /// they are looked up by a hash and not charged. A token of another user is no login.
    ///
    /// # Errors
    /// [`HostError`]; the request is answered 500.
    fn login(
        &self,
        user_id: &str,
        token: &SecretString,
    ) -> impl Future<Output = Result<Option<Login>, HostError>> + Send;

    /// Whether a user has a permission.
    ///
    /// # Errors
    /// [`HostError`]; the request is answered 500.
    fn permitted(
        &self,
        account: &AccountId,
        permission: Permission,
    ) -> impl Future<Output = Result<bool, HostError>> + Send;

    /// The user that a request names.
    ///
    /// # Errors
    /// [`HostError`]; the request is answered 500.
    fn find_user(&self, named: Named<'_>) -> impl Future<Output = Result<Option<User>, HostError>> + Send;

    /// Whether `digest`, 64 lower-case hex digits, is the SHA-256 of the account's login password: compared with a slow
    /// hash **of that digest**. Do not limit it again: guesses are counted before and after. A verdict that takes longer than
    /// 120 s counts as "wrong". Have the hash wait for its turn in a [`WorkQueue`](crate::queue::WorkQueue), one for all
    /// protocols of the server, by `asker`.
    ///
    /// # Errors
    /// [`HostError`]; the request is answered 500, and the attempt is charged after 120 s. One that is
    /// [busy](HostError::busy) is answered 503 with `Retry-After`, and costs nothing: say it before you hash.
    fn check_password(
        &self,
        account: &AccountId,
        digest: &SecretString,
        asker: &Asker,
    ) -> impl Future<Output = Result<bool, HostError>> + Send;

    /// Sends a mail to **every** verified address of a user, in the user's language. Not called for a user without one.
    /// A mail that was queued for good counts as sent. Queue a code: a caller without a login may be waiting, and must not
    /// learn by the time it takes that there was one to send.
    ///
    /// # Errors
    /// [`MailError`]; its text is shown to the caller. After a notice that failed nothing is changed.
    fn mail(&self, to: &User, mail: Mail<'_>) -> impl Future<Output = Result<(), MailError>> + Send;

    /// Hears that a mail to an owner who is shut out ([`Mail::ShutOut`]) is due, after the commit that made it so. A host
    /// that returns `true` takes it upon itself to call [`RocketChat::finish_due`](crate::RocketChat::finish_due) for the
    /// account soon: it wakes the sweep that it needs anyway, which finds the account in the index of due work. Then no answer
    /// waits for a mail server, nor does the time it takes show that there was a mail. It must return at once.
    ///
    /// The default is `false`: the mail is sent before the request is answered, which is good enough for a mail queue on the
    /// same machine.
    fn mails_due(&self, account: &AccountId) -> bool {
        let _ = account;
        false
    }

    /// Removes the account's end-to-end keys: key pair, group keys of its subscriptions (suggested and old ones too),
    /// queues it for new ones, and ends **all** its login tokens, personal access tokens included. Idempotent. The reset
    /// is committed when this is called.
    ///
    /// # Errors
    /// [`HostError`]; the request is answered 500 and the removal is tried again later.
    fn remove_keys(&self, account: &AccountId) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Ends login tokens, because a second factor changed. Idempotent.
    ///
    /// # Errors
    /// [`HostError`]; as for [`remove_keys`](Self::remove_keys).
    fn end_logins(&self, account: &AccountId, which: &EndLogins) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Returns the address of the client that sent a request, from what the host put into the request's extensions or from
    /// a header of a proxy that it trusts. Mails to an owner who is shut out name its network, an IPv4 address or an IPv6
    /// /64, and their link can let a network in. The default knows none.
    fn client_address(&self, peer: Peer<'_>) -> Option<IpAddr> {
        let _ = peer;
        None
    }

    /// Request limits of the host's own, per client address and endpoint: upstream's are 10 in a fixed window of 60 s
    /// (protocol § 13). Not asked for callers with [`Permission::BypassRateLimit`]. The default counts nothing; the
    /// guess ledger stays in force either way.
    fn admit(&self, peer: Peer<'_>, endpoint: Endpoint) -> Admittance {
        let _ = (peer, endpoint);
        Admittance::Uncounted
    }
}

/// The host's stored id of a login token. Not the token: it may be logged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LoginTokenId(pub String);

/// A login that was found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Login {
    /// Whose it is.
    pub user: User,
    /// The token it came with.
    pub token: LoginTokenId,
}

impl Login {
    /// A login.
    #[must_use]
    pub const fn new(user: User, token: LoginTokenId) -> Self {
        Self { user, token }
    }
}

/// A user, as far as this protocol needs one.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The host's stored id of the account.
    pub account: AccountId,
    /// The name at login; a user without one is let in nowhere.
    pub username: Option<String>,
    /// Verified addresses, the first one is named on the wire.
    pub verified_emails: Vec<String>,
    /// Whether there are addresses that are not verified: then e-mail codes cannot be switched on.
    pub has_unverified_email: bool,
    /// Whether there is a login password.
    pub has_password: bool,
    /// Whether the account lives on another server: its keys and factors are not reset here.
    pub is_federated: bool,
}

impl User {
    /// A user with a name and a password, and without addresses.
    #[must_use]
    pub fn new(account: AccountId, username: impl Into<String>) -> Self {
        Self {
            account,
            username: Some(username.into()),
            verified_emails: Vec::new(),
            has_unverified_email: false,
            has_password: true,
            is_federated: false,
        }
    }

    /// The same, with verified addresses.
    #[must_use]
    pub fn with_verified_emails(self, verified_emails: Vec<String>) -> Self {
        Self { verified_emails, ..self }
    }
}

impl fmt::Debug for User {
    /// Without name and addresses: they are personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("account", &self.account).finish_non_exhaustive()
    }
}

/// How a request names a user.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Named<'a> {
    /// By `userId`, exactly.
    Id(&'a str),
    /// By `username` or `user`, without regard to letter case.
    Username(&'a str),
    /// By a verified address or a name, for a code to be sent again.
    EmailOrUsername(&'a str),
    /// By the host's stored id of the account, for a mail to its owner.
    Account(&'a AccountId),
}

impl fmt::Debug for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Id(_) => "Id(..)",
            Self::Username(_) => "Username(..)",
            Self::EmailOrUsername(_) => "EmailOrUsername(..)",
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
    /// `api-bypass-rate-limit`: lifts the request limits, never the guess ledger.
    BypassRateLimit,
}

/// What is mailed.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Mail<'a> {
    /// A code to be typed back. It confirms that somebody reads the mailbox; do not call it a second factor.
    Code {
        /// `123-456`
        code: &'a SecretString,
        /// The first moment at which it is no longer taken.
        expires: UnixSeconds,
    },
    /// Notice that somebody else is resetting the user's end-to-end keys and ending all logins.
    KeysReset,
    /// Notice that somebody else is removing the user's second factors and ending all logins.
    TotpReset,
    /// Others guess at the login password, and shut out the logins that have not proven it before. The mail carries a link
    /// to a page of the host's with a button, and the button's POST calls
    /// [`RocketChat::admit_by_mail`](crate::RocketChat::admit_by_mail): a GET must not, because mail scanners follow links.
    ///
    /// At most one a day, ever more seldom while nobody uses the link. One that fails is tried again until the link's end.
    ShutOut(&'a UnlockMail),
}

/// A mail to an owner at whose login password others guess.
#[derive(Debug)]
#[non_exhaustive]
pub struct UnlockMail {
    /// What the link must carry back to [`RocketChat::admit_by_mail`](crate::RocketChat::admit_by_mail): lower-case hex.
    pub token: SecretString,
    /// Until when the link works. Once it was used, it works for no more than another day.
    pub until: UnixSeconds,
    /// How many wrong guesses unknown clients have made since the last right one.
    pub wrong_guesses: u16,
    /// When the first of them was made.
    pub since: Option<UnixSeconds>,
    /// The login that was refused. It may be the attacker's: the page must show which one it is before it offers to let it in.
    pub refused: LoginTokenId,
    /// The network that was refused, if [`Host::client_address`] knows it: an IPv4 address, or an IPv6 network.
    pub refused_network: Option<String>,
}

/// Which login tokens end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndLogins {
    /// All, personal access tokens included.
    All,
    /// All but this one; personal access tokens stay.
    OthersThan(LoginTokenId),
}

/// Whether a request is within the host's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admittance {
    /// No limits.
    Uncounted,
    /// Counted, and within them. The answer carries the three headers.
    Counted(Quota),
    /// Beyond them: 429.
    Full {
        /// For the three headers.
        quota: Quota,
        /// Seconds until the window ends, at least 1.
        retry_after: u64,
    },
}

/// The figures of one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the three headers of the wire")]
pub struct Quota {
    /// Calls in a window.
    pub limit: u32,
    /// Calls left in this one.
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
    /// `POST users.totp.enable`
    TotpEnable,
    /// `POST users.totp.validate`
    TotpValidate,
    /// `POST users.totp.disable`
    TotpDisable,
    /// `POST users.totp.regenerateCodes`
    TotpRegenerateCodes,
    /// `GET users.totp.codesRemaining`
    TotpCodesRemaining,
    /// `POST users.2fa.enableEmail`
    EnableEmail,
    /// `POST users.2fa.disableEmail`
    DisableEmail,
    /// `POST users.2fa.sendEmailCode`
    SendEmailCode,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 10] = [
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
    ];
}

/// A mail did not go out.
#[derive(Debug, thiserror::Error)]
#[error("the mail was not sent")]
pub struct MailError {
    shown: String,
    #[source]
    source: Option<keywright_store::BoxError>,
}

impl MailError {
    /// `shown` goes to the caller (`error-email-send-failed`): no address, no server's own words that say more than
    /// they should.
    #[must_use]
    pub fn new(shown: impl Into<String>) -> Self {
        Self { shown: shown.into(), source: None }
    }

    /// The same, with the error behind it, for the log.
    #[must_use]
    pub fn with_source(self, source: impl Into<keywright_store::BoxError>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }
}
