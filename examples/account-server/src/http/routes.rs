//! The routes, and the log of requests.

use std::borrow::Cow;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, map_request};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use keywright::core::random_bytes;
use keywright::nextcloud::RefusedBy;
use keywright::{SystemEntropy, librepass, nextcloud, rocketchat, selfservice};
use tracing::Instrument;

use crate::housekeeping::Housekeeper;
use crate::http::connections::Connection;
use crate::http::entry::Entry;
use crate::http::gate::Caller;
use crate::http::peer::socket_address;
use crate::http::refusal::with_reason;
use crate::http::{links, unlock};
use crate::metrics;
use crate::readiness::Readiness;
use crate::running::Running;
use crate::signin;
use crate::store_watch::StoreWatch;

/// The header that names a request in answers.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What turned a request for the state of the server away.
const NOT_READY: RefusedBy = RefusedBy::new("not_ready");
const VERIFIED: &str = include_str!("verified.html");

/// Returns the routes of the whole server.
pub(crate) fn routes(housekeeper: &Housekeeper, watch: &StoreWatch, entry: Entry) -> Router {
    let Housekeeper { nextcloud, rocketchat, librepass, .. } = housekeeper;
    let (nextcloud_base, rocketchat_base, librepass_base) =
        (nextcloud::BASE_PATH, rocketchat::BASE_PATH, librepass::BASE_PATH);
    let passwords_app = nextcloud::APP_PATH;
    let asked = watch.clone();
    let readiness = Readiness::new(housekeeper.keywright.clone(), watch.clone());
    let mut router = Router::new()
        .route(librepass::VERIFICATION_PATH, get(async || page(VERIFIED)))
        .route("/health", get(async move || health(&asked)))
        .route("/ready", get(async move || ready(readiness.check().await)))
        .route_service(passwords_app, nextcloud.clone())
        .route_service(&format!("{passwords_app}{{*unknown}}"), nextcloud.clone())
        .route_service(rocketchat_base, rocketchat.clone())
        .route_service(&format!("{rocketchat_base}{{*unknown}}"), rocketchat.clone())
        .route_service(rocketchat::INFO_PATH, rocketchat.clone())
        .route_service(librepass_base, librepass.clone())
        .route_service(&format!("{librepass_base}{{*unknown}}"), librepass.clone());
    // Each endpoint is a separate route, so that the log can name it without repeating what a
    // client sent.
    for endpoint in nextcloud::Endpoint::ALL {
        router = router.route_service(&format!("{nextcloud_base}{}", endpoint.path()), nextcloud.clone());
    }
    for endpoint in rocketchat::Endpoint::ALL {
        for path in endpoint.aliases().chain([endpoint.path()]) {
            router = router.route_service(&format!("{rocketchat_base}{path}"), rocketchat.clone());
        }
    }
    for endpoint in librepass::Endpoint::ALL {
        router = router.route_service(endpoint.path(), librepass.clone());
    }
    // These are at the root.
    for endpoint in selfservice::Endpoint::ALL {
        router = router.route_service(&format!("/{}", endpoint.path()), housekeeper.sign_in.pages.clone());
    }
    let router = router.merge(signin::routes::routes(&housekeeper.sign_in));
    let router = router.merge(unlock_pages(housekeeper)).fallback(async || (StatusCode::NOT_FOUND, "not found\n"));
    let router = finishing(entry.bodies(router), watch, &housekeeper.running);
    let router = entry.around(router);
    // Around the whole router, because a request is routed by the path that it has then.
    Router::new().fallback_service(router).layer(map_request(async |request| canonical(request)))
}

/// Writes the path of the Passwords app in the one form that the routes have: stock clients also
/// send repeated slashes, and paths without `index.php`.
fn canonical(mut request: Request) -> Request {
    let Some(Cow::Owned(path)) = nextcloud::canonical_path(request.uri().path()) else { return request };
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = format!("{path}{query}").parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

/// Logs every request, and lets it run to its end.
fn finishing(router: Router, watch: &StoreWatch, running: &Running) -> Router {
    let (watch, running) = (watch.clone(), running.clone());
    router.layer(from_fn(move |request: Request, next| {
        let connection = request.extensions().get::<ConnectInfo<Caller>>();
        let connection = connection.and_then(|ConnectInfo(caller)| caller.connection.clone());
        to_the_end(running.clone(), connection, log(watch.clone(), request, next))
    }))
}

/// A client that disconnects must not stop its request. Otherwise the HTTP server would drop it
/// between a commit and what must follow: the event's observers, the host's work, the verdict on a
/// guess that was charged. So the request runs as a separate task, once its connection has no more of
/// them than it may have. A client that disconnects before that has asked for nothing.
async fn to_the_end(
    running: Running,
    connection: Option<Arc<Connection>>,
    answer: impl Future<Output = Response> + Send + 'static,
) -> Response {
    let runs = match &connection {
        Some(connection) => Some(connection.run().await),
        None => None,
    };
    let answer = async move {
        let _runs = runs;
        answer.await
    };
    running.spawn(answer).await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// The pages behind the links in mails to owners whom others have locked out.
fn unlock_pages(housekeeper: &Housekeeper) -> Router {
    let (nextcloud, rocketchat) = (housekeeper.nextcloud.clone(), housekeeper.rocketchat.clone());
    let limits = housekeeper.librepass_limits.clone();
    let (nextcloud_limits, rocketchat_limits) = (limits.clone(), limits);
    let admit_nextcloud = async move |request: Request| {
        let click = async |token: String, here: Option<IpAddr>| {
            let admits = here.map_or(nextcloud::MailAdmits::Refused, nextcloud::MailAdmits::Address);
            nextcloud.admit_by_mail(&token, admits).await
        };
        unlock::admit(nextcloud_limits.as_deref(), request, click).await
    };
    let admit_rocketchat = async move |request: Request| {
        let click = async |token: String, here: Option<IpAddr>| {
            let admits = here.map_or(rocketchat::MailAdmits::Refused, rocketchat::MailAdmits::Address);
            rocketchat.admit_by_mail(&token, admits).await
        };
        unlock::admit(rocketchat_limits.as_deref(), request, click).await
    };
    Router::new()
        .route(links::NEXTCLOUD_PATH, get(async || unlock::question()).post(admit_nextcloud))
        .route(links::ROCKETCHAT_PATH, get(async || unlock::question()).post(admit_rocketchat))
}

fn health(watch: &StoreWatch) -> Response {
    match watch.look() {
        None => "ok\n".into_response(),
        Some(_) => with_reason((StatusCode::SERVICE_UNAVAILABLE, "the store is gone\n").into_response(), NOT_READY),
    }
}

/// Whether the server can do its work. `/health` is whether it lives.
fn ready(verdict: Result<(), &'static str>) -> Response {
    match verdict {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => {
            let answer = (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response();
            with_reason(answer, NOT_READY)
        }
    }
}

fn page(page: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, Html(page))
}

/// Logs the route, never the path or the query, because those may contain codes. A request that
/// failed may have failed because the store is lost, so this is checked too.
async fn log(watch: StoreWatch, request: Request, next: Next) -> Response {
    let id = request_id();
    // Everything that is logged on the way has the request's id.
    let span = tracing::info_span!("request", id);
    let mut response = logged(watch, request, next).instrument(span).await;
    // A client can name its request when it reports a fault.
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Returns an id for a request: it only tells lines of the log apart. It is no client's own,
/// because those could be anything.
fn request_id() -> String {
    random_bytes::<8>(&SystemEntropy).map(hex::encode).unwrap_or_default()
}

async fn logged(watch: StoreWatch, request: Request, next: Next) -> Response {
    let client = socket_address(request.extensions()).map(|address| address.to_canonical().to_string());
    let client = client.unwrap_or_default();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = known(request.method());
    let begun = Instant::now();
    let response = next.run(request).await;
    let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (route, status) = (route.as_ref().map_or("none", MatchedPath::as_str), response.status().as_u16());
    metrics::count_request(method, route, status);
    match status {
        // What the operator has to know: who was turned away, by what, and for how long.
        429 | 503 => {
            let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let refused_by = response.extensions().get().map_or("unknown", RefusedBy::as_str);
            tracing::warn!(method, route, status, milliseconds, client, refused_by, retry_after, "request");
        }
        _ => tracing::info!(method, route, status, milliseconds, client, "request"),
    }
    if response.status().is_server_error() {
        // This wakes the task that waits for the loss of the store.
        let _lost = watch.look();
    }
    response
}

/// A method's name can be any text, so only the usual ones are repeated.
fn known(method: &Method) -> &'static str {
    const METHODS: [(Method, &str); 7] = [
        (Method::GET, "GET"),
        (Method::POST, "POST"),
        (Method::HEAD, "HEAD"),
        (Method::OPTIONS, "OPTIONS"),
        (Method::PUT, "PUT"),
        (Method::PATCH, "PATCH"),
        (Method::DELETE, "DELETE"),
    ];
    METHODS.iter().find(|(usual, _)| usual == method).map_or("other", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};
    use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use axum::routing::post;
    use keywright::{AccountId, Keyring, Keywright, MemoryStore, Observer, SecurityEvent, SystemEntropy};
    use tokio::sync::{Notify, watch};
    use tokio::task::{JoinHandle, spawn_blocking};

    use super::*;
    use crate::http::connections::{ConnectionLimits, Connections, STREAMS};
    use crate::http::serve::serve;

    #[derive(Debug)]
    struct Heard(mpsc::Sender<String>);

    impl Observer for Heard {
        fn event(&self, _: &AccountId, event: &SecurityEvent) {
            let _nobody_left = self.0.send(event.kind().to_owned());
        }
    }

    /// Serves some routes on a port of its own.
    fn serving(router: Router) -> (SocketAddr, JoinHandle<io::Result<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let limits =
            ConnectionLimits { total: 9, per_network: 9, silent: Duration::from_secs(20), unlimited: Vec::new() };
        let connections = Connections::new(limits);
        (address, tokio::spawn(serve(listener, None, router, connections, std::future::pending())))
    }

    /// The client disconnects before the commit, and the observer still receives the event.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_request_runs_to_its_end_without_its_client() {
        let (sender, heard) = mpsc::channel();
        let keyring = Keyring::generate(&SystemEntropy).unwrap();
        let builder = Keywright::builder(MemoryStore::new()).keyring(keyring).observer(Arc::new(Heard(sender)));
        let keywright = builder.open().await.unwrap();
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begins, goes) = (Arc::clone(&begun), Arc::clone(&go));
        let act = async move || {
            begins.notify_one();
            goes.notified().await;
            keywright.ensure_account(&AccountId::new("alice").unwrap()).await.unwrap();
            "done"
        };
        let running = Running::default();
        let router = finishing(Router::new().route("/act", post(act)), &StoreWatch::new(None), &running);
        let (address, server) = serving(router);

        let connected = spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"POST /act HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n").unwrap();
            stream
        });
        let mut stream = connected.await.unwrap();
        begun.notified().await;
        // The server closes its side once it has seen that the client has disconnected.
        let rest = spawn_blocking(move || {
            stream.shutdown(Shutdown::Write).unwrap();
            let mut rest = Vec::new();
            let _reset = stream.read_to_end(&mut rest);
            rest
        });
        assert_eq!(rest.await.unwrap(), b"", "nobody was there to be answered");
        go.notify_one();
        running.ended().await;
        assert_eq!(heard.try_recv(), Ok("account_created".to_owned()));
        server.abort();
    }

    /// A client that resets each stream at once: what it has begun runs to its end, and no more is
    /// begun than a client may have at once.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_thousand_reset_streams_start_no_more_than_one_connection_may_have() {
        let (begun, (open, gate)) = (Arc::new(AtomicUsize::new(0)), watch::channel(false));
        let begins = Arc::clone(&begun);
        let act = async move || {
            begins.fetch_add(1, Ordering::SeqCst);
            gate.clone().wait_for(|is_open| *is_open).await.unwrap();
            "done"
        };
        let running = Running::default();
        let router = finishing(Router::new().route("/act", post(act)), &StoreWatch::new(None), &running);
        let (address, server) = serving(router);
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut client, mut connection) = h2::client::handshake(stream).await.unwrap();
        let mut pings = connection.ping_pong().unwrap();
        let connection = tokio::spawn(connection);
        for _ in 0..1_000 {
            client = client.ready().await.unwrap();
            let request = axum::http::Request::post(format!("http://{address}/act")).body(()).unwrap();
            let (answer, mut sent) = client.send_request(request, true).unwrap();
            // The server has taken the request before it learns of the reset.
            pings.ping(h2::Ping::opaque()).await.unwrap();
            sent.send_reset(h2::Reason::CANCEL);
            drop(answer);
        }
        let most = usize::try_from(STREAMS).unwrap();
        while begun.load(Ordering::SeqCst) < most {
            tokio::task::yield_now().await;
        }
        pings.ping(h2::Ping::opaque()).await.unwrap();
        assert_eq!(begun.load(Ordering::SeqCst), most);
        // They run to their end, and the connection is as good as before.
        open.send(true).unwrap();
        running.ended().await;
        let request = axum::http::Request::post(format!("http://{address}/act")).body(()).unwrap();
        let (answer, _) = client.ready().await.unwrap().send_request(request, true).unwrap();
        assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
        connection.abort();
        server.abort();
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let answer = to_the_end(Running::default(), None, async { panic!("on purpose") }).await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
