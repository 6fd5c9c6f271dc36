//! Several servers on one database, each by its own way, and what is done to them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keywright_testing::postgres::proxy::{Fate, Proxy};
use keywright_testing::postgres::{Cluster, Pooler};
use keywright_testing::process::{Folder, Server};
use keywright_testing::shifted::Shifted;
use tokio::runtime::Runtime;

use crate::history::Outcome;
use crate::plan::{Fault, Strike};

pub(crate) const SERVERS: usize = 4;
/// The server behind the pooler. The first has a direct connection, the second is behind the proxy.
const POOLED: usize = 2;
/// The server whose clock is off, with a direct connection.
pub(crate) const SHIFTED: usize = 3;
/// By how many seconds.
const SHIFT: i64 = 3_600;
/// Longer than any limit within the server.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer: its status and its text with the head.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    /// The value of a string member of a flat JSON body.
    pub(crate) fn member(&self, name: &str) -> Option<String> {
        let (_, rest) = self.text.split_once(&format!("\"{name}\":\""))?;
        rest.split('"').next().map(str::to_owned)
    }
}

pub(crate) struct Site {
    servers: [Mutex<Option<Server>>; SERVERS],
    addresses: Vec<SocketAddr>,
    stores: Vec<String>,
    folders: Vec<Folder>,
    proxy: Proxy,
    /// Held while something is down.
    whole: Mutex<()>,
    requests: Mutex<Option<Sender<()>>>,
    _pooler: Pooler,
    _shifted: Shifted,
    runtime: Runtime,
    cluster: Cluster,
}

impl Site {
    /// Starts everything, with the accounts of a file. One server's clock is ahead, or else behind.
    pub(crate) fn new(accounts: &str, is_ahead: bool) -> Self {
        let cluster = Cluster::new();
        let pooler = Pooler::before(&cluster, 4);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let proxy = runtime.block_on(Proxy::before(&cluster.url("postgres")));
        let stores = vec![cluster.url("postgres"), proxy.url(), pooler.url("postgres"), cluster.url("postgres")];
        let program = env!("CARGO_BIN_EXE_account-server");
        let shifted = Shifted::new(program);
        shifted.set(if is_ahead { SHIFT } else { -SHIFT });
        let folder = |number| if number == SHIFTED { Folder::new(shifted.program()) } else { Folder::new(program) };
        let folders = (0..SERVERS).map(folder).collect();
        let mut site = Self {
            servers: [const { Mutex::new(None) }; SERVERS],
            addresses: vec![SocketAddr::from(([127, 0, 0, 1], 0)); SERVERS],
            stores,
            folders,
            proxy,
            whole: Mutex::new(()),
            requests: Mutex::new(None),
            _pooler: pooler,
            _shifted: shifted,
            runtime,
            cluster,
        };
        for number in 0..SERVERS {
            site.folders[number].write("accounts.toml", if number == 0 { accounts } else { "" });
            let server = site.start(number);
            site.addresses[number] = server.address().parse().unwrap();
            *site.servers[number].lock().unwrap() = Some(server);
        }
        site
    }

    fn start(&self, number: usize) -> Server {
        let (keys, address) = (self.folders[0].path("keys"), self.addresses[number].to_string());
        let mut options = vec!["--store", &self.stores[number], "--keyring", keys.to_str().unwrap()];
        options.extend(["--accounts", "accounts.toml", "--outbox", "outbox.txt", "--rate-limits", "off"]);
        options.extend(["--librepass-verify-email", "off", "--store-connections", "4", "--listen", &address]);
        if number == POOLED {
            options.push("--store-pooler");
        }
        self.folders[number].start(&options)
    }

    pub(crate) fn url(&self, server: usize) -> String {
        format!("http://{}", self.addresses[server])
    }

    /// The mails that a server has sent.
    pub(crate) fn outbox(&self, server: usize) -> String {
        self.folders[server].read("outbox.txt")
    }

    /// Runs an operator's command on the database, and returns what it printed if it was done.
    pub(crate) fn operate(&self, command: &[&str]) -> Option<String> {
        self.sent();
        let keys = self.folders[0].path("keys");
        let mut options = vec!["--store", &self.stores[0], "--keyring", keys.to_str().unwrap()];
        options.extend(["--accounts", "accounts.toml"]);
        options.extend(command);
        self.folders[0].try_run(&options)
    }

    /// Takes the guard away from the function that commits: whoever comes is right.
    pub(crate) fn drop_the_guard(&self) {
        let guard = "IF v_revision IS DISTINCT FROM p_expect THEN";
        self.cluster.sql(
            "postgres",
            &format!(
                "DO $do$ DECLARE v text; BEGIN
                     SELECT pg_get_functiondef('keywright.apply'::regproc) INTO v;
                     IF position('{guard}' IN v) = 0 THEN RAISE 'there is no guard'; END IF;
                     EXECUTE replace(v, '{guard}', 'p_expect := v_revision; IF false THEN');
                 END $do$"
            ),
        );
    }

    /// Sends a request and reads the answer. `None`: there was no whole answer.
    pub(crate) fn send(&self, server: usize, line: &str, headers: &str, body: &str) -> Option<Answer> {
        self.sent();
        let mut stream = TcpStream::connect(self.addresses[server]).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let json = if body.is_empty() { String::new() } else { "content-type: application/json\r\n".to_owned() };
        let length = body.len();
        let head = format!("host: test\r\nconnection: close\r\n{headers}{json}content-length: {length}\r\n");
        stream.write_all(format!("{line} HTTP/1.1\r\n{head}\r\n{body}").as_bytes()).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let status = text.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, text })
    }

    /// Counts a request, so that a fault can come after it.
    pub(crate) fn sent(&self) {
        if let Some(requests) = &*self.requests.lock().unwrap_or_else(PoisonError::into_inner) {
            let _nobody_strikes_any_more = requests.send(());
        }
    }

    pub(crate) fn count_requests(&self, requests: Option<Sender<()>>) {
        *self.requests.lock().unwrap() = requests;
    }

    /// Tries until something succeeds, at every server in turn. After a failure it waits until nothing is down.
    pub(crate) fn insist<T>(&self, first: usize, mut attempt: impl FnMut(usize) -> Option<T>) -> Option<T> {
        (first..first + 30).find_map(|turn| {
            let done = attempt(turn.rem_euclid(SERVERS));
            if done.is_none() {
                drop(self.whole.lock().unwrap());
            }
            done
        })
    }

    /// Strikes as planned, until nothing is sent any more. Returns how often.
    pub(crate) fn strike(&self, plan: &[Strike], requests: &Receiver<()>) -> usize {
        let mut struck = 0;
        for strike in plan {
            if (0..strike.after).any(|_| requests.recv().is_err()) {
                break;
            }
            // Some time within the requests that are under way.
            let _ = requests.recv_timeout(Duration::from_millis(strike.later));
            let _down = self.whole.lock().unwrap();
            self.suffer(strike.fault);
            struck += 1;
        }
        struck
    }

    fn suffer(&self, fault: Fault) {
        match fault {
            Fault::KillServer(number) => {
                let mut server = self.servers[number].lock().unwrap();
                // Killed without warning.
                drop(server.take());
                self.proxy.disarm();
                *server = Some(self.start(number));
            }
            Fault::KillBackends => {
                let others = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
                self.cluster.sql("postgres", others);
            }
            Fault::KillBackend => {
                let one = "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
                    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
                    ORDER BY (state = 'active') DESC, random() LIMIT 1) AS one";
                self.cluster.sql("postgres", one);
            }
            Fault::RestartDatabase => {
                self.cluster.kill();
                self.cluster.start();
            }
            Fault::LoseCommit => self.proxy.arm(Fate::LostBefore),
            Fault::LoseReply => self.proxy.arm(Fate::LostAfter),
            Fault::DelayCommit => self.proxy.arm(Fate::Held),
            Fault::DeliverLate => drop(self.runtime.block_on(self.proxy.deliver())),
        }
    }

    /// Ends all faults, and asserts that every server serves again by itself.
    pub(crate) fn calm(&self) {
        self.proxy.disarm();
        self.suffer(Fault::DeliverLate);
        let headers = basic("calm", "calm-app-password-0000000");
        for server in 0..SERVERS {
            let line = "GET /index.php/apps/passwords/api/1.0/session/request";
            let serves = |_| self.send(server, line, &headers, "").is_some_and(|answer| answer.status == 200);
            assert!((0..20).any(serves), "server {server} does not recover:\n{}", self.folders[server].read("log.txt"));
        }
    }

    /// Ends the servers in order, and checks the whole store.
    pub(crate) fn end(&self) {
        for server in &self.servers {
            server.lock().unwrap().take().unwrap().stop();
        }
        let keys = self.folders[0].path("keys");
        let store = self.cluster.url("postgres");
        let printed = self.folders[0].run(&["--store", &store, "--keyring", keys.to_str().unwrap(), "check"]);
        assert!(printed.starts_with("looked at: "), "{printed}");
    }
}

pub(crate) fn basic(name: &str, password: &str) -> String {
    format!("authorization: Basic {}\r\n", STANDARD.encode(format!("{name}:{password}")))
}

/// What an answer shows. `refused` is the status of a refusal after a look.
pub(crate) fn outcome(answer: Option<&Answer>, refused: u16) -> Outcome {
    match answer.map(|answer| answer.status) {
        Some(200) => Outcome::Done,
        Some(429) => Outcome::NotLookedAt,
        Some(status) if status == refused => Outcome::Refused,
        _ => Outcome::Unknown,
    }
}
