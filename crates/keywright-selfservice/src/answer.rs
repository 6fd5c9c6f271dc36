//! Why a request fails, and what is added to every answer.

use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY};
use keywright_confirm::ConfirmError;
use keywright_store::TransactError;
use keywright_twofactor::TwoFactorError;
use keywright_wire::{DueError, HostError, Reply};

/// A page loads its own stylesheet and script and nothing else, submits to its own origin, and
/// nobody may frame it.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
                           form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Why a request fails without an outcome of its own.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody is logged in.
    NoLogin,
    /// The request comes from another site, or its form is not of this session.
    NotOwnForm,
    /// There is no such thing.
    NotFound,
    /// The body is not of the endpoint's form.
    BadBody,
    /// The proof is not valid any more, because the account changed.
    Stale,
    /// The store or the host failed.
    Due(DueError),
}

keywright_wire::due_failure!(Failure: DueError, TransactError, HostError);

impl From<TwoFactorError> for Failure {
    fn from(error: TwoFactorError) -> Self {
        match error {
            TwoFactorError::Transact(error) => error.into(),
            TwoFactorError::NotProven => Self::Stale,
            other => HostError::new(other).into(),
        }
    }
}

impl From<ConfirmError> for Failure {
    fn from(error: ConfirmError) -> Self {
        match error {
            ConfirmError::Transact(error) => error.into(),
            other => HostError::new(other).into(),
        }
    }
}

/// Returns the status of a failure that no retry in a moment would mend: 507 if the store has no
/// room, so that nothing was written, and 500 otherwise.
pub(crate) fn failed_status(error: &DueError) -> StatusCode {
    if error.lacks_room() { StatusCode::INSUFFICIENT_STORAGE } else { StatusCode::INTERNAL_SERVER_ERROR }
}

/// Returns an HTML page with the headers of all pages.
pub(crate) fn page(html: String) -> Reply {
    guarded(Reply::page(html)).with(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY))
}

/// Returns an answer of a type other than HTML that may be kept: it is the same for everybody.
pub(crate) fn asset(content_type: &'static str, text: String) -> Reply {
    guarded(Reply::page(text))
        .with(CONTENT_TYPE, HeaderValue::from_static(content_type))
        .with(http::header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"))
}

/// Returns text as a file to be saved.
pub(crate) fn file(text: String, name: &'static str) -> Reply {
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
    let reply = guarded(Reply::page(text)).with(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    match disposition {
        Ok(value) => reply.with(http::header::CONTENT_DISPOSITION, value),
        Err(_) => reply, // a fixed name is always a value
    }
}

/// Returns JSON with the headers of all answers.
pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Reply {
    guarded(Reply::json(status, value.to_string()))
        .with(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
}

/// Returns a redirection to a path that a GET request opens.
pub(crate) fn see(path: &str) -> Reply {
    let reply = guarded(Reply::page(Vec::new())).with_status(StatusCode::SEE_OTHER);
    match HeaderValue::try_from(path) {
        Ok(path) => reply.with(LOCATION, path),
        Err(_) => reply.with_status(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

fn guarded(reply: Reply) -> Reply {
    reply
        .with(REFERRER_POLICY, HeaderValue::from_static("no-referrer"))
        .with(CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin"))
}

#[cfg(test)]
mod tests {
    use keywright_store::Shortage;

    use super::*;

    #[test]
    fn a_store_without_room_is_507() {
        let failed = |error: TransactError| failed_status(&error.into());
        assert_eq!(failed(TransactError::Rejected(Shortage::Room.into())), StatusCode::INSUFFICIENT_STORAGE);
        assert_eq!(failed(TransactError::Rejected("broken".into())), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
