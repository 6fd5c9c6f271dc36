//! The proof as an extractor of axum.

use axum_core::extract::FromRequestParts;
use axum_core::response::Response;
use http::request::Parts;

use crate::answer;
use crate::proof::{StepUpAction, StepUpFor};

impl<A: StepUpAction, S: Sync> FromRequestParts<S> for StepUpFor<A> {
    /// 500 with `step_up_missing`: the route lacks the layer of this action.
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        Self::take(&mut parts.extensions).map_err(|_| answer::missing(&A::ACTION).into_response())
    }
}
