//! What a route answers instead of acting.

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use http::{Response, StatusCode};
use keywright_core::{AccountIdError, EntropyError, Refusal};
use keywright_store::{BoxError, TransactError};
use keywright_twofactor::{TwoFactorError, UriError};
use keywright_wire::Reply;
use serde_json::{Map, Value};

use crate::proof::StepUpMissing;

/// What a route answers instead of acting: a status, JSON that a client can read, and `Retry-After`
/// where the client must wait. It belongs to no framework.
///
/// A handler gets it from [`OrRefuse::or_refuse`](crate::OrRefuse::or_refuse) or
/// [`step_up`](crate::step_up), or by `?` from the errors of the services, and returns it. For what
/// the host itself refuses, [`bad_request`](Self::bad_request), [`unauthorized`](Self::unauthorized),
/// [`forbidden`](Self::forbidden) and [`conflict`](Self::conflict) return answers of the same form. With the
/// feature `axum` it is a response of axum. For another framework, wrap it in a type of your own:
///
/// ```
/// use keywright_tower::Refused;
///
/// /// The answer in the framework's own form: a status, headers and a body.
/// struct Answer(u16, Vec<(&'static str, String)>, String);
///
/// /// The error type of the handlers.
/// struct Failure(Refused);
///
/// impl<E: Into<Refused>> From<E> for Failure {
///     fn from(error: E) -> Self {
///         Self(error.into())
///     }
/// }
///
/// impl From<Failure> for Answer {
///     fn from(Failure(refused): Failure) -> Self {
///         Self(refused.status().as_u16(), refused.headers().collect(), refused.to_json())
///     }
/// }
/// ```
///
/// It is an error too, so an error type that takes every error takes it, and has to hand it on as it is:
/// `error.downcast::<Refused>()`. Otherwise a wrong code becomes the 500 of that type.
///
/// Its text and its JSON have no secret and nothing that the client sent. An error of the store is
/// its [source](Error::source), for the log, and is not in the answer.
#[derive(Debug)]
#[must_use = "the request is refused, and this is its answer"]
pub struct Refused {
    status: StatusCode,
    error: &'static str,
    /// Further fields of the JSON.
    fields: Map<String, Value>,
    retry_after: Option<u64>,
    source: Option<BoxError>,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, error: &'static str) -> Self {
        Self { status, error, fields: Map::new(), retry_after: None, source: None }
    }

    /// Returns 400 with an error of the host's own, such as `bad_name`.
    pub fn bad_request(error: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// Returns 401 with an error of the host's own, such as `wrong_password`.
    pub fn unauthorized(error: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, error)
    }

    /// Returns 403 with an error of the host's own.
    pub fn forbidden(error: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, error)
    }

    /// Returns 409 with an error of the host's own.
    pub fn conflict(error: &'static str) -> Self {
        Self::new(StatusCode::CONFLICT, error)
    }

    /// Returns 503 `unavailable`, to be tried again in a second: a store of the host's own failed. The
    /// error is the [source](Error::source), for the log, and is not in the answer.
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        let refused = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable");
        refused.with_retry_after(1).with_source(source)
    }

    pub(crate) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(field.to_owned(), value.into());
        self
    }

    pub(crate) const fn with_retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns the status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns what went wrong, as the field `error` of the JSON says it. For a host that answers
    /// with a page of its own.
    #[must_use]
    pub const fn error(&self) -> &'static str {
        self.error
    }

    /// Returns the whole seconds, at least 1, after which the client may try again, if it must wait.
    #[must_use]
    pub const fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// Returns the headers of the answer, their names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let fixed = [("content-type", "application/json".to_owned()), ("cache-control", "no-store".to_owned())];
        fixed.into_iter().chain(self.retry_after.map(|seconds| ("retry-after", seconds.to_string())))
    }

    /// Returns the body of the answer: an object with the field `error`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut object = self.fields.clone();
        object.insert("error".to_owned(), self.error.into());
        Value::Object(object).to_string()
    }

    /// Returns the answer with a body of the caller's type.
    #[must_use]
    pub fn into_response<B: From<Bytes>>(self) -> Response<B> {
        let reply = Reply::json(self.status, self.to_json());
        let reply = match self.retry_after {
            Some(seconds) => reply.with_retry_after(seconds),
            None => reply,
        };
        reply.into_response().map(B::from)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request was refused: {}", self.error)
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// 429 `refused`, with the field `retry_after`: guesses are paused or locked.
impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let seconds = refusal.retry_after();
        Self::new(StatusCode::TOO_MANY_REQUESTS, "refused").with("retry_after", seconds).with_retry_after(seconds)
    }
}

/// 503 `unavailable`: the store failed or is busy, so nobody is let in.
impl From<TransactError> for Refused {
    fn from(error: TransactError) -> Self {
        Self::unavailable(error)
    }
}

/// 503 `unavailable`: the random number generator failed.
impl From<EntropyError> for Refused {
    fn from(error: EntropyError) -> Self {
        Self::unavailable(error)
    }
}

/// 403 `not_proven` if the change lacks a fresh proof of an enrolled factor, and 503 `unavailable`
/// otherwise.
impl From<TwoFactorError> for Refused {
    fn from(error: TwoFactorError) -> Self {
        match error {
            TwoFactorError::NotProven => Self::new(StatusCode::FORBIDDEN, "not_proven"),
            error => Self::unavailable(error),
        }
    }
}

/// 500 `step_up_missing`: the route lacks the layer of the action.
impl From<StepUpMissing> for Refused {
    fn from(error: StepUpMissing) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "step_up_missing").with_source(error)
    }
}

/// 500 `bad_account_id`: the host's own id of a user is none.
impl From<AccountIdError> for Refused {
    fn from(error: AccountIdError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "bad_account_id").with_source(error)
    }
}

/// 400 `bad_name`: a name that the user chose has no place in an otpauth URI.
impl From<UriError> for Refused {
    fn from(error: UriError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_name").with_source(error)
    }
}

/// 400 `bad_name`: as with [`UriError`], or the URI with that name is too long for a QR code.
#[cfg(feature = "qr")]
impl From<keywright_twofactor::EnrolmentQrError> for Refused {
    fn from(error: keywright_twofactor::EnrolmentQrError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_name").with_source(error)
    }
}

/// 503 `unavailable`: the store failed or is busy, so nothing is confirmed.
#[cfg(feature = "confirm")]
impl From<keywright_confirm::ConfirmError> for Refused {
    fn from(error: keywright_confirm::ConfirmError) -> Self {
        Self::unavailable(error)
    }
}

#[cfg(feature = "axum")]
impl axum_core::response::IntoResponse for Refused {
    fn into_response(self) -> axum_core::response::Response {
        Self::into_response(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_its_status_headers_and_json() {
        let refused = Refused::new(StatusCode::FORBIDDEN, "denied").with("action", "a");
        assert_eq!(refused.to_json(), r#"{"action":"a","error":"denied"}"#);
        let headers = [("content-type", "application/json".to_owned()), ("cache-control", "no-store".to_owned())];
        assert_eq!(refused.headers().collect::<Vec<_>>(), headers);
        assert_eq!((refused.status().as_u16(), refused.error(), refused.retry_after()), (403, "denied", None));
        assert_eq!(refused.to_string(), "the request was refused: denied");
    }

    #[cfg(feature = "qr")]
    #[test]
    fn a_name_that_has_no_place_in_a_qr_code_is_a_bad_one() {
        let refused = Refused::from(keywright_twofactor::EnrolmentQrError::from(UriError::Label));
        assert_eq!((refused.status().as_u16(), refused.error()), (400, "bad_name"));
    }

    #[test]
    fn an_error_type_that_takes_every_error_can_hand_it_on() {
        let taken: BoxError = Refused::from(AccountIdError::Empty).into();
        assert_eq!(taken.downcast::<Refused>().map(|refused| refused.error()).ok(), Some("bad_account_id"));
    }

    #[test]
    fn an_error_of_the_store_is_for_the_log_and_not_for_the_client() {
        let refused = Refused::from(TransactError::Busy);
        assert_eq!((refused.status().as_u16(), refused.retry_after()), (503, Some(1)));
        assert_eq!(refused.to_json(), r#"{"error":"unavailable"}"#);
        assert_eq!(refused.source().map(ToString::to_string), Some(TransactError::Busy.to_string()));
        let headers: Vec<_> = refused.headers().collect();
        let response: Response<Bytes> = refused.into_response();
        assert_eq!(response.headers().len(), headers.len());
        for (name, value) in headers {
            assert_eq!(response.headers()[name], value);
        }
        assert_eq!(Refused::bad_request("a").status(), 400);
        assert_eq!(Refused::unauthorized("a").status(), 401);
        assert_eq!(Refused::forbidden("a").status(), 403);
        assert_eq!(Refused::conflict("a").status(), 409);
        assert_eq!(Refused::from(EntropyError).status(), 503);
        assert_eq!(Refused::from(TwoFactorError::NotProven).status(), 403);
        assert_eq!(Refused::from(TwoFactorError::NoCodeVerifier).status(), 503);
    }
}
