//! A protocol's service below a path, in a router that removes it.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Uri};
use tower_layer::Layer;
use tower_service::Service;

/// A layer that puts the beginning of a path back, for a service that expects whole paths and is
/// nested in a router that removes what it has matched, as `nest_service` of axum and `nest` of poem
/// do. The services of the wire protocols expect whole paths, and answer 404 otherwise.
///
/// ```
/// use keywright_tower::PrefixLayer;
/// use tower_layer::Layer;
/// # fn mount<S>(passwords: S) -> axum::Router
/// # where
/// #     S: tower_service::Service<axum::extract::Request, Response = axum::response::Response, Error = std::convert::Infallible>
/// #         + Clone + Send + Sync + 'static,
/// #     S::Future: Send,
/// # {
///
/// const PASSWORDS: &str = "/index.php/apps/passwords";
/// let router = axum::Router::new().nest_service(PASSWORDS, PrefixLayer::new(PASSWORDS).layer(passwords));
/// # router
/// # }
/// ```
///
/// Where the routes can be chosen, it is not needed: `route_service("/index.php/apps/passwords/{*rest}",
/// passwords)` leaves the path as it is.
#[derive(Debug, Clone)]
pub struct PrefixLayer {
    prefix: Arc<str>,
}

impl PrefixLayer {
    /// Creates a layer. `prefix` is the path at which the service is nested; slashes at its ends do
    /// not matter.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        Self { prefix: if prefix.is_empty() { Arc::from("") } else { format!("/{prefix}").into() } }
    }
}

impl<S> Layer<S> for PrefixLayer {
    type Service = PrefixService<S>;

    fn layer(&self, inner: S) -> PrefixService<S> {
        PrefixService { prefix: Arc::clone(&self.prefix), inner }
    }
}

/// The service that [`PrefixLayer`] makes.
#[derive(Debug, Clone)]
pub struct PrefixService<S> {
    prefix: Arc<str>,
    inner: S,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for PrefixService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        // A path that would be too long for a URI stays as it is, which the service does not know.
        if let Some(uri) = with_prefix(&self.prefix, request.uri()) {
            *request.uri_mut() = uri;
        }
        self.inner.call(request)
    }
}

fn with_prefix(prefix: &str, uri: &Uri) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    let rest = parts.path_and_query.as_ref().map_or("/", |rest| rest.as_str());
    parts.path_and_query = Some(format!("{prefix}{rest}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_put_back_and_the_rest_stays() {
        for (uri, whole) in [
            ("/api/1.0/x", "/a/b/api/1.0/x"),
            ("/api//1.0/x?q=1&r", "/a/b/api//1.0/x?q=1&r"),
            ("/", "/a/b/"),
            ("http://host:80/x?q", "http://host:80/a/b/x?q"),
            ("/%2F/x", "/a/b/%2F/x"),
        ] {
            assert_eq!(with_prefix("/a/b", &uri.parse().unwrap()).unwrap(), whole, "{uri}");
        }
        for (prefix, whole) in [("/a/b/", "/a/b"), ("a/b", "/a/b"), ("/", ""), ("", "")] {
            assert_eq!(&*PrefixLayer::new(prefix).prefix, whole);
        }
        let long = format!("/{}", "x".repeat(65_530));
        assert_eq!(with_prefix("/a/b", &long.parse().unwrap()), None);
    }
}
