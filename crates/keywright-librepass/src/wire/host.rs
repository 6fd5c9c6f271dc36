//! What the embedding server supplies: mail, limits of requests, and where a request comes from.

use core::fmt;
use core::future::Future;
use core::net::IpAddr;

use keywright_core::AccountId;
use keywright_wire::{HostError, Peer};

use crate::account::mails::Mail;

/// The server around the protocol. It keeps no users: the accounts are this crate's own, made by registration.
pub trait Host: Send + Sync + 'static {
    /// Sends a mail, as plain text. A mail that was queued for good counts as sent. Called after the commit that made it
    /// due, and again after a failure or a crash: the same mail may go out twice. It is called outside of any commit, so it
    /// may use the driver. Unless [`mails_due`](Self::mails_due) says otherwise, the client waits for it.
    ///
    /// # Errors
    /// [`HostError`]; the mail stays due and the request is answered as if it had gone out. It is tried again after a pause
    /// that grows from seconds to an hour, by the next request of the account or the next sweep.
    fn mail(&self, mail: Mail<'_>) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Hears that mails of an account are due, after the commit that made them so. A host that returns `true` takes it upon
    /// itself to call [`LibrePass::finish_due`](crate::LibrePass::finish_due) for the account soon: it wakes the sweep that
    /// it needs anyway, which finds the account in the index of due work. Then no answer waits for a mail server, nor does
    /// the time it takes show whether there was a mail. It must return at once.
    ///
    /// The default is `false`: the mails are sent before the request is answered, which is good enough for a mail queue on
    /// the same machine.
    fn mails_due(&self, account: &AccountId) -> bool {
        let _ = account;
        false
    }

    /// Request limits (protocol § 9). For every request to an endpoint by its peer, once, before its body is read or
    /// anything is looked up; and where they are known by the address or the account that is named, and by the account
    /// that is proven. The default counts nothing; the guess ledger stays in force either way.
    fn admit(&self, endpoint: Endpoint, peer: Peer<'_>, subject: Subject<'_>) -> Admittance {
        let _ = (endpoint, peer, subject);
        Admittance::Open
    }

    /// The client's address: only what cannot be forged, the socket's, or what a trusted proxy says. The guess ledger knows
    /// a log-in that comes without a token by its network, and only where there is one can an owner whom others have shut
    /// out be let in by a mail. The default knows none.
    fn client_address(&self, peer: Peer<'_>) -> Option<IpAddr> {
        let _ = peer;
        None
    }
}

/// What a request is counted by.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject<'a> {
    /// Whoever sends it: see the [`Peer`]. Asked first, for every request.
    Peer,
    /// The address that it names, in lower case, with an account or without.
    Address(&'a str),
    /// The account of the token, which was found good.
    Account(&'a AccountId),
    /// The account that a mailed link names, before its code is looked at: anybody can name one. Counted apart from
    /// [`Account`](Self::Account), else whoever knows a user's id could use up what is meant for the user.
    Named(&'a AccountId),
}

impl fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Peer => "Peer",
            Self::Address(_) => "Address(..)",
            Self::Account(_) => "Account(..)",
            Self::Named(_) => "Named(..)",
        })
    }
}

/// Whether a request is within the host's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admittance {
    /// Within them, or there are none.
    Open,
    /// Beyond them: 429.
    Full {
        /// Seconds until the next is admitted, at least 1.
        retry_after: u64,
    },
}

/// The endpoints, for limits and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `GET auth/preLogin`
    PreLogin,
    /// `POST auth/register`
    Register,
    /// `GET auth/verifyEmail`
    VerifyEmail,
    /// `POST auth/oauth`
    OAuth,
    /// `GET auth/resendVerificationEmail`
    ResendVerificationEmail,
    /// `GET auth/passwordHint`
    PasswordHint,
    /// `POST cipher/sync`, and the deprecated `GET cipher/sync`
    CipherSync,
    /// The deprecated `GET` and `PUT cipher`
    Ciphers,
    /// The deprecated `GET`, `PATCH` and `DELETE cipher/{id}`
    Cipher,
    /// `PATCH user/email`
    ChangeEmail,
    /// `GET` and `POST auth/admitClient`, the link of a mail to an owner whom others have shut out
    AdmitClient,
    /// `GET user/verifyNewEmail`
    VerifyNewEmail,
    /// `PATCH user/password`
    ChangePassword,
    /// `POST user/setup/2fa`
    SetupTwoFactor,
    /// `DELETE user/delete`
    Delete,
    /// `GET /actuator/info`
    Info,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::PreLogin,
        Self::Register,
        Self::VerifyEmail,
        Self::OAuth,
        Self::ResendVerificationEmail,
        Self::PasswordHint,
        Self::AdmitClient,
        Self::CipherSync,
        Self::Ciphers,
        Self::Cipher,
        Self::ChangeEmail,
        Self::VerifyNewEmail,
        Self::ChangePassword,
        Self::SetupTwoFactor,
        Self::Delete,
        Self::Info,
    ];
}
