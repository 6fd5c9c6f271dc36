//! Numbers for Prometheus, at an address of their own.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::failure::Failure;
use crate::keyring::KeyringPlace;
use crate::listener::listen;
use crate::options::Options;
use crate::running::Running;

/// Answered requests, by method, route and status.
const REQUESTS: &str = "account_server_requests_total";
/// How long ago the keyring file was changed.
const KEYRING_AGE: &str = "account_server_keyring_age_seconds";
/// The upper bounds of the buckets of every histogram, in seconds: a load from memory takes
/// microseconds, and a commit is given up after two seconds.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
/// What was measured since is sorted into the buckets this often, so that it does not pile up if nobody
/// asks.
const UPKEEP_EVERY: Duration = Duration::from_secs(10);

/// The recorder of this process, and where its numbers are served.
pub(crate) struct Metrics {
    recorded: PrometheusHandle,
    listener: TcpListener,
    address: SocketAddr,
    /// The keyring, if it is a file.
    keyring: Option<PathBuf>,
}

impl Metrics {
    /// Begins to measure, if the options say so.
    ///
    /// # Errors
    /// A [`Failure`] if the address cannot be listened on.
    pub(crate) fn begin(options: &Options) -> Result<Option<Self>, Failure> {
        let Some(address) = &options.network.metrics_listen else { return Ok(None) };
        let (listener, address) = listen(address)?;
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
            .map_err(Failure::Metrics)?;
        let recorded = builder.install_recorder().map_err(Failure::Metrics)?;
        keywright::metrics::describe();
        describe_counter!(REQUESTS, "Answered requests, by method, route and status.");
        describe_gauge!(KEYRING_AGE, Unit::Seconds, "Time since the keyring file was changed.");
        if !address.ip().to_canonical().is_loopback() {
            tracing::warn!(%address, "whoever reaches this address can read the metrics");
        }
        let keyring = match KeyringPlace::find(options)? {
            KeyringPlace::File(path) => Some(path),
            _ => None,
        };
        Ok(Some(Self { recorded, listener, address, keyring }))
    }

    /// Returns the address at which they are served.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves them until the server stops.
    pub(crate) async fn serve(self, running: Running) {
        let Self { recorded, listener, keyring, .. } = self;
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "metrics cannot be served");
                return;
            }
        };
        let shown = recorded.clone();
        let answer = async move || {
            if let Some(path) = &keyring {
                measure_keyring(path);
            }
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], shown.render())
        };
        let serving = axum::serve(listener, Router::new().route("/metrics", get(answer)));
        tokio::select! {
            () = running.stopping() => {}
            () = upkeep(&recorded) => {}
            served = serving => if let Err(error) = served {
                tracing::error!(%error, "metrics are served no longer");
            },
        }
    }
}

async fn upkeep(recorded: &PrometheusHandle) {
    let mut rounds = tokio::time::interval(UPKEEP_EVERY);
    loop {
        rounds.tick().await;
        recorded.run_upkeep();
    }
}

/// The file knows best when a key was last added or removed, because the server may not have read it
/// since.
fn measure_keyring(path: &PathBuf) {
    let changed = std::fs::metadata(path).and_then(|file| file.modified()).ok();
    if let Some(age) = changed.and_then(|moment| moment.elapsed().ok()) {
        gauge!(KEYRING_AGE).set(age.as_secs_f64());
    }
}

/// Counts an answered request. `route` is a pattern, not the path, so that there are few of them.
pub(crate) fn count_request(method: &'static str, route: &str, status: u16) {
    counter!(REQUESTS, "method" => method, "route" => route.to_owned(), "status" => status.to_string()).increment(1);
}
