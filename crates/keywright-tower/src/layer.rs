//! The layer that demands a step-up.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Request, Response};
use keywright_twofactor::TwoFactor;
use tower_layer::Layer;
use tower_service::Service;
use zeroize::Zeroizing;

use crate::answer;
use crate::proof::{Carried, StepUpAction, StepUpFor};
use crate::refused::Refused;
use crate::step_up::{Caller, MAX_CODE_BYTES, SECOND_FACTOR, Sent, prove};

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
                    parts.extensions.insert(Carried::new(proof));
                    inner.call(Request::from_parts(parts, body)).await
                }
                Err(refused) => Ok(refused.into_response()),
            }
        })
    }
}

impl<F: Fn(&Parts) -> Option<Caller>> Shared<F> {
    /// Returns the proof of a request, or the answer that refuses it.
    async fn prove<A: StepUpAction>(&self, parts: &mut Parts) -> Result<StepUpFor<A>, Refused> {
        let caller = (self.caller)(parts).ok_or_else(|| answer::not_signed_in(&A::ACTION))?;
        let code = take_code(&mut parts.headers, &self.header);
        let sent = match &code {
            Taken::Nothing => Sent::Nothing,
            Taken::Code(code) => Sent::Code(code),
            Taken::Malformed => Sent::Malformed,
        };
        prove(&self.two_factor, &caller, sent, &self.header).await
    }
}

/// What was taken out of the header of the code.
enum Taken {
    Nothing,
    Code(Zeroizing<String>),
    Malformed,
}

/// Takes the code out of the headers. Two codes are malformed, because it is unclear which one was
/// meant.
fn take_code(headers: &mut HeaderMap, name: &HeaderName) -> Taken {
    let sent = {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => return Taken::Nothing,
            (Some(value), None) if value.len() <= MAX_CODE_BYTES => {
                value.to_str().map_or(Taken::Malformed, |code| Taken::Code(Zeroizing::new(code.to_owned())))
            }
            _ => Taken::Malformed,
        }
    };
    headers.remove(name);
    sent
}
