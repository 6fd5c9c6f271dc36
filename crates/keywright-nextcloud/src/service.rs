//! The service: login, session, endpoint, the host's work that a commit made due, and the answer. Framework-neutral:
//! `http::Request` in, `http::Response` out.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use keywright_challenge::{Caller as Prover, ChallengeSteps};
use keywright_confirm::ConfirmSteps;
use keywright_core::{AccountId, DeviceTag, IndexKey, KeyringError, SecretString};
use keywright_store::due::{self, Attempt, DueTask, DueWork, OnFailure};
use keywright_store::{Draft, Driver, Partition, Receipt, Slot, StepError, TransactError, Turn};
use keywright_twofactor::TwoFactorSteps;
use keywright_wire::{DueError, HostError, json};
use zeroize::Zeroizing;

use crate::error::ApiError;
use crate::host::{Admittance, AppTokenId, Endpoint, Erasure, Host, Login};
use crate::policy::{NextcloudPolicy, ResetStyle};
use crate::request::{self, SESSION_COOKIE, SESSION_HEADER};
use crate::session::{Presented, Session};
use crate::{endpoints, login, session};

/// The host's work: erase the account's data.
pub(crate) const ERASE: &str = "nextcloud/erase-data";
/// The host's work: end an app token; its id is the detail.
pub(crate) const END_TOKEN: &str = "nextcloud/end-app-token";

/// The account protocol over a store and a host. Cheap to clone.
pub struct Nextcloud<H> {
    parts: Arc<Parts<H>>,
}

pub(crate) struct Parts<H> {
    pub(crate) driver: Driver,
    pub(crate) host: Arc<H>,
    pub(crate) policy: NextcloudPolicy,
    pub(crate) challenges: ChallengeSteps,
    pub(crate) confirmations: ConfirmSteps,
    pub(crate) factors: TwoFactorSteps,
    /// Names credentials to the guess ledger.
    pub(crate) devices: IndexKey,
    /// Spreads unknown names over the decoy ledgers.
    pub(crate) decoys: IndexKey,
}

/// Who makes a request, after login.
pub(crate) struct Caller {
    pub(crate) account: AccountId,
    pub(crate) login: Login,
    pub(crate) presented: Option<Presented>,
}

/// What a step left, committed.
pub(crate) struct Stepped<T> {
    pub(crate) value: T,
    pub(crate) receipt: Receipt,
    /// The session's id that the answer carries.
    id: Zeroizing<String>,
}

/// What an endpoint answers.
pub(crate) struct Answer {
    pub(crate) result: Result<Reply, ApiError>,
    pub(crate) id: Zeroizing<String>,
}

/// A success: status and JSON text.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

impl Reply {
    pub(crate) fn ok(body: &serde_json::Value) -> Self {
        Self { status: StatusCode::OK, body: Zeroizing::new(body.to_string().into_bytes()) }
    }

    pub(crate) fn accepted(body: &serde_json::Value) -> Self {
        Self { status: StatusCode::ACCEPTED, ..Self::ok(body) }
    }
}

/// Why there is no answer of the endpoint's own. All of them deny.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Transact(#[from] TransactError),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Receipt(#[from] keywright_store::WrongReceipt),
}

impl<H: Host> Nextcloud<H> {
    /// The protocol over a driver's store.
    ///
    /// # Errors
    /// [`KeyringError`] if an index key cannot be derived; with a loaded keyring this does not happen.
    pub fn new(driver: Driver, host: Arc<H>, policy: NextcloudPolicy) -> Result<Self, KeyringError> {
        let devices = driver.keyring().index("device")?;
        let decoys = driver.keyring().index("decoy")?;
        let challenges = ChallengeSteps::new(policy.challenge.clone());
        let confirmations = ConfirmSteps::new(policy.confirm.clone());
        let factors = TwoFactorSteps::new(policy.two_factor.clone());
        let parts = Parts { driver, host, policy, challenges, confirmations, factors, devices, decoys };
        Ok(Self { parts: Arc::new(parts) })
    }

    /// The largest body that [`handle`](Self::handle) looks at, in bytes.
    #[must_use]
    pub fn max_body(&self) -> usize {
        self.parts.policy.max_body
    }

    /// Answers one request. The path is the full one, from [`BASE_PATH`](crate::BASE_PATH) on.
    pub async fn handle<B: AsRef<[u8]>>(&self, request: Request<B>) -> Response<Bytes> {
        let parts = &*self.parts;
        if parts.policy.refuse_plain_http {
            return refuse(&ApiError::HTTPS_REQUIRED);
        }
        let endpoint = request::endpoint(request.uri().path());
        if request.method() == Method::OPTIONS {
            return preflight(endpoint, parts.policy.reset);
        }
        let caller = match login::authenticate(parts, request.headers()).await {
            Ok(caller) => caller,
            Err(refusal) => return refusal.into_response(),
        };
        let Some(endpoint) = endpoint else { return bare(&caller, parts, &ApiError::NOT_FOUND).await };
        if !request::methods(endpoint, parts.policy.reset).contains(request.method()) {
            let mut response = bare(&caller, parts, &ApiError::METHOD).await;
            response.headers_mut().insert(ALLOW, allow(endpoint, parts.policy.reset));
            return response;
        }
        if let Admittance::Full { retry_after } = parts.host.admit(&caller.account, endpoint) {
            return limited(retry_after);
        }
        match endpoints::run(parts, &caller, endpoint, &request).await {
            Ok(answer) => respond(&answer),
            Err(failure) => {
                let error = parts.failure(endpoint, &failure);
                respond(&Answer { result: Err(error), id: parts.unverified_id(&caller) })
            }
        }
    }

    /// Does what an account's commits have made due and a crash or a failing host has left: erasures, ended app tokens.
    /// Every request of the account does so too; call it from a sweep, and before serving the account's data elsewhere.
    /// Gives how many tasks were done.
    ///
    /// # Errors
    /// [`DueError`]; it is tried again later.
    pub async fn finish_due(&self, account: &AccountId) -> Result<usize, DueError> {
        let partition = Partition::account(account);
        let turn = self.parts.driver.turn(&partition).await?;
        let tasks = DueWork::held(&self.parts.driver, &turn).claim(is_ours).await?;
        self.parts.work_off(&turn, account, &tasks, true).await.map_err(|failure| match failure {
            Failure::Transact(error) => DueError::Transact(error),
            Failure::Host(error) => DueError::Host(error),
            Failure::Receipt(_) => DueError::Transact(TransactError::Step(StepError::Misuse("a wrong receipt"))),
        })
    }
}

impl<H: Host> Parts<H> {
    /// Runs an endpoint's step in the account's turn: first whatever is still due, then the session, the step, the
    /// commit, and what that commit made due. The turn is held throughout, so that in one process nobody meets an account
    /// whose reset is committed and whose data is still there.
    pub(crate) async fn step<T: Send>(
        &self,
        caller: &Caller,
        slots: &[Slot],
        mut step: impl FnMut(&mut Draft<'_>, &mut Session) -> Result<T, StepError> + Send,
    ) -> Result<Stepped<T>, Failure> {
        enum Run<T> {
            Owed(Vec<DueTask>),
            Erasing,
            Done { value: T, id: Zeroizing<String>, owed: Vec<DueTask> },
        }
        let partition = Partition::account(&caller.account);
        let fresh = keywright_core::random_bytes(&**self.driver.entropy()).map_err(TransactError::from)?;
        let turn = self.driver.turn(&partition).await?;
        let slots: Vec<Slot> = [Slot::Due, Slot::Sessions]
            .into_iter()
            .chain(caller.presented.as_ref().map(Presented::slot))
            .chain(slots.iter().copied())
            .collect();
        loop {
            let run = self
                .driver
                .transact_in(&turn, &slots, |draft| {
                    if due::has_free(draft, is_ours)? {
                        return due::claim(draft, is_ours).map(Run::Owed);
                    }
                    let before = due::pending(draft)?;
                    if before.iter().any(|task| task.name == ERASE) {
                        return Ok(Run::Erasing);
                    }
                    let presented = caller.presented.as_ref();
                    let mut session = Session::find(draft, &caller.account, &caller.login, presented, fresh)?;
                    let value = step(draft, &mut session)?;
                    let id = session.answer_id(draft)?;
                    let mut owed = due::pending(draft)?;
                    owed.retain(|task| before.iter().all(|old| old.id != task.id));
                    Ok(Run::Done { value, id, owed })
                })
                .await?;
            match run {
                (Run::Owed(tasks), _) => {
                    self.work_off(&turn, &caller.account, &tasks, false).await?;
                }
                // Another server is erasing what this account was: nothing may be stored until it is done.
                (Run::Erasing, _) => return Err(TransactError::Busy.into()),
                (Run::Done { value, id, owed }, receipt) => {
                    self.work_off(&turn, &caller.account, &owed, true).await?;
                    return Ok(Stepped { value, receipt, id });
                }
            }
        }
    }

    /// Does claimed tasks, and strikes them. Gives how many were done. What this very request made due must be done, or
    /// it fails; of what was left from before, only an erasure stands in the way of other requests.
    async fn work_off(
        &self,
        turn: &Turn,
        account: &AccountId,
        tasks: &[DueTask],
        made_now: bool,
    ) -> Result<usize, Failure> {
        let attempt = |task| async move {
            match self.work(account, task).await {
                Err(error) if !made_now && task.name != ERASE => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "work for the host is still due");
                    Ok(Attempt::Later)
                }
                worked => worked.map(|()| Attempt::Done),
            }
        };
        let worked = DueWork::held(&self.driver, turn).work_off(tasks, OnFailure::Stop, attempt).await?;
        if let Some(fault) = &worked.unreleased {
            tracing::warn!(error = fault as &dyn std::error::Error, "a claim on due work is not given back");
        }
        Ok(worked.result()?)
    }

    /// One task of this protocol's.
    async fn work(&self, account: &AccountId, task: &DueTask) -> Result<(), HostError> {
        match task.name.as_str() {
            ERASE => self.host.erase_data(account, &Erasure { id: task.id, since: task.since }).await,
            END_TOKEN => {
                let token = AppTokenId(String::from_utf8_lossy(&task.detail).into_owned());
                self.host.end_app_token(account, &token).await
            }
            _ => Err(HostError::new("a task of another part was claimed")),
        }
    }

    /// Who proves a token, to the ledger: an app token is a known device once it has passed by one in the present epochs. A
    /// change of factors makes it a stranger at their doors, not at the challenge's.
    pub(crate) fn factor_tag(&self, draft: &mut Draft<'_>, caller: &Caller) -> Result<Option<DeviceTag>, StepError> {
        let Login::AppToken(token) = &caller.login else { return Ok(None) };
        let root = draft.root()?;
        Ok(Some(DeviceTag::from_bytes(self.devices.tag(&[
            b"factor",
            caller.account.as_str().as_bytes(),
            token.0.as_bytes(),
            &root.credential_epoch.to_be_bytes(),
            &root.factor_epoch.to_be_bytes(),
        ]))))
    }

    /// Who proves the challenge, to the ledger: an app token is a known device once it has opened a session in the
    /// present epoch; a login by password is a stranger.
    pub(crate) fn prover(&self, draft: &mut Draft<'_>, caller: &Caller) -> Result<Prover, StepError> {
        let Login::AppToken(token) = &caller.login else { return Ok(Prover::stranger()) };
        let epoch = draft.root()?.credential_epoch;
        let tag = |epoch: u64| {
            let account = caller.account.as_str().as_bytes();
            DeviceTag::from_bytes(self.devices.tag(&[b"challenge", account, token.0.as_bytes(), &epoch.to_be_bytes()]))
        };
        Ok(Prover::with_tag(tag(epoch)).passing_in_next_epoch(tag(epoch.saturating_add(1))))
    }

    /// The id for an answer without a look at the records: the one that came, so that a passing fault does not make a
    /// client drop its session; without one, a text that no server knows, which the next request has replaced.
    fn unverified_id(&self, caller: &Caller) -> Zeroizing<String> {
        match &caller.presented {
            Some(presented) => Zeroizing::new(presented.text().into()),
            None => session::unknown_id(&**self.driver.entropy()).unwrap_or_default(),
        }
    }

    fn failure(&self, endpoint: Endpoint, failure: &Failure) -> ApiError {
        let error = match failure {
            Failure::Transact(TransactError::Busy) => return ApiError::BUSY,
            Failure::Transact(TransactError::Unknown(_)) if endpoint == Endpoint::ChallengeSet => {
                ApiError::UPDATE_FAILED
            }
            Failure::Transact(TransactError::Step(
                unreadable @ (StepError::Open(_) | StepError::Decode(_) | StepError::Integrity(_)),
            )) => match endpoint {
                Endpoint::SessionRequest | Endpoint::ChallengeGet => ApiError::LOADING_FAILED,
                Endpoint::SessionOpen if concerns(unreadable, Slot::Keychain) => ApiError::KEYCHAIN_FAILED,
                Endpoint::SessionOpen | Endpoint::ChallengeSet => ApiError::VERIFICATION_FAILED,
                Endpoint::KeychainGet => ApiError::KEYCHAIN_FAILED,
                _ => ApiError::FAILED,
            },
            _ => ApiError::FAILED,
        };
        // No input and no secret is in these errors; their sources are the store's and the host's own words.
        tracing::error!(endpoint = %endpoint, error = failure as &dyn std::error::Error, "request failed");
        error
    }
}

impl<T> Stepped<T> {
    /// The answer, made of the committed value.
    pub(crate) fn answer(
        self,
        make: impl FnOnce(T, &Receipt) -> Result<Result<Reply, ApiError>, Failure>,
    ) -> Result<Answer, Failure> {
        Ok(Answer { result: make(self.value, &self.receipt)?, id: self.id })
    }
}

/// This protocol's tasks. Other parts' are theirs: claiming one would keep it from them.
fn is_ours(name: &str) -> bool {
    [ERASE, END_TOKEN].contains(&name)
}

/// Whether an error is about a record.
pub(crate) fn concerns(error: &StepError, slot: Slot) -> bool {
    match error {
        StepError::Open(error) => error.slot() == slot.to_text(),
        StepError::Decode(found) | StepError::Integrity(found) => *found == slot,
        _ => false,
    }
}

/// An error of no endpoint, with the caller's session as ever.
async fn bare<H: Host>(caller: &Caller, parts: &Parts<H>, error: &ApiError) -> Response<Bytes> {
    let id = match parts.step(caller, &[], |_, _| Ok(())).await {
        Ok(stepped) => stepped.id,
        Err(_) => parts.unverified_id(caller),
    };
    respond(&Answer { result: Err(*error), id })
}

fn respond(answer: &Answer) -> Response<Bytes> {
    let mut response = match &answer.result {
        Ok(reply) => json(reply.status, Bytes::copy_from_slice(&reply.body)),
        Err(error) => refuse(error),
    };
    if !answer.id.is_empty() {
        attach(response.headers_mut(), &answer.id);
    }
    response
}

fn attach(headers: &mut HeaderMap, id: &str) {
    let cookie = Zeroizing::new(format!("{SESSION_COOKIE}={id}; Path=/; Secure; HttpOnly; SameSite=Strict"));
    for (name, text) in [(HeaderName::from_static(SESSION_HEADER), id), (SET_COOKIE, cookie.as_str())] {
        // An id has only characters of base64url.
        if let Ok(mut value) = HeaderValue::from_str(text) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
}

fn refuse(error: &ApiError) -> Response<Bytes> {
    let mut response = json(error.status, error.body());
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The request limit of the framework around the app: 429 and an empty list (dossier § 1.1).
pub(crate) fn limited(retry_after: u64) -> Response<Bytes> {
    let mut response = json(StatusCode::TOO_MANY_REQUESTS, Bytes::from_static(b"[]"));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after.max(1)));
    response
}

/// A refused login, in the framework's form.
pub(crate) fn unauthorized() -> Response<Bytes> {
    let body = Bytes::from_static(br#"{"message":"Current user is not logged in"}"#);
    let mut response = json(StatusCode::UNAUTHORIZED, body);
    let realm = HeaderValue::from_static(r#"Basic realm="Passwords", charset="UTF-8""#);
    response.headers_mut().insert(WWW_AUTHENTICATE, realm);
    response
}

/// A body over the limit: said before anything is looked at, login included.
#[cfg(feature = "tower")]
pub(crate) fn too_large() -> Response<Bytes> {
    refuse(&ApiError::TOO_LARGE)
}

/// A body that ended in an error of the connection.
#[cfg(feature = "tower")]
pub(crate) fn broken() -> Response<Bytes> {
    refuse(&ApiError::BAD_REQUEST)
}

pub(crate) fn failed(error: &ApiError) -> Response<Bytes> {
    refuse(error)
}

/// OPTIONS acts on nothing and allows no other origin.
fn preflight(endpoint: Option<Endpoint>, reset: ResetStyle) -> Response<Bytes> {
    let Some(endpoint) = endpoint else { return refuse(&ApiError::NOT_FOUND) };
    let mut response = json(StatusCode::NO_CONTENT, Bytes::new());
    response.headers_mut().insert(ALLOW, allow(endpoint, reset));
    response
}

fn allow(endpoint: Endpoint, reset: ResetStyle) -> HeaderValue {
    match request::methods(endpoint, reset) {
        [Method::POST] => HeaderValue::from_static("POST, OPTIONS"),
        [Method::GET] => HeaderValue::from_static("GET, OPTIONS"),
        _ => HeaderValue::from_static("GET, POST, OPTIONS"),
    }
}

/// The login password's secret is only ever borrowed; named here so that `login` and `endpoints` agree on the type.
pub(crate) type Password = SecretString;

impl<H> Clone for Nextcloud<H> {
    fn clone(&self) -> Self {
        Self { parts: Arc::clone(&self.parts) }
    }
}

impl<H> std::fmt::Debug for Nextcloud<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nextcloud").field("policy", &self.parts.policy).finish_non_exhaustive()
    }
}
