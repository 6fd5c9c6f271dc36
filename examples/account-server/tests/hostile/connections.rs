//! Connections that are opened, and on which nothing or too little comes.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::scene::{KNOWN, ask, connect, full, many_sockets, read, request, scripted, session_request, start, timed};

/// A client that waits for the server to close the connection.
fn closed_after(mut stream: TcpStream) -> Duration {
    let begun = Instant::now();
    let _whatever_comes = read(&mut stream);
    begun.elapsed()
}

/// 1,100 silent connections to a server that may have 1,024 files open.
#[test]
fn silent_connections_keep_nobody_out() {
    many_sockets();
    let (folder, _scripts) = scripted("ulimit -n 1024", "");
    let server = start(&folder, &[]);
    let mut silent = Vec::new();
    let mut slowest = Duration::ZERO;
    for number in 0..1_100 {
        silent.push(connect(&server));
        if number % 50 == 49 {
            for text in [request("GET", "/health", "", ""), session_request(KNOWN)] {
                let (status, time) = timed(&server, &text);
                assert_eq!(status, 200, "after {number} connections");
                slowest = slowest.max(time);
            }
        }
    }
    println!("1,100 silent connections: slowest answer {slowest:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    server.stop();
}

#[test]
fn a_client_that_was_let_in_is_not_displaced_by_silent_ones() {
    many_sockets();
    let (folder, _scripts) = scripted("", "");
    let server = start(&folder, &["--max-connections", "20", "--max-connections-per-network", "20"]);
    let mut known = connect(&server);
    let again = session_request(KNOWN).replace("connection: close\r\n", "");
    known.write_all(again.as_bytes()).unwrap();
    let mut answer = [0; 15];
    std::io::Read::read_exact(&mut known, &mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    let silent: Vec<_> = (0..60).map(|_| connect(&server)).collect();
    assert_eq!(timed(&server, &request("GET", "/health", "", "")).0, 200);
    // It still has its connection, where 41 others have lost theirs.
    let (_, rest) = ask(known, &session_request(KNOWN));
    assert_eq!(rest.matches("HTTP/1.1 200 OK").count(), 1, "{rest}");
    drop(silent);
    server.stop();
}

/// Nothing at all, half a head, a head that trickles, and a connection between two requests.
#[test]
fn whatever_never_becomes_a_request_is_closed() {
    let limit = if full() { 20 } else { 2 };
    let (folder, _scripts) = scripted("", "");
    for tls in [&[][..], &["--tls-self-signed"]] {
        let server = start(&folder, &[&["--idle-timeout", &limit.to_string()], tls].concat());
        let half = connect(&server);
        (&half).write_all(b"GET /health HTTP/1.1\r\nhost: te").unwrap();
        let between = connect(&server);
        (&between).write_all(b"GET /health HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
        let prior = connect(&server);
        (&prior).write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
        let trickling = connect(&server);
        let mut trickle = trickling.try_clone().unwrap();
        std::thread::spawn(move || {
            // Every byte in its own time, until the server has closed.
            let _ = trickle.write_all(b"GET / HTTP/1.1\r\n");
            while trickle.write_all(b"a: b\r\n").is_ok() {
                let _nothing = closed_within(&trickle, Duration::from_millis(200));
            }
        });
        let waiting = [connect(&server), half, between, prior, trickling]
            .map(|stream| std::thread::spawn(move || closed_after(stream)));
        for (number, waiting) in waiting.into_iter().enumerate() {
            let waited = waiting.join().unwrap();
            assert!(waited <= Duration::from_secs(limit + 5), "{number} {tls:?} {waited:?}");
        }
        server.stop();
    }
}

/// Waits for a byte that does not come.
fn closed_within(stream: &TcpStream, time: Duration) -> std::io::Result<usize> {
    stream.set_read_timeout(Some(time))?;
    stream.peek(&mut [0])
}
