//! The answers of the JSON API.

use http::StatusCode;
use keywright_wire::Reply;
use serde_json::{Value, json};

use crate::answer::{self, Failure};
use crate::context::Call;
use crate::html::view::View;
use crate::texts::Text;

/// Returns a refusal as JSON: a code for programs, a sentence for people, and when to try again.
pub(crate) fn refusal(
    view: &View<'_>,
    status: StatusCode,
    code: &str,
    message: &str,
    retry_after: Option<u64>,
) -> Reply {
    let language = view.texts.language();
    let body = json!({ "error": code, "message": message, "language": language, "retry_after": retry_after });
    let reply = answer::json(status, &body);
    match retry_after {
        Some(seconds) => reply.with_retry_after(seconds),
        None => reply,
    }
}

/// Returns the answer to a request that failed.
pub(crate) fn failed(view: &View<'_>, failure: &Failure) -> Reply {
    let (status, code, text) = match failure {
        Failure::NoLogin => (StatusCode::UNAUTHORIZED, "no_login", Text::OutdatedLead),
        Failure::NotOwnForm => (StatusCode::FORBIDDEN, "form_token", Text::OutdatedLead),
        Failure::BadBody => (StatusCode::BAD_REQUEST, "bad_body", Text::NotFoundLead),
        Failure::NotFound => (StatusCode::NOT_FOUND, "not_found", Text::NotFoundLead),
        Failure::Stale => (StatusCode::CONFLICT, "stale", Text::ProofStale),
        Failure::Due(error) => match error.retry_after() {
            Some(seconds) => {
                let message = view.say(Text::BusyLead);
                return refusal(view, StatusCode::SERVICE_UNAVAILABLE, "busy", message, Some(seconds));
            }
            None => (answer::failed_status(error), "failed", Text::FailedLead),
        },
    };
    refusal(view, status, code, view.say(text), None)
}

pub(super) fn ok(value: &Value) -> Reply {
    answer::json(StatusCode::OK, value)
}

pub(super) fn conflict(call: &Call<'_>, code: &str, text: Text) -> Reply {
    refusal(call.view, StatusCode::CONFLICT, code, call.view.say(text), None)
}

pub(super) fn bad_name(call: &Call<'_>) -> Reply {
    let message = call.view.say(Text::EnrolBadName);
    refusal(call.view, StatusCode::UNPROCESSABLE_ENTITY, "bad_name", message, None)
}
