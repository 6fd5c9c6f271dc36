//! Puts the parts together: listener, store and keyring, accounts, protocols, router.

use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use keywright::librepass::{LibrePassPolicy, LibrePassPolicyError};
use keywright::nextcloud::{MAX_BODY, Nextcloud, NextcloudPolicy};
use keywright::rocketchat::{self, RocketChat, RocketChatPolicy};
use keywright::selfservice::{Decoys, SelfServicePolicy};
use keywright::sqlite::SqliteStore;
use keywright::store::{BoxFuture, COMMIT_SECONDS, LOAD_SECONDS, Partition, Timer};
use keywright::twofactor::TwoFactorPolicy;
use keywright::twofactor::recovery::Preset;
use keywright::{Keywright, MemoryStore, Store};
use keywright_postgres::PostgresStore;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::accounts::directory::Accounts;
use crate::accounts::error::AccountsError;
use crate::accounts::file;
use crate::accounts::new_account::NewAccount;
use crate::accounts::seed::Seeding;
use crate::accounts::slots::SLOT_KINDS;
use crate::failure::Failure;
use crate::hosts::librepass::LibrePassHost;
use crate::hosts::nextcloud::NextcloudHost;
use crate::hosts::rocketchat::RocketChatHost;
use crate::hosts::selfservice::SelfServiceHost;
use crate::hosts::server::Server;
use crate::housekeeping::{Beginnings, Housekeeper};
use crate::http::bodies::Bodies;
use crate::http::connections::{ConnectionLimits, Connections};
use crate::http::entry::Entry;
use crate::http::origin::Proxies;
use crate::http::{routes, serve, tls};
use crate::keyring::{self, KeyringPlace};
use crate::limits::fixed_window::FixedWindows;
use crate::limits::per_user::PerUserLimits;
use crate::limits::refusals::Refusals;
use crate::limits::slow_work::SlowWork;
use crate::limits::token_bucket::TokenBuckets;
use crate::listener::listen;
use crate::mail::{Mailer, Relay};
use crate::metrics::Metrics;
use crate::notices::Notices;
use crate::options::{Options, PublicUrl, StoreChoice, Switch};
use crate::running::Running;
use crate::security_log::SecurityLog;
use crate::signin::routes::SignIn;
use crate::signin::sessions::Sessions;
use crate::store_lock::StoreLock;
use crate::store_watch::StoreWatch;
use crate::{demo, output};

/// The name of this server on its pages and in authenticator apps.
const SERVICE: &str = "account-server";
/// How many accounts are seeded at the same time.
const SEEDED_AT_ONCE: usize = 16;
/// The smallest limit of a body that the policies accept, in bytes.
const LEAST_BODY: usize = 1024;
const MOST_VAULT_BODY: usize = 1024 * 1024 * 1024;

/// Starts the server and runs it until it receives the signal to stop.
///
/// # Errors
/// A [`Failure`] with its reason.
pub(crate) async fn run(options: &Options) -> Result<(), Failure> {
    let stop = serve::told_to_stop().map_err(Failure::Signals)?;
    let (listener, address) = listen(&options.listen)?;
    let scheme = if options.has_tls() { "https" } else { "http" };
    let listening_url = format!("{scheme}://{address}");
    let tls = tls_config(options, address)?;
    let public_url = match &options.public_url {
        Some(url) => url.clone(),
        None => listening_url.parse().map_err(Failure::Url)?,
    };

    // Before anything is opened, so that all of it is measured.
    let metrics = Metrics::begin(options)?;
    let Opened { keywright, sqlite } = open(options).await?;
    let watch = StoreWatch::new(sqlite);
    // Checked before anything is seeded. In the order of partitions, accounts come first.
    let first = keywright.store().partitions(None, 1).await.map_err(Failure::Scan)?;
    let nobody = !first.iter().any(Partition::is_account);
    let work = SlowWork::new(options.rate_limits == Switch::On);
    let accounts = Arc::new(Accounts::new(keywright.driver().clone())?.limiting(work));
    // Behind a proxy, each request is judged by itself.
    let network = &options.network;
    let exposed = !address.ip().to_canonical().is_loopback() || !network.trusted_proxy.is_empty();
    let refuse_plain_http = exposed && !options.has_tls() && !network.insecure;
    let mut seeded = Vec::new();
    match &options.accounts {
        Some(path) => {
            let new = file::read(path).map_err(Failure::AccountsFile)?;
            seeded = seed_all(&accounts, new).await?;
        }
        None => {
            let url = format!("{scheme}://{}", reachable(address));
            let scene = demo::Scene {
                url: &url,
                tls: options.has_tls(),
                usable: !refuse_plain_http || address.ip().to_canonical().is_loopback(),
                reset: options.reset_style,
                mails: options.outbox.is_some()
                    || options.smtp.is_some()
                    || options.librepass_verify_email == Switch::Off,
            };
            output::say(&demo::seed(&accounts, nobody, &scene).await?).map_err(Failure::Output)?;
        }
    }

    let compared = Arc::clone(&accounts);
    let proxies = Arc::new(Proxies {
        trusted: network.trusted_proxy.clone(),
        tls: options.has_tls(),
        local: address.ip().to_canonical().is_loopback(),
        public_https: public_url.is_https(),
    });
    let bodies = Bodies::new(network.body_grace());
    let refusals = Arc::new(Refusals::new(options.rate_limits == Switch::On));
    let origins = network.cors_origin.clone();
    let entry = Entry { proxies, refuse_plain_http, bodies, refusals, origins };
    let connections = connections(options);
    let housekeeper = Arc::new(assemble(options, keywright, accounts, refuse_plain_http, public_url).await?);
    // Held until the server has ended. No other process can reach a store in memory.
    let lock = match &options.store {
        StoreChoice::Sqlite(path) => StoreLock::take(path).map(Some),
        StoreChoice::Memory => Some(None),
        // Other servers may serve it too. What is due waits until its claims have run out.
        StoreChoice::Postgres(_) => None,
    };
    if lock.is_some() {
        housekeeper.start().await;
    }
    let router = routes::routes(&housekeeper, &watch, entry);
    drop(tokio::spawn(Arc::clone(&housekeeper).keep()));
    drop(tokio::spawn(report_differences(compared, seeded)));
    reload_on_hangup(options, tls.clone())?;
    if let Some(metrics) = metrics {
        output::say(&format!("metrics on http://{}/metrics", metrics.address())).map_err(Failure::Output)?;
        drop(tokio::spawn(metrics.serve(housekeeper.running.clone())));
    }
    output::say(&format!("listening on {listening_url}")).map_err(Failure::Output)?;
    let (lost, running) = (watch.clone(), housekeeper.running.clone());
    let ended = async move {
        tokio::select! {
            () = stop => {}
            () = lost.lost() => {}
        }
        running.stop();
    };
    let served = serve::serve(listener, tls, router, connections, ended).await.map_err(Failure::Serve);
    let cut_off = housekeeper.running.finish(serve::STOP_WITHIN).await;
    if cut_off > 0 {
        tracing::warn!(cut_off, "not all work came to its end; it is still due");
    }
    drop(lock);
    match watch.look() {
        Some(fault) => Err(Failure::Lost(fault)),
        None => served,
    }
}

/// Sets up the protocols, with hosts that share accounts and mail.
///
/// # Errors
/// A [`Failure`] with its reason.
pub(crate) async fn assemble(
    options: &Options,
    keywright: Keywright,
    accounts: Arc<Accounts>,
    refuse_plain_http: bool,
    public_url: PublicUrl,
) -> Result<Housekeeper, Failure> {
    let two_factor = TwoFactorPolicy::builder()
        .once(options.network.totp_once.into())
        .required(options.network.second_factors.into())
        .build()
        .map_err(AccountsError::from)?;
    let policy = NextcloudPolicy::builder()
        .two_factor(two_factor)
        .reset(options.reset_style.into())
        .refuse_plain_http(refuse_plain_http)
        .max_body(options.max_body.clamp(LEAST_BODY, MAX_BODY))
        .build()?;
    let limited = options.rate_limits == Switch::On;
    let limits = if limited { PerUserLimits::on() } else { PerUserLimits::off() };
    let running = Running::default();
    let mailer = Arc::new(mailer(options, &public_url, &running)?);
    let notices =
        Notices { accounts: Arc::clone(&accounts), mailer: Arc::clone(&mailer), public_url: public_url.clone() };
    let server = Arc::new(Server { accounts, mailer, notices: notices.clone(), public_url, wake: Notify::new() });
    let host = NextcloudHost { server: Arc::clone(&server), limits };
    let nextcloud = keywright.nextcloud(Arc::new(host), policy).map_err(AccountsError::from)?;
    let limits = limited.then(FixedWindows::default);
    let host = RocketChatHost { server: Arc::clone(&server), limits, clock: Arc::clone(keywright.driver().clock()) };
    let rocketchat = keywright.rocketchat(Arc::new(host), rocketchat_policy(options)?).map_err(AccountsError::from)?;
    let policy = librepass_policy(options, &server.public_url)?;
    let librepass_limits = limited.then(|| Arc::new(TokenBuckets::new()));
    let host = LibrePassHost { server: Arc::clone(&server), limits: librepass_limits.clone() };
    let librepass = keywright.librepass(Arc::new(host), policy).await?;
    let sign_in = sign_in(options, &keywright, &server, &nextcloud, &rocketchat)?;
    let beginnings = Beginnings::default();
    Ok(Housekeeper {
        sign_in,
        keywright,
        notices,
        nextcloud,
        rocketchat,
        librepass,
        server,
        librepass_limits,
        running,
        beginnings,
    })
}

/// Sets up the pages for owners and the log-in to them.
fn sign_in(
    options: &Options,
    keywright: &Keywright,
    server: &Arc<Server>,
    nextcloud: &Nextcloud<NextcloudHost>,
    rocketchat: &RocketChat<RocketChatHost>,
) -> Result<SignIn, Failure> {
    let policy = || {
        // The same accounts sign in with the clients of Rocket.Chat, which expect codes of this form.
        let builder = TwoFactorPolicy::builder().recovery(Preset::RocketChat).once(options.network.totp_once.into());
        builder.build().map_err(AccountsError::from)
    };
    let secure = options.has_tls() || server.public_url.is_https();
    let sessions = Arc::new(Sessions::new(keywright.driver().clone()));
    let host = SelfServiceHost {
        two_factor: keywright.two_factor_with(policy()?).map_err(AccountsError::from)?,
        server: Arc::clone(server),
        sessions: Arc::clone(&sessions),
        nextcloud: nextcloud.clone(),
        rocketchat: rocketchat.clone(),
        secure,
    };
    let pages = SelfServicePolicy::builder(SERVICE).two_factor(policy()?).build()?;
    Ok(SignIn {
        pages: keywright.selfservice(Arc::new(host), pages)?,
        server: Arc::clone(server),
        sessions,
        two_factor: keywright.two_factor_with(policy()?).map_err(AccountsError::from)?,
        decoys: Arc::new(Decoys::new(keywright.driver().keyring())),
        secure,
    })
}

/// Seeds accounts, a few at the same time, because each login password is hashed slowly. Returns
/// the entries of those that were seeded earlier.
async fn seed_all(accounts: &Arc<Accounts>, entries: Vec<NewAccount>) -> Result<Vec<NewAccount>, AccountsError> {
    let (mut entries, mut seeding, mut kept) = (entries.into_iter(), JoinSet::new(), Vec::new());
    loop {
        while seeding.len() < SEEDED_AT_ONCE
            && let Some(entry) = entries.next()
        {
            let accounts = Arc::clone(accounts);
            seeding.spawn(async move {
                let seeded = seed(&accounts, &entry).await;
                seeded.map(|seeding| (seeding == Some(Seeding::Kept)).then_some(entry))
            });
        }
        match seeding.join_next().await {
            None => return Ok(kept),
            Some(Ok(seeded)) => kept.extend(seeded?),
            Some(Err(_)) => return Err(AccountsError::Id),
        }
    }
}

/// Logs which entries of the accounts file differ from the accounts that were seeded from it
/// earlier. Nothing waits for this, because comparing a password takes as long as checking one.
async fn report_differences(accounts: Arc<Accounts>, entries: Vec<NewAccount>) {
    for entry in entries {
        match accounts.differences(&entry).await {
            Ok(keys) if keys.is_empty() => {}
            Ok(keys) => tracing::warn!(
                name = entry.name,
                changed = keys.join(", "),
                "an entry of the accounts file differs from the account; an account is made once, so the change has no effect"
            ),
            Err(error) => tracing::warn!(
                name = entry.name,
                error = &error as &dyn Error,
                "an entry of the accounts file cannot be compared with the account"
            ),
        }
    }
}

/// Seeds an account. An account with damaged data denies every request of its own, but must not
/// keep the others from being served; then the result is `None`.
async fn seed(accounts: &Accounts, new: &NewAccount) -> Result<Option<Seeding>, AccountsError> {
    match accounts.seed(new).await {
        Err(error) if error.is_damage() => {
            let name = new.name.as_str();
            tracing::error!(
                name,
                error = &error as &dyn Error,
                "an account's data is damaged; the server starts without it"
            );
            Ok(None)
        }
        seeded => seeded.map(Some),
    }
}

/// Returns an address at which this machine reaches a server that listens on every address.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    address
}

fn tls_config(options: &Options, address: SocketAddr) -> Result<Option<RustlsConfig>, Failure> {
    if let (Some(certificate), Some(key)) = (&options.tls_cert, &options.tls_key) {
        return Ok(Some(tls::from_files(certificate, key)?));
    }
    if !options.tls_self_signed {
        return Ok(None);
    }
    let made = tls::self_signed(address.ip())?;
    output::say(&format!("certificate SHA-256: {}", made.fingerprint)).map_err(Failure::Output)?;
    Ok(Some(made.config))
}

/// Reads the certificate and its key again at each hang-up. One that cannot be used is not used, and
/// the one from before still is.
///
/// # Errors
/// An error if the system does not allow watching for signals.
#[cfg(unix)]
fn reload_on_hangup(options: &Options, tls: Option<RustlsConfig>) -> Result<(), Failure> {
    let mut hangup = serve::told_to_reload().map_err(Failure::Signals)?;
    let files = options.tls_cert.clone().zip(options.tls_key.clone());
    drop(tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let (Some(tls), Some((certificate, key))) = (&tls, &files) else {
                tracing::info!("there is no certificate file to read again");
                continue;
            };
            match tls::from_files(certificate, key) {
                Ok(read) => {
                    tls.reload_from_config(read.get_inner());
                    tracing::info!("the certificate was read again");
                }
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn Error,
                        "the certificate was not read again; the old one is used"
                    );
                }
            }
        }
    }));
    Ok(())
}

#[cfg(not(unix))]
fn reload_on_hangup(_: &Options, _: Option<RustlsConfig>) -> Result<(), Failure> {
    Ok(())
}

/// Sets the ceilings on connections, from the options and from how many files may be open.
fn connections(options: &Options) -> Arc<Connections> {
    // Where the limit is unknown, it is the usual one.
    let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1_024);
    let (total, per_network) = options.network.connections(descriptors);
    let silent = options.network.idle();
    let unlimited = options.network.trusted_proxy.clone();
    tracing::info!(descriptors, total, per_network, "connections are limited");
    Connections::new(ConnectionLimits { total, per_network, silent, unlimited })
}

/// The runtime's timer, for commits without a reply.
#[derive(Debug)]
struct TokioTimer;

impl Timer for TokioTimer {
    fn wait(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// An open store.
pub(crate) struct Opened {
    pub(crate) keywright: Keywright,
    /// The same store, if it is a file.
    pub(crate) sqlite: Option<Arc<SqliteStore>>,
}

/// Opens the store with its keyring.
///
/// # Errors
/// A [`Failure`] with its reason.
pub(crate) async fn open(options: &Options) -> Result<Opened, Failure> {
    let place = KeyringPlace::find(options)?;
    keyring::check_store_is_there(options, &place)?;
    let (store, sqlite): (Arc<dyn Store>, _) = match &options.store {
        StoreChoice::Sqlite(path) => {
            let store = SqliteStore::open(path)
                .map_err(|source| Failure::Store { path: path.clone(), source: Box::new(source) })?;
            let store = Arc::new(store);
            (Arc::clone(&store) as Arc<dyn Store>, Some(store))
        }
        StoreChoice::Memory => (Arc::new(MemoryStore::new()), None),
        StoreChoice::Postgres(url) => {
            if !place.is_named() {
                return Err(Failure::NoKeyring);
            }
            let builder = PostgresStore::builder(url.as_str())?.connections(options.store_connections.into());
            let builder = if options.store_pooler { builder.behind_pooler() } else { builder };
            (Arc::new(builder.open().await?), None)
        }
    };
    let builder = Keywright::builder_shared(store)
        .slots(SLOT_KINDS)
        .observer(Arc::new(SecurityLog))
        .commit_limit(Arc::new(TokioTimer), Duration::from_secs(COMMIT_SECONDS))
        .load_limit(Arc::new(TokioTimer), Duration::from_secs(LOAD_SECONDS));
    let opened = place.set(builder)?.open().await;
    let keywright = opened.map_err(|source| Failure::Keyring { place: place.name(), source })?;
    Ok(Opened { keywright, sqlite })
}

/// Returns Rocket.Chat's protocol for an operator's command, which sends no mail.
///
/// # Errors
/// A [`Failure`] with its reason.
pub(crate) fn rocketchat_of(
    options: &Options,
    keywright: &Keywright,
    accounts: Arc<Accounts>,
) -> Result<RocketChat<RocketChatHost>, Failure> {
    let mailer = Arc::new(Mailer::Off);
    let public_url: PublicUrl = format!("http://{}", options.listen).parse().map_err(Failure::Url)?;
    let notices =
        Notices { accounts: Arc::clone(&accounts), mailer: Arc::clone(&mailer), public_url: public_url.clone() };
    let server = Arc::new(Server { accounts, mailer, notices, public_url, wake: Notify::new() });
    let host = RocketChatHost { server, limits: None, clock: Arc::clone(keywright.driver().clock()) };
    Ok(keywright.rocketchat(Arc::new(host), rocketchat_policy(options)?).map_err(AccountsError::from)?)
}

fn rocketchat_policy(options: &Options) -> Result<RocketChatPolicy, Failure> {
    let two_factor = TwoFactorPolicy::builder()
        .recovery(Preset::RocketChat)
        .once(options.network.totp_once.into())
        .required(options.network.second_factors.into())
        .build()
        .map_err(AccountsError::from)?;
    let max_body = options.max_body.clamp(rocketchat::LEAST_MAX_BODY, rocketchat::MAX_BODY);
    Ok(RocketChatPolicy::builder().max_body(max_body).two_factor(two_factor).build()?)
}

fn librepass_policy(options: &Options, public_url: &PublicUrl) -> Result<LibrePassPolicy, LibrePassPolicyError> {
    let verify = options.librepass_verify_email == Switch::On;
    if verify && options.outbox.is_none() && options.smtp.is_none() {
        tracing::warn!("mail goes nowhere, so no LibrePass user can verify an address: add --outbox or --smtp");
    }
    LibrePassPolicy::builder(public_url.to_string())
        .verify_email(verify)
        .mailed_links(options.network.mailed_links.into())
        .once(options.network.totp_once.into())
        .vault_limit(options.vault_limit)
        .max_vault_body(options.max_body.clamp(LEAST_BODY, MOST_VAULT_BODY))
        .build()
}

/// Reads the file of `--smtp-ca`.
fn certificate_authority(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|source| Failure::MailAuthority { path: path.to_owned(), source })
}

fn mailer(options: &Options, public_url: &PublicUrl, running: &Running) -> Result<Mailer, Failure> {
    match (&options.outbox, &options.smtp) {
        (Some(path), _) => Mailer::outbox(path.clone()).map_err(Failure::Outbox),
        (None, Some(url)) => {
            let network = &options.network;
            let authority = network.smtp_ca.as_deref().map(certificate_authority).transpose()?;
            let relay = Relay { url, authority, from: network.mail_from.clone(), insecure: network.insecure };
            Ok(Mailer::smtp(relay, public_url, running)?)
        }
        (None, None) => Ok(Mailer::Off),
    }
}
