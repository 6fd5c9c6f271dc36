//! What every request passes first: where it comes from, whether it may come in the clear, and how
//! its body is read.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::header::{HeaderName, RETRY_AFTER};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http_body::Body as _;
use keywright::nextcloud::RefusedBy;
use keywright::{librepass, nextcloud, rocketchat};
use tower_http::cors::{AllowHeaders, CorsLayer};

use crate::http::bodies::Bodies;
use crate::http::gate::Caller;
use crate::http::origin::Proxies;
use crate::http::peer::socket_address;
use crate::http::refusal::refusal;
use crate::limits::refusals::Refusals;
use crate::limits::slow_work::on_behalf_of;
use crate::network_options::Origin;

/// How long a browser may remember what it was allowed, in seconds.
const PREFLIGHT_SECONDS: u64 = 3_600;

/// How requests come in.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) proxies: Arc<Proxies>,
    /// Whether a request that others could read is refused.
    pub(crate) refuse_plain_http: bool,
    pub(crate) bodies: Bodies,
    /// Whose refusals come late.
    pub(crate) refusals: Arc<Refusals>,
    /// The origins whose pages may call from browsers.
    pub(crate) origins: Vec<Origin>,
}

impl Entry {
    /// Reads bodies within limits. This is the innermost layer, within the task of the request.
    pub(crate) fn bodies(&self, router: Router) -> Router {
        let bodies = self.bodies.clone();
        router.layer(from_fn(move |request: Request, next: Next| {
            let bodies = bodies.clone();
            let connection = request.extensions().get::<ConnectInfo<Caller>>();
            let connection = connection.and_then(|ConnectInfo(caller)| caller.connection.clone());
            let client = socket_address(request.extensions());
            let answer = move |request| async move { on_behalf_of(client, next.run(request)).await };
            async move { bodies.answer(request, connection, answer).await }
        }))
    }

    /// Finds out where requests come from. This is the outermost layer.
    pub(crate) fn around(self, router: Router) -> Router {
        let router = if self.origins.is_empty() { router } else { router.layer(cors(&self.origins)) };
        router.layer(from_fn(move |request, next| enter(self.clone(), request, next)))
    }
}

async fn enter(entry: Entry, mut request: Request, next: Next) -> Response {
    let Some(ConnectInfo(caller)) = request.extensions().get::<ConnectInfo<Caller>>().cloned() else {
        return next.run(request).await;
    };
    let in_progress = caller.connection.as_ref().map(|connection| connection.begin());
    let origin = entry.proxies.origin(caller.address, request.headers());
    request.extensions_mut().insert(origin);
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(origin.client, caller.address.port())));
    let path = request.uri().path();
    let is_check = is_check(path);
    let proves = request.method() != Method::OPTIONS && needs_login(path);
    let response = if entry.refuse_plain_http && !origin.private && !may_be_plain(path) {
        refusal(StatusCode::BAD_REQUEST, "plain HTTP is refused; use https")
    } else {
        next.run(request).await
    };
    if let (true, Some(connection)) = (proves && response.status().is_success(), &caller.connection) {
        connection.know();
    }
    if let Some(in_progress) = in_progress {
        in_progress.answered(response.body().size_hint().lower());
    }
    // The connection counts as idle meanwhile, so it still makes room for a new client.
    let is_refused = !is_check && response.extensions().get::<RefusedBy>().is_some();
    if let Some(late) = is_refused.then(|| entry.refusals.lateness(origin.client)).flatten() {
        tokio::time::sleep(late).await;
    }
    response
}

/// Whether a path is for those who watch the server.
fn is_check(path: &str) -> bool {
    matches!(path, "/health" | "/ready")
}

/// Whether an answer of success at this path shows that the client has a login.
fn needs_login(path: &str) -> bool {
    path.starts_with(nextcloud::BASE_PATH)
        || path.starts_with(rocketchat::BASE_PATH)
        || path.starts_with(librepass::Endpoint::CipherSync.path())
        || path == librepass::Endpoint::Ciphers.path()
}

/// Whether a path is served in the clear. The protocol of Nextcloud Passwords has a refusal of its
/// own.
fn may_be_plain(path: &str) -> bool {
    is_check(path) || path.starts_with(nextcloud::BASE_PATH)
}

fn cors(origins: &[Origin]) -> CorsLayer {
    let exposed = ["x-api-session", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
    CorsLayer::new()
        .allow_origin(origins.iter().map(|origin| origin.0.clone()).collect::<Vec<_>>())
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed.map(HeaderName::from_static).into_iter().chain([RETRY_AFTER]).collect::<Vec<_>>())
        .allow_credentials(true)
        .max_age(std::time::Duration::from_secs(PREFLIGHT_SECONDS))
}
