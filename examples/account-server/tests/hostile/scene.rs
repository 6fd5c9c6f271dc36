//! A server under conditions, and its clients.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keywright_testing::process::{Folder, Server};
use librepass_client::ArgonParameters;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_account-server");
pub(crate) const ALICE: &str = "[[account]]\nname = \"alice\"\nemail = \"alice@example.org\"\nlogin_password = \"login\"\n\
                                app_passwords = [\"alice-app-password\"]\n";
/// A request of a client that the server knows.
pub(crate) const KNOWN: &str = "alice:alice-app-password";

/// Whether the full sizes are to be run.
pub(crate) fn full() -> bool {
    std::env::var("HOSTILE").is_ok_and(|size| size == "full")
}

/// Files for a server, with Alice's account.
pub(crate) fn folder() -> Folder {
    with_alice(Folder::new(PROGRAM))
}

/// The same for a server that a shell script starts: what is before and after `exec PROGRAM`.
pub(crate) fn scripted(before: &str, after: &str) -> (Folder, tempfile::TempDir) {
    let scripts = tempfile::tempdir().unwrap();
    let script: PathBuf = scripts.path().join("start");
    std::fs::write(&script, format!("#!/bin/sh\n{before}\nexec {PROGRAM} \"$@\" {after}\n")).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    (with_alice(Folder::new(script)), scripts)
}

fn with_alice(folder: Folder) -> Folder {
    folder.write("accounts.toml", ALICE);
    folder
}

/// Starts a server with Alice's account, in memory.
pub(crate) fn start(folder: &Folder, options: &[&str]) -> Server {
    folder.start(&[&["--store", "memory:", "--accounts", "accounts.toml"], options].concat())
}

/// Lets this process have as many sockets as a test needs.
pub(crate) fn many_sockets() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
}

pub(crate) fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    stream
}

/// Connects from another address of this machine.
pub(crate) fn connect_from(server: &Server, from: &str) -> TcpStream {
    let to: SocketAddr = server.address().parse().unwrap();
    let from: IpAddr = from.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from, 0)).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    stream
}

pub(crate) fn basic(login: &str) -> String {
    format!("authorization: Basic {}\r\n", STANDARD.encode(login))
}

pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}{length}\r\n{body}")
}

/// A request of Nextcloud Passwords with a login.
pub(crate) fn session_request(login: &str) -> String {
    request("GET", "/index.php/apps/passwords/api/1.0/session/request", &basic(login), "")
}

/// Reads what is left: status, head and body. The status is 0 if the connection was closed without an
/// answer.
pub(crate) fn read(stream: &mut TcpStream) -> (u16, String) {
    let mut bytes = Vec::new();
    let _reset = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, text)
}

pub(crate) fn ask(mut stream: TcpStream, request: &str) -> (u16, String) {
    let _reset = stream.write_all(request.as_bytes());
    read(&mut stream)
}

/// Sends a request on a new connection, and measures the time to the end of the answer.
pub(crate) fn timed(server: &Server, request: &str) -> (u16, Duration) {
    let begun = Instant::now();
    let (status, _) = ask(connect(server), request);
    (status, begun.elapsed())
}

/// A LibrePass user, registered without a mail. Returns the token.
pub(crate) fn librepass_token(server: &Server, email: &str) -> String {
    // The weakest Argon2 that is allowed.
    let parameters = ArgonParameters::new(1, 20_480, 1).unwrap();
    let client = librepass_client::Server::open(&server.url, None).unwrap();
    client.register(email, "correct horse", None, parameters).unwrap();
    client.log_in(email, "correct horse").unwrap().login().token().expose().to_owned()
}

/// The upload of changes to a LibrePass vault.
pub(crate) fn sync(token: &str, changes: &str) -> String {
    let headers = format!("authorization: Bearer {token}\r\ncontent-type: application/json\r\n");
    request("POST", "/api/cipher/sync", &headers, changes)
}

/// The id of a cipher.
pub(crate) fn cipher_id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// A cipher of the token's user, with a text of so many hex digits that has a nonce of its own.
pub(crate) fn cipher(token: &str, number: usize, digits: usize) -> String {
    // A token begins with `lp_` and the id of its user.
    let owner = token.get(3..35).unwrap();
    let (a, b, c, d, e) = (&owner[..8], &owner[8..12], &owner[12..16], &owner[16..20], &owner[20..]);
    let (id, text) = (cipher_id(number), "ab".repeat(digits.checked_sub(24).unwrap() / 2));
    format!(
        "{{\"id\":\"{id}\",\"owner\":\"{a}-{b}-{c}-{d}-{e}\",\"type\":0,\"protectedData\":\"{number:024x}{text}\"}}"
    )
}

/// Returns the memory that a process has now and had at most, in MiB.
pub(crate) fn memory(server: &Server) -> (u64, u64) {
    let status = std::fs::read_to_string(Path::new("/proc").join(server.id().to_string()).join("status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// Returns the 99th percentile.
pub(crate) fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get((times.len().saturating_mul(99) / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}
