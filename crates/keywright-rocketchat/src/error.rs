//! The exact error bodies: `{"success": false, "error": "<reason> [<code>]", "errorType":
//! "<code>"}` and `details` (protocol § 4, the forms of 8.x).

use http::StatusCode;
use keywright_core::UnixSeconds;
use keywright_wire::RefusedBy;
use serde_json::{Value, json};

use crate::iso;
use crate::method::Factor;

/// An answer that refuses. It is not `Debug`, because its details may name an address.
#[derive(Clone)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    body: Value,
    pub(crate) wait: Option<Wait>,
    /// For the host's log.
    pub(crate) refused_by: Option<RefusedBy>,
}

/// How long a caller must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    /// The wait in whole seconds, at least 1.
    pub(crate) seconds: u64,
    /// The end of the wait, in milliseconds since 1970.
    pub(crate) reset: u64,
}

impl Wait {
    /// Returns the wait of some seconds that starts at `now`.
    pub(crate) fn from(now: UnixSeconds, seconds: u64) -> Self {
        let seconds = seconds.max(1);
        Self { seconds, reset: now.plus(seconds).get().saturating_mul(1_000) }
    }
}

/// The kinds of answers about a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// No code came.
    Required,
    /// The code is wrong, used, expired or malformed: all have one answer.
    Invalid,
    /// The last try of a mailed code was wrong.
    MaxAttempts,
}

impl Complaint {
    /// Returns the reason and the code.
    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Required => ("TOTP Required", "totp-required"),
            Self::Invalid => ("TOTP Invalid", "totp-invalid"),
            // This is upstream's spelling, and part of the wire protocol.
            Self::MaxAttempts => ("TOTP Maximun Failed Attempts Reached", "totp-max-attempts"),
        }
    }
}

/// What a client needs to prompt its user for a code.
#[derive(Clone)]
pub(crate) struct Details {
    pub(crate) method: Factor,
    /// Whether this very call mailed a code.
    pub(crate) generated: bool,
    /// For mailed codes, the first verified address.
    pub(crate) email: Option<String>,
    /// For mailed codes, when the pending one expires.
    pub(crate) expires: Option<UnixSeconds>,
    /// The enrolled methods.
    pub(crate) available: Vec<Factor>,
}

impl Details {
    fn to_json(&self) -> Value {
        let available: Vec<&str> = self.available.iter().map(|factor| factor.name()).collect();
        let expires = self.expires.filter(|_| !self.generated);
        let members = [
            Some(("method", json!(self.method.name()))),
            Some(("codeGenerated", json!(self.generated))),
            Some(("availableMethods", json!(available))),
            self.email.as_ref().map(|email| ("emailOrUsername", json!(email))),
            expires.map(|expires| ("codeExpires", json!(iso::milliseconds(expires)))),
        ];
        members.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

const MUST_LOG_IN: &str = "You must be logged in to do this.";

impl ApiError {
    fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body, wait: None, refused_by: None }
    }

    /// Returns a 400 in its general form. An error without a reason consists of its code in
    /// brackets.
    pub(crate) fn coded(reason: &str, code: &str) -> Self {
        let error = if reason.is_empty() { format!("[{code}]") } else { format!("{reason} [{code}]") };
        Self::new(StatusCode::BAD_REQUEST, json!({"success": false, "error": error, "errorType": code}))
    }

    fn with_details(mut self, details: Value) -> Self {
        if let Value::Object(members) = &mut self.body {
            members.insert("details".into(), details);
        }
        self
    }

    /// Returns the answer to a request that is not logged in, in the form that clients of every
    /// version understand.
    pub(crate) fn unauthorized() -> Self {
        let body = json!({"success": false, "error": MUST_LOG_IN, "status": "error", "message": MUST_LOG_IN});
        Self::new(StatusCode::UNAUTHORIZED, body)
    }

    /// Returns the answer to a login whose account has no username.
    pub(crate) fn no_username() -> Self {
        Self::coded("", "error-unauthorized")
    }

    /// Returns the answer to a malformed body. The words are the validator's, never the input's.
    pub(crate) fn invalid_params(error: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, json!({"success": false, "errorType": "invalid-params", "error": error}))
    }

    /// Returns the answer to a body that lacks a member.
    pub(crate) fn missing(name: &str) -> Self {
        Self::invalid_params(&format!("must have required property '{name}'"))
    }

    pub(crate) fn too_large() -> Self {
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, ..Self::invalid_params("must NOT have a body of that size") }
    }

    /// Returns the answer to a request in a wait of the guess ledger.
    pub(crate) fn too_many(wait: Wait) -> Self {
        Self::over_limit(wait, RefusedBy::GUESSES)
    }

    /// Returns the answer to a request over a limit. It does not differ from that of a wait.
    pub(crate) fn over_limit(wait: Wait, refused_by: RefusedBy) -> Self {
        let error = format!(
            "Error, too many requests. Please slow down. You must wait {} seconds before trying this endpoint again. \
             [error-too-many-requests]",
            wait.seconds
        );
        let body = json!({"success": false, "error": error});
        Self { wait: Some(wait), refused_by: Some(refused_by), ..Self::new(StatusCode::TOO_MANY_REQUESTS, body) }
    }

    pub(crate) fn second_factor(complaint: Complaint, details: &Details) -> Self {
        let (reason, code) = complaint.texts();
        Self::coded(reason, code).with_details(details.to_json())
    }

    /// Returns the answer to a log-in whose second factor is missing or wrong (protocol § 11).
    pub(crate) fn login_second_factor(complaint: Complaint, details: &Details) -> Self {
        let (reason, code) = complaint.texts();
        let message = format!("{reason} [{code}]");
        let body = json!({"success": false, "status": "error", "error": code, "message": message});
        Self::new(StatusCode::UNAUTHORIZED, body).with_details(details.to_json())
    }

    /// Returns the answer to a log-in that is refused for any other reason: an unknown name, a wrong
    /// password, a token that is no login. They do not differ.
    pub(crate) fn login_refused() -> Self {
        let body = json!({"success": false, "status": "error", "error": "Unauthorized", "message": "Unauthorized"});
        Self::new(StatusCode::UNAUTHORIZED, body)
    }

    /// Returns an error that consists of its code alone, in both places where clients look for it
    /// (protocol § 15).
    fn bare(code: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, json!({"success": false, "error": code, "errorType": code}))
    }

    pub(crate) fn challenge_not_found() -> Self {
        Self::bare("challenge-not-found")
    }

    pub(crate) fn challenge_expired() -> Self {
        Self::bare("challenge-expired")
    }

    /// Returns the answer to a call for a mailed code, where the challenge takes none.
    pub(crate) fn invalid_challenge_method() -> Self {
        Self::bare("invalid-challenge-method")
    }

    /// Returns the answer to a wrong code of a challenge, and to a login code that is unknown, used
    /// or expired.
    pub(crate) fn invalid_code() -> Self {
        Self::bare("invalid-code")
    }

    pub(crate) fn user_not_found() -> Self {
        Self::bare("user-not-found")
    }

    pub(crate) fn parameter_required() -> Self {
        Self::bare("parameter-required")
    }

    /// Returns the answer to a key pair that would replace another without being told to.
    pub(crate) fn keys_exist() -> Self {
        Self::coded("Keys already exist", "error-keys-already-set")
    }

    pub(crate) fn blank_target() -> Self {
        let reason = r#"The required "userId" or "username" param was not provided"#;
        Self::coded(reason, "error-user-param-not-provided")
    }

    pub(crate) fn unknown_target() -> Self {
        let reason = r#"The required "userId" or "username" param provided does not match any users"#;
        Self::coded(reason, "error-invalid-user")
    }

    pub(crate) fn not_allowed() -> Self {
        Self::coded("Not allowed", "error-not-allowed")
    }

    pub(crate) fn federated() -> Self {
        Self::coded("Federated Users cant have TOTP", "error-not-allowed")
            .with_details(json!({"function": "resetTOTP"}))
    }

    /// Returns the answer to a mail that could not be sent; `shown` is the host's text for clients.
    pub(crate) fn mail_failed(function: &str, shown: &str) -> Self {
        Self::coded(&format!("Error trying to send email: {shown}"), "error-email-send-failed")
            .with_details(json!({"function": function, "message": shown}))
    }

    /// Returns the answer to a wrong code that should enrol a device or make new recovery codes.
    pub(crate) fn invalid_totp() -> Self {
        Self::coded("", "invalid-totp")
    }

    pub(crate) fn already_enabled() -> Self {
        Self::coded("", "error-2fa-already-enabled")
    }

    pub(crate) fn two_factor_off() -> Self {
        Self::coded("", "error-two-factor-not-enabled")
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, json!({"success": false, "error": "API endpoint not found"}))
    }

    pub(crate) fn wrong_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, json!({"success": false, "error": "Method not allowed"}))
    }

    /// Returns the answer to a failure of the store or the host. It does not show what failed.
    pub(crate) fn failed() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, json!({"success": false, "error": "Internal server error"}))
    }

    /// Returns the answer where the store has no room: nothing was changed.
    pub(crate) fn no_room() -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, json!({"success": false, "error": "Internal server error"}))
    }

    /// Returns the answer for a busy account: nothing was checked.
    pub(crate) fn busy(now: UnixSeconds, seconds: u64, refused_by: Option<RefusedBy>) -> Self {
        let body = json!({"success": false, "error": "The account is busy, try again"});
        Self { wait: Some(Wait::from(now, seconds)), refused_by, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, body) }
    }

    /// Returns the answer for a busy host, which has too many requests at a time: nothing was
    /// checked.
    pub(crate) fn host_busy(now: UnixSeconds, seconds: u64, refused_by: Option<RefusedBy>) -> Self {
        let body = json!({"success": false, "error": "The server is busy, try again"});
        Self { wait: Some(Wait::from(now, seconds)), refused_by, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, body) }
    }

    pub(crate) fn body(&self) -> String {
        self.body.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every body of protocol § 4 that the vectors do not cover.
    #[test]
    fn bodies_are_those_of_the_protocol() {
        let body = |error: ApiError| serde_json::from_str::<Value>(&error.body()).unwrap();
        assert_eq!(
            body(ApiError::invalid_totp()),
            json!({"success": false, "error": "[invalid-totp]", "errorType": "invalid-totp"})
        );
        assert_eq!(
            body(ApiError::already_enabled()),
            json!({"success": false, "error": "[error-2fa-already-enabled]", "errorType": "error-2fa-already-enabled"})
        );
        let now = UnixSeconds::new(1_800_000_000).unwrap();
        let wait = ApiError::too_many(Wait::from(now, 42));
        assert_eq!(wait.wait, Some(Wait { seconds: 42, reset: 1_800_000_042_000 }));
        assert_eq!(body(wait).as_object().unwrap().len(), 2, "no errorType, no details");
        assert_eq!(ApiError::too_large().status, 413);
        let no_room = ApiError::no_room();
        assert_eq!((no_room.status.as_u16(), no_room.wait), (507, None));
        assert_eq!(body(no_room), json!({"success": false, "error": "Internal server error"}));
        assert_eq!(body(ApiError::too_large())["errorType"], "invalid-params");
    }

    #[test]
    fn an_expiry_is_told_only_when_nothing_was_mailed_now() {
        let mut details = Details {
            method: Factor::Email,
            generated: true,
            email: Some("a@example.com".into()),
            expires: Some(UnixSeconds::EPOCH),
            available: vec![Factor::Totp, Factor::Email],
        };
        assert!(details.to_json().get("codeExpires").is_none());
        details.generated = false;
        assert_eq!(details.to_json()["codeExpires"], "1970-01-01T00:00:00.000Z");
        assert_eq!(details.to_json()["availableMethods"], json!(["totp", "email"]));
    }
}
