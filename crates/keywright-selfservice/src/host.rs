//! What the embedding server supplies.

use std::future::Future;

use http::HeaderValue;
use http::request::Parts;
use keywright_confirm::{Action, Confirmed, MailedCode};
use keywright_core::{AccountId, Client, ClientAdmission, SecretString, SessionId, UnixSeconds};
use keywright_wire::HostError;
use keywright_wire::queue::Requester;

/// The owner of an account in a session of the host.
#[derive(Clone)]
#[non_exhaustive]
pub struct Caller {
    /// The account.
    pub account: AccountId,
    /// The session. Every form of the pages is bound to it, and so is whatever the owner begins.
    pub session: SessionId,
    /// The sender of the request, as the guess ledger knows it. Name both the session's credential
    /// and the network.
    pub client: Client,
    /// The name of the account, which the pages and authenticator apps show.
    pub name: String,
}

impl Caller {
    /// Creates a caller.
    pub fn new(account: AccountId, session: SessionId, client: Client, name: impl Into<String>) -> Self {
        Self { account, session, client, name: name.into() }
    }
}

keywright_core::redacted_debug!(Caller { account, .. });

/// An action of the host that the owner must confirm, such as deleting the account.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostAction {
    /// The id, which is part of the page's address: 1 to 64 ASCII letters, digits, hyphens, dots
    /// and underscores. Everything that changes the effect of the action must be part of it.
    pub id: String,
    /// What the action is called on its button: "Delete the account".
    pub title: String,
    /// What it does, in one or two sentences.
    pub description: String,
    /// How it is confirmed.
    pub style: ConfirmStyle,
}

impl HostAction {
    /// Creates an action.
    pub fn new(
        id: impl Into<String>,
        title: impl Into<String>,
        description: impl Into<String>,
        style: ConfirmStyle,
    ) -> Self {
        Self { id: id.into(), title: title.into(), description: description.into(), style }
    }
}

/// How an action is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfirmStyle {
    /// By a code that the page shows and the owner types.
    TypedCode,
    /// By the password, after a wait of random length.
    PasswordAndWait,
}

/// The confirmed action, as [`Host::perform`] receives it. Its target is the
/// [id](HostAction::id) of the [`HostAction`].
#[derive(Debug)]
pub struct OwnerAction {
    id: String,
}

impl OwnerAction {
    pub(crate) fn new(id: &str) -> Self {
        Self { id: id.to_owned() }
    }
}

impl Action for OwnerAction {
    const NAME: &'static str = "selfservice.action";

    fn target(&self) -> &str {
        &self.id
    }

    fn parameters(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// A change of the account's mail address that has not taken effect.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingAddress {
    /// The new address.
    pub address: String,
}

impl PendingAddress {
    /// Creates a pending change to an address.
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: address.into() }
    }
}

/// Which client a mailed link admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the two buttons of the page")]
pub enum LinkAdmits {
    /// The network that the request comes from.
    Here,
    /// The client whose attempt was refused.
    Refused,
}

/// A browser that the owner trusts, which is not asked for a code.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RememberedBrowser {
    /// The id, as [`Host::forget_browser`] takes it.
    pub id: String,
    /// The name.
    pub name: String,
    /// When it was last used.
    pub last_used: UnixSeconds,
    /// When it will be forgotten.
    pub expires: UnixSeconds,
}

impl RememberedBrowser {
    /// Creates an entry. The id is part of a page's address: ASCII letters, digits, hyphens and
    /// underscores.
    pub fn new(id: impl Into<String>, name: impl Into<String>, last_used: UnixSeconds, expires: UnixSeconds) -> Self {
        Self { id: id.into(), name: name.into(), last_used, expires }
    }
}

/// What a server that mounts the pages supplies.
///
/// Only the first four methods are required. The methods of the others leave out the parts of the
/// pages that they belong to.
pub trait Host: Send + Sync + 'static {
    /// Returns who is logged in by the request's cookie or token, or `None`. A request without
    /// login is redirected to the policy's log-in page.
    fn caller(&self, head: &Parts) -> impl Future<Output = Result<Option<Caller>, HostError>> + Send;

    /// Whether this is the caller's login password. The guess has been counted when this is called,
    /// so the method only compares. Return [`HostError::busy`] if it cannot compare now.
    fn check_password(
        &self,
        caller: &Caller,
        password: &SecretString,
        requester: &Requester,
    ) -> impl Future<Output = Result<bool, HostError>> + Send;

    /// Ends every session and login token of the account that the host keeps, except for the
    /// caller's session. Called after each change of the caller's that moved the account's
    /// credential epoch. `epoch` is the epoch that the change began: a host that binds its sessions
    /// to the epoch binds the caller's session to this one, and to no later one, which somebody else
    /// has begun.
    fn end_other_sessions(&self, caller: &Caller, epoch: u64) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Ends the caller's own session. Returns the `Set-Cookie` header that removes its cookie, if
    /// there is one.
    fn sign_out(&self, caller: &Caller) -> impl Future<Output = Result<Option<HeaderValue>, HostError>> + Send;

    /// Returns the language in which a request is answered, as a tag. By default it is what
    /// `Accept-Language` prefers.
    fn language(&self, _: &Parts) -> Option<String> {
        None
    }

    /// Returns a whole HTML document around a page, or `None` for the default one. A document must
    /// contain the frame's head and body unchanged.
    fn frame(&self, _: &Frame<'_>) -> Option<String> {
        None
    }

    /// Returns the actions that the caller can confirm, in a language (a BCP 47 tag).
    fn actions(&self, _: &Caller, _: &str) -> impl Future<Output = Result<Vec<HostAction>, HostError>> + Send {
        std::future::ready(Ok(Vec::new()))
    }

    /// Performs a confirmed action of the account that the proof names.
    fn perform(&self, _: Confirmed<OwnerAction>) -> impl Future<Output = Result<(), HostError>> + Send {
        std::future::ready(Err(HostError::new("this host has no actions")))
    }

    /// Returns the verified address to which a code can be mailed, as the pages show it to its
    /// owner, or `None` if none can. A mailed code is offered where the account has nothing stronger
    /// and the [policy](crate::SelfServicePolicyBuilder::two_factor)'s rule for
    /// [`CHANGE_FACTORS`](keywright_twofactor::CHANGE_FACTORS) names
    /// [`Method::Mailed`](keywright_twofactor::Method::Mailed).
    fn mail_address(&self, _: &Caller) -> impl Future<Output = Result<Option<String>, HostError>> + Send {
        std::future::ready(Ok(None))
    }

    /// Mails a code to the caller's verified address. Return once the mail is handed over; an error
    /// tells the owner that no mail is on its way.
    fn mail_code(&self, _: &Caller, _: &MailedCode) -> impl Future<Output = Result<(), HostError>> + Send {
        std::future::ready(Err(HostError::new("this host mails no codes")))
    }

    /// Returns the change of address that is pending.
    fn pending_address(&self, _: &Caller) -> impl Future<Output = Result<Option<PendingAddress>, HostError>> + Send {
        std::future::ready(Ok(None))
    }

    /// Cancels the change of address that is pending. Returns whether there was one.
    fn cancel_address(&self, _: &Caller) -> impl Future<Output = Result<bool, HostError>> + Send {
        std::future::ready(Ok(false))
    }

    /// Admits a client by the token of a mailed link. Returns `None` if the token is not valid.
    fn admit_by_link(
        &self,
        _: &str,
        _: LinkAdmits,
        _: &Parts,
    ) -> impl Future<Output = Result<Option<ClientAdmission>, HostError>> + Send {
        std::future::ready(Ok(None))
    }

    /// Returns the browsers that the account remembers.
    fn browsers(&self, _: &Caller) -> impl Future<Output = Result<Vec<RememberedBrowser>, HostError>> + Send {
        std::future::ready(Ok(Vec::new()))
    }

    /// Forgets a browser, or all of them for `None`. Returns whether there was one.
    fn forget_browser(&self, _: &Caller, _: Option<&str>) -> impl Future<Output = Result<bool, HostError>> + Send {
        std::future::ready(Ok(false))
    }

    /// Renames a browser. Returns whether there is one with this id and the name is valid.
    fn rename_browser(&self, _: &Caller, _: &str, _: &str) -> impl Future<Output = Result<bool, HostError>> + Send {
        std::future::ready(Ok(false))
    }
}

/// The parts of a page, for a host with a template of its own.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// The language, a BCP 47 tag for `<html lang>`.
    pub language: &'a str,
    /// The title as text. Escape it.
    pub title: &'a str,
    /// The links to stylesheet and script, as HTML for `<head>`.
    pub head: &'a str,
    /// The page, as HTML for `<body>`. It contains the `main` element.
    pub body: &'a str,
}
