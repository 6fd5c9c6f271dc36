//! The hint at a password, which is mailed to its owner.

use crate::policy::MAX_HINT;
use crate::protocol::error::ApiError;

/// Checks a hint: at most [`MAX_HINT`] characters on one line, because it is mailed as text. An
/// absent, null or empty one counts as no hint.
pub(crate) fn parse(sent: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(hint) = sent.filter(|hint| !hint.is_empty()) else { return Ok(None) };
    let fits = hint.chars().count() <= MAX_HINT && !hint.chars().any(char::is_control);
    if fits { Ok(Some(hint)) } else { Err(ApiError::VALIDATION) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_one_line_of_a_hundred_characters() {
        assert_eq!(parse(None), Ok(None));
        assert_eq!(parse(Some(String::new())), Ok(None));
        assert_eq!(parse(Some("ä".repeat(100))), Ok(Some("ä".repeat(100))));
        assert_eq!(parse(Some("ä".repeat(101))), Err(ApiError::VALIDATION));
        assert_eq!(parse(Some("a\n\nTo: b@c".into())), Err(ApiError::VALIDATION));
    }
}
