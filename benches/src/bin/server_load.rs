//! The reference server under load: requests a second and their 99th percentile, on SQLite and on
//! PostgreSQL, with 1, 8 and 64 clients that each keep one connection open, and on PostgreSQL also
//! with two servers on one database.
//!
//! `cargo xtask load` builds the server and runs this. By itself: `cargo run --release -p
//! keywright-benches --bin server_load -- PATH_OF_THE_SERVER`. It needs PostgreSQL's programs, and
//! takes about two minutes.
//!
//! - *open*: `POST session/open` of the Nextcloud protocol, with the right challenge.
//! - *verify*: `POST users.resetE2EKey` of the Rocket.Chat protocol with a time-based code, each of
//!   an account of its own, because a code works once. It verifies the code and resets the keys of
//!   another account, which are two commits.
//! - *reset*: `GET account/reset` of the Nextcloud protocol, which makes a code, and `POST
//!   account/reset` with it: two requests.
//!
//! Clients, servers and the database share one machine. Every request must succeed.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keywright_core::{Clock, SystemClock};
use keywright_testing::postgres::Cluster;
use keywright_testing::process::{Folder, Server};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const CLIENTS: [usize; 3] = [1, 8, 64];
const MOST_CLIENTS: usize = 64;
/// How long the clients of one cell of the table send requests.
const TIME: Duration = Duration::from_secs(2);
/// The codes that are verified in one cell, by as many accounts.
const CODES: usize = 384;

const NEXTCLOUD: &str = "/index.php/apps/passwords/api/1.0";
const SECRET: &[u8] = b"12345678901234567890";

/// The accounts file: those that open and reset, by client, and those with a code, by cell.
fn accounts(codes: usize) -> Result<String, Failure> {
    let mut text = String::new();
    for client in 0..MOST_CLIENTS {
        for kind in ["open", "reset"] {
            writeln!(text, "[[account]]\nname = \"{kind}{client}\"\napp_passwords = [\"{}\"]", password(kind, client))?;
        }
        writeln!(text, "[[account]]\nname = \"sink{client}\"\n[account.rocketchat]\nuser_id = \"sink{client}Id\"")?;
    }
    for code in 0..codes {
        writeln!(
            text,
            "[[account]]\nname = \"code{code}\"\n[account.rocketchat]\nuser_id = \"code{code}Id\"\n\
             auth_tokens = [\"code{code}-token-0123456789abc\"]\npermissions = [\"edit-other-user-e2ee\"]\n\
             totp_secret = \"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\""
        )?;
    }
    Ok(text)
}

fn password(kind: &str, client: usize) -> String {
    format!("{kind}{client}-app-password-0000000000")
}

/// One connection that is kept open.
struct Connection {
    stream: BufReader<TcpStream>,
    times: Vec<Duration>,
}

struct Answer {
    session: Option<String>,
    body: String,
}

impl Connection {
    fn new(server: &Server) -> Result<Self, Failure> {
        let stream = TcpStream::connect(server.address())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream: BufReader::new(stream), times: Vec::new() })
    }

    /// Sends a request, and takes the time until the whole answer is there.
    fn send(&mut self, line: &str, headers: &str, body: &str) -> Result<Answer, Failure> {
        let started = Instant::now();
        let answer = self.exchange(line, headers, body)?;
        self.times.push(started.elapsed());
        Ok(answer)
    }

    fn exchange(&mut self, line: &str, headers: &str, body: &str) -> Result<Answer, Failure> {
        let json = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        let length = body.len();
        let request = format!("{line} HTTP/1.1\r\nhost: load\r\n{headers}{json}content-length: {length}\r\n\r\n{body}");
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head)? == 0 {
                return Err(format!("{line}: the connection was closed after {head:?}").into());
            }
        }
        let value = |name: &str| {
            head.lines().find_map(|line| {
                let (found, value) = line.split_once(": ")?;
                found.eq_ignore_ascii_case(name).then(|| value.to_owned())
            })
        };
        let mut body = vec![0; value("content-length").ok_or("an answer without a length")?.parse()?];
        self.stream.read_exact(&mut body)?;
        let body = String::from_utf8(body)?;
        if !head.starts_with("HTTP/1.1 20") {
            return Err(format!("{line}: {head}{body}").into());
        }
        Ok(Answer { session: value("x-api-session"), body })
    }
}

fn basic(kind: &str, client: usize) -> String {
    let credential = STANDARD.encode(format!("{kind}{client}:{}", password(kind, client)));
    format!("authorization: Basic {credential}\r\n")
}

fn set_challenge(connection: &mut Connection, client: usize) -> Result<(), Failure> {
    let salts = [256, 64, 16].map(|bytes| format!("\"{}\"", "5a".repeat(bytes))).join(",");
    let body = format!("{{\"secret\":\"{}\",\"data\":[{salts}]}}", "ab".repeat(32));
    let line = format!("POST {NEXTCLOUD}/account/challenge/set");
    connection.exchange(&line, &basic("open", client), &body).map(drop)
}

fn open(connection: &mut Connection, client: usize) -> Result<(), Failure> {
    let body = format!("{{\"challenge\":\"{}\"}}", "ab".repeat(32));
    connection.send(&format!("POST {NEXTCLOUD}/session/open"), &basic("open", client), &body).map(drop)
}

fn reset(connection: &mut Connection, client: usize) -> Result<(), Failure> {
    let headers = basic("reset", client);
    let asked = connection.send(&format!("GET {NEXTCLOUD}/account/reset"), &headers, "")?;
    let code = asked.body.split_once("\"code\":\"").and_then(|(_, rest)| rest.split('"').next());
    let (code, session) = (code.ok_or("no code of a reset")?, asked.session.ok_or("no session of a reset")?);
    let headers = format!("{headers}x-api-session: {session}\r\n");
    let body = format!("{{\"code\":\"{code}\"}}");
    connection.send(&format!("POST {NEXTCLOUD}/account/reset"), &headers, &body).map(drop)
}

fn verify(connection: &mut Connection, client: usize, number: usize) -> Result<(), Failure> {
    let now = SystemClock.now()?.get();
    let code = totp_rs::Builder::new().with_secret(SECRET).build_noncompliant().generate(now);
    let headers = format!(
        "x-user-id: code{number}Id\r\nx-auth-token: code{number}-token-0123456789abc\r\nx-2fa-method: totp\r\n\
         x-2fa-code: {code}\r\n"
    );
    let body = format!("{{\"userId\":\"sink{client}Id\"}}");
    connection.send("POST /api/v1/users.resetE2EKey", &headers, &body).map(drop)
}

/// One cell of the table.
struct Cell {
    rate: f64,
    p99: Duration,
}

/// Lets clients work at once, spread over the servers, and returns what all their requests took.
fn measure(
    servers: &[Server],
    clients: usize,
    work: impl Fn(&mut Connection, usize) -> Result<(), Failure> + Sync,
) -> Result<Cell, Failure> {
    let start = Barrier::new(clients.saturating_add(1));
    let (took, times) = thread::scope(|scope| {
        let run = |client: usize| {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                let server = servers.get(client.checked_rem(servers.len()).unwrap_or(0)).ok_or("a server")?;
                let connection = Connection::new(server);
                start.wait();
                let mut connection = connection?;
                work(&mut connection, client)?;
                Ok::<_, Failure>(connection.times)
            })
        };
        let running: Vec<_> = (0..clients).map(run).collect();
        start.wait();
        let started = Instant::now();
        let mut times = Vec::new();
        for client in running {
            times.extend(client.join().map_err(|_| "a client panicked")??);
        }
        Ok::<_, Failure>((started.elapsed(), times))
    })?;
    let mut times = times;
    times.sort();
    let at = times.len().saturating_mul(99) / 100;
    let p99 = times.get(at).copied().ok_or("no request was sent")?;
    Ok(Cell { rate: f64::from(u32::try_from(times.len())?) / took.as_secs_f64(), p99 })
}

fn repeat(
    connection: &mut Connection,
    client: usize,
    one: fn(&mut Connection, usize) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let started = Instant::now();
    while started.elapsed() < TIME {
        one(connection, client)?;
    }
    Ok(())
}

/// Prints a row for each number of clients. `block` counts the blocks of accounts whose codes were used.
#[expect(clippy::print_stdout, reason = "the result is printed")]
fn table(name: &str, servers: &[Server], block: &mut usize) -> Result<(), Failure> {
    for clients in CLIENTS {
        let open = measure(servers, clients, |connection, client| repeat(connection, client, open))?;
        let first = block.saturating_mul(CODES);
        let verify = measure(servers, clients, |connection, client| {
            (0..CODES)
                .filter(|number| number.checked_rem(clients) == Some(client))
                .try_for_each(|number| verify(connection, client, first.saturating_add(number)))
        })?;
        *block = block.saturating_add(1);
        let reset = measure(servers, clients, |connection, client| repeat(connection, client, reset))?;
        let cells = [open, verify, reset].map(|Cell { rate, p99 }| {
            let p99 = p99.as_secs_f64() * 1e3;
            format!("{rate:.0}/s, {p99:.1} ms")
        });
        println!("| {name} | {clients} | {} |", cells.join(" | "));
    }
    Ok(())
}

fn start(folder: &Folder, store: &str, accounts: &str) -> Result<Server, Failure> {
    folder.write("accounts.toml", accounts);
    let server = folder.start(&[
        "--store",
        store,
        "--keyring",
        "keys",
        "--accounts",
        "accounts.toml",
        "--rate-limits",
        "off",
        "--log-level",
        "warn",
        "--store-connections",
        "32",
    ]);
    // The challenges of those that open.
    let mut connection = Connection::new(&server)?;
    if !accounts.is_empty() {
        (0..MOST_CLIENTS).try_for_each(|client| set_challenge(&mut connection, client))?;
    }
    Ok(server)
}

#[expect(clippy::print_stdout, reason = "the result is printed")]
fn main() -> Result<(), Failure> {
    let program = std::env::args().nth(1).ok_or("the path of the server is needed")?;
    let program = std::fs::canonicalize(program)?;
    println!("| store, servers | clients | open: rate, p99 | verify: rate, p99 | reset: rate, p99 |");
    println!("|---|---|---|---|---|");

    let folder = Folder::new(&program);
    let server = start(&folder, "sqlite:db", &accounts(CODES.saturating_mul(CLIENTS.len()))?)?;
    table("SQLite, 1", &[server], &mut 0)?;

    let cluster = Cluster::new();
    let url = cluster.url("postgres");
    let folder = Folder::new(&program);
    let mut block = 0;
    let first = start(&folder, &url, &accounts(CODES.saturating_mul(CLIENTS.len()).saturating_mul(2))?)?;
    let servers = [first];
    table("PostgreSQL, 1", &servers, &mut block)?;
    let [first] = servers;
    let second = start(&folder, &url, "")?;
    table("PostgreSQL, 2", &[first, second], &mut block)
}
