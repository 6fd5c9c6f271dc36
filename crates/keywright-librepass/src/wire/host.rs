//! What the embedding server supplies: mail, request limits, and where a request comes from.

use core::fmt;
use core::future::Future;
use core::net::IpAddr;

use keywright_core::AccountId;
use keywright_wire::{HostError, Peer};

use crate::account::mails::Mail;

/// The server around the protocol. It keeps no users: the accounts are this crate's own, made by
/// registration.
pub trait Host: Send + Sync + 'static {
    /// Sends a mail, as plain text. A mail that was queued durably counts as sent. This is called
    /// after the commit that made the mail due, and again after a failure or a crash: the same mail
    /// may be sent twice. It is called outside of any commit, so it may use the driver. Unless
    /// [`mails_due`](Self::mails_due) returns `true`, the client waits for it.
    ///
    /// # Errors
    /// [`HostError`] if the mail could not be sent. It stays due, and the request is answered as if
    /// it had been sent. It is tried again after a pause that grows from seconds to an hour, by the
    /// next request of the account or the next sweep.
    fn mail(&self, mail: Mail<'_>) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Notifies the host that mails of an account are due, after the commit that made them so. A
    /// host that returns `true` undertakes to call
    /// [`LibrePass::finish_due`](crate::LibrePass::finish_due) for the account soon: it wakes the
    /// sweep that it needs anyway, which finds the account in the index of due work. Then no answer
    /// waits for a mail server, and the time an answer takes does not show whether there was a
    /// mail. The method must return immediately.
    ///
    /// The default is `false`: the mails are sent before the request is answered, which is good
    /// enough for a mail queue on the same machine.
    fn mails_due(&self, account: &AccountId) -> bool {
        let _ = account;
        false
    }

    /// Applies request limits (protocol § 9). It is called once for every request to an endpoint
    /// with its peer, before the body is read or anything is looked up. It is called again, as soon
    /// as each is known, with the address or the account that is named, and with the account that
    /// is proven. The default counts nothing; the guess ledger stays in force either way.
    fn admit(&self, endpoint: Endpoint, peer: Peer<'_>, subject: Subject<'_>) -> Admittance {
        let _ = (endpoint, peer, subject);
        Admittance::Open
    }

    /// Runs work that computes for long without waiting for anything: the parsing, checking and
    /// sealing of a vault that was sent whole, which takes up to a second for the largest bodies.
    /// It is called only for bodies of 64 KiB and more, on the thread that polls the request, and
    /// must call `work` once before it returns.
    ///
    /// The default calls it at once, which keeps other requests on the same thread waiting. On
    /// tokio's multi-threaded runtime, pass it to `tokio::task::block_in_place`, which moves them
    /// to another thread.
    fn compute(&self, work: &mut (dyn FnMut() + Send)) {
        work();
    }

    /// Returns the client's address. Use only what cannot be forged: the socket's address, or what
    /// a trusted proxy reports. The guess ledger knows a log-in that comes without a token by its
    /// network, and only where there is a network can an owner whom other clients have locked out
    /// be admitted by a mail. The default returns no address.
    fn client_address(&self, peer: Peer<'_>) -> Option<IpAddr> {
        let _ = peer;
        None
    }
}

/// What a request is counted by.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subject<'a> {
    /// The sender of the request: see the [`Peer`]. This is counted first, for every request.
    Peer,
    /// The address that the request names, in lower case, whether or not it has an account.
    Address(&'a str),
    /// The account of the token, which was found valid.
    Account(&'a AccountId),
    /// The account that a mailed link names, before its code is checked: anybody can name one.
    /// Count it apart from [`Account`](Self::Account), or anyone who knows a user's id could use up
    /// the limit meant for the user.
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
    /// The request is within the limits, or there are none.
    Open,
    /// The request is over a limit. It is answered with 429.
    Full {
        /// Seconds until the next request is admitted, at least 1.
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
    /// `GET` and `POST auth/confirmLogin`, the page on which owners confirm log-ins of applications
    /// that cannot ask for a second factor
    ConfirmLogin,
    /// `POST cipher/sync`, and the deprecated `GET cipher/sync`
    CipherSync,
    /// The deprecated `GET` and `PUT cipher`
    Ciphers,
    /// The deprecated `GET`, `PATCH` and `DELETE cipher/{id}`
    Cipher,
    /// `GET` and `PUT collection`
    Collections,
    /// `GET` and `DELETE collection/{id}`
    Collection,
    /// `PATCH user/email`
    ChangeEmail,
    /// `GET` and `POST auth/admitClient`, the link of a mail to an owner whom other clients have
    /// locked out
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
    /// All endpoints.
    pub const ALL: [Self; 19] = [
        Self::PreLogin,
        Self::Register,
        Self::VerifyEmail,
        Self::OAuth,
        Self::ResendVerificationEmail,
        Self::PasswordHint,
        Self::AdmitClient,
        Self::ConfirmLogin,
        Self::CipherSync,
        Self::Ciphers,
        Self::Cipher,
        Self::Collections,
        Self::Collection,
        Self::ChangeEmail,
        Self::VerifyNewEmail,
        Self::ChangePassword,
        Self::SetupTwoFactor,
        Self::Delete,
        Self::Info,
    ];
}
