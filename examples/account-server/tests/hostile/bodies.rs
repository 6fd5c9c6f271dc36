//! Bodies that are slow, large, or both.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use keywright_testing::process::Server;

use crate::scene::{
    KNOWN, ask, cipher, connect, folder, full, librepass_token, many_sockets, memory, p99, read, request,
    session_request, start, sync, timed,
};

const LENGTH: usize = 20_000;
const SLOW: &str =
    "{\"error\":\"LP-Invalid-Body\",\"message\":\"the body came too slowly\",\"status\":408,\"success\":false}";
const UPLOADING: &str = "{\"error\":\"LP-Database-Error\",\"message\":\"another upload of this account is at work\",\
                         \"status\":503,\"success\":false}";

#[test]
fn slow_bodies_are_given_up() {
    many_sockets();
    let (count, limit) = if full() { (1_000, 30) } else { (200, 3) };
    let folder = folder();
    let all = (count + 100).to_string();
    let server = start(
        &folder,
        &[
            "--rate-limits",
            "off",
            "--body-timeout",
            &limit.to_string(),
            "--max-connections",
            &all,
            "--max-connections-per-network",
            &all,
        ],
    );
    let head = request("POST", "/api/auth/register", "content-type: application/json\r\n", &"x".repeat(LENGTH));
    let head = head.trim_end_matches('x');
    let begun = Instant::now();
    let mut slow: Vec<_> = (0..count).map(|_| connect(&server)).collect();
    for stream in &mut slow {
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(b"{").unwrap();
    }
    for text in [request("GET", "/health", "", ""), session_request(KNOWN)] {
        let (status, time) = timed(&server, &text);
        assert!(status == 200 && time < Duration::from_secs(1), "{status} {time:?}");
    }
    for stream in &mut slow {
        let (status, text) = read(stream);
        assert!(status == 408 && text.ends_with(SLOW), "{text}");
        assert!(text.contains("connection: close\r\n"), "{text}");
    }
    let elapsed = begun.elapsed();
    println!("{count} slow bodies were closed after {elapsed:?}");
    assert!(elapsed < Duration::from_secs(limit + 25), "{elapsed:?}");
    assert!(server.log().contains("a body came too slowly"));
    server.stop();
}

/// Sends a vault of one account many times at once, while another client goes on working. Of these
/// vaults one at a time is received, and the others are refused before they are read. Checks that
/// memory and the other client's time stay within bounds. Returns the status of those that were read.
fn flood(server: &Server, name: &str, text: &str, count: usize) -> Vec<u16> {
    let done = AtomicBool::new(false);
    let (at_rest, _) = memory(server);
    let (answers, times) = thread::scope(|scope| {
        let others = scope.spawn(|| {
            let mut times = Vec::new();
            while !done.load(Ordering::Acquire) || times.len() < 200 {
                let (status, time) = timed(server, &session_request(KNOWN));
                assert_eq!(status, 200);
                times.push(time);
            }
            times
        });
        let uploads: Vec<_> = (0..count).map(|_| scope.spawn(|| ask(connect(server), text))).collect();
        let answers: Vec<_> = uploads.into_iter().map(|upload| upload.join().unwrap()).collect();
        done.store(true, Ordering::Release);
        (answers, others.join().unwrap())
    });
    // Who writes on while it is refused may lose the answer to a reset.
    let refused =
        |(status, text): &&(u16, String)| *status == 0 || (*status == 503 && text.contains("retry-after: 5\r\n"));
    let read: Vec<_> = answers.iter().filter(|answer| !refused(answer)).map(|(status, _)| *status).collect();
    let (peak, p99) = (memory(server).1, p99(times));
    let mebibytes = text.len() >> 20;
    println!(
        "{count} vaults of {mebibytes} MiB, {name}: {} read, {at_rest} MiB at rest, peak {peak} MiB, others' p99 {p99:?}",
        read.len()
    );
    assert!(peak < 500, "{peak} MiB");
    assert!(p99 < Duration::from_millis(if full() { 200 } else { 500 }), "{p99:?}");
    assert!(server.log().contains("refused_by=\"uploads_of_account\""), "{}", server.log());
    read
}

#[test]
fn many_vaults_of_one_account_harm_nobody() {
    let (count, mebibytes) = if full() { (64, 60) } else { (12, 4) };
    let folder = folder();
    let server = start(&folder, &["--librepass-verify-email", "off", "--rate-limits", "off"]);
    let token = librepass_token(&server, "mallory@example.org");
    let vault =
        format!("{{\"lastSyncTimestamp\":0,\"updated\":[],\"deleted\":[{}\"\"]}}", "\"\",".repeat(mebibytes << 18));
    let read = flood(&server, "not valid", &sync(&token, &vault), count);
    assert!(!read.is_empty() && read.iter().all(|status| *status == 400), "{read:?}");
    server.stop();
}

/// The same with valid vaults in a file.
#[test]
fn many_valid_vaults_of_one_account_harm_nobody() {
    let (count, mebibytes) = if full() { (64, 60) } else { (12, 4) };
    let folder = folder();
    let options = ["--librepass-verify-email", "off", "--rate-limits", "off", "--vault-limit", "1000"];
    let server = folder.start(&[&["--store", "sqlite:db", "--accounts", "accounts.toml"][..], &options].concat());
    let token = librepass_token(&server, "mallory@example.org");
    let text = sync(&token, &valid_vault(&token, mebibytes));
    assert_eq!(ask(connect(&server), &text).0, 200, "each of the flood replaces a vault of that size");
    let read = flood(&server, "valid", &text, count);
    assert!(!read.is_empty() && read.iter().all(|status| *status == 200), "{read:?}");
    server.stop();
}

/// A body with a vault of so many MiB: ciphers of the largest size, each with a nonce of its own.
fn valid_vault(token: &str, mebibytes: usize) -> String {
    const DIGITS: usize = 65_536;
    let count = (mebibytes << 20).div_ceil(DIGITS + 200);
    let ciphers = (0..count).map(|number| cipher(token, number, DIGITS));
    let ciphers = ciphers.collect::<Vec<_>>().join(",");
    format!("{{\"lastSyncTimestamp\":0,\"updated\":[{ciphers}],\"deleted\":[]}}")
}

/// A vault of one account that is still being sent leaves room for that of another.
#[test]
fn an_account_uploads_one_vault_at_a_time() {
    let folder = folder();
    let server = start(&folder, &["--librepass-verify-email", "off"]);
    let body = " ".repeat(2 << 20);
    let text = |token: &str| sync(token, &body);
    let (mallory, bob) = (librepass_token(&server, "mallory@example.org"), librepass_token(&server, "bob@example.org"));
    let head = |token: &str| {
        let head = text(token).split("\r\n\r\n").next().unwrap().to_owned();
        format!("{head}\r\nexpect: 100-continue\r\n\r\n")
    };
    // The server asks for the body once it has given the account its place.
    let mut first = connect(&server);
    first.write_all(head(&mallory).as_bytes()).unwrap();
    let mut asked = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    first.read_exact(&mut asked).unwrap();
    assert!(asked.starts_with(b"HTTP/1.1 100 "), "{}", asked.escape_ascii());
    let (begin, end) = body.split_at(body.len() - 10);
    first.write_all(begin.as_bytes()).unwrap();
    let (status, refusal) = ask(connect(&server), &head(&mallory));
    assert!(status == 503 && refusal.ends_with(UPLOADING), "{refusal}");
    assert!(refusal.contains("retry-after: 5\r\n"), "{refusal}");
    assert_eq!(ask(connect(&server), &text(&bob)).0, 400);
    first.write_all(end.as_bytes()).unwrap();
    assert_eq!(read(&mut first).0, 400);
    assert_eq!(ask(connect(&server), &text(&mallory)).0, 400);
    server.stop();
}
