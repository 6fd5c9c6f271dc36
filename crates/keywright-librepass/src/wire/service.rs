//! The service: route, method, limits, token, endpoint, answer. It is independent of any framework:
//! `http::Request` in, `http::Response` out.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use keywright_core::{AccountId, ClientTag, SecretBytes};
use keywright_rekey::Vaults;
use keywright_store::names::Names;
use keywright_store::{Driver, StepError, TransactError, VaultStore};
use keywright_twofactor::{CodeKind, Origin, TwoFactorPolicyError, TwoFactorSteps};
use keywright_wire::{DueError, Network, Protocol, Reply};

use crate::policy::{LibrePassPolicy, MAX_BODY, MailedLinks};
use crate::protocol::error::ApiError;
use crate::protocol::handshake::HandshakeKeys;
use crate::protocol::keys::{PrivateKey, SharedKey};
use crate::protocol::token::Token;
use crate::wire::admission::{self, NetworkAdmission};
use crate::wire::answer::{Answered, Failure, empty, without_referrer};
use crate::wire::change;
use crate::wire::context::Context;
use crate::wire::endpoints;
use crate::wire::host::{Endpoint, Host, Subject};
use crate::wire::pages;
use crate::wire::request::{self, Input, ROUTES, Row};

/// The protocol over a store and a host. Cheap to clone.
pub struct LibrePass<H> {
    cx: Arc<Context<H>>,
}

impl<H: Host> LibrePass<H> {
    /// Opens the protocol over a driver's store, which also keeps the vaults. Draws the server's
    /// key pair in a store that has none.
    ///
    /// # Errors
    /// [`OpenError`] if the key pair cannot be loaded or made, or the policy does not fit the
    /// driver; nothing is served then.
    pub async fn open(
        driver: Driver,
        vault_store: Arc<dyn VaultStore>,
        host: Arc<H>,
        policy: LibrePassPolicy,
    ) -> Result<Self, OpenError> {
        let driver = driver.named("librepass");
        let keyring = driver.keyring();
        let (links, decoys) = (keyring.index("link"), keyring.index("decoy"));
        let mut decoy_key = SecretBytes::zeroed();
        decoy_key.expose_mut().copy_from_slice(&decoys.mac(&[b"librepass-key"]));
        let cx = Context {
            keys: HandshakeKeys::load(driver.clone()).await?,
            names: Names::new(driver.clone()),
            factors: TwoFactorSteps::new(policy.two_factor.clone(), driver.ledger_policy())?
                .through(Origin::new("librepass")),
            vaults: Vaults::new(driver.clone(), vault_store, policy.vaults),
            driver,
            host,
            policy,
            links,
            decoys,
            decoy_key: PrivateKey::from_secret(decoy_key).public_key(),
        };
        Ok(Self { cx: Arc::new(cx) })
    }

    /// Returns the largest body that [`handle`](Self::handle) accepts for a path, in bytes.
    #[must_use]
    pub fn max_body(&self, path: &str) -> usize {
        ROUTES.max_body(path, &self.cx.policy).unwrap_or(MAX_BODY)
    }

    /// Answers one request. Its path is the full one, from `/api/` on, or
    /// [`INFO_PATH`](crate::INFO_PATH).
    pub async fn handle<B: AsRef<[u8]>>(&self, request: Request<B>) -> Response<Bytes> {
        without_referrer(answer(&self.cx, &request, false).await).into_response()
    }

    /// Sends the mails that an account's commits made due and that a failure or a crash has left
    /// unsent. A request with the account's token does so too; call this from a sweep. Returns how
    /// many were sent.
    ///
    /// All are tried; one that fails is tried again after a pause, which grows from seconds to an
    /// hour.
    ///
    /// # Errors
    /// [`DueError`] if the store failed, or the host failed to send one of them.
    pub async fn finish_due(&self, account: &AccountId) -> Result<usize, DueError> {
        self.cx.finish_mails(account, false).await
    }

    /// Like [`finish_due`](Self::finish_due), but ignores pauses and claims: for the start of a
    /// server that is alone at its store, where every earlier claim belongs to a dead process.
    ///
    /// # Errors
    /// As [`finish_due`](Self::finish_due).
    pub async fn finish_due_at_start(&self, account: &AccountId) -> Result<usize, DueError> {
        self.cx.finish_mails(account, true).await
    }

    /// Returns the tag by which an account's guess ledger knows the network of an address. It is
    /// for admissions at other secrets, as
    /// [`TwoFactorSteps::admit_client_in`](keywright_twofactor::TwoFactorSteps::admit_client_in)
    /// makes them.
    #[must_use]
    pub fn network_tag(&self, account: &AccountId, address: std::net::IpAddr) -> ClientTag {
        self.cx.driver.client_tag(account, &Network::of(address).credential())
    }

    /// Admits a network at the shared key, where its log-ins are refused because of others'
    /// guesses. It takes a login of the account whose second factor is proven or not needed, and a
    /// fresh proof of the password. It is for a page of the host about the account; the protocol
    /// has no endpoint for it.
    ///
    /// The operator lifts everything with
    /// [`guess::unlock_all`](keywright_store::guess::unlock_all).
    ///
    /// # Errors
    /// [`DueError`] if the store failed; no network was admitted, unless it is
    /// [`TransactError::Unknown`].
    pub async fn admit_network(
        &self,
        token: &Token,
        shared_key: &SharedKey,
        address: std::net::IpAddr,
    ) -> Result<NetworkAdmission, DueError> {
        admission::admit_by_session(&self.cx, token, shared_key, Network::of(address)).await
    }

    /// Admits a network at time-based codes or at the recovery code, where second factors are
    /// refused because of others' guesses. It takes a login of the account that has proven its own
    /// second factor, and a fresh code, either a time-based one or the recovery code. The code is a
    /// guess like any other, made by the token's client, and is spent. It is for a page of the host
    /// about the account; the protocol has no endpoint for it.
    ///
    /// # Errors
    /// [`DueError`] if the store failed; no network was admitted, unless it is
    /// [`TransactError::Unknown`].
    pub async fn admit_network_at_codes(
        &self,
        token: &Token,
        code: &str,
        kind: CodeKind,
        address: std::net::IpAddr,
    ) -> Result<NetworkAdmission, DueError> {
        admission::admit_by_code(&self.cx, token, code, kind, Network::of(address)).await
    }
}

/// Why the protocol cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The server's key pair could not be loaded or made.
    #[error(transparent)]
    Transact(#[from] TransactError),
    /// The driver's ledger policy is too weak for time-based codes.
    #[error(transparent)]
    TwoFactor(#[from] TwoFactorPolicyError),
}

/// A route, and the id in its path.
type Found<'r> = (&'static Row, Option<&'r str>);

/// Returns the route of a request, or the answer to a path or a method that does not exist.
fn route<'r, B>(request: &'r Request<B>, policy: &LibrePassPolicy) -> Result<Found<'r>, Box<Reply>> {
    let Some((route, id)) = ROUTES.find(request.uri().path()) else { return Err(ApiError::NOT_FOUND.reply().into()) };
    match route.other_method(request.method(), policy, || ApiError::METHOD.reply()) {
        Some(reply) => Err(reply.into()),
        None => Ok((route, id)),
    }
}

/// Returns the answer to one request; that to `HEAD` is the answer to `GET` without its body.
async fn answer<H: Host, B: AsRef<[u8]>>(cx: &Context<H>, request: &Request<B>, admitted: bool) -> Reply {
    let reply = full_answer(cx, request, admitted).await;
    if request.method() == Method::HEAD { reply.without_body() } else { reply }
}

/// Returns the answer to one request, with its body. `admitted` states whether [`refuse_unread`] has already
/// counted it.
async fn full_answer<H: Host, B: AsRef<[u8]>>(cx: &Context<H>, request: &Request<B>, admitted: bool) -> Reply {
    let (route, id) = match route(request, &cx.policy) {
        Ok(found) => found,
        Err(reply) => return *reply,
    };
    let input = Input::new(route.endpoint, id, request);
    if !admitted && let Err(error) = ahead(cx, &input) {
        return refuse(&input, &error);
    }
    if !route.takes(input.body.len(), &cx.policy) {
        return ApiError::TOO_LARGE.reply();
    }
    // What a GET does, its HEAD does not (`docs/decisions.md` 35b).
    if input.is_head && request::acts_by_get(route.endpoint) {
        return empty();
    }
    let asks_first = cx.policy.mailed_links == MailedLinks::Confirm && *input.method == Method::GET;
    if asks_first && request::is_mailed_link(route.endpoint) {
        return Reply::page(pages::VERIFY_PAGE);
    }
    let answered = serve(cx, route.needs_login, &input).await;
    answered.unwrap_or_else(|failure| refuse(&input, &failure))
}

/// Refuses a request that can be refused without its body, before any of the body is read: one over
/// the host's limits, and one without a token where the body may be as large as a vault. A request
/// that passes is counted.
async fn refuse_unread<H: Host>(cx: &Context<H>, request: &Request<()>) -> Option<Reply> {
    let (route, id) = match route(request, &cx.policy) {
        Ok(found) => found,
        Err(reply) => return Some(*reply),
    };
    let input = Input::unread(route.endpoint, id, request);
    if let Err(failure) = ahead(cx, &input) {
        return Some(refuse(&input, &failure));
    }
    if (route.max_body)(&cx.policy) <= MAX_BODY {
        return None;
    }
    cx.login(&input).await.err().map(|failure| refuse(&input, &failure))
}

/// Returns the refusals that come before anything is checked.
fn ahead<H: Host>(cx: &Context<H>, input: &Input<'_>) -> Result<(), Failure> {
    cx.admit(input, Subject::Peer)?;
    let prefetched = request::is_mailed_link(input.endpoint) && request::is_prefetch(input.headers);
    if prefetched { Err(ApiError::PREFETCH.into()) } else { Ok(()) }
}

/// Checks the token first, before anything of the body is parsed (protocol § 4), and runs the
/// endpoint.
async fn serve<H: Host>(cx: &Context<H>, needs_login: bool, input: &Input<'_>) -> Answered {
    if !needs_login {
        return endpoints::run(cx, None, input).await;
    }
    let caller = cx.login(input).await?;
    cx.admit(input, Subject::Account(caller.account()))?;
    endpoints::run(cx, Some(&caller), input).await
}

/// Returns the answer to a request that had no success: to a browser that opened a link, a page.
fn refuse(input: &Input<'_>, failure: &Failure) -> Reply {
    let error = match failure {
        Failure::Batch(error, difference) => return error.reply_with(&change::named(difference)),
        Failure::Refused(error) => *error,
        failure => match failure.busy() {
            Some(seconds) => ApiError::busy(seconds),
            None => failed(input.endpoint, failure),
        },
    };
    let is_page = request::is_for_browsers(input.endpoint) && pages::wants_page(input.headers);
    if is_page { pages::refused(&error) } else { error.reply() }
}

/// Logs a failure, and returns the answer to it.
fn failed(endpoint: Endpoint, failure: &Failure) -> ApiError {
    // These errors contain no input and no secret; their sources are the store's own messages.
    tracing::error!(endpoint = %endpoint, error = failure as &dyn std::error::Error, "request failed");
    match failure {
        Failure::Due(DueError::Transact(TransactError::Step(StepError::TooMuchDue))) => ApiError::MAIL,
        failure if failure.lacks_room() => ApiError::NO_ROOM,
        _ => ApiError::FAILED,
    }
}

impl<H> Clone for LibrePass<H> {
    fn clone(&self) -> Self {
        Self { cx: Arc::clone(&self.cx) }
    }
}

keywright_core::redacted_debug!(impl[H] LibrePass<H> { policy: cx.policy, .. });

impl<H: Host> Protocol for LibrePass<H> {
    fn limit(&self, path: &str) -> usize {
        self.max_body(path)
    }

    /// Nothing is read or looked up for a client over the host's limits, and without a token no
    /// client can make this server hold a whole vault.
    async fn refuse_unread(&self, request: &Request<()>) -> Option<Reply> {
        refuse_unread(&self.cx, request).await.map(without_referrer)
    }

    fn too_large(&self) -> Reply {
        without_referrer(ApiError::TOO_LARGE.reply())
    }

    fn broken(&self) -> Reply {
        without_referrer(ApiError::NOT_READABLE.reply())
    }

    async fn respond(&self, request: Request<Bytes>) -> Reply {
        without_referrer(answer(&self.cx, &request, true).await)
    }
}

#[cfg(feature = "tower")]
keywright_wire::tower_service!(LibrePass: Host);

#[cfg(test)]
mod tests {
    use keywright_store::Shortage;

    use super::*;

    #[test]
    fn a_store_without_room_or_in_use_by_others_is_no_fault_of_the_server() {
        let failure = |shortage: Shortage| Failure::from(TransactError::Rejected(shortage.into()));
        assert_eq!((failure(Shortage::Busy).busy(), failure(Shortage::Room).busy()), (Some(1), None));
        let room = failed(Endpoint::ALL[0], &failure(Shortage::Room)).reply();
        assert_eq!((room.status().as_u16(), room.headers().get("retry-after")), (507, None));
        assert_eq!(room.into_response().body().as_ref(), br#"{"error":"LP-Database-Error","status":507}"#);
    }
}
