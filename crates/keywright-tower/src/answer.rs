//! The refusals of a step-up, which name the action.

use http::{HeaderName, StatusCode};
use keywright_core::{ActionName, Refusal};
use keywright_twofactor::{Method, TwoFactorError};

use crate::refused::Refused;

fn refused(status: StatusCode, error: &'static str, action: &ActionName) -> Refused {
    Refused::new(status, error).with("action", action.as_str())
}

pub(crate) fn not_signed_in(action: &ActionName) -> Refused {
    refused(StatusCode::UNAUTHORIZED, "not_signed_in", action)
}

/// A code is required, or the one that was sent is denied.
pub(crate) fn required(error: &'static str, action: &ActionName, methods: &[Method], header: &HeaderName) -> Refused {
    let methods: Vec<&str> = methods.iter().map(|method| method.name()).collect();
    refused(StatusCode::FORBIDDEN, error, action).with("methods", methods).with("header", header.as_str())
}

pub(crate) fn nothing_enrolled(action: &ActionName) -> Refused {
    refused(StatusCode::FORBIDDEN, "nothing_enrolled", action)
}

pub(crate) fn malformed(action: &ActionName) -> Refused {
    refused(StatusCode::BAD_REQUEST, "malformed_code", action)
}

pub(crate) fn paused(action: &ActionName, refusal: &Refusal) -> Refused {
    let seconds = refusal.retry_after();
    let refused = refused(StatusCode::TOO_MANY_REQUESTS, "step_up_refused", action);
    refused.with("retry_after", seconds).with_retry_after(seconds)
}

pub(crate) fn unavailable(action: &ActionName, error: TwoFactorError) -> Refused {
    Refused::unavailable(error).with("action", action.as_str())
}

#[cfg(feature = "axum")]
pub(crate) fn missing(action: &ActionName) -> Refused {
    refused(StatusCode::INTERNAL_SERVER_ERROR, "step_up_missing", action)
}
