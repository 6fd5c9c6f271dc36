//! Throwaway PostgreSQL clusters, and PgBouncer before them.
//!
//! The programs are those of Debian's packages `postgresql` and `pgbouncer`, or of the folder that
//! `KEYWRIGHT_POSTGRES_BIN` names. A server refuses to run as root, so root runs it as the user
//! `postgres`.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;

use tempfile::TempDir;

pub mod conformance;
pub mod proxy;

/// Names the folder with `initdb` and `postgres`.
pub const BIN: &str = "KEYWRIGHT_POSTGRES_BIN";

/// The folder of Debian's packages: one folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Returns the folder with the server's programs, or a sentence about what to install.
///
/// # Errors
/// Returns what is missing.
pub fn programs() -> Result<PathBuf, String> {
    let is_whole = |bin: &PathBuf| bin.join("initdb").is_file() && bin.join("postgres").is_file();
    if let Some(bin) = env::var_os(BIN) {
        let bin = PathBuf::from(bin);
        return if is_whole(&bin) { Ok(bin) } else { Err(format!("{BIN}={} has no initdb", bin.display())) };
    }
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| is_whole(bin))
        .collect();
    versions.sort();
    versions.pop().map(|(_, bin)| bin).ok_or_else(|| {
        format!(
            "a PostgreSQL server is needed: install it (Debian: `apt-get install postgresql pgbouncer`), or set {BIN} to \
             the folder with initdb and postgres"
        )
    })
}

/// A program that lives as long as its input stays open: the shell that runs it ends it when this
/// process ends, however that happens.
#[derive(Debug)]
struct Held {
    shell: Child,
    input: Option<ChildStdin>,
}

impl Held {
    /// Runs a script that prints `ready` once its server serves, and then reads its input until
    /// that ends.
    fn start(script: &str, log: &Path) -> Self {
        let mut command = if is_root() {
            let mut command = Command::new("setsid");
            command.args(["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]);
            command
        } else {
            Command::new("setsid")
        };
        // In a session of its own, so that what ends this process does not end it too early.
        command.args(["sh", "-c", script]);
        // A folder that the other user may read.
        let mut shell = command
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = shell.stdin.take();
        let output = BufReader::new(shell.stdout.take().unwrap());
        let ready = output.lines().map_while(Result::ok).any(|line| line == "ready");
        assert!(ready, "the server did not start:\n{}", fs::read_to_string(log).unwrap_or_default());
        Self { shell, input }
    }

    fn end(&mut self) {
        drop(self.input.take());
        let _ = self.shell.wait();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.end();
    }
}

/// A folder that the server's user owns.
fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("keywright-postgres-").tempdir().unwrap();
    give(folder.path());
    folder
}

/// Makes the server's user the owner of a file or folder.
fn give(path: &Path) {
    if is_root() {
        let given = Command::new("chown").arg("postgres").arg(path).status().unwrap();
        assert!(given.success(), "there is no user `postgres`, as which a server can run");
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// How a cluster is made.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ClusterBuilder {
    encoding: Option<String>,
    locale: Option<String>,
    settings: String,
}

impl ClusterBuilder {
    /// Sets the encoding of the cluster's databases (`initdb --encoding`). The default is `UTF8`.
    pub fn encoding(mut self, encoding: &str) -> Self {
        self.encoding = Some(encoding.to_owned());
        self
    }

    /// Sets the locale (`initdb --locale`). The default is `C`.
    pub fn locale(mut self, locale: &str) -> Self {
        self.locale = Some(locale.to_owned());
        self
    }

    /// Adds a line to `postgresql.conf`.
    pub fn setting(mut self, line: &str) -> Self {
        self.settings.push_str(line);
        self.settings.push('\n');
        self
    }

    /// Makes the cluster and starts it.
    pub fn start(self) -> Cluster {
        let bin = programs().unwrap_or_else(|missing| panic!("{missing}"));
        let folder = folder();
        let encoding = self.encoding.as_deref().unwrap_or("UTF8");
        let locale = self.locale.as_deref().unwrap_or("C");
        let made = Held::start(
            &format!(
                "{}/initdb --pgdata {1}/data --username postgres --auth trust --no-sync --encoding {encoding} \
                 --locale {locale} > {1}/log 2>&1 && echo ready",
                bin.display(),
                folder.path().display(),
            ),
            &folder.path().join("log"),
        );
        drop(made);
        let cluster = Cluster { bin, folder, port: free_port(), server: Mutex::new(None) };
        cluster.configure(&self.settings);
        cluster.start();
        cluster
    }
}

/// A cluster of its own, with everything in it, which ends with this value.
///
/// Its superuser is `postgres`, and it trusts whoever connects from this machine.
#[derive(Debug)]
pub struct Cluster {
    // Ends before its folder is removed.
    server: Mutex<Option<Held>>,
    bin: PathBuf,
    folder: TempDir,
    port: u16,
}

impl Cluster {
    /// Makes a cluster with PostgreSQL's default settings, and starts it.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().start()
    }

    /// Returns a builder for a cluster with settings of its own.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// Makes a standby of this cluster, from a copy of it, and starts it. Both keep up by streaming.
    #[must_use]
    pub fn standby(&self, settings: &str) -> Self {
        let folder = folder();
        let log = folder.path().join("log");
        let script = format!(
            "{}/pg_basebackup --host 127.0.0.1 --port {} --username postgres --pgdata {}/data --write-recovery-conf \
             --checkpoint fast --no-sync > {} 2>&1 && echo ready",
            self.bin.display(),
            self.port,
            folder.path().display(),
            log.display()
        );
        drop(Held::start(&script, &log));
        let standby = Self { bin: self.bin.clone(), folder, port: free_port(), server: Mutex::new(None) };
        standby.configure(settings);
        standby.start();
        standby
    }

    fn configure(&self, settings: &str) {
        let own = format!("listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\n{settings}");
        let path = self.data().join("postgresql.auto.conf");
        let before = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{before}{own}")).unwrap();
    }

    /// Starts the cluster after [`kill`](Self::kill).
    pub fn start(&self) {
        let (bin, data, log) = (self.bin.display(), self.data(), self.folder.path().join("log"));
        let script = format!(
            "{bin}/pg_ctl --pgdata {0} --log {1} --wait --options '-p {2}' start > /dev/null && echo ready; \
             cat > /dev/null; {bin}/pg_ctl --pgdata {0} --mode immediate stop > /dev/null",
            data.display(),
            log.display(),
            self.port
        );
        *self.server.lock().unwrap() = Some(Held::start(&script, &log));
    }

    /// Ends all processes of the cluster at once, without a checkpoint, so that the next start has
    /// to recover.
    pub fn kill(&self) {
        drop(self.server.lock().unwrap().take());
    }

    /// Returns the folder of the cluster's data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Writes a file into the folder of the data, readable by the server alone.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.data().join(name);
        fs::write(&path, text).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        give(&path);
    }

    /// Returns the port on which the cluster listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the address of a database, for the superuser. The connection is not encrypted.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_of("postgres", database)
    }

    /// Returns the address of a database, for a role. The connection is not encrypted.
    #[must_use]
    pub fn url_of(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Runs statements as the superuser, and returns the values of the rows: `|` between columns,
    /// a line for each row.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        self.try_sql(database, statements).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs statements as the superuser.
    ///
    /// # Errors
    /// Returns what `psql` printed.
    pub fn try_sql(&self, database: &str, statements: &str) -> Result<String, String> {
        let output = Command::new(self.bin.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1", "--command"])
            .args([statements, &self.url(database)])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}

/// PgBouncer in transaction mode before a cluster, which ends with this value.
#[derive(Debug)]
pub struct Pooler {
    _server: Held,
    _folder: TempDir,
    port: u16,
}

impl Pooler {
    /// Starts PgBouncer with a pool of `size` connections to the server.
    #[must_use]
    pub fn before(cluster: &Cluster, size: u32) -> Self {
        let found = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|path| Path::new(path).is_file());
        let program = found.unwrap_or_else(|| panic!("PgBouncer is needed (Debian: `apt-get install pgbouncer`)"));
        let (folder, port) = (folder(), free_port());
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\nserver_login_retry = 0\npool_mode = transaction\ndefault_pool_size = {size}\n\
             max_client_conn = 500\nlogfile = {1}/log\npidfile = {1}/pid\n",
            cluster.port(),
            folder.path().display()
        );
        // `any` takes every client as one user.
        let settings = settings.replace("* = host", "* = user=postgres host");
        fs::write(folder.path().join("ini"), settings).unwrap();
        give(&folder.path().join("ini"));
        let script = format!(
            "{program} --daemon {0}/ini > /dev/null 2>&1; for i in $(seq 200); do \
             {1}/pg_isready --quiet --host 127.0.0.1 --port {port} --dbname postgres && break; sleep 0.05; done; \
             echo ready; cat > /dev/null; kill $(cat {0}/pid)",
            folder.path().display(),
            cluster.bin.display(),
        );
        let server = Held::start(&script, &folder.path().join("log"));
        Self { _server: server, _folder: folder, port }
    }

    /// Returns the address of a database behind the pooler.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }
}
