//! The cookies of the pages: random tokens, which scripts cannot read.

use axum::http::{HeaderMap, HeaderValue, header};
use keywright::SecretString;

/// The cookie of a session.
pub(crate) const SESSION: Cookie = Cookie { name: "account_session", path: "/" };
/// The cookie of a log-in whose password was right, and which waits for a code.
pub(crate) const WAITING: Cookie = Cookie { name: "account_signin", path: "/login" };

/// The cookie of a browser that is not asked for a code.
pub(crate) const REMEMBERED: Cookie = Cookie { name: "account_browser", path: "/login" };

/// A cookie's name and the paths at which it is sent.
#[derive(Clone, Copy)]
pub(crate) struct Cookie {
    name: &'static str,
    path: &'static str,
}

impl Cookie {
    /// Returns the token that a request presents.
    pub(crate) fn of(self, headers: &HeaderMap) -> Option<SecretString> {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = pairs.find(|(name, _)| *name == self.name)?;
        Some(SecretString::new(value.to_owned()))
    }

    /// Returns the header that sets the cookie for so many seconds; 0 removes it. `None` if the
    /// token has characters that no header may have.
    pub(crate) fn set(self, token: &SecretString, seconds: u64, secure: bool) -> Option<HeaderValue> {
        let secure = if secure { "; Secure" } else { "" };
        let Self { name, path } = self;
        let line = format!("{name}={}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", token.expose());
        let mut value = HeaderValue::try_from(line).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Returns the header that removes the cookie.
    pub(crate) fn removed(self, secure: bool) -> Option<HeaderValue> {
        self.set(&SecretString::new(String::new()), 0, secure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=b; account_session=one".parse().unwrap());
        headers.append(header::COOKIE, "account_signin=two".parse().unwrap());
        assert_eq!(SESSION.of(&headers).unwrap().expose(), "one");
        assert_eq!(WAITING.of(&headers).unwrap().expose(), "two");
        assert!(SESSION.of(&HeaderMap::new()).is_none());
        let set = SESSION.set(&SecretString::new("t".to_owned()), 5, true).unwrap();
        assert_eq!(set, "account_session=t; Path=/; Max-Age=5; HttpOnly; SameSite=Lax; Secure");
    }
}
