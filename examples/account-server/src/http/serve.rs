//! Listening, answering, and stopping without cutting off requests.

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;

use crate::http::connections::{Connections, STREAMS};
use crate::http::gate::{Caller, Gate};

/// After the signal to stop, requests in progress have this long to finish.
/// The process ends within 10 s.
pub(crate) const STOP_WITHIN: Duration = Duration::from_secs(8);
/// Bytes of a body or of headers that HTTP/1 reads ahead.
const BUFFER: usize = 128 * 1024;
/// Bytes of bodies that HTTP/2 reads ahead, for a stream and for a connection.
const WINDOW: u32 = 512 * 1024;
/// Bytes of headers of one HTTP/2 request.
const HEADERS: u32 = 16 * 1024;

/// Returns a future of the signal to stop, which is an interrupt or a termination. It is watched
/// from this call on, not from the first poll.
///
/// # Errors
/// An error if the system does not allow watching for signals.
#[cfg(unix)]
pub(crate) fn told_to_stop() -> io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Returns a future of the signal to stop, which is an interrupt.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub(crate) fn told_to_stop() -> io::Result<impl Future<Output = ()> + Send> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

/// Returns a stream of the signal to read the certificate again, which is a hang-up. Without this
/// call, a hang-up ends the process.
///
/// # Errors
/// An error if the system does not allow watching for signals.
#[cfg(unix)]
pub(crate) fn told_to_reload() -> io::Result<tokio::signal::unix::Signal> {
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())
}

/// Answers requests until `stop`, then finishes those in progress.
///
/// # Errors
/// An error if the listener fails.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    router: Router,
    connections: Arc<Connections>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let handle = Handle::<Caller>::new();
    let (stopping, open) = (handle.clone(), Arc::clone(&connections));
    tokio::spawn(async move {
        stop.await;
        tracing::info!(connections = open.count(), "stopping");
        stopping.graceful_shutdown(None);
        tokio::time::sleep(STOP_WITHIN).await;
        let cut_off = open.count();
        if cut_off > 0 {
            tracing::warn!(cut_off, "connections were cut off in the middle of a request");
        }
        stopping.shutdown();
    });
    let watch = tokio::spawn(Arc::clone(&connections).watch());
    let silent = connections.silent();
    let gate = Gate { listener: tokio::net::TcpListener::from_std(listener)?, connections: Arc::clone(&connections) };
    let service = router.into_make_service_with_connect_info::<Caller>();
    let mut server = Server::<Caller>::from_listener(gate).handle(handle);
    limit(server.http_builder(), silent);
    let served = match tls {
        Some(config) => {
            let acceptor = RustlsAcceptor::new(config).handshake_timeout(silent);
            server.acceptor(acceptor).serve(service).await
        }
        None => server.serve(service).await,
    };
    watch.abort();
    served
}

/// Sets what a connection may make this server hold.
fn limit(builder: &mut Builder<TokioExecutor>, silent: Duration) {
    let mut http1 = builder.http1();
    http1.timer(TokioTimer::new()).header_read_timeout(silent).max_buf_size(BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(HEADERS)
        .keep_alive_interval(silent)
        .keep_alive_timeout(silent);
}
