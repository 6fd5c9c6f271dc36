//! The values that an accounts file may hold.

use crate::mail;

/// The longest that an account's id may be.
const MAX_NAME_BYTES: usize = 190;
/// RFC 5321 § 4.5.3.1.3, without the angle brackets.
const MAX_EMAIL_BYTES: usize = 254;

/// HTTP Basic ends the name at the first colon.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && !text.contains(|c: char| c == ':' || c.is_control())
}

/// Whether mail can be sent to an address, according to the parser that sends it. Whether it
/// arrives is another matter.
pub(crate) fn is_email(text: &str) -> bool {
    let plain = text.len() <= MAX_EMAIL_BYTES && !text.contains(|c: char| c.is_control() || c.is_whitespace());
    plain && mail::recipient(text).is_some()
}

pub(super) fn is_password(text: &str) -> bool {
    !text.is_empty()
}

/// Ids and tokens are sent in headers.
pub(super) fn is_header(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

pub(super) fn is_user_id(text: &str) -> bool {
    is_header(text) && text.len() <= MAX_NAME_BYTES
}
