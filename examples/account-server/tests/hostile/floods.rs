//! Floods of logins, and a log that nobody reads.

use std::fs::File;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::attack::Flood;
use crate::scene::{
    KNOWN, ask, connect, folder, full, many_sockets, memory, request, scripted, session_request, start, timed,
};

/// Wrong passwords for many names on many connections, from a few networks. A log-in by password from
/// another network, and a known client, do not wait for them.
#[test]
fn wrong_passwords_hold_up_nobody() {
    many_sockets();
    let connections = if full() { 1_000 } else { 100 };
    let folder = folder();
    let server = start(&folder, &[]);
    let flood = Flood::start(&server, connections);
    while flood.answered() < connections {
        thread::yield_now();
    }
    let (begun, before) = (Instant::now(), flood.answered());
    let times = |login: &str, count| (0..count).map(|_| timed(&server, &session_request(login))).collect::<Vec<_>>();
    let (logins, known) = (times("alice:login", 5), times(KNOWN, 50));
    let rate = (flood.answered() - before) as f64 / begun.elapsed().as_secs_f64();
    flood.end();
    let slowest = |times: &[(u16, Duration)]| times.iter().map(|(_, time)| *time).max().unwrap();
    let (login, client) = (slowest(&logins), slowest(&known));
    println!(
        "{connections} connections of wrong passwords, {rate:.0} a second: log-in {logins:?}, known client at most \
         {client:?}"
    );
    assert!(logins.iter().chain(&known).all(|(status, _)| *status == 200), "{logins:?} {known:?}");
    // Without `--release`, and with this test's threads on the same cores, this shows only that nobody starves.
    let (login_limit, client_limit) = if full() { (1_000, 100) } else { (30_000, 10_000) };
    assert!(server.log().contains("refused_by=\"hashes_of_network\""));
    assert!(login < Duration::from_millis(login_limit), "{login:?}");
    assert!(client < Duration::from_millis(client_limit), "{client:?}");
    server.stop();
}

/// Each log-in by password hashes in 19 MiB.
#[test]
fn log_ins_by_password_leave_no_memory_behind() {
    let folder = folder();
    let server = start(&folder, &["--rate-limits", "off"]);
    let (before, _) = memory(&server);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let (status, text) = ask(connect(&server), &session_request("alice:login"));
                    assert!(status == 200, "{text}");
                }
            });
        }
    });
    let (after, peak) = memory(&server);
    println!("200 log-ins by password: {before} MiB before, {after} MiB after, peak {peak} MiB");
    assert!(after.saturating_sub(before) < 100, "{before} {after}");
    server.stop();
}

/// Standard error is a pipe that is full.
#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let (folder, scripts) = scripted("", "2>\"${0%start}pipe\"");
    let pipe = scripts.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = File::options().read(true).write(true).open(&pipe).unwrap();
    let server = start(&folder, &[]);
    // A pipe holds 64 KiB, and a line has more than 100 bytes.
    for _ in 0..3_000 {
        let (status, time) = timed(&server, &request("GET", "/health", "", ""));
        assert!(status == 200 && time < Duration::from_secs(5), "{status} {time:?}");
    }
    server.signal("TERM");
    assert!(server.wait().success());
    drop(reader);
}
