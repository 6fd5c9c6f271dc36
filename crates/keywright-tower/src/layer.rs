//! The layer that demands a step-up.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Request, Response};
use keywright_core::{AccountId, Client, SessionId};
use keywright_twofactor::{Demand, StepUp, TwoFactor, TwoFactorError, VerifyOutcome};
use keywright_wire::Reply;
use tower_layer::Layer;
use tower_service::Service;
use zeroize::Zeroizing;

use crate::answer;
use crate::proof::{Carried, StepUpAction};

/// The header in which a client sends a time-based or a recovery code, unless
/// [`StepUpLayer::header`] names another one.
pub const SECOND_FACTOR: HeaderName = HeaderName::from_static("x-second-factor");

/// The longest code that is looked at, in bytes. The longest recovery code has 36 characters, and a
/// user may type blanks and hyphens.
const MAX_CODE_BYTES: usize = 128;

/// Who sends a request, as the host's own session middleware knows it.
#[derive(Debug, Clone)]
pub struct Caller {
    account: AccountId,
    session: SessionId,
    client: Client,
    password: bool,
}

impl Caller {
    /// Creates a caller. `session` identifies the session in every request, and `client` the sender
    /// to the guess ledger: by the credential of the request, or else by its network.
    #[must_use]
    pub const fn new(account: AccountId, session: SessionId, client: Client) -> Self {
        Self { account, session, client, password: false }
    }

    /// States that the account has a login password that the host can check, so that `password` is
    /// listed where it authorizes the action.
    #[must_use]
    pub const fn with_password(mut self) -> Self {
        self.password = true;
        self
    }
}

/// A layer that demands a step-up for the action `A`. `F` is the host's function that names the
/// caller of a request; where it returns `None`, the request is refused. See the [crate] for an
/// example and the answers.
///
/// The code is removed from the request before the inner service sees it. Of any number of requests
/// with the same code, one reaches the inner service.
pub struct StepUpLayer<A, F> {
    shared: Arc<Shared<F>>,
    action: PhantomData<fn() -> A>,
}

struct Shared<F> {
    two_factor: TwoFactor,
    caller: F,
    header: HeaderName,
}

impl<A, F> Clone for StepUpLayer<A, F> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), action: PhantomData }
    }
}

impl<A: StepUpAction, F: Fn(&Parts) -> Option<Caller>> StepUpLayer<A, F> {
    /// Creates a layer.
    pub fn new(two_factor: TwoFactor, caller: F) -> Self {
        Self::header(two_factor, caller, SECOND_FACTOR)
    }

    /// Creates a layer that reads the code from a header of the host's choice.
    pub fn header(two_factor: TwoFactor, caller: F, header: HeaderName) -> Self {
        Self { shared: Arc::new(Shared { two_factor, caller, header }), action: PhantomData }
    }
}

keywright_core::redacted_debug!(impl[A, F] StepUpLayer<A, F>);

impl<A, F, S> Layer<S> for StepUpLayer<A, F> {
    type Service = StepUpService<A, F, S>;

    fn layer(&self, inner: S) -> Self::Service {
        StepUpService { shared: Arc::clone(&self.shared), inner, action: PhantomData }
    }
}

/// The service that [`StepUpLayer`] makes.
pub struct StepUpService<A, F, S> {
    shared: Arc<Shared<F>>,
    inner: S,
    action: PhantomData<fn() -> A>,
}

impl<A, F, S: Clone> Clone for StepUpService<A, F, S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), inner: self.inner.clone(), action: PhantomData }
    }
}

keywright_core::redacted_debug!(impl[A, F, S] StepUpService<A, F, S>);

impl<A, F, S, B, R> Service<Request<B>> for StepUpService<A, F, S>
where
    A: StepUpAction,
    F: Fn(&Parts) -> Option<Caller> + Send + Sync + 'static,
    S: Service<Request<B>, Response = Response<R>, Future: Send> + Clone + Send + 'static,
    B: Send + 'static,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The clone takes the place of the service that was found ready.
        let clone = self.inner.clone();
        let (mut inner, shared) = (std::mem::replace(&mut self.inner, clone), Arc::clone(&self.shared));
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match shared.prove::<A>(&mut parts).await {
                Ok(proof) => {
                    parts.extensions.insert(Carried::<A>::new(proof));
                    inner.call(Request::from_parts(parts, body)).await
                }
                Err(refusal) => Ok(answer::response(refusal)),
            }
        })
    }
}

/// What a request has in the header of the code.
enum Sent {
    Nothing,
    Code(Zeroizing<String>),
    Malformed,
}

impl<F: Fn(&Parts) -> Option<Caller>> Shared<F> {
    /// Returns the proof of a request, or the answer that refuses it.
    async fn prove<A: StepUpAction>(&self, parts: &mut Parts) -> Result<StepUp, Reply> {
        let action = A::ACTION;
        let caller = (self.caller)(parts).ok_or_else(|| answer::not_signed_in(&action))?;
        let code = match take_code(&mut parts.headers, &self.header) {
            Sent::Code(code) => code,
            Sent::Malformed => return Err(answer::malformed(&action)),
            Sent::Nothing => return self.demand::<A>(&caller, "step_up_required").await,
        };
        let Caller { account, session, client, .. } = &caller;
        let verdict = self.two_factor.step_up_code(account, &action, *session, &code, *client).await;
        match verdict.map_err(|error| unavailable::<A>(&error))? {
            VerifyOutcome::Granted(proof) => Ok(proof),
            VerifyOutcome::Denied(_) => Err(self.refuse::<A>(&caller, "step_up_denied").await),
            VerifyOutcome::Refused(refusal) => Err(answer::refused(&action, &refusal)),
            VerifyOutcome::Malformed => Err(answer::malformed(&action)),
            VerifyOutcome::NotEnrolled => Err(self.refuse::<A>(&caller, "step_up_required").await),
        }
    }

    /// Returns a proof that the session remembers, or the answer that says what is required.
    async fn demand<A: StepUpAction>(&self, caller: &Caller, error: &str) -> Result<StepUp, Reply> {
        let action = A::ACTION;
        let Caller { account, session, password, .. } = caller;
        let demand = self.two_factor.demand(account, &action, *session, *password).await;
        match demand.map_err(|error| unavailable::<A>(&error))? {
            Demand::Remembered(proof) => Ok(proof),
            Demand::Required(methods) => Err(answer::required(error, &action, &methods, &self.header)),
            Demand::NothingEnrolled => Err(answer::nothing_enrolled(&action)),
        }
    }

    /// Returns the answer to a code that authorizes nothing. A wrong code is refused even if the
    /// session remembers a proof: the client meant to prove itself, and failed.
    async fn refuse<A: StepUpAction>(&self, caller: &Caller, error: &str) -> Reply {
        match self.demand::<A>(caller, error).await {
            Err(reply) => reply,
            Ok(_) => answer::required(error, &A::ACTION, &[], &self.header),
        }
    }
}

/// Takes the code out of the headers. Two codes are malformed, because it is unclear which one was
/// meant.
fn take_code(headers: &mut HeaderMap, name: &HeaderName) -> Sent {
    let sent = {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => return Sent::Nothing,
            (Some(value), None) if value.len() <= MAX_CODE_BYTES => {
                value.to_str().map_or(Sent::Malformed, |code| Sent::Code(Zeroizing::new(code.to_owned())))
            }
            _ => Sent::Malformed,
        }
    };
    headers.remove(name);
    sent
}

/// Answers an error. Its text stays on the server.
fn unavailable<A: StepUpAction>(_: &TwoFactorError) -> Reply {
    answer::unavailable(&A::ACTION)
}
