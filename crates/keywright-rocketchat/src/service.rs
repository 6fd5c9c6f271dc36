//! The service: login, shape, limits, endpoint, the host's work that a commit made due, and the
//! answer. It is independent of any framework: `http::Request` in, `http::Response` out.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use keywright_confirm::ConfirmSteps;
use keywright_core::{AccountId, ClientAdmission, ClientTag, Generation, SecretString};
use keywright_store::due::DUE;
use keywright_store::guess::{self, LEDGER};
use keywright_store::{Draft, Driver, Partition, StepError, TransactError};
use keywright_twofactor::{StepUp, TwoFactorPolicyError, TwoFactorSteps};
use keywright_wire::{Decoys, DueError, HostError, Network, Peer, Protocol, RefusedBy, Reply, Route, frame};

use crate::answer::{Answered, Failure, counted, refuse};
use crate::challenge::{self, LoginChallenge};
use crate::context::{Caller, Context, has_due, login_credential};
use crate::endpoints;
use crate::error::{ApiError, Wait};
use crate::host::{Admittance, Endpoint, Host, Named, Permission, Quota};
use crate::login_code;
use crate::policy::{ORIGIN, RocketChatPolicy};
use crate::request::{self, Call, Input};
use crate::unlock::{GuessedSecret, LOGIN_PASSWORD, Link, MailAdmits};
use crate::user::LoginTokenId;

/// How often a login is looked up for one request, because its account moved meanwhile. After that
/// the account counts as busy.
const LOGIN_TRIES: u32 = 3;

/// The protocol over a store and a host. Cheap to clone.
pub struct RocketChat<H> {
    cx: Arc<Context<H>>,
}

impl<H: Host> RocketChat<H> {
    /// Returns the protocol over a driver's store.
    ///
    /// # Errors
    /// [`TwoFactorPolicyError`] if the policy's codes are too easy to guess under the driver's
    /// ledger policy.
    pub fn new(driver: Driver, host: Arc<H>, policy: RocketChatPolicy) -> Result<Self, TwoFactorPolicyError> {
        let index = driver.keyring().index("rocketchat");
        let decoys = Decoys::new(driver.keyring());
        let factors = TwoFactorSteps::new(policy.two_factor.clone(), driver.ledger_policy())?.through(ORIGIN);
        let confirmations = ConfirmSteps::new(policy.confirm.clone());
        let driver = driver.named("rocketchat");
        Ok(Self { cx: Arc::new(Context { driver, host, policy, factors, confirmations, index, decoys }) })
    }

    /// Returns the largest body that [`handle`](Self::handle) accepts, in bytes.
    #[must_use]
    pub fn max_body(&self) -> usize {
        self.cx.policy.max_body
    }

    /// Answers one request. Its path is the full one, including [`BASE_PATH`](crate::BASE_PATH).
    pub async fn handle<B: AsRef<[u8]>>(&self, request: Request<B>) -> Response<Bytes> {
        answer(&self.cx, &request).await.into_response()
    }

    /// Does the work that an account's commits made due and that a crash or a failing host has left
    /// undone. Every request of the account does so too, except for mails, for which no request
    /// waits. Call it from a sweep, and before serving the account elsewhere. With `at_start`,
    /// pauses and the claims of earlier processes are ignored; use it at the start of a server that
    /// is alone at its store. Returns how many tasks were done.
    ///
    /// # Errors
    /// [`DueError`] if the store or the host failed; the work is tried again later.
    pub async fn finish_due(&self, account: &AccountId, at_start: bool) -> Result<usize, DueError> {
        frame::finish_due(&self.cx.driver, account, &*self.cx, at_start).await
    }
}

/// Log-ins that begin with the host.
impl<H: Host> RocketChat<H> {
    /// Makes a two-factor challenge for a log-in whose **first factor the host has just seen**, for
    /// example from an identity provider. The client sends its id to
    /// `twoFactorChallenges.verifyChallenge` with a code, within five minutes and with at most
    /// [`CHALLENGE_TRIES`](crate::CHALLENGE_TRIES) wrong codes. Returns `None` if the account's
    /// log-ins require no second factor, so that the host can let the user in itself.
    ///
    /// # Errors
    /// [`DueError`] if the store or the host failed, or the host knows no such user.
    pub async fn create_challenge(&self, account: &AccountId) -> Result<Option<LoginChallenge>, DueError> {
        let user = self.cx.host.find_user(Named::Account(account)).await?;
        let user = user.ok_or_else(|| HostError::new("a challenge is for a user who exists"))?;
        Ok(challenge::create(&self.cx, account, &user).await?)
    }

    /// Makes a login code for an account whose log-in is **complete**, second factor included: who
    /// sends it to `loginCode.redeem` within [`LOGIN_CODE_SECONDS`](crate::LOGIN_CODE_SECONDS) gets
    /// a login token, once. The code has 64 characters of lower-case hex.
    ///
    /// # Errors
    /// [`TransactError`] if the store failed; there is no code then.
    pub async fn create_login_code(&self, account: &AccountId) -> Result<SecretString, TransactError> {
        login_code::create(&self.cx, account).await
    }
}

/// The ways in for an owner whom other clients have locked out.
impl<H: Host> RocketChat<H> {
    /// Admits a client by the link of a mail ([`Mail::ShutOut`](crate::Mail::ShutOut)), for ten
    /// tries at the login password within an hour. Call it for the POST of the page's button, never
    /// for a GET: mail scanners follow links. Returns `None` if the link has expired.
    ///
    /// # Errors
    /// [`TransactError`] if the store failed; nobody is admitted.
    pub async fn admit_by_mail(
        &self,
        token: &str,
        admits: MailAdmits,
    ) -> Result<Option<ClientAdmission>, TransactError> {
        let Some(link) = Link::parse(token) else { return Ok(None) };
        let tag = match admits {
            MailAdmits::Address(address) => self.network_tag(&link.account, address),
            MailAdmits::Refused => link.refused,
        };
        let step = |draft: &mut Draft<'_>| {
            match draft.root() {
                Err(StepError::NoAccount) => return Ok(None),
                root => root?,
            };
            guess::unlock_mail_clicked(draft, LOGIN_PASSWORD, Generation::HOST, link.ticket, tag)
        };
        self.on_ledger(&link.account, step).await
    }

    /// Admits one client of the account, for ten tries within an hour, by a fresh proof from a
    /// session of the account: a step-up for [`ADMIT_CLIENT`](keywright_twofactor::ADMIT_CLIENT).
    /// At the login password every method is sufficient, at mailed codes a mailed code or a
    /// stronger method. Returns `None` if the proof does not allow it.
    ///
    /// # Errors
    /// [`TransactError`] if the store failed; nobody is admitted.
    pub async fn admit_client(
        &self,
        proof: StepUp,
        secret: GuessedSecret,
        client: ClientTag,
    ) -> Result<Option<ClientAdmission>, TransactError> {
        let (kind, generation) = secret.kind();
        let step = |draft: &mut Draft<'_>| {
            if !proof.admits_in(draft, secret.method())? {
                return Ok(None);
            }
            guess::admit_client(draft, kind, generation, client).map(Some)
        };
        self.on_ledger(proof.account(), step).await
    }

    /// Lifts the waits and limits of a secret. Only the operator should do so. Returns whether
    /// there was anything to lift.
    ///
    /// # Errors
    /// [`TransactError`] if the store failed; nothing is lifted.
    pub async fn unlock(&self, account: &AccountId, secret: GuessedSecret) -> Result<bool, TransactError> {
        let (kind, generation) = secret.kind();
        self.on_ledger(account, |draft| guess::unlock(draft, kind, generation)).await
    }

    /// Records that the host has changed an account's login password. The wrong guesses at the old
    /// password no longer count. Logins that were known stay known, and those in `changed_by`
    /// become known: pass the login that made the change.
    ///
    /// # Errors
    /// [`TransactError`] if the store failed; call this again.
    pub async fn password_changed(&self, account: &AccountId, changed_by: &[ClientTag]) -> Result<(), TransactError> {
        let host = Generation::HOST;
        self.on_ledger(account, |draft| guess::renew(draft, LOGIN_PASSWORD, host, host, changed_by)).await
    }

    /// Returns the tag by which the guess ledger knows a login.
    #[must_use]
    pub fn login_tag(&self, account: &AccountId, login: &LoginTokenId) -> ClientTag {
        self.cx.driver.client_tag(account, &login_credential(login))
    }

    /// Returns the tag by which the guess ledger knows the network of an address.
    #[must_use]
    pub fn network_tag(&self, account: &AccountId, address: IpAddr) -> ClientTag {
        self.cx.driver.client_tag(account, &Network::of(address).credential())
    }

    async fn on_ledger<T: Send>(
        &self,
        account: &AccountId,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T, TransactError> {
        self.cx.driver.transact(&account.into(), &[LEDGER.name()], step).await
    }
}

/// Returns the answer to one request.
async fn answer<H: Host, B: AsRef<[u8]>>(cx: &Context<H>, request: &Request<B>) -> Reply {
    let Some(route) = request::find(request.uri().path()) else { return refuse(&ApiError::not_found(), None) };
    let wrong = || refuse(&ApiError::wrong_method(), None);
    // Monitors use HEAD where they would use GET.
    let head = request.method() == Method::HEAD && route.endpoint.is_read();
    let other = || route.other_method(request.method(), &cx.policy, wrong);
    if let Some(reply) = if head { None } else { other() } {
        return reply;
    }
    let reply = answer_call(cx, route, request).await;
    if head { reply.without_body() } else { reply }
}

/// Returns the answer to a request whose method acts.
async fn answer_call<H: Host, B: AsRef<[u8]>>(
    cx: &Context<H>,
    route: &Route<Endpoint, RocketChatPolicy>,
    request: &Request<B>,
) -> Reply {
    let mut quota = None;
    let error = match serve(cx, route, request, &mut quota).await {
        Ok(reply) => return counted(reply, quota),
        Err(Failure::Refused(error)) => error,
        Err(Failure::Moved) => ApiError::busy(cx.now(), 1, Some(RefusedBy::ACCOUNT_BUSY)),
        Err(Failure::Due(failure)) if failure.is_busy() => {
            ApiError::busy(cx.now(), failure.retry_after().unwrap_or(1), failure.refused_by())
        }
        Err(Failure::Due(failure)) => failed(cx, route.endpoint, &failure),
    };
    refuse(&error, quota)
}

/// Returns the answer to a fault of the store or the host.
fn failed<H: Host>(cx: &Context<H>, endpoint: Endpoint, failure: &DueError) -> ApiError {
    if let Some(seconds) = failure.retry_after() {
        return ApiError::host_busy(cx.now(), seconds, failure.refused_by());
    }
    // These errors contain no input and no secret; their sources are the messages of the store and
    // the host.
    tracing::error!(endpoint = %endpoint, error = failure as &dyn std::error::Error, "request failed");
    if failure.lacks_room() { ApiError::no_room() } else { ApiError::failed() }
}

/// Runs the checks in order (protocol § 2): login, shape, limits; then the endpoint.
async fn serve<H: Host, B: AsRef<[u8]>>(
    cx: &Context<H>,
    route: &Route<Endpoint, RocketChatPolicy>,
    request: &Request<B>,
    quota: &mut Option<Quota>,
) -> Answered {
    let endpoint = route.endpoint;
    let early = if route.needs_login { Some(login(cx, request).await?) } else { None };
    let input = Input::read(route, request, &cx.policy)?;
    let call = match &input.call {
        Call::Open(call) => {
            admit(cx, endpoint, input.peer, quota)?;
            let network = cx.host.client_address(input.peer).map(Network::of);
            return endpoints::run_open(cx, network, &input.sent, call).await;
        }
        Call::LoggedIn(call) => call,
    };
    let mut caller = match early {
        Some(caller) => caller,
        None => login(cx, request).await?,
    };
    if !cx.host.permitted(&caller.user.account, Permission::BypassRateLimit).await? {
        admit(cx, endpoint, input.peer, quota)?;
    }
    for _ in 0..LOGIN_TRIES {
        match endpoints::run(cx, &caller, &input.sent, call).await {
            Err(Failure::Moved) => {}
            answered => return answered,
        }
        // The login that was looked up may have ended since. Nothing was spent.
        caller = login(cx, request).await?;
    }
    Err(TransactError::Busy.into())
}

/// Determines who calls. Work that is still due may end the login, so it is done first. The first
/// look-up only shows whose account it is; the second, which comes after that account's epochs were
/// read, is valid as long as they do not move.
async fn login<H: Host, B>(cx: &Context<H>, request: &Request<B>) -> Result<Caller, Failure> {
    let network = cx.host.client_address(Peer::of(request)).map(Network::of);
    let credentials = request::credentials(request.headers()).ok_or_else(ApiError::unauthorized)?;
    let look_up = async || cx.host.login(&credentials.user_id, &credentials.token).await;
    for _ in 0..LOGIN_TRIES {
        let first = look_up().await?.ok_or_else(ApiError::unauthorized)?;
        let account = &first.user.account;
        let look = |draft: &mut Draft<'_>| Ok((has_due(draft)?, draft.root()?.epochs()));
        let (due, epochs) = cx.driver.observe(&Partition::account(account), &[DUE.name()], look).await?;
        if due {
            frame::finish_needed(&cx.driver, account, cx).await?;
            continue;
        }
        let login = look_up().await?.ok_or_else(ApiError::unauthorized)?;
        if login.user.account != *account {
            continue;
        }
        if login.user.username.is_none() {
            return Err(ApiError::no_username().into());
        }
        return Ok(Caller::new(login, credentials, network, epochs));
    }
    Err(TransactError::Busy.into())
}

/// Applies the host's request limits.
fn admit<H: Host>(
    cx: &Context<H>,
    endpoint: Endpoint,
    peer: Peer<'_>,
    quota: &mut Option<Quota>,
) -> Result<(), ApiError> {
    match cx.host.admit(peer, endpoint) {
        Admittance::Uncounted => Ok(()),
        Admittance::Counted(counted) => {
            *quota = Some(counted);
            Ok(())
        }
        Admittance::Full { quota: full, retry_after } => {
            *quota = Some(Quota { remaining: 0, ..full });
            let wait = Wait { seconds: retry_after.max(1), reset: full.reset };
            Err(ApiError::over_limit(wait, RefusedBy::REQUESTS_OF_PEER))
        }
    }
}

impl<H> Clone for RocketChat<H> {
    fn clone(&self) -> Self {
        Self { cx: Arc::clone(&self.cx) }
    }
}

keywright_core::redacted_debug!(impl[H] RocketChat<H> { policy: cx.policy, .. });

impl<H: Host> Protocol for RocketChat<H> {
    fn limit(&self, path: &str) -> usize {
        request::find(path).map_or_else(|| self.max_body(), |route| (route.max_body)(&self.cx.policy))
    }

    fn too_large(&self) -> Reply {
        refuse(&ApiError::too_large(), None)
    }

    fn broken(&self) -> Reply {
        refuse(&ApiError::invalid_params("must be valid JSON"), None)
    }

    async fn respond(&self, request: Request<Bytes>) -> Reply {
        answer(&self.cx, &request).await
    }
}

#[cfg(feature = "tower")]
keywright_wire::tower_service!(RocketChat: Host);
