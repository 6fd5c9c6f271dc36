//! What people see who open a link of this server in a browser. Everybody else is answered with
//! JSON.

use http::header::{ACCEPT, HeaderValue, LOCATION};
use http::{HeaderMap, StatusCode};
use keywright_wire::Reply;

use crate::policy::VERIFICATION_PATH;
use crate::protocol::error::ApiError;
use crate::wire::context::Context;
use crate::wire::request::Input;

/// The page with a button, for acts that a GET must not perform by itself. The form goes to the
/// very address that was opened.
pub(crate) const VERIFY_PAGE: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Verify your address</title>\
    </head><body><form method=\"post\"><p>Do you want to verify this e-mail address?</p>\
    <button type=\"submit\">Verify</button></form></body></html>";

/// Whether a client names HTML among what it accepts, as browsers do when a person opens a page.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges = values.flat_map(|value| value.split(','));
    ranges.any(|range| range.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("text/html")))
}

/// Returns a page of a title and an HTML text, neither of which may come from a client.
pub(crate) fn page(title: &str, text: &str) -> Reply {
    Reply::page(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head><body><h1>{title}</h1>\
         {text}</body></html>"
    ))
}

/// Returns a redirect to the page that confirms that an address is verified. To browsers it is a
/// page itself (`docs/decisions.md` 64).
pub(crate) fn verified<H>(cx: &Context<H>, input: &Input<'_>) -> Reply {
    let reply = if wants_page(input.headers) {
        let text = "<p>You can close this page and log in with your app.</p>";
        page("Your e-mail address is verified", text).with_status(StatusCode::FOUND)
    } else {
        Reply::json(StatusCode::FOUND, "{}")
    };
    match HeaderValue::try_from(format!("{}{VERIFICATION_PATH}", cx.policy.web_url())) {
        Ok(location) => reply.with(LOCATION, location),
        // The policy accepted no address with a character that a header cannot have.
        Err(_) => reply,
    }
}

/// Returns a refusal as a page.
pub(crate) fn refused(error: &ApiError) -> Reply {
    error.waiting(page("This did not work", &format!("<p>{}</p>", reason(error))).with_status(error.status))
}

/// Returns what a person can do about a refusal.
fn reason(error: &ApiError) -> String {
    let text = match *error {
        ApiError::EMAIL_CODE => "The link is wrong, or no longer valid. Ask for a new one in your app.",
        ApiError::USER_NOT_FOUND => "Nothing waits for this link any more. Ask for a new one in your app.",
        ApiError::DUPLICATED => "The address belongs to another account.",
        ApiError::MISSING_CIPHER => "Your vault has changed since. Ask for the change again in your app.",
        ApiError::MISSING_PARAMETER | ApiError::ARGUMENT_TYPE | ApiError::VALIDATION => {
            "The link is not complete. Open it as it is in the mail."
        }
        _ => match error.retry_after {
            Some(seconds) => return format!("The server cannot answer this now. Try again in {seconds} seconds."),
            None => "The server could not do this. Try again later.",
        },
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_known_by_what_they_accept() {
        for (accept, wants) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/json, Text/HTML;q=0.5", true),
            ("*/*", false),
            ("application/json", false),
            ("text/html-like", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            assert_eq!(wants_page(&headers), wants, "{accept}");
        }
        assert!(!wants_page(&HeaderMap::new()));
    }
}
