//! The name of a browser, for the list of those that are not asked for a code.

use axum::http::header::USER_AGENT;
use axum::http::request::Parts;

/// What a `User-Agent` has of each browser. The order decides, because many name several.
const BROWSERS: [(&str, &str); 6] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];
const SYSTEMS: [(&str, &str); 7] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// Returns a name such as "Firefox, Linux". It is for the owner to recognize, and nothing depends on
/// it. It is empty for a browser that is not known.
pub(crate) fn name(head: &Parts) -> String {
    let agent = head.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let find =
        |known: &[(&str, &'static str)]| known.iter().find(|(part, _)| agent.contains(part)).map(|(_, name)| *name);
    let parts: Vec<&str> = [find(&BROWSERS), find(&SYSTEMS)].into_iter().flatten().collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_named() {
        let agents = [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0", "Firefox, Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0 \
                 Safari/537.36 Edg/143.0",
                "Edge, Windows",
            ),
            ("curl/8.5.0", ""),
        ];
        for (agent, expected) in agents {
            let (head, ()) = axum::http::Request::get("/").header(USER_AGENT, agent).body(()).unwrap().into_parts();
            assert_eq!(name(&head), expected);
        }
    }
}
