//! What turned a request away: for the log of the server, never for the client.

use std::fmt;

/// What turned a request away that may be sent again later: the reason of an answer with 429 or 503.
///
/// A protocol sets it on its [`Reply`](crate::Reply), and the response carries it in its
/// [extensions](http::Extensions), where the host finds it for its log or its metrics. It is never
/// sent to the client, who could learn from it whether an account exists.
///
/// ```
/// use http::StatusCode;
/// use keywright_wire::{RefusedBy, Reply};
///
/// let reply = Reply::json(StatusCode::TOO_MANY_REQUESTS, "[]").with_refused_by(RefusedBy::GUESSES);
/// let response = reply.into_response();
/// assert_eq!(response.extensions().get::<RefusedBy>().map(RefusedBy::as_str), Some("guesses"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RefusedBy(&'static str);

impl RefusedBy {
    /// The host's request limit for the client's address.
    pub const REQUESTS_OF_PEER: Self = Self("requests_of_peer");
    /// The host's request limit for the address or the account that a request names without a proof.
    pub const REQUESTS_FOR_NAME: Self = Self("requests_for_name");
    /// The host's request limit for the account that a request has logged in to.
    pub const REQUESTS_OF_ACCOUNT: Self = Self("requests_of_account");
    /// The guess ledger: guesses at a secret wait, or unknown clients are locked out.
    pub const GUESSES: Self = Self("guesses");
    /// The limit on mails, on changes of an address, or on what waits for a mailed link.
    pub const MAILS: Self = Self("mails");
    /// The limit on admissions of clients that the guess ledger locks out.
    pub const ADMISSIONS: Self = Self("admissions");
    /// The limit on open sessions of an account.
    pub const SESSIONS: Self = Self("sessions");
    /// Too many requests wait for the account, or it changed in the middle of this one.
    pub const ACCOUNT_BUSY: Self = Self("account_busy");
    /// The store took too long, or others use it.
    pub const STORE_BUSY: Self = Self("store_busy");
    /// The [host is busy](crate::HostError::busy) and did not say with what.
    pub const HOST_BUSY: Self = Self("host_busy");
    /// The [queue for slow work](crate::queue::WorkQueue) is full.
    pub const SLOW_WORK: Self = Self("slow_work");
    /// A browser opened a mailed link ahead of the person.
    pub const PREFETCH: Self = Self("prefetch");

    /// Returns a reason of the host's own. By convention its name is in lower case with underscores,
    /// so that it can be the label of a metric.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Returns the name.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        self.0
    }
}

impl fmt::Display for RefusedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
