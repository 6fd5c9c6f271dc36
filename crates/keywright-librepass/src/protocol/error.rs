//! The exact error bodies: `{"error": CODE, "status": HTTP, "message": text?}` (protocol § 4).
//!
//! They never contain text from a caller, except for ids of ciphers.

use http::StatusCode;
use keywright_wire::{RefusedBy, Reply};

/// An answer that refuses, with its `Retry-After` if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    message: Message,
    /// The wait before a retry, in whole seconds.
    pub(crate) retry_after: Option<u64>,
    /// For the host's log.
    pub(crate) refused_by: Option<RefusedBy>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    None,
    Text(&'static str),
    CipherLimit(u64),
    /// The vault would be too large for a body of so many bytes.
    VaultSize(u64),
    /// The device's clock is off by so many seconds; negative if it is behind.
    ClockOff(i64),
}

const INVALID_BODY: &str = "LP-Invalid-Body";
const INVALID_CIPHER: &str = "LP-Invalid-Cipher";

impl ApiError {
    const fn new(status: StatusCode, code: &'static str) -> Self {
        Self { status, code, message: Message::None, retry_after: None, refused_by: None }
    }

    const fn bad(code: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code)
    }

    /// States what turned the request away, for the host's log.
    pub(crate) const fn refused_by(self, refused_by: RefusedBy) -> Self {
        Self { refused_by: Some(refused_by), ..self }
    }

    const fn saying(self, text: &'static str) -> Self {
        Self { message: Message::Text(text), ..self }
    }

    /// The token is missing, invalid or no longer valid, or its login has not proven its second
    /// factor.
    pub(crate) const INVALID_TOKEN: Self = Self::new(StatusCode::UNAUTHORIZED, "LP-Invalid-Token");
    pub(crate) const EMAIL_NOT_VERIFIED: Self = Self::new(StatusCode::UNAUTHORIZED, "LP-Email-Not-Verified");
    pub(crate) const NOT_READABLE: Self = Self::bad(INVALID_BODY).saying("not readable");
    pub(crate) const MISSING_PARAMETER: Self = Self::bad(INVALID_BODY).saying("missing parameter");
    pub(crate) const VALIDATION: Self = Self::bad(INVALID_BODY).saying("validation error");
    pub(crate) const ARGUMENT_TYPE: Self = Self::bad(INVALID_BODY).saying("argument type mismatch");
    pub(crate) const SYNTAX: Self = Self::bad(INVALID_BODY).saying("json syntax error");
    pub(crate) const GRANT_TYPE: Self = Self::bad(INVALID_BODY).saying("invalid grant_type");
    pub(crate) const ALREADY_VERIFIED: Self = Self::bad(INVALID_BODY).saying("email is already verified");
    pub(crate) const METHOD: Self =
        Self::new(StatusCode::METHOD_NOT_ALLOWED, INVALID_BODY).saying("method not allowed");
    pub(crate) const TOO_LARGE: Self =
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, INVALID_BODY).saying("request too large");
    /// A prefetch by a browser is not answered: the browser requests the page again on the click.
    pub(crate) const PREFETCH: Self = Self::new(StatusCode::SERVICE_UNAVAILABLE, INVALID_BODY)
        .saying("a prefetch does not act")
        .refused_by(RefusedBy::PREFETCH);
    /// The old key or the new one is wrong: the code is the same.
    pub(crate) const SHARED_KEY: Self = Self::bad("LP-Invalid-Shared-Secret");
    pub(crate) const TWO_FACTOR: Self = Self::bad("LP-Invalid-Two-Factor");
    pub(crate) const MISSING_CIPHER: Self = Self::bad("LP-Missing-Cipher");
    pub(crate) const CIPHER: Self = Self::bad(INVALID_CIPHER).saying("validation failed");
    pub(crate) const EMAIL_CODE: Self = Self::bad("LP-Email-Invalid-Code");
    pub(crate) const DUPLICATED: Self = Self::bad("LP-Duplicated").saying("database: duplicate key");
    /// There is no such user, or nothing that waits for its link.
    pub(crate) const USER_NOT_FOUND: Self = Self::new(StatusCode::NOT_FOUND, "LP-User-404");
    pub(crate) const CIPHER_NOT_FOUND: Self = Self::new(StatusCode::NOT_FOUND, "LP-Cipher-404");
    /// A collection's id or name is malformed, or there are too many collections.
    pub(crate) const COLLECTION: Self = Self::bad("LP-Invalid-Collection").saying("validation failed");
    pub(crate) const COLLECTION_NOT_FOUND: Self = Self::new(StatusCode::NOT_FOUND, "LP-Collection-404");
    pub(crate) const NOT_FOUND: Self = Self::new(StatusCode::NOT_FOUND, "LP-404");
    /// The store failed. Where a change may have happened the outcome is unknown, so this is not
    /// the code of a refusal.
    pub(crate) const FAILED: Self = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "LP-Database-Error");
    /// The store has no room. Nothing was changed.
    pub(crate) const NO_ROOM: Self = Self::new(StatusCode::INSUFFICIENT_STORAGE, "LP-Database-Error");
    /// Too many requests wait for this account, or the store took too long to read. Nothing was
    /// decided.
    pub(crate) const BUSY: Self = Self {
        retry_after: Some(1),
        refused_by: Some(RefusedBy::ACCOUNT_BUSY),
        ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "LP-Database-Error")
    };
    /// Too many mails wait, because a mail server fails.
    pub(crate) const MAIL: Self = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "LP-Mail-Error");

    /// Returns [`BUSY`](Self::BUSY) for so many seconds, such as those of an erasure.
    pub(crate) const fn busy(seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..Self::BUSY }
    }

    /// Returns the answer to a cipher beyond the vault limit.
    pub(crate) const fn cipher_limit(limit: u64) -> Self {
        Self { message: Message::CipherLimit(limit), ..Self::bad(INVALID_CIPHER) }
    }

    /// Returns the answer to a cipher that would make the vault too large to be re-encrypted in one
    /// request of so many bytes.
    pub(crate) const fn vault_size(limit: u64) -> Self {
        Self { message: Message::VaultSize(limit), ..Self::bad(INVALID_CIPHER) }
    }

    /// Returns the answer to a second factor that would be refused at every log-in, because its
    /// device's clock is off by so many seconds. A client that enrols knows the secret, so this
    /// reveals nothing.
    pub(crate) const fn clock_off(seconds: i64) -> Self {
        Self { message: Message::ClockOff(seconds), ..Self::TWO_FACTOR }
    }

    /// Returns the answer to a request in a wait or lock of the guess ledger. That to a request over
    /// a limit does not differ ([`refused_by`](Self::refused_by) does). Both come before anything is
    /// checked.
    pub(crate) const fn too_many(seconds: u64) -> Self {
        let seconds = if seconds == 0 { 1 } else { seconds };
        let refused_by = Some(RefusedBy::GUESSES);
        Self { retry_after: Some(seconds), refused_by, ..Self::new(StatusCode::TOO_MANY_REQUESTS, "LP-RateLimit") }
    }

    /// Returns the answer to a request for a mail too many, or for a change that needs one.
    pub(crate) const fn too_many_mails(seconds: u64) -> Self {
        Self::too_many(seconds).refused_by(RefusedBy::MAILS)
    }

    /// Returns the answer to a malformed body. The parser's own message quotes the input, so it is
    /// dropped.
    pub(crate) fn unreadable(error: &serde_json::Error) -> Self {
        if error.is_syntax() || error.is_eof() { Self::SYNTAX } else { Self::NOT_READABLE }
    }

    /// Returns the reply.
    pub(crate) fn reply(&self) -> Reply {
        self.waiting(Reply::json(self.status, self.body()))
    }

    /// Adds to a reply when to try again, and what turned the request away.
    pub(crate) fn waiting(&self, mut reply: Reply) -> Reply {
        if let Some(refused_by) = self.refused_by {
            reply = reply.with_refused_by(refused_by);
        }
        match self.retry_after {
            Some(seconds) => reply.with_retry_after(seconds),
            None => reply,
        }
    }

    /// Returns the reply with a text behind the message, which must have no character that JSON
    /// escapes.
    pub(crate) fn reply_with(&self, details: &str) -> Reply {
        let message = self.message().map_or_else(|| details.to_owned(), |message| format!("{message}: {details}"));
        Reply::json(self.status, self.body_with(Some(&message)))
    }

    /// Returns the message, if there is one. Messages have no characters that JSON or HTML escapes.
    pub(crate) fn message(&self) -> Option<String> {
        match self.message {
            Message::None => None,
            Message::Text(text) => Some(text.to_owned()),
            Message::CipherLimit(limit) => Some(format!("current ciphers limit per user is {limit}")),
            Message::VaultSize(limit) => {
                Some(format!("the vault would be too large to be encrypted again in {limit} bytes"))
            }
            Message::ClockOff(seconds) => {
                let (off, side) = (seconds.unsigned_abs(), if seconds < 0 { "behind" } else { "ahead" });
                Some(format!("the clock of this device is {off} seconds {side}"))
            }
        }
    }

    fn body(&self) -> String {
        self.body_with(self.message().as_deref())
    }

    fn body_with(&self, message: Option<&str>) -> String {
        let (code, status) = (self.code, self.status.as_u16());
        match message {
            None => format!(r#"{{"error":"{code}","status":{status}}}"#),
            Some(message) => format!(r#"{{"error":"{code}","status":{status},"message":"{message}"}}"#),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes and statuses of protocol § 4.
    #[test]
    fn codes_and_statuses_are_those_of_the_protocol() {
        for (error, status, code, message) in [
            (ApiError::INVALID_TOKEN, 401, "LP-Invalid-Token", None),
            (ApiError::EMAIL_NOT_VERIFIED, 401, "LP-Email-Not-Verified", None),
            (ApiError::NOT_READABLE, 400, "LP-Invalid-Body", Some("not readable")),
            (ApiError::MISSING_PARAMETER, 400, "LP-Invalid-Body", Some("missing parameter")),
            (ApiError::VALIDATION, 400, "LP-Invalid-Body", Some("validation error")),
            (ApiError::ARGUMENT_TYPE, 400, "LP-Invalid-Body", Some("argument type mismatch")),
            (ApiError::SYNTAX, 400, "LP-Invalid-Body", Some("json syntax error")),
            (ApiError::GRANT_TYPE, 400, "LP-Invalid-Body", Some("invalid grant_type")),
            (ApiError::ALREADY_VERIFIED, 400, "LP-Invalid-Body", Some("email is already verified")),
            (ApiError::METHOD, 405, "LP-Invalid-Body", Some("method not allowed")),
            (ApiError::TOO_LARGE, 413, "LP-Invalid-Body", Some("request too large")),
            (ApiError::SHARED_KEY, 400, "LP-Invalid-Shared-Secret", None),
            (ApiError::TWO_FACTOR, 400, "LP-Invalid-Two-Factor", None),
            (
                ApiError::clock_off(-90),
                400,
                "LP-Invalid-Two-Factor",
                Some("the clock of this device is 90 seconds behind"),
            ),
            (ApiError::MISSING_CIPHER, 400, "LP-Missing-Cipher", None),
            (ApiError::CIPHER, 400, "LP-Invalid-Cipher", Some("validation failed")),
            (ApiError::cipher_limit(500), 400, "LP-Invalid-Cipher", Some("current ciphers limit per user is 500")),
            (
                ApiError::vault_size(1_024),
                400,
                "LP-Invalid-Cipher",
                Some("the vault would be too large to be encrypted again in 1024 bytes"),
            ),
            (ApiError::EMAIL_CODE, 400, "LP-Email-Invalid-Code", None),
            (ApiError::DUPLICATED, 400, "LP-Duplicated", Some("database: duplicate key")),
            (ApiError::USER_NOT_FOUND, 404, "LP-User-404", None),
            (ApiError::CIPHER_NOT_FOUND, 404, "LP-Cipher-404", None),
            (ApiError::COLLECTION, 400, "LP-Invalid-Collection", Some("validation failed")),
            (ApiError::COLLECTION_NOT_FOUND, 404, "LP-Collection-404", None),
            (ApiError::NOT_FOUND, 404, "LP-404", None),
            (ApiError::too_many(1), 429, "LP-RateLimit", None),
            (ApiError::FAILED, 500, "LP-Database-Error", None),
            (ApiError::BUSY, 503, "LP-Database-Error", None),
            (ApiError::MAIL, 500, "LP-Mail-Error", None),
        ] {
            let body: serde_json::Value = serde_json::from_str(&error.body()).unwrap();
            assert_eq!(body["error"], code);
            assert_eq!((body["status"].as_u64(), error.status.as_u16()), (Some(status.into()), status), "{code}");
            assert_eq!(body.get("message").and_then(|text| text.as_str()), message, "{code}");
        }
        assert_eq!(ApiError::too_many(0).retry_after, Some(1));
    }
}
