//! The forms in which stock applications write a path.

use std::borrow::Cow;

/// What the canonical form of the app's paths begins with, whichever version of the protocol they
/// name. A server routes everything below it to [`Nextcloud`](crate::Nextcloud), whose answer to an
/// unknown path has a session, as stock clients expect.
pub const APP_PATH: &str = "/index.php/apps/passwords/";
/// The same on a web server that needs no script name in its paths.
const APP_WITHOUT_SCRIPT: &str = "/apps/passwords/";

/// Returns a path in the form that the protocol's page uses, which begins with
/// [`APP_PATH`]: repeated slashes are folded, and `index.php` is added where it is
/// missing (`docs/decisions.md` 51). Returns `None` for a path that is not the app's.
///
/// [`Nextcloud`](crate::Nextcloud) does so with every path by itself. A web framework that routes
/// by path needs this to route the same paths to it: a stock client calls
/// `/index.php/apps/passwords/api//1.0/session/open`.
///
/// Nothing is decoded: a path with an encoded slash (`%2F`) or with dot segments is another one.
///
/// ```
/// use keywright_nextcloud::canonical_path;
///
/// let path = canonical_path("/apps/passwords/api//1.0/session/open");
/// assert_eq!(path.as_deref(), Some("/index.php/apps/passwords/api/1.0/session/open"));
/// assert_eq!(canonical_path("/apps/files"), None);
/// ```
#[must_use]
pub fn canonical_path(path: &str) -> Option<Cow<'_, str>> {
    let folded = fold(path);
    if folded.starts_with(APP_PATH) {
        Some(folded)
    } else if folded.starts_with(APP_WITHOUT_SCRIPT) {
        Some(Cow::Owned(format!("/index.php{folded}")))
    } else {
        None
    }
}

fn fold(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut folded = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !folded.ends_with('/') {
            folded.push(character);
        }
    }
    Cow::Owned(folded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slashes_are_folded_and_the_script_is_added() {
        let open = "/index.php/apps/passwords/api/1.0/session/open";
        for path in [
            open,
            "/apps/passwords/api/1.0/session/open",
            "//index.php/apps/passwords/api/1.0/session/open",
            "/index.php/apps/passwords/api//1.0/session/open",
            "///apps//passwords///api/1.0/session//open",
        ] {
            assert_eq!(canonical_path(path).as_deref(), Some(open), "{path}");
        }
    }

    #[test]
    fn nothing_is_decoded_and_other_paths_are_not_ours() {
        for path in [
            "",
            "/",
            "apps/passwords/api/1.0/session/open",
            "/apps/passwords",
            "/index.php/apps/files/",
            "/index.php/index.php/apps/passwords/x",
            "/index.php%2Fapps/passwords/x",
            "/x/../apps/passwords/x",
            "/APPS/passwords/x",
        ] {
            assert_eq!(canonical_path(path), None, "{path}");
        }
        let encoded = "/index.php/apps/passwords/api/1.0/session%2Fopen";
        assert_eq!(canonical_path(encoded).as_deref(), Some(encoded));
    }

    proptest! {
        #[test]
        fn a_canonical_path_stays_as_it_is(path in "(/|//|index\\.php|apps|passwords|a|%2F|\\.\\.){0,12}") {
            if let Some(once) = canonical_path(&path) {
                let again = canonical_path(&once);
                prop_assert_eq!(again.as_deref(), Some(once.as_ref()));
            }
        }
    }
}
