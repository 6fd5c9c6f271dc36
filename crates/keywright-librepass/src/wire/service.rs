//! The service: route, method, limits, token, endpoint, answer. Framework-neutral: `http::Request` in, `http::Response`
//! out.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ALLOW, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, RETRY_AFTER,
};
use http::{Method, Request, Response, StatusCode};
use keywright_core::{AccountId, ClientTag, IndexKey, SecretBytes};
use keywright_rekey::{LimitsError, VaultError, VaultPolicy, Vaults};
use keywright_store::due::{self, DUE, DueTask};
use keywright_store::names::Names;
use keywright_store::{Draft, Driver, Partition, Plain, Release, SlotName, StepError, TransactError, VaultStore};
use keywright_twofactor::{CodeKind, TwoFactorPolicyError, TwoFactorSteps};
use keywright_wire::{DueError, Network};
use zeroize::Zeroizing;

use crate::account::mails;
use crate::account::tokens::{self, Login};
use crate::account::unlock::NetworkAdmission;
use crate::policy::{LibrePassPolicy, MAX_BODY, MailedLinks, VERIFICATION_PATH};
use crate::protocol::handshake::HandshakeKeys;
use crate::protocol::keys::{PrivateKey, PublicKey, SharedKey};
use crate::protocol::token::Token;
use crate::wire::endpoints;
use crate::wire::error::ApiError;
use crate::wire::host::{Admittance, Endpoint, Host, Subject};
use crate::wire::request::{self, Input};

/// The protocol over a store and a host. Cheap to clone.
pub struct LibrePass<H> {
    parts: Arc<Parts<H>>,
}

pub(crate) struct Parts<H> {
    pub(crate) driver: Driver,
    pub(crate) vaults: Vaults,
    pub(crate) names: Names,
    pub(crate) keys: HandshakeKeys,
    pub(crate) factors: TwoFactorSteps,
    pub(crate) host: Arc<H>,
    pub(crate) policy: LibrePassPolicy,
    /// Hashes the codes of mailed links.
    pub(crate) links: IndexKey,
    /// What unknown addresses are answered with.
    pub(crate) decoys: IndexKey,
    /// Whose shared keys are computed for an unknown address.
    pub(crate) decoy_key: PublicKey,
}

/// A success.
pub(crate) enum Reply {
    /// JSON text, which may hold a secret that is shown once.
    Json(StatusCode, Zeroizing<Vec<u8>>),
    /// To the page that says that an address is verified.
    Verified,
    /// A page.
    Page(Bytes),
}

impl Reply {
    /// 200 with `{}`.
    pub(crate) fn empty() -> Self {
        Self::Json(StatusCode::OK, Zeroizing::new(b"{}".to_vec()))
    }

    /// 201 with `{}`.
    pub(crate) fn created() -> Self {
        Self::Json(StatusCode::CREATED, Zeroizing::new(b"{}".to_vec()))
    }

    /// 200 with a value. `Debug` errors of a serializer cannot happen for the plain values that are answered here.
    pub(crate) fn json(value: &impl serde::Serialize) -> Result<Self, Failure> {
        Self::json_with(StatusCode::OK, value)
    }

    pub(crate) fn json_with(status: StatusCode, value: &impl serde::Serialize) -> Result<Self, Failure> {
        match serde_json::to_vec(value) {
            Ok(body) => Ok(Self::Json(status, Zeroizing::new(body))),
            Err(_) => Err(StepError::Misuse("an answer that is no JSON").into()),
        }
    }
}

/// What an endpoint answers.
pub(crate) type Answered = Result<Reply, Failure>;

/// Why there is no success. All of them deny; none says that a change was refused when it may have happened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The endpoint's own answer.
    #[error("the request is refused")]
    Refused(ApiError),
    #[error(transparent)]
    Transact(#[from] TransactError),
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        Self::Transact(error.into())
    }
}

/// Who calls with a token that is good, its second factor proven or not needed. Looked up without a commit: whatever
/// changes or grants something asks [`tokens::verify_in`] once more in the commit that does it.
pub(crate) struct Caller {
    pub(crate) token: Token,
    pub(crate) login: Login,
}

impl Caller {
    pub(crate) const fn account(&self) -> &AccountId {
        self.login.user.account()
    }
}

impl<H: Host> LibrePass<H> {
    /// The protocol over a driver's store, which also keeps the vaults. Draws the server's key pair in a store that has
    /// none.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is served then.
    pub async fn open(
        driver: Driver,
        vault_store: Arc<dyn VaultStore>,
        host: Arc<H>,
        policy: LibrePassPolicy,
    ) -> Result<Self, OpenError> {
        let keyring = driver.keyring();
        let (links, decoys) = (keyring.index("link"), keyring.index("decoy"));
        let mut decoy_key = SecretBytes::zeroed();
        decoy_key.expose_mut().copy_from_slice(&decoys.mac(&[b"librepass-key"]));
        let vaults = VaultPolicy::default().with_most_ciphers(policy.vault_limit)?;
        let parts = Parts {
            keys: HandshakeKeys::load(driver.clone()).await?,
            names: Names::new(driver.clone()),
            factors: TwoFactorSteps::new(policy.two_factor.clone(), driver.ledger_policy())?,
            vaults: Vaults::new(driver.clone(), vault_store, vaults),
            driver,
            host,
            policy,
            links,
            decoys,
            decoy_key: PrivateKey::from_secret(decoy_key).public_key(),
        };
        Ok(Self { parts: Arc::new(parts) })
    }

    /// The largest body that [`handle`](Self::handle) looks at for a path, in bytes.
    #[must_use]
    pub fn max_body(&self, path: &str) -> usize {
        request::endpoint(path).map_or(MAX_BODY, |(endpoint, _)| request::max_body(endpoint, &self.parts.policy))
    }

    /// Answers one request. The path is the full one, from `/api/` on, or [`INFO_PATH`](crate::INFO_PATH).
    pub async fn handle<B: AsRef<[u8]>>(&self, request: Request<B>) -> Response<Bytes> {
        self.answer(&request, false).await
    }

    /// `admitted`: [`refuse_unread`](Self::refuse_unread) has counted this request already.
    pub(crate) async fn answer<B: AsRef<[u8]>>(&self, request: &Request<B>, admitted: bool) -> Response<Bytes> {
        let (endpoint, id) = match route(request, &self.parts.policy) {
            Ok(route) => route,
            Err(refusal) => return *refusal,
        };
        let input = Input::new(endpoint, id, request);
        if !admitted && let Some(error) = self.parts.ahead(&input) {
            return refuse(&error);
        }
        if input.body.len() > request::max_body(endpoint, &self.parts.policy) {
            return refuse(&ApiError::TOO_LARGE);
        }
        let asks_first = self.parts.policy.mailed_links == MailedLinks::Confirm && input.method == Method::GET;
        if asks_first && request::is_mailed_link(endpoint) {
            return page(VERIFY_PAGE.into());
        }
        match self.parts.serve(&input).await {
            Ok(Reply::Json(status, body)) => json(status, Bytes::copy_from_slice(&body)),
            Ok(Reply::Verified) => self.parts.verified(),
            Ok(Reply::Page(html)) => page(html),
            Err(failure) => refuse(&self.parts.failure(endpoint, &failure)),
        }
    }

    /// Sends the mails that an account's commits have made due and a failure or a crash has left. A request with the
    /// account's token does so too; call it from a sweep. Returns how many went out.
    ///
    /// All are tried; one that fails is tried again after a pause, which grows from seconds to an hour.
    ///
    /// # Errors
    /// [`DueError`]: the store failed, or the host at one of them.
    pub async fn finish_due(&self, account: &AccountId) -> Result<usize, DueError> {
        self.parts.finish_mails(account, false).await
    }

    /// The same whatever pauses there are and whoever has claimed a mail: for the start of a server that is alone at its
    /// store, where every earlier claim is a dead process's.
    ///
    /// # Errors
    /// As [`finish_due`](Self::finish_due).
    pub async fn finish_due_at_start(&self, account: &AccountId) -> Result<usize, DueError> {
        self.parts.finish_mails(account, true).await
    }

    /// The tag by which an account's guess ledger knows the network of an address: for admissions at other secrets, as
    /// [`TwoFactorSteps::admit_client_in`](keywright_twofactor::TwoFactorSteps::admit_client_in) makes them.
    #[must_use]
    pub fn network_tag(&self, account: &AccountId, address: std::net::IpAddr) -> ClientTag {
        self.parts.driver.client_tag(account, &Network::of(address).credential())
    }

    /// Lets a network in at the shared key whose log-ins are refused because of the guesses of others: by a login of the
    /// account whose second factor is proven or not needed, and a fresh proof of the password. For a host's page of the
    /// account; the wire has no endpoint for it.
    ///
    /// The operator lifts everything at once with
    /// [`guess::unlock_all`](keywright_store::guess::unlock_all).
    ///
    /// # Errors
    /// [`TransactError`]; nobody was let in, unless it is [`TransactError::Unknown`].
    pub async fn admit_network(
        &self,
        token: &Token,
        shared_key: &SharedKey,
        address: std::net::IpAddr,
    ) -> Result<NetworkAdmission, TransactError> {
        admitted(self.parts.admit_by_session(token, shared_key, Network::of(address)).await)
    }

    /// Lets a network in at time-based codes or at the recovery code, where second factors are refused because of the
    /// guesses of others: by a login of the account that has proven its own, and a fresh code, either a time-based one or
    /// the recovery code. The code is a guess like any other, made by the token's client, and is spent. For a host's page of
    /// the account; the wire has no endpoint for it.
    ///
    /// # Errors
    /// [`TransactError`]; nobody was let in, unless it is [`TransactError::Unknown`].
    pub async fn admit_network_at_codes(
        &self,
        token: &Token,
        code: &str,
        kind: CodeKind,
        address: std::net::IpAddr,
    ) -> Result<NetworkAdmission, TransactError> {
        admitted(self.parts.admit_by_code(token, code, kind, Network::of(address)).await)
    }

    /// Refuses what needs no body to be refused, before any of it is read: what is beyond the host's limits, and where a
    /// vault's worth of it is taken, who has no token. Whatever it lets through is counted.
    #[cfg(feature = "tower")]
    pub(crate) async fn refuse_unread(&self, request: &Request<()>) -> Option<Response<Bytes>> {
        let request = Request::from_parts(request_head(request), Bytes::new());
        let (endpoint, id) = match route(&request, &self.parts.policy) {
            Ok(route) => route,
            Err(refusal) => return Some(*refusal),
        };
        let input = Input::new(endpoint, id, &request);
        if let Some(error) = self.parts.ahead(&input) {
            return Some(refuse(&error));
        }
        if request::max_body(endpoint, &self.parts.policy) <= MAX_BODY {
            return None;
        }
        match self.parts.login(&input).await {
            Ok(_) => None,
            Err(failure) => Some(refuse(&self.parts.failure(endpoint, &failure))),
        }
    }
}

fn admitted(admission: Result<NetworkAdmission, Failure>) -> Result<NetworkAdmission, TransactError> {
    admission.map_err(|failure| match failure {
        Failure::Transact(error) => error,
        _ => StepError::Misuse("a failure that admissions do not have").into(),
    })
}

impl<H: Host> Parts<H> {
    /// What is refused before anything is looked at.
    fn ahead(&self, input: &Input<'_>) -> Option<ApiError> {
        if let Err(Failure::Refused(error)) = self.admit(input, Subject::Peer) {
            return Some(error);
        }
        let prefetched = request::is_mailed_link(input.endpoint) && request::is_prefetch(input.headers);
        prefetched.then_some(ApiError::PREFETCH)
    }

    /// The token first, before anything of the body is read (dossier § 4).
    async fn serve(&self, input: &Input<'_>) -> Answered {
        if !request::needs_token(input.endpoint) {
            return endpoints::run_open(self, input).await;
        }
        let caller = self.login(input).await?;
        self.admit(input, Subject::Account(caller.account()))?;
        endpoints::run(self, &caller, input).await
    }

    /// The host's limits of requests.
    pub(crate) fn admit(&self, input: &Input<'_>, subject: Subject<'_>) -> Result<(), Failure> {
        match self.host.admit(input.endpoint, input.peer(), subject) {
            Admittance::Open => Ok(()),
            Admittance::Full { retry_after } => Err(ApiError::too_many(retry_after).into()),
        }
    }

    /// Runs a step in the frame of every endpoint: the step and its commit, and then the mails that are due, by it or from
    /// before.
    pub(crate) async fn act<T: Release + Send>(
        &self,
        account: &AccountId,
        slots: &[SlotName],
        mut step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T::Released, Failure> {
        let slots: Vec<SlotName> = std::iter::once(DUE.name()).chain(slots.iter().copied()).collect();
        let framed = |draft: &mut Draft<'_>| {
            // Another protocol's erasure of the same account: nothing may be stored until it is done.
            if draft.exists() && due::pending(draft)?.iter().any(DueTask::is_blocking) {
                return Ok((None, Plain(false)));
            }
            // The step says for itself what a missing account means.
            let value = step(draft)?;
            Ok((Some(value), Plain(draft.exists() && mails::owes(draft)?)))
        };
        let (value, owes) = self.driver.run(&Partition::account(account), &slots, framed).await?;
        let value = value.ok_or(TransactError::Busy)?;
        if owes {
            self.see_to_mails(account).await;
        }
        Ok(value)
    }

    /// Finds out who calls. A token whose second factor is not proven may do nothing here (dossier § 11, 1).
    async fn login(&self, input: &Input<'_>) -> Result<Caller, Failure> {
        let token = request::token(input.headers).ok_or(ApiError::INVALID_TOKEN)?;
        let account = token.user().account();
        let partition = Partition::account(account);
        let slots = [tokens::TOKEN.at(token.slot()).name(), DUE.name()];
        let look = |draft: &mut Draft<'_>| {
            let login = tokens::verify_in(draft, &token)?.filter(Login::may_act);
            let owes = login.is_some() && mails::owes(draft)?;
            Ok(login.map(|login| (login.is_stale(draft.now()), owes, login)))
        };
        let (stale, owes, login) =
            self.driver.observe(&partition, &slots, look).await?.ok_or(ApiError::INVALID_TOKEN)?;
        if stale {
            let touch = |draft: &mut Draft<'_>| match tokens::verify_in(draft, &token)? {
                Some(mut login) => tokens::touch_in(draft, &mut login),
                None => Ok(()),
            };
            self.driver.transact(&partition, &slots, touch).await?;
        }
        if owes {
            self.see_to_mails(account).await;
        }
        Ok(Caller { token, login })
    }

    fn verified(&self) -> Response<Bytes> {
        let mut response = json(StatusCode::FOUND, Bytes::from_static(b"{}"));
        // The policy took no address with a character that a header cannot have.
        if let Ok(location) = HeaderValue::try_from(format!("{}{VERIFICATION_PATH}", self.policy.web_url)) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }

    fn failure(&self, endpoint: Endpoint, failure: &Failure) -> ApiError {
        match failure {
            Failure::Refused(error) => return *error,
            Failure::Transact(TransactError::Busy) | Failure::Vault(VaultError::Transact(TransactError::Busy)) => {
                return ApiError::BUSY;
            }
            _ => {}
        }
        // No input and no secret is in these errors; their sources are the store's own words.
        tracing::error!(endpoint = %endpoint, error = failure as &dyn std::error::Error, "request failed");
        match failure {
            Failure::Transact(TransactError::Step(StepError::TooMuchDue)) => ApiError::MAIL,
            _ => ApiError::FAILED,
        }
    }
}

/// Why the protocol cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The server's key pair could not be loaded or made.
    #[error(transparent)]
    Transact(#[from] TransactError),
    /// The driver's ledger policy does not guard time-based codes.
    #[error(transparent)]
    TwoFactor(#[from] TwoFactorPolicyError),
    /// The vault limit is beyond what a vault can hold; the policy's builder takes no such limit.
    #[error(transparent)]
    Limits(#[from] LimitsError),
}

/// Endpoint and method.
fn route<'r, B>(
    request: &'r Request<B>,
    policy: &LibrePassPolicy,
) -> Result<(Endpoint, Option<&'r str>), Box<Response<Bytes>>> {
    let Some((endpoint, id)) = request::endpoint(request.uri().path()) else {
        return Err(refuse(&ApiError::NOT_FOUND).into());
    };
    let methods = request::methods(endpoint, policy.mailed_links);
    if methods.contains(request.method()) {
        Ok((endpoint, id))
    } else {
        Err(other_method(request.method(), methods).into())
    }
}

#[cfg(feature = "tower")]
fn request_head(request: &Request<()>) -> http::request::Parts {
    request.clone().into_parts().0
}

fn refuse(error: &ApiError) -> Response<Bytes> {
    let mut response = json(error.status, error.body());
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn json(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = keywright_wire::json(status, body);
    // The address of a mailed link holds its code.
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// OPTIONS acts on nothing and allows no other origin; nor does any other method act.
fn other_method(sent: &Method, right: &[Method]) -> Response<Bytes> {
    let mut response =
        if sent == Method::OPTIONS { json(StatusCode::NO_CONTENT, Bytes::new()) } else { refuse(&ApiError::METHOD) };
    let names: Vec<&str> = right.iter().chain([&Method::OPTIONS]).map(Method::as_str).collect();
    if let Ok(allow) = HeaderValue::try_from(names.join(", ")) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

/// A button for what a GET must not do by itself. The form goes to the very address that was opened.
const VERIFY_PAGE: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Verify your address</title>\
    </head><body><form method=\"post\"><p>Do you want to verify this e-mail address?</p>\
    <button type=\"submit\">Verify</button></form></body></html>";

fn page(html: Bytes) -> Response<Bytes> {
    let mut response = json(StatusCode::OK, html);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    let policy = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    response
}

/// A body over the limit: said before anything of it is looked at.
#[cfg(feature = "tower")]
pub(crate) fn too_large() -> Response<Bytes> {
    refuse(&ApiError::TOO_LARGE)
}

/// A body that ended in an error of the connection.
#[cfg(feature = "tower")]
pub(crate) fn broken() -> Response<Bytes> {
    refuse(&ApiError::NOT_READABLE)
}

impl<H> Clone for LibrePass<H> {
    fn clone(&self) -> Self {
        Self { parts: Arc::clone(&self.parts) }
    }
}

impl<H> std::fmt::Debug for LibrePass<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LibrePass").field("policy", &self.parts.policy).finish_non_exhaustive()
    }
}
