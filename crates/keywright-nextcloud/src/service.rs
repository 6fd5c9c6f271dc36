//! The service: login, session, endpoint, the host's work that a commit made due, and the answer. Framework-neutral:
//! `http::Request` in, `http::Response` out.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use keywright_challenge::{ChallengeSteps, Proof, Verification};
use keywright_confirm::ConfirmSteps;
use keywright_core::{AccountId, Client, ClientAdmission, ClientTag, Generation, IndexKey};
use keywright_store::due::DueTask;
use keywright_store::{Damage, Draft, Driver, Partition, Plain, Release, SlotName, StepError, TransactError, guess};
use keywright_twofactor::{StepUp, TwoFactorPolicyError, TwoFactorSteps};
use keywright_wire::frame::{self, HostWork, Weight};
use keywright_wire::{DueError, HostError, Network, json};
use zeroize::Zeroizing;

use crate::client::{self, LOGIN_PASSWORD};
use crate::error::ApiError;
use crate::host::{Admittance, AppTokenId, Endpoint, Erasure, Host, Login, Peer};
use crate::keychain::KEYCHAIN;
use crate::policy::{NextcloudPolicy, ResetStyle};
use crate::request::{self, SESSION_COOKIE, SESSION_HEADER};
use crate::session::{Presented, SESSION, SESSIONS, Session};
use crate::unlock::{GuessedSecret, Link, MailAdmits, UNLOCK_MAIL, UnlockMail};
use crate::verdicts::Verdicts;
use crate::{endpoints, login, session, unlock};

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
    /// Guesses that the host is judging.
    pub(crate) verdicts: Arc<Verdicts>,
    /// Spreads unknown names over the decoy ledgers.
    pub(crate) decoys: IndexKey,
}

/// Who makes a request, after login.
pub(crate) struct Caller {
    pub(crate) account: AccountId,
    pub(crate) login: Login,
    pub(crate) presented: Option<Presented>,
    pub(crate) network: Option<Network>,
    /// The selector of the id that the answer carries, if it is a new one: drawn once, for every step of the request.
    pub(crate) fresh: [u8; 16],
}

impl Caller {
    /// Who proves the challenge, or a second factor, to the guess ledger.
    pub(crate) fn prover(&self, draft: &Draft<'_>, session: &Session) -> Client {
        client::prover(draft, &self.login, self.network, session)
    }

    pub(crate) const fn origin(&self) -> login::Origin<'_> {
        login::Origin { presented: self.presented.as_ref(), network: self.network }
    }
}

/// What a step left, committed.
pub(crate) struct Stepped<T> {
    pub(crate) value: T,
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
pub(crate) type Failure = DueError;

impl<H: Host> Nextcloud<H> {
    /// Returns the protocol over a driver's store.
    ///
    /// # Errors
    /// [`TwoFactorPolicyError`] if the driver's ledger policy does not guard codes as short as the policy's.
    pub fn new(driver: Driver, host: Arc<H>, policy: NextcloudPolicy) -> Result<Self, TwoFactorPolicyError> {
        let decoys = driver.keyring().index("decoy");
        let confirmations = ConfirmSteps::new(policy.confirm.clone());
        let factors = TwoFactorSteps::new(policy.two_factor.clone(), driver.ledger_policy())?;
        let (challenges, verdicts) = (ChallengeSteps::new(), Arc::default());
        let parts = Parts { driver, host, policy, challenges, confirmations, factors, verdicts, decoys };
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
        let peer = Peer { headers: request.headers(), extensions: request.extensions() };
        let network = parts.host.client_address(peer).map(Network::of);
        let caller = match login::authenticate(parts, request.headers(), network).await {
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

    /// Does what an account's commits have made due and a crash or a failing host has left: erasures, ended app tokens,
    /// mails. Every request of the account does so too, mails aside, for which no request waits; call it from a sweep, and
    /// before serving the account's data elsewhere. Returns how many tasks were done.
    ///
    /// # Errors
    /// [`DueError`]; it is tried again later.
    pub async fn finish_due(&self, account: &AccountId) -> Result<usize, DueError> {
        frame::finish_due(&self.parts.driver, account, &*self.parts, false).await
    }

    /// The same at the start of a server that is alone at its store: pauses, and claims of processes that have died, are
    /// passed over.
    ///
    /// # Errors
    /// [`DueError`]; it is tried again later.
    pub async fn finish_due_at_start(&self, account: &AccountId) -> Result<usize, DueError> {
        frame::finish_due(&self.parts.driver, account, &*self.parts, true).await
    }
}

/// Ways in for an owner whom others have shut out.
impl<H: Host> Nextcloud<H> {
    /// Lets a client in by the link of an unlock mail ([`Host::send_unlock_mail`]): ten tries within an hour. Call it for
    /// the POST of the page's button, never for a GET. `None` if the link's time is over.
    ///
    /// # Errors
    /// [`TransactError`]; nobody is let in.
    pub async fn admit_by_mail(
        &self,
        token: &str,
        admits: MailAdmits,
    ) -> Result<Option<ClientAdmission>, TransactError> {
        let Some(link) = Link::parse(token) else { return Ok(None) };
        let step = |draft: &mut Draft<'_>| link.click(draft, &self.parts.challenges, admits);
        self.on_ledger(&link.account, step).await
    }

    /// Lets one client of the account in, ten tries within an hour, by a fresh proof from a session of the account: a
    /// step-up for [`ADMIT_CLIENT`](keywright_twofactor::ADMIT_CLIENT). At the login password every method will do, at the
    /// challenge only a time-based or a recovery code; an account without those has
    /// [`admit_client_by_challenge`](Self::admit_client_by_challenge). `None` if the proof does not allow it, or the account
    /// has no such secret.
    ///
    /// # Errors
    /// [`TransactError`]; nobody is let in.
    pub async fn admit_client(
        &self,
        proof: StepUp,
        secret: GuessedSecret,
        client: ClientTag,
    ) -> Result<Option<ClientAdmission>, TransactError> {
        let step = |draft: &mut Draft<'_>| unlock::admit(draft, &self.parts.challenges, &proof, secret, client);
        self.on_ledger(proof.account(), step).await
    }

    /// Lets one client of the account in at the challenge, ten tries within an hour, by the challenge itself: a client that
    /// still gets in proves it once more. The proof is a guess like any other, made by `by`.
    ///
    /// # Errors
    /// [`TransactError`]; nobody is let in.
    pub async fn admit_client_by_challenge(
        &self,
        account: &AccountId,
        proof: &Proof,
        by: Client,
        client: ClientTag,
    ) -> Result<Verification<ClientAdmission>, TransactError> {
        let step = |draft: &mut Draft<'_>| self.parts.challenges.admit_client_in(draft, proof, by, client);
        self.parts.driver.run(&Partition::account(account), keywright_challenge::SLOTS, step).await
    }

    /// Lifts the waits and limits of a secret: the operator's act. Returns whether there was anything to lift.
    ///
    /// # Errors
    /// [`TransactError`]; nothing is lifted.
    pub async fn unlock(&self, account: &AccountId, secret: GuessedSecret) -> Result<bool, TransactError> {
        self.on_ledger(account, |draft| unlock::unlock(draft, &self.parts.challenges, secret)).await
    }

    /// Notes that the host has changed an account's login password: its wrong guesses end with the old one. Those who were
    /// known stay known, and those in `changed_by` become known: the network of the client that made the change.
    ///
    /// # Errors
    /// [`TransactError`]; call it again.
    pub async fn password_changed(&self, account: &AccountId, changed_by: &[ClientTag]) -> Result<(), TransactError> {
        let host = Generation::HOST;
        self.on_ledger(account, |draft| guess::renew(draft, LOGIN_PASSWORD, host, host, changed_by)).await
    }

    /// Returns the name by which the guess ledger knows an app token.
    #[must_use]
    pub fn app_token_tag(&self, account: &AccountId, token: &AppTokenId) -> ClientTag {
        self.parts.driver.client_tag(account, &client::token_credential(token))
    }

    /// Returns the name by which the guess ledger knows the network of an address.
    #[must_use]
    pub fn network_tag(&self, account: &AccountId, address: IpAddr) -> ClientTag {
        self.parts.driver.client_tag(account, &Network::of(address).credential())
    }

    async fn on_ledger<T: Send>(
        &self,
        account: &AccountId,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T, TransactError> {
        self.parts.driver.transact(&Partition::account(account), keywright_challenge::SLOTS, step).await
    }
}

impl<H: Host> HostWork for Parts<H> {
    fn weight(&self, name: &str) -> Option<Weight> {
        match name {
            ERASE => Some(Weight::Blocking),
            END_TOKEN => Some(Weight::Required),
            UNLOCK_MAIL => Some(Weight::Later),
            _ => None,
        }
    }

    async fn work(&self, account: &AccountId, task: &DueTask) -> Result<(), HostError> {
        match task.name.as_str() {
            ERASE => self.host.erase_data(account, &Erasure { id: task.id, since: task.since }).await,
            END_TOKEN => {
                let token = AppTokenId(String::from_utf8_lossy(&task.detail).into_owned());
                self.host.end_app_token(account, &token).await
            }
            UNLOCK_MAIL => match UnlockMail::of(account, task) {
                Some(mail) => self.host.send_unlock_mail(account, &mail).await,
                None => Err(HostError::new("a mail's record has an unknown form")),
            },
            _ => Err(HostError::new("a task of another part was claimed")),
        }
    }
}

impl<H: Host> Parts<H> {
    /// Runs an endpoint's step: first whatever is still due, then the session, the step, the commit, and what that commit
    /// made due. Nothing of the account is held while the host works.
    pub(crate) async fn step<T: Release + Send>(
        &self,
        caller: &Caller,
        slots: &[&[SlotName]],
        mut step: impl FnMut(&mut Draft<'_>, &mut Session) -> Result<T, StepError> + Send,
    ) -> Result<Stepped<T::Released>, Failure> {
        let fresh = caller.fresh;
        // The id by which a login by password may be known to the guess ledger.
        let named = caller.presented.as_ref().filter(|_| caller.login == Login::Password);
        let slots: Vec<SlotName> = [SESSIONS.name(), SESSION.at(fresh).name()]
            .into_iter()
            .chain(caller.presented.as_ref().map(Presented::slot))
            .chain(named.map(|_| guess::LEDGER.name()))
            .chain(slots.iter().copied().flatten().copied())
            .collect();
        let (value, id) = frame::run(&self.driver, &caller.account, self, &slots, |draft| {
            let presented = caller.presented.as_ref();
            let epoch = draft.root()?.credential_epoch;
            let named = named.and_then(|named| named.verified(draft, &caller.account, epoch));
            let mut session = Session::find(draft, &caller.account, &caller.login, presented, fresh)?;
            let value = step(draft, &mut session)?;
            let id = session.answer_id(draft)?;
            if let (Some(old), Some(new)) = (named, Presented::parse(&id)) {
                client::follow(draft, old, new.selector())?;
            }
            Ok((value, Plain(id)))
        })
        .await?;
        Ok(Stepped { value, id })
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
        if let Some(busy) = ApiError::busy(failure) {
            return busy;
        }
        let error = match failure {
            Failure::Transact(TransactError::Unknown(_)) if endpoint == Endpoint::ChallengeSet => {
                ApiError::UPDATE_FAILED
            }
            Failure::Transact(TransactError::Step(unreadable)) if unreadable.is_damage() => match endpoint {
                Endpoint::SessionRequest | Endpoint::ChallengeGet => ApiError::LOADING_FAILED,
                Endpoint::SessionOpen if concerns(unreadable, KEYCHAIN.name()) => ApiError::KEYCHAIN_FAILED,
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
    pub(crate) fn answer(self, make: impl FnOnce(T) -> Result<Reply, ApiError>) -> Answer {
        Answer { result: make(self.value), id: self.id }
    }
}

/// Whether an error is about a record.
pub(crate) fn concerns(error: &StepError, slot: SlotName) -> bool {
    match error {
        StepError::Open(error) => error.slot() == slot.to_text(),
        StepError::Decode(found) | StepError::Damaged(Damage::Record(found)) => *found == slot,
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

/// A body over the limit: answered before anything is looked at, login included.
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
