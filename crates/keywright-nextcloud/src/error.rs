//! The exact error bodies: `{"status": "error", "id": "…", "message": "…"}`.
//!
//! The id is the CRC-32/BZIP2 of the message, its four bytes least significant first (protocol §
//! 1.1).

use crc::{CRC_32_BZIP2, Crc};
use http::StatusCode;
use keywright_core::Refusal;
use keywright_wire::{DueError, RefusedBy, Reply};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_BZIP2);

/// An answer that refuses, with its `Retry-After` if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: &'static str,
    /// The wait before a retry, in whole seconds.
    retry_after: Option<u64>,
    /// For the host's log.
    refused_by: Option<RefusedBy>,
}

impl ApiError {
    const fn new(status: StatusCode, message: &'static str) -> Self {
        Self { status, message, retry_after: None, refused_by: None }
    }

    pub(crate) const HTTPS_REQUIRED: Self = Self::new(StatusCode::BAD_REQUEST, "HTTPS required");
    pub(crate) const SESSION_REQUIRED: Self = Self::new(StatusCode::PRECONDITION_FAILED, "Authorized session required");
    pub(crate) const PASSPHRASE_INVALID: Self = Self::new(StatusCode::UNAUTHORIZED, "Passphrase invalid");
    pub(crate) const SECRET_INVALID: Self = Self::new(StatusCode::BAD_REQUEST, "Secret invalid");
    pub(crate) const SALT_INVALID: Self = Self::new(StatusCode::BAD_REQUEST, "Salt length invalid");
    pub(crate) const UPDATE_FAILED: Self = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Challenge update failed");
    pub(crate) const LOADING_FAILED: Self = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Loading challenge failed");
    pub(crate) const VERIFICATION_FAILED: Self =
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Passphrase verification failed");
    pub(crate) const NOT_FOUND: Self = Self::new(StatusCode::NOT_FOUND, "Not found");
    pub(crate) const RESET_CODE_INVALID: Self = Self::new(StatusCode::FORBIDDEN, "Invalid reset code");
    pub(crate) const TOKEN_INVALID: Self = Self::new(StatusCode::UNAUTHORIZED, "Token invalid");
    pub(crate) const TOKEN_FAILED: Self = Self::new(StatusCode::UNAUTHORIZED, "Token verification failed");
    pub(crate) const TOO_MANY: Self = Self::new(StatusCode::FORBIDDEN, "Too many failed login attempts");
    pub(crate) const LOGIN_NOT_ALLOWED: Self = Self::new(StatusCode::FORBIDDEN, "Login not allowed");
    /// The answer to a guess that is not checked, usually because of other clients' wrong guesses.
    /// Stock applications forget their login on 403 (`docs/decisions.md` 22).
    const GUESSES_WAIT: Self = Self::new(StatusCode::TOO_MANY_REQUESTS, "Login not allowed");
    const GUESSES_SHUT: Self = Self::new(StatusCode::TOO_MANY_REQUESTS, "Login not allowed until it is unlocked");
    pub(crate) const KEYCHAIN_FAILED: Self =
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Reading user keychain failed");
    pub(crate) const ENCRYPTION_OFF: Self = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Encryption not enabled");
    pub(crate) const KEYCHAIN_NOT_FOUND: Self = Self::new(StatusCode::NOT_FOUND, "Keychain not found");
    pub(crate) const PASSWORD_INVALID: Self = Self::new(StatusCode::FORBIDDEN, "Password invalid");
    pub(crate) const FEATURE_OFF: Self = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Feature not enabled");
    pub(crate) const METHOD: Self = Self::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed");
    pub(crate) const MEDIA_TYPE: Self = Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "JSON required");
    pub(crate) const TOO_LARGE: Self = Self::new(StatusCode::PAYLOAD_TOO_LARGE, "Request too large");
    /// The generic error, whose id is the number 0.
    pub(crate) const BAD_REQUEST: Self = Self::new(StatusCode::BAD_REQUEST, GENERIC);
    pub(crate) const FAILED: Self = Self::new(StatusCode::INTERNAL_SERVER_ERROR, GENERIC);
    /// The store has no room. Nothing was changed.
    pub(crate) const NO_ROOM: Self = Self::new(StatusCode::INSUFFICIENT_STORAGE, GENERIC);
    const BUSY: Self = Self::new(StatusCode::SERVICE_UNAVAILABLE, GENERIC);

    pub(crate) const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    const fn refused_by(mut self, refused_by: RefusedBy) -> Self {
        self.refused_by = Some(refused_by);
        self
    }

    /// Returns the answer to a client that finds no place among the account's sessions.
    pub(crate) const fn no_session(retry_after: u64) -> Self {
        Self::BUSY.retry_after(retry_after).refused_by(RefusedBy::SESSIONS)
    }

    /// Returns the answer where nothing was decided: too many requests wait for the account or the
    /// host, or the store takes too long. Returns `None` for any other failure.
    pub(crate) fn busy(failure: &DueError) -> Option<Self> {
        let busy = Self::BUSY.retry_after(failure.retry_after()?);
        Some(failure.refused_by().map_or(busy, |by| busy.refused_by(by)))
    }

    /// Returns the answer to a guess that is not checked.
    pub(crate) const fn refused(refusal: &Refusal) -> Self {
        let error = if refusal.is_locked() { Self::GUESSES_SHUT } else { Self::GUESSES_WAIT };
        error.retry_after(refusal.retry_after()).refused_by(RefusedBy::GUESSES)
    }

    /// Returns this answer, or the answer to a second refusal of the same request if that one lasts
    /// longer.
    pub(crate) fn or_longer(self, refusal: &Refusal) -> Self {
        if self.retry_after < Some(refusal.retry_after()) { Self::refused(refusal) } else { self }
    }

    /// Returns the reply, without a session.
    pub(crate) fn reply(&self) -> Reply {
        let mut reply = Reply::json(self.status, self.body());
        if let Some(refused_by) = self.refused_by {
            reply = reply.with_refused_by(refused_by);
        }
        match self.retry_after {
            Some(seconds) => reply.with_retry_after(seconds),
            None => reply,
        }
    }

    fn body(&self) -> String {
        let id = if self.message == GENERIC { String::from("0") } else { format!("\"{}\"", id(self.message)) };
        // The messages are constants without characters that JSON escapes.
        format!(r#"{{"status":"error","id":{id},"message":"{}"}}"#, self.message)
    }
}

const GENERIC: &str = "Unable to complete request";

fn id(message: &str) -> String {
    CRC.checksum(message.as_bytes()).to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every id that this crate sends is the one of protocol § 1.1.
    #[test]
    fn ids_are_those_of_the_protocol() {
        for (error, status, id) in [
            (ApiError::HTTPS_REQUIRED, 400, "6304571a"),
            (ApiError::SESSION_REQUIRED, 412, "4ad27488"),
            (ApiError::PASSPHRASE_INVALID, 401, "ab6e13ba"),
            (ApiError::SECRET_INVALID, 400, "92312b66"),
            (ApiError::SALT_INVALID, 400, "ee858005"),
            (ApiError::UPDATE_FAILED, 500, "114cbe8d"),
            (ApiError::LOADING_FAILED, 500, "1d21b905"),
            (ApiError::VERIFICATION_FAILED, 500, "033d1943"),
            (ApiError::NOT_FOUND, 404, "135d4069"),
            (ApiError::RESET_CODE_INVALID, 403, "7e130744"),
            (ApiError::TOKEN_INVALID, 401, "c0980e3c"),
            (ApiError::TOKEN_FAILED, 401, "8b4f02b4"),
            (ApiError::TOO_MANY, 403, "b927b225"),
            (ApiError::LOGIN_NOT_ALLOWED, 403, "64a6cf1f"),
            (ApiError::GUESSES_WAIT, 429, "64a6cf1f"),
            (ApiError::KEYCHAIN_FAILED, 500, "3476b978"),
            (ApiError::ENCRYPTION_OFF, 500, "a6bb2388"),
            (ApiError::KEYCHAIN_NOT_FOUND, 404, "648ef153"),
            (ApiError::PASSWORD_INVALID, 403, "a361c427"),
            (ApiError::FEATURE_OFF, 500, "adca63f1"),
        ] {
            assert_eq!(error.status.as_u16(), status);
            let expected = format!(r#"{{"status":"error","id":"{id}","message":"{}"}}"#, error.message);
            assert_eq!(error.body(), expected);
        }
        assert_eq!(ApiError::FAILED.body(), r#"{"status":"error","id":0,"message":"Unable to complete request"}"#);
    }
}
