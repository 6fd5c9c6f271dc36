//! The service: login, session, endpoint, the host's work that a commit made due, and the answer.
//! It is independent of any framework: `http::Request` in, `http::Response` out.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use keywright_challenge::{ChallengeSteps, Proof, Verification};
use keywright_confirm::ConfirmSteps;
use keywright_core::{AccountId, Client, ClientAdmission, ClientTag, Generation};
use keywright_store::{Draft, Driver, Partition, StepError, TransactError, guess};
use keywright_twofactor::{StepUp, TwoFactorPolicyError, TwoFactorSteps};
use keywright_wire::{Decoys, DueError, Network, Peer, Protocol, RefusedBy, Reply, frame};

use crate::answer::{Failure, limited, with_session};
use crate::body::Input;
use crate::client;
use crate::context::{Caller, Context};
use crate::endpoints;
use crate::error::ApiError;
use crate::host::{Admittance, AppTokenId, Endpoint, Host};
use crate::keychain;
use crate::login;
use crate::path::canonical_path;
use crate::policy::{NextcloudPolicy, ORIGIN};
use crate::request::ROUTES;
use crate::unlock::{self, GuessedSecret, LOGIN_PASSWORD, Link, MailAdmits};

/// The account protocol over a store and a host. Cheap to clone.
pub struct Nextcloud<H> {
    cx: Arc<Context<H>>,
}

impl<H: Host> Nextcloud<H> {
    /// Returns the protocol over a driver's store.
    ///
    /// # Errors
    /// [`TwoFactorPolicyError`] if the driver's ledger policy is too weak for codes as short as the
    /// policy's.
    pub fn new(driver: Driver, host: Arc<H>, policy: NextcloudPolicy) -> Result<Self, TwoFactorPolicyError> {
        let decoys = Decoys::new(driver.keyring());
        let confirmations = ConfirmSteps::new(policy.confirm.clone());
        let factors = TwoFactorSteps::new(policy.two_factor.clone(), driver.ledger_policy())?.through(ORIGIN);
        let (challenges, open_checks) = (ChallengeSteps::new(), Arc::default());
        let driver = driver.named("nextcloud");
        let cx = Context { driver, host, policy, challenges, confirmations, factors, open_checks, decoys };
        Ok(Self { cx: Arc::new(cx) })
    }

    /// Returns the largest body that [`handle`](Self::handle) accepts, in bytes.
    #[must_use]
    pub fn max_body(&self) -> usize {
        self.cx.policy.max_body
    }

    /// Answers one request. Its path is the full one, including [`BASE_PATH`](crate::BASE_PATH), in
    /// any form that [`canonical_path`] accepts.
    pub async fn handle<B: AsRef<[u8]>>(&self, request: Request<B>) -> Response<Bytes> {
        answer(&self.cx, &request).await.into_response()
    }

    /// Does the work that an account's commits made due and that a crash or a failing host has left
    /// undone: erasures, ended app tokens, mails. Every request of the account does so too, except
    /// for mails, for which no request waits. Call it from a sweep, and before serving the
    /// account's data elsewhere. Returns how many tasks were done.
    ///
    /// # Errors
    /// [`DueError`] if the store or the host failed; the work is tried again later.
    pub async fn finish_due(&self, account: &AccountId) -> Result<usize, DueError> {
        frame::finish_due(&self.cx.driver, account, &*self.cx, false).await
    }

    /// Like [`finish_due`](Self::finish_due), for the start of a server that is alone at its store:
    /// pauses, and the claims of processes that have died, are ignored.
    ///
    /// # Errors
    /// [`DueError`] if the store or the host failed; the work is tried again later.
    pub async fn finish_due_at_start(&self, account: &AccountId) -> Result<usize, DueError> {
        frame::finish_due(&self.cx.driver, account, &*self.cx, true).await
    }
}

/// The ways in for an owner whom other clients have locked out.
impl<H: Host> Nextcloud<H> {
    /// Admits a client by the link of an unlock mail ([`Host::send_unlock_mail`]), for ten tries
    /// within an hour. Call it for the POST of the page's button, never for a GET. Returns `None`
    /// if the link has expired.
    ///
    /// # Errors
    /// [`TransactError`] if the store failed; nobody is admitted.
    pub async fn admit_by_mail(
        &self,
        token: &str,
        admits: MailAdmits,
    ) -> Result<Option<ClientAdmission>, TransactError> {
        let Some(link) = Link::parse(token) else { return Ok(None) };
        let step = |draft: &mut Draft<'_>| link.click(draft, &self.cx.challenges, admits);
        self.on_ledger(&link.account, step).await
    }

    /// Admits one client of the account, for ten tries within an hour, by a fresh proof from a
    /// session of the account: a step-up for [`ADMIT_CLIENT`](keywright_twofactor::ADMIT_CLIENT).
    /// At the login password every method is sufficient, at the challenge only a time-based or a
    /// recovery code; an account without those has
    /// [`admit_client_by_challenge`](Self::admit_client_by_challenge). Returns `None` if the proof
    /// does not allow it, or the account has no such secret.
    ///
    /// # Errors
    /// [`TransactError`] if the store failed; nobody is admitted.
    pub async fn admit_client(
        &self,
        proof: StepUp,
        secret: GuessedSecret,
        client: ClientTag,
    ) -> Result<Option<ClientAdmission>, TransactError> {
        let step = |draft: &mut Draft<'_>| unlock::admit(draft, &self.cx.challenges, &proof, secret, client);
        self.on_ledger(proof.account(), step).await
    }

    /// Admits one client of the account at the challenge, for ten tries within an hour, by the
    /// challenge itself: a client that is still admitted proves it once more. The proof is a guess
    /// like any other, made by `by`.
    ///
    /// # Errors
    /// [`TransactError`] if the store failed; nobody is admitted.
    pub async fn admit_client_by_challenge(
        &self,
        account: &AccountId,
        proof: &Proof,
        by: Client,
        client: ClientTag,
    ) -> Result<Verification<ClientAdmission>, TransactError> {
        let step = |draft: &mut Draft<'_>| self.cx.challenges.admit_client_in(draft, proof, by, client);
        self.cx.driver.run(&Partition::account(account), keywright_challenge::SLOTS, step).await
    }

    /// Lifts the waits and limits of a secret. Only the operator should do so. Returns whether
    /// there was anything to lift.
    ///
    /// # Errors
    /// [`TransactError`] if the store failed; nothing is lifted.
    pub async fn unlock(&self, account: &AccountId, secret: GuessedSecret) -> Result<bool, TransactError> {
        self.on_ledger(account, |draft| unlock::unlock(draft, &self.cx.challenges, secret)).await
    }

    /// Records that the host has changed an account's login password. The wrong guesses at the old
    /// password no longer count. Clients that were known stay known, and those in `changed_by`
    /// become known: pass the network of the client that made the change.
    ///
    /// # Errors
    /// [`TransactError`] if the store failed; call this again.
    pub async fn password_changed(&self, account: &AccountId, changed_by: &[ClientTag]) -> Result<(), TransactError> {
        let host = Generation::HOST;
        self.on_ledger(account, |draft| guess::renew(draft, LOGIN_PASSWORD, host, host, changed_by)).await
    }

    /// Returns the tag by which the guess ledger knows an app token.
    #[must_use]
    pub fn app_token_tag(&self, account: &AccountId, token: &AppTokenId) -> ClientTag {
        self.cx.driver.client_tag(account, &client::token_credential(token))
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
        self.cx.driver.transact(&Partition::account(account), keywright_challenge::SLOTS, step).await
    }
}

/// Returns the answer to one request. `HEAD` has the answer of `GET`, without its body.
async fn answer<H: Host, B: AsRef<[u8]>>(cx: &Context<H>, request: &Request<B>) -> Reply {
    let reply = full_answer(cx, request).await;
    if request.method() == Method::HEAD { reply.without_body() } else { reply }
}

async fn full_answer<H: Host, B: AsRef<[u8]>>(cx: &Context<H>, request: &Request<B>) -> Reply {
    if cx.policy.refuse_plain_http && !cx.host.is_encrypted(Peer::of(request)) {
        return ApiError::HTTPS_REQUIRED.reply();
    }
    let path = canonical_path(request.uri().path());
    let found = path.as_ref().and_then(|path| ROUTES.find(path));
    if request.method() == Method::OPTIONS {
        return found.map_or_else(|| ApiError::NOT_FOUND.reply(), |(route, _)| route.options(&cx.policy));
    }
    let network = cx.host.client_address(Peer::of(request)).map(Network::of);
    let caller = match login::authenticate(cx, request.headers(), network).await {
        Ok(caller) => caller,
        Err(denial) => return denial.reply(),
    };
    let Some((route, segment)) = found else { return bare(cx, &caller, ApiError::NOT_FOUND).await };
    if !route.acts_on(request.method(), &cx.policy) {
        return route.wrong_method(&cx.policy, bare(cx, &caller, ApiError::METHOD).await);
    }
    if let Admittance::Full { retry_after } = cx.host.admit(&caller.account, route.endpoint) {
        return limited(retry_after, RefusedBy::REQUESTS_OF_ACCOUNT);
    }
    let input = Input::new(request, segment, (route.max_body)(&cx.policy));
    match endpoints::run(cx, route.endpoint, &caller, &input).await {
        Ok(reply) => reply,
        Err(failure) => refuse(cx, &caller, route.endpoint, failure).await,
    }
}

/// Returns the answer to a request that had no success, with the caller's session.
async fn refuse<H: Host>(cx: &Context<H>, caller: &Caller, endpoint: Endpoint, failure: Failure) -> Reply {
    let (error, id) = match failure {
        Failure::Refused { error, session: Some(id) } => (error, id),
        Failure::Refused { error, session: None } => match cx.session_id(caller).await {
            Ok(id) => (error, id),
            Err(due) => (failed(endpoint, &due), cx.unverified_id(caller)),
        },
        Failure::Due(due) => (failed(endpoint, &due), cx.unverified_id(caller)),
    };
    with_session(error.reply(), &id)
}

/// Returns an error that belongs to no endpoint, with the caller's session.
async fn bare<H: Host>(cx: &Context<H>, caller: &Caller, error: ApiError) -> Reply {
    let id = cx.session_id(caller).await.unwrap_or_else(|_| cx.unverified_id(caller));
    with_session(error.reply(), &id)
}

/// Returns the answer to a fault of the store or the host.
fn failed(endpoint: Endpoint, failure: &DueError) -> ApiError {
    if let Some(busy) = ApiError::busy(failure) {
        return busy;
    }
    let error = match failure {
        failure if failure.lacks_room() => ApiError::NO_ROOM,
        DueError::Transact(TransactError::Unknown(_)) if endpoint == Endpoint::ChallengeSet => ApiError::UPDATE_FAILED,
        DueError::Transact(TransactError::Step(unreadable)) if unreadable.is_damage() => match endpoint {
            Endpoint::SessionRequest | Endpoint::ChallengeGet => ApiError::LOADING_FAILED,
            Endpoint::SessionOpen if keychain::is_damage(unreadable) => ApiError::KEYCHAIN_FAILED,
            Endpoint::SessionOpen | Endpoint::ChallengeSet => ApiError::VERIFICATION_FAILED,
            Endpoint::KeychainGet => ApiError::KEYCHAIN_FAILED,
            _ => ApiError::FAILED,
        },
        _ => ApiError::FAILED,
    };
    // These errors contain no input and no secret; their sources are the messages of the store and
    // the host.
    tracing::error!(endpoint = %endpoint, error = failure as &dyn std::error::Error, "request failed");
    error
}

impl<H> Clone for Nextcloud<H> {
    fn clone(&self) -> Self {
        Self { cx: Arc::clone(&self.cx) }
    }
}

keywright_core::redacted_debug!(impl[H] Nextcloud<H> { policy: cx.policy, .. });

impl<H: Host> Protocol for Nextcloud<H> {
    fn limit(&self, path: &str) -> usize {
        let limit = canonical_path(path).and_then(|path| ROUTES.max_body(&path, &self.cx.policy));
        limit.unwrap_or_else(|| self.max_body())
    }

    fn too_large(&self) -> Reply {
        ApiError::TOO_LARGE.reply()
    }

    fn broken(&self) -> Reply {
        ApiError::BAD_REQUEST.reply()
    }

    async fn respond(&self, request: Request<Bytes>) -> Reply {
        answer(&self.cx, &request).await
    }
}

#[cfg(feature = "tower")]
keywright_wire::tower_service!(Nextcloud: Host);

#[cfg(test)]
mod tests {
    use keywright_store::Shortage;

    use super::*;

    #[test]
    fn a_store_without_room_or_in_use_by_others_is_no_fault_of_the_server() {
        let answer = |shortage: Shortage| {
            failed(Endpoint::SessionOpen, &DueError::Transact(TransactError::Rejected(shortage.into()))).reply()
        };
        let (room, busy) = (answer(Shortage::Room), answer(Shortage::Busy));
        assert_eq!((room.status().as_u16(), room.headers().get("retry-after")), (507, None));
        assert_eq!((busy.status().as_u16(), &busy.headers()["retry-after"]), (503, &"1".parse().unwrap()));
        let body = br#"{"status":"error","id":0,"message":"Unable to complete request"}"#;
        assert_eq!(room.into_response().body().as_ref(), body);
    }
}
