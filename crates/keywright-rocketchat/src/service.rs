//! The service: login, shape, limits, endpoint, the host's work that a commit made due, and the answer.
//! Framework-neutral: `http::Request` in, `http::Response` out.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use keywright_confirm::ConfirmSteps;
use keywright_core::{AccountId, IndexKey, UnixSeconds};
use keywright_store::due::{self, DUE, DueTask};
use keywright_store::{Draft, Driver, Partition, Release, SlotName, StepError, TransactError};
use keywright_twofactor::{TwoFactorPolicyError, TwoFactorSteps};
use keywright_wire::frame::{self, HostWork, Weight};
use keywright_wire::{DueError, HostError, Network, json};
use zeroize::Zeroizing;

use crate::caller::Caller;
use crate::error::{ApiError, Wait};
use crate::host::{Admittance, EndLogins, Endpoint, Host, LoginTokenId, Mail, Named, Peer, Permission, Quota};
use crate::policy::RocketChatPolicy;
use crate::request;
use crate::unlock::{UNLOCK_MAIL, UnlockMail};
use crate::{endpoints, endpoints::Input};

/// The host's work: remove the end-to-end keys and end all logins.
pub(crate) const REMOVE_KEYS: &str = "rocketchat/remove-keys";
/// The host's work: end logins; the detail is the id of the token that stays, or nothing.
pub(crate) const END_LOGINS: &str = "rocketchat/end-logins";

/// How often a login is looked up anew for one request, because its account moved meanwhile. Then it is busy.
const LOGIN_TRIES: u32 = 3;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The protocol over a store and a host. Cheap to clone.
pub struct RocketChat<H> {
    pub(crate) parts: Arc<Parts<H>>,
}

pub(crate) struct Parts<H> {
    pub(crate) driver: Driver,
    pub(crate) host: Arc<H>,
    pub(crate) policy: RocketChatPolicy,
    pub(crate) factors: TwoFactorSteps,
    pub(crate) confirmations: ConfirmSteps,
    /// Names logins to confirmations and enrolments, and decoys.
    pub(crate) index: IndexKey,
}

/// A success: JSON text, which may hold a secret that is shown once.
pub(crate) struct Reply(Zeroizing<Vec<u8>>);

impl Reply {
    pub(crate) fn ok(body: &serde_json::Value) -> Self {
        Self(Zeroizing::new(body.to_string().into_bytes()))
    }

    pub(crate) fn success() -> Self {
        Self(Zeroizing::new(br#"{"success":true}"#.to_vec()))
    }
}

/// What an endpoint answers.
pub(crate) type Answered = Result<Result<Reply, ApiError>, Failure>;

/// Why there is no answer of the endpoint's own. All of them deny.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Transact(#[from] TransactError),
    #[error(transparent)]
    Host(#[from] HostError),
    /// The account's epochs moved after the login was looked up: it may have ended.
    #[error("the login must be looked up again")]
    Moved,
}

impl From<DueError> for Failure {
    fn from(error: DueError) -> Self {
        match error {
            DueError::Transact(error) => Self::Transact(error),
            DueError::Host(error) => Self::Host(error),
            // Named by no version of the frame yet: denied as a fault of the host.
            error => Self::Host(HostError::new(error)),
        }
    }
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        Self::Transact(error.into())
    }
}

impl<H: Host> RocketChat<H> {
    /// The protocol over a driver's store.
    ///
    /// # Errors
    /// [`TwoFactorPolicyError`] if the policy's codes are too easy to guess under the driver's ledger policy.
    pub fn new(driver: Driver, host: Arc<H>, policy: RocketChatPolicy) -> Result<Self, TwoFactorPolicyError> {
        let index = driver.keyring().index("rocketchat");
        let factors = TwoFactorSteps::new(policy.two_factor.clone(), driver.ledger_policy())?;
        let confirmations = ConfirmSteps::new(policy.confirm.clone());
        Ok(Self { parts: Arc::new(Parts { driver, host, policy, factors, confirmations, index }) })
    }

    /// The largest body that [`handle`](Self::handle) looks at, in bytes.
    #[must_use]
    pub fn max_body(&self) -> usize {
        self.parts.policy.max_body
    }

    /// Answers one request. The path is the full one, from [`BASE_PATH`](crate::BASE_PATH) on.
    pub async fn handle<B: AsRef<[u8]>>(&self, request: Request<B>) -> Response<Bytes> {
        let Some(endpoint) = request::endpoint(request.uri().path()) else {
            return refuse(&ApiError::not_found(), None);
        };
        let method = request::method(endpoint);
        if request.method() == Method::OPTIONS || request.method() != method {
            return other_method(request.method(), &method);
        }
        let mut quota = None;
        match self.parts.serve(endpoint, &request, &mut quota).await {
            Ok(Ok(Reply(body))) => {
                let mut response = json(StatusCode::OK, Bytes::copy_from_slice(&body));
                count(response.headers_mut(), quota, None);
                response
            }
            Ok(Err(error)) => refuse(&error, quota),
            Err(failure) => refuse(&self.parts.failure(endpoint, &failure), quota),
        }
    }

    /// Does what an account's commits have made due and a crash or a failing host has left. Every request of the account
    /// does so too, mails aside, for which no request waits; call it from a sweep, and before serving the account elsewhere.
    /// `at_start`: whether pauses and claims of earlier processes are passed over, at the start of a server that is alone at
    /// its store. Returns how many tasks were done.
    ///
    /// # Errors
    /// [`DueError`]; it is tried again later.
    pub async fn finish_due(&self, account: &AccountId, at_start: bool) -> Result<usize, DueError> {
        frame::finish_due(&self.parts.driver, account, &*self.parts, at_start).await
    }
}

impl<H: Host> Parts<H> {
    /// The order of checks (dossier § 2): login, shape, limits; then the endpoint.
    async fn serve<B: AsRef<[u8]>>(
        &self,
        endpoint: Endpoint,
        request: &Request<B>,
        quota: &mut Option<Quota>,
    ) -> Answered {
        // The one endpoint without a login.
        if endpoint == Endpoint::SendEmailCode {
            let input = match Input::read(endpoint, request, self.policy.max_body) {
                Ok(input) => input,
                Err(error) => return Ok(Err(error)),
            };
            return match self.admit(endpoint, request, quota) {
                Ok(()) => endpoints::send_email_code(self, &input).await,
                Err(error) => Ok(Err(error)),
            };
        }
        let mut caller = match self.login(request).await? {
            Ok(caller) => caller,
            Err(error) => return Ok(Err(error)),
        };
        let shape = request::sent_code(request.headers())
            .and_then(|sent| Ok((sent, Input::read(endpoint, request, self.policy.max_body)?)));
        let (sent, input) = match shape {
            Ok(shape) => shape,
            Err(error) => return Ok(Err(error)),
        };
        let bypasses = self.host.permitted(&caller.user.account, Permission::BypassRateLimit).await?;
        if !bypasses && let Err(error) = self.admit(endpoint, request, quota) {
            return Ok(Err(error));
        }
        for _ in 0..LOGIN_TRIES {
            match endpoints::run(self, &caller, &sent, endpoint, &input).await {
                Err(Failure::Moved) => {}
                answered => return answered,
            }
            // What was looked up may have ended since. Nothing was spent.
            caller = match self.login(request).await? {
                Ok(caller) => caller,
                Err(error) => return Ok(Err(error)),
            };
        }
        Err(TransactError::Busy.into())
    }

    /// Finds out who calls. Work that is still due may end the login, so it is done first. The first look-up only shows
    /// whose account it is; one that comes after a look at that account's epochs holds in them.
    async fn login<B>(&self, request: &Request<B>) -> Result<Result<Caller, ApiError>, Failure> {
        let peer = Peer { headers: request.headers(), extensions: request.extensions() };
        let network = self.host.client_address(peer).map(Network::of);
        let Some(credentials) = request::credentials(request.headers()) else {
            return Ok(Err(ApiError::unauthorized()));
        };
        let look_up = async || self.host.login(&credentials.user_id, &credentials.token).await;
        for _ in 0..LOGIN_TRIES {
            let Some(first) = look_up().await? else { return Ok(Err(ApiError::unauthorized())) };
            let account = &first.user.account;
            let look = |draft: &mut Draft<'_>| Ok((has_due(draft)?, draft.root()?.epochs()));
            let (due, epochs) = self.driver.observe(&Partition::account(account), &[DUE.name()], look).await?;
            if due {
                frame::finish_needed(&self.driver, account, self).await?;
                continue;
            }
            let Some(login) = look_up().await? else { return Ok(Err(ApiError::unauthorized())) };
            if login.user.account != *account {
                continue;
            }
            if login.user.username.is_none() {
                return Ok(Err(ApiError::no_username()));
            }
            return Ok(Ok(Caller::new(login, network, epochs)));
        }
        Err(TransactError::Busy.into())
    }

    fn admit<B>(&self, endpoint: Endpoint, request: &Request<B>, quota: &mut Option<Quota>) -> Result<(), ApiError> {
        let peer = Peer { headers: request.headers(), extensions: request.extensions() };
        match self.host.admit(peer, endpoint) {
            Admittance::Uncounted => Ok(()),
            Admittance::Counted(counted) => {
                *quota = Some(counted);
                Ok(())
            }
            Admittance::Full { quota: full, retry_after } => {
                *quota = Some(Quota { remaining: 0, ..full });
                Err(ApiError::too_many(Wait { seconds: retry_after.max(1), reset: full.reset }))
            }
        }
    }

    /// Does what is still due, runs a step, commits it, and does what that commit made due. While somebody is at work that
    /// ends logins nothing is decided.
    pub(crate) async fn step<T: Release + Send>(
        &self,
        account: &AccountId,
        slots: &[SlotName],
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T::Released, Failure> {
        Ok(frame::run(&self.driver, account, self, slots, step).await?)
    }

    /// The same for a caller, if the login still stands: between its look-up and this commit another request may have
    /// ended it.
    pub(crate) async fn step_for<T: Release + Send>(
        &self,
        caller: &Caller,
        slots: &[SlotName],
        mut step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T::Released, Failure> {
        let step = |draft: &mut Draft<'_>| if caller.stands(draft)? { step(draft).map(Some) } else { Ok(None) };
        self.step(&caller.user.account, slots, step).await?.ok_or(Failure::Moved)
    }

    /// Has the mail sent that a refusal of this request made due: by the host in its own time, or here and now. No request
    /// fails because of it.
    pub(crate) async fn see_to_mails(&self, account: &AccountId) {
        if self.host.mails_due(account) {
            return;
        }
        if let Err(error) = frame::finish_due(&self.driver, account, self, false).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a mail to an owner who is shut out stays due");
        }
    }

    pub(crate) fn now(&self) -> UnixSeconds {
        self.driver.clock().now().unwrap_or(UnixSeconds::EPOCH)
    }

    fn failure(&self, endpoint: Endpoint, failure: &Failure) -> ApiError {
        if matches!(failure, Failure::Moved | Failure::Transact(TransactError::Busy)) {
            return ApiError::busy(self.now());
        }
        if matches!(failure, Failure::Transact(error) if error.is_busy()) {
            return ApiError::host_busy(self.now(), 1);
        }
        if let Failure::Host(host) = failure
            && let Some(seconds) = host.retry_after()
        {
            return ApiError::host_busy(self.now(), seconds);
        }
        // No input and no secret is in these errors; their sources are the store's and the host's own words.
        tracing::error!(endpoint = %endpoint, error = failure as &dyn std::error::Error, "request failed");
        ApiError::failed()
    }
}

impl<H: Host> HostWork for Parts<H> {
    fn weight(&self, name: &str) -> Option<Weight> {
        match name {
            // Each of them ends logins, so one that fails stands in the way of every request of the account.
            REMOVE_KEYS | END_LOGINS => Some(Weight::Blocking),
            UNLOCK_MAIL => Some(Weight::Later),
            _ => None,
        }
    }

    async fn work(&self, account: &AccountId, task: &DueTask) -> Result<(), HostError> {
        match task.name.as_str() {
            REMOVE_KEYS => self.host.remove_keys(account).await,
            END_LOGINS if task.detail.is_empty() => self.host.end_logins(account, &EndLogins::All).await,
            END_LOGINS => {
                let kept = LoginTokenId(String::from_utf8_lossy(&task.detail).into_owned());
                self.host.end_logins(account, &EndLogins::OthersThan(kept)).await
            }
            UNLOCK_MAIL => {
                let mail = UnlockMail::of(account, task);
                let mail = mail.ok_or_else(|| HostError::new("a mail's record has an unknown form"))?;
                let user = self.host.find_user(Named::Account(account)).await?;
                let Some(user) = user.filter(|user| !user.verified_emails.is_empty()) else { return Ok(()) };
                self.host.mail(&user, Mail::ShutOut(&mail)).await.map_err(HostError::new)
            }
            _ => Err(HostError::new("a task of another part was claimed")),
        }
    }
}

/// Whether work of this protocol is due that may end the login, somebody at it or not.
fn has_due(draft: &mut Draft<'_>) -> Result<bool, StepError> {
    Ok(due::pending(draft)?.iter().any(|task| [REMOVE_KEYS, END_LOGINS].contains(&task.name.as_str())))
}

fn refuse(error: &ApiError, quota: Option<Quota>) -> Response<Bytes> {
    let mut response = json(error.status, error.body());
    count(response.headers_mut(), quota, error.wait);
    response
}

/// The three headers of a counted call. A wait has its own end, and is told to every caller; the guess ledger's leaves the
/// calls that are left as they are.
fn count(headers: &mut HeaderMap, quota: Option<Quota>, wait: Option<Wait>) {
    if let Some(quota) = quota {
        headers.insert(LIMIT, HeaderValue::from(quota.limit));
        headers.insert(REMAINING, HeaderValue::from(quota.remaining));
        headers.insert(RESET, HeaderValue::from(quota.reset));
    }
    if let Some(wait) = wait {
        headers.insert(RESET, HeaderValue::from(wait.reset));
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.seconds));
    }
}

/// OPTIONS acts on nothing and allows no other origin; nor does any other method act.
fn other_method(sent: &Method, right: &Method) -> Response<Bytes> {
    let mut response = if sent == Method::OPTIONS {
        json(StatusCode::NO_CONTENT, Bytes::new())
    } else {
        refuse(&ApiError::wrong_method(), None)
    };
    let allow = if right == Method::GET { "GET, OPTIONS" } else { "POST, OPTIONS" };
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// A body over the limit: said before anything is looked at, login included.
#[cfg(feature = "tower")]
pub(crate) fn too_large() -> Response<Bytes> {
    refuse(&ApiError::too_large(), None)
}

/// A body that ended in an error of the connection.
#[cfg(feature = "tower")]
pub(crate) fn broken() -> Response<Bytes> {
    refuse(&ApiError::invalid_params("must be valid JSON"), None)
}

impl<H> Clone for RocketChat<H> {
    fn clone(&self) -> Self {
        Self { parts: Arc::clone(&self.parts) }
    }
}

impl<H> std::fmt::Debug for RocketChat<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocketChat").field("policy", &self.parts.policy).finish_non_exhaustive()
    }
}
