//! The media type that a request states for its body.

use http::HeaderValue;

/// Whether the value of a `Content-Type` header states JSON: `application/json` in any case, with
/// any parameters.
#[must_use]
pub fn is_json(content_type: &HeaderValue) -> bool {
    let media_type = content_type.to_str().ok().and_then(|value| value.split(';').next());
    media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_case_do_not_count() {
        for json in ["application/json", "Application/JSON", "application/json; charset=utf-8", " application/json ;x"]
        {
            assert!(is_json(&HeaderValue::from_static(json)), "{json}");
        }
        for other in
            ["", "text/json", "application/json2", "application/jsonp; application/json", "text/plain;application/json"]
        {
            assert!(!is_json(&HeaderValue::from_static(other)), "{other}");
        }
        assert!(!is_json(&HeaderValue::from_bytes(b"application/json\xff").unwrap()));
    }
}
