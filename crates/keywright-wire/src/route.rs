//! A protocol's routes as one table: path, methods, body limit, and whether a login is needed.

use std::fmt;

use http::Method;

use crate::answer::Reply;

/// One row of a table of routes. `E` names endpoints; `P` is the protocol's policy, which methods
/// and limits may depend on.
pub struct Route<E, P> {
    /// The endpoint that the route leads to.
    pub endpoint: E,
    /// The path below the table's base. One segment in braces matches any one segment.
    pub path: &'static str,
    /// Returns the methods that are answered, in the order in which `Allow` lists them. `OPTIONS`
    /// is not among them, because it never acts; `HEAD` is where a protocol answers it like `GET`.
    pub methods: fn(&P) -> &'static [Method],
    /// Returns the largest body, in bytes.
    pub max_body: fn(&P) -> usize,
    /// Whether the endpoint runs only for a caller who is logged in.
    pub needs_login: bool,
}

impl<E, P> Route<E, P> {
    /// Whether a method acts on this route.
    pub fn acts_on(&self, method: &Method, policy: &P) -> bool {
        (self.methods)(policy).contains(method)
    }

    /// Returns the answer to `OPTIONS`, which lists the methods that act. See [`Reply::options`].
    pub fn options(&self, policy: &P) -> Reply {
        Reply::options((self.methods)(policy))
    }

    /// Returns `refusal` with `Allow`: the answer to a method that does not act on this route.
    pub fn wrong_method(&self, policy: &P, refusal: Reply) -> Reply {
        refusal.with_allow((self.methods)(policy))
    }

    /// Returns the answer to a method that does not act on this route, `OPTIONS` included, or
    /// `None` if the method acts.
    pub fn other_method(&self, method: &Method, policy: &P, refusal: impl FnOnce() -> Reply) -> Option<Reply> {
        match *method {
            Method::OPTIONS => Some(self.options(policy)),
            _ if self.acts_on(method, policy) => None,
            _ => Some(self.wrong_method(policy, refusal())),
        }
    }

    /// Whether a body of `bytes` bytes is within the route's limit.
    pub fn takes(&self, bytes: usize, policy: &P) -> bool {
        bytes <= (self.max_body)(policy)
    }

    /// Whether no segment of the path varies.
    fn is_literal(&self) -> bool {
        !self.path.contains('{')
    }

    /// Returns the segment of a path that the braces match, or `None` if the path is another one.
    fn segment<'p>(&self, below: &'p str) -> Option<&'p str> {
        let (before, rest) = self.path.split_once('{')?;
        let (_, after) = rest.split_once('}')?;
        let segment = below.strip_prefix(before)?.strip_suffix(after)?;
        (!segment.is_empty() && !segment.contains('/')).then_some(segment)
    }
}

keywright_core::redacted_debug!(impl[E: fmt::Debug, P] Route<E, P> { endpoint, path, .. });

/// A protocol's table of routes.
///
/// ```
/// use http::Method;
/// use keywright_wire::{Route, Routes};
///
/// #[derive(Debug, Clone, Copy, PartialEq, Eq)]
/// enum Endpoint {
///     Notes,
///     Note,
/// }
///
/// struct Policy {
///     max_body: usize,
/// }
///
/// const ROUTES: Routes<Endpoint, Policy> = Routes::new(
///     "/api/",
///     &[
///         Route {
///             endpoint: Endpoint::Notes,
///             path: "notes",
///             methods: |_| &[Method::GET, Method::POST],
///             max_body: |policy| policy.max_body,
///             needs_login: true,
///         },
///         Route {
///             endpoint: Endpoint::Note,
///             path: "notes/{id}",
///             methods: |_| &[Method::GET],
///             max_body: |_| 0,
///             needs_login: true,
///         },
///     ],
/// );
///
/// let policy = Policy { max_body: 1_000 };
/// let (route, segment) = ROUTES.find("/api/notes/7").ok_or("no route")?;
/// assert_eq!((route.endpoint, segment), (Endpoint::Note, Some("7")));
/// assert!(route.acts_on(&Method::GET, &policy) && !route.acts_on(&Method::POST, &policy));
/// assert_eq!(ROUTES.path(Endpoint::Note), "notes/{id}");
/// assert_eq!(ROUTES.max_body("/api/notes", &policy), Some(1_000));
/// assert!(ROUTES.find("/api/notes/{id}").is_none() && ROUTES.find("/notes").is_none());
/// # Ok::<(), &str>(())
/// ```
pub struct Routes<E: 'static, P: 'static> {
    base: &'static str,
    rows: &'static [Route<E, P>],
}

impl<E, P> Routes<E, P> {
    /// Returns the table of the routes below a base path, which ends in a slash.
    #[must_use]
    pub const fn new(base: &'static str, rows: &'static [Route<E, P>]) -> Self {
        Self { base, rows }
    }

    /// Returns the rows.
    #[must_use]
    pub const fn rows(&self) -> &'static [Route<E, P>] {
        self.rows
    }

    /// Returns the path of an endpoint below the table's base, or an empty string for an endpoint
    /// that has no route. Each protocol's tests check that every endpoint has one.
    #[must_use]
    pub fn path(&self, endpoint: E) -> &'static str
    where
        E: PartialEq,
    {
        self.rows.iter().find(|route| route.endpoint == endpoint).map_or("", |route| route.path)
    }

    /// Returns the route of a path, and the segment that its braces match; `None` if no route has
    /// this path. Paths match exactly; a literal path takes precedence over one with a varying
    /// segment.
    #[must_use]
    pub fn find<'p>(&self, path: &'p str) -> Option<(&'static Route<E, P>, Option<&'p str>)> {
        let below = path.strip_prefix(self.base)?;
        if let Some(route) = self.rows.iter().find(|route| route.path == below) {
            // A pattern's own text is not a path that a client sends.
            return route.is_literal().then_some((route, None));
        }
        self.rows.iter().find_map(|route| Some((route, Some(route.segment(below)?))))
    }

    /// Returns the largest body that a path accepts, in bytes, or `None` for a path without a
    /// route.
    #[must_use]
    pub fn max_body(&self, path: &str, policy: &P) -> Option<usize> {
        self.find(path).map(|(route, _)| (route.max_body)(policy))
    }
}

impl<E: fmt::Debug, P> fmt::Debug for Routes<E, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.rows).finish()
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http::header::ALLOW;

    use super::*;

    const ROUTES: Routes<u8, bool> = Routes::new(
        "/api/",
        &[
            Route { endpoint: 1, path: "a", methods: |_| &[Method::GET], max_body: |_| 3, needs_login: false },
            Route {
                endpoint: 2,
                path: "a/{id}",
                methods: |both| if *both { &[Method::GET, Method::PUT] } else { &[Method::GET] },
                max_body: |both| if *both { 10 } else { 0 },
                needs_login: true,
            },
            Route { endpoint: 3, path: "a/b", methods: |_| &[Method::POST], max_body: |_| 0, needs_login: true },
            Route { endpoint: 4, path: "c/{id}/d", methods: |_| &[Method::GET], max_body: |_| 0, needs_login: true },
        ],
    );

    #[test]
    fn paths_are_exact_and_a_literal_one_goes_first() {
        let find = |path| ROUTES.find(path).map(|(route, segment)| (route.endpoint, segment));
        assert_eq!(find("/api/a"), Some((1, None)));
        assert_eq!(find("/api/a/x"), Some((2, Some("x"))));
        assert_eq!(find("/api/a/b"), Some((3, None)));
        assert_eq!(find("/api/c/x/d"), Some((4, Some("x"))));
        for path in
            ["", "/", "/api/", "/api", "/a", "/api/a/", "/api//a", "/api/a/{id}", "/api/a/x/y", "/api/A", "/api/b"]
        {
            assert_eq!(find(path), None, "{path}");
        }
        for path in ["/api/c//d", "/api/c/d", "/api/c/x/y/d", "/api/c/{id}/d", "/api/c/x/d/", "/api/c/x"] {
            assert_eq!(find(path), None, "{path}");
        }
    }

    #[test]
    fn methods_and_limits_follow_the_policy() {
        let (route, _) = ROUTES.find("/api/a/x").unwrap();
        assert!(!route.acts_on(&Method::PUT, &false) && route.acts_on(&Method::PUT, &true));
        assert!(!route.acts_on(&Method::HEAD, &true) && !route.acts_on(&Method::OPTIONS, &true));
        assert!(route.takes(10, &true) && !route.takes(11, &true));
        assert_eq!((ROUTES.max_body("/api/a/x", &true), ROUTES.max_body("/x", &true)), (Some(10), None));
        let refusal = || Reply::json(StatusCode::METHOD_NOT_ALLOWED, "{}");
        assert!(route.other_method(&Method::PUT, &true, refusal).is_none());
        let refused = route.other_method(&Method::PUT, &false, refusal).unwrap();
        assert_eq!((refused.status().as_u16(), refused.headers()[ALLOW].as_bytes()), (405, b"GET, OPTIONS".as_slice()));
        let options = route.other_method(&Method::OPTIONS, &true, refusal).unwrap();
        assert_eq!(
            (options.status().as_u16(), options.headers()[ALLOW].as_bytes()),
            (204, b"GET, PUT, OPTIONS".as_slice())
        );
    }
}
