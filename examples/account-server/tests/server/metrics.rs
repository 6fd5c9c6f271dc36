//! The numbers for Prometheus, and the table of what to alert on.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;

use crate::client::{Answer, Client, get, text};
use crate::program::{Folder, Server, new_folder};

const ALICE: &str =
    "[[account]]\nname = \"alice\"\nlogin_password = \"login\"\napp_passwords = [\"alice-app-password-1234\"]\n";
/// The table of the manual.
const MANUAL: &str = include_str!("../../../../docs/running.md");

fn start(folder: &Folder) -> Server {
    folder.write("accounts.toml", ALICE);
    folder.start(&["--store", "sqlite:db", "--accounts", "accounts.toml", "--metrics-listen", "127.0.0.1:0"])
}

/// The metrics' own address.
fn address(server: &Server) -> &str {
    let line = server.printed.lines().find_map(|line| line.strip_prefix("metrics on http://")).unwrap();
    line.strip_suffix("/metrics").unwrap()
}

fn metrics(server: &Server) -> String {
    let mut stream = TcpStream::connect(address(server)).unwrap();
    stream.write_all(text("GET", "/metrics", "", "").as_bytes()).unwrap();
    let answer = Answer::read(&mut stream);
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    answer.body
}

/// Returns the metrics once one of them has this beginning.
fn metrics_with(server: &Server, sample: &str) -> String {
    loop {
        let shown = metrics(server);
        if shown.lines().any(|line| line.starts_with(sample)) {
            return shown;
        }
    }
}

/// Returns the number of a sample.
fn value(shown: &str, sample: &str) -> f64 {
    let line = shown.lines().find_map(|line| line.strip_prefix(sample)).unwrap();
    line.trim().parse().unwrap()
}

/// Returns each selector of the alerts: a name, and what is in its braces.
fn selectors() -> BTreeSet<(String, String)> {
    let table = MANUAL.split_once("## What to alert on").unwrap().1.split_once("\n## ").unwrap().0;
    let mut found = BTreeSet::new();
    for condition in table.lines().filter_map(|line| line.strip_prefix("| `")) {
        let condition = condition.split_once('`').unwrap().0;
        for (at, _) in condition.match_indices("keywright_").chain(condition.match_indices("account_server_")) {
            let rest = &condition[at..];
            let end = rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')).unwrap();
            let (name, rest) = rest.split_at(end);
            let labels = rest.strip_prefix('{').map_or("", |labels| labels.split_once('}').unwrap().0);
            found.insert((name.to_owned(), labels.to_owned()));
        }
    }
    found
}

/// Whether a sample of this name has these labels: `label="value"`, or `label=~"one\\|other"`.
fn is_shown(shown: &str, name: &str, labels: &str) -> bool {
    let samples: Vec<&str> =
        shown.lines().filter_map(|line| line.strip_prefix(name)).filter(|rest| rest.starts_with(['{', ' '])).collect();
    let Some((label, values)) = labels.split_once("=~\"").or_else(|| labels.split_once("=\"")) else {
        return !samples.is_empty();
    };
    let mut values = values.trim_end_matches('"').split("\\|");
    values.all(|value| samples.iter().any(|sample| sample.contains(&format!("{label}=\"{value}\""))))
}

#[test]
fn every_alert_of_the_manual_is_about_something_that_is_shown() {
    let folder = new_folder();
    let server = start(&folder);
    assert_eq!(Client::new(&server, "alice", "alice-app-password-1234").set_challenge("a").status, 200);
    // More log-ins than there are cores, so that some wait.
    std::thread::scope(|scope| {
        for number in 0..32 {
            let server = &server;
            scope.spawn(move || Client::new(server, &format!("nobody{number}"), "wrong").get("session/request"));
        }
    });
    // A round of housekeeping ends.
    metrics_with(&server, "keywright_due_oldest_seconds ");
    metrics_with(&server, "keywright_due_accounts ");
    let shown = metrics_with(&server, "keywright_queue_wait_seconds_bucket");
    let alerts = selectors();
    assert!(alerts.len() > 20, "{alerts:?}");
    for (name, labels) in alerts {
        // There is no fault to provoke here; the label comes from the answer's status.
        let labels = if labels == "status=\"500\"" { "status=\"200\"" } else { &labels };
        assert!(is_shown(&shown, &name, labels), "{name}{{{labels}}}\n{shown}");
    }
    assert!(!is_shown(&shown, "keywright_operations_total", "outcome=\"no such\""));
    assert!(!is_shown(&shown, "keywright_no_such", ""));
    server.stop();
}

#[test]
fn guesses_are_counted_and_nobody_is_named() {
    let folder = new_folder();
    let server = start(&folder);
    let refused = (0..20).map(|_| Client::new(&server, "alice", "wrong").get("session/request"));
    let refused = refused.filter(|answer| answer.status == 429).count();
    assert!(refused > 0);
    let shown = metrics(&server);
    assert!(value(&shown, "keywright_security_events_total{kind=\"guess_denied\"}") >= 1.0);
    assert!(value(&shown, "keywright_waits_told_total{operation=\"nextcloud\"}") >= 1.0, "{shown}");
    assert!(shown.contains("outcome=\"committed\"}"));
    assert!(!shown.contains("alice"), "{shown}");
    let log = server.log();
    assert!(log.contains("keywright::security: a security event account="), "{log}");
    server.stop();
}

#[test]
fn they_are_served_at_their_own_address_alone() {
    let folder = new_folder();
    let server = start(&folder);
    assert_eq!(get(&server, "/metrics").status, 404);
    let mut stream = TcpStream::connect(address(&server)).unwrap();
    stream.write_all(text("GET", "/health", "", "").as_bytes()).unwrap();
    assert_eq!(Answer::read(&mut stream).status, 404);
    let taken = address(&server);
    let options = ["--store", "memory:", "--metrics-listen", taken];
    assert!(new_folder().refuse(&options).contains(&format!("cannot listen on {taken}")));
    server.stop();
    let server = folder.start(&["--store", "sqlite:db"]);
    assert!(!server.printed.contains("metrics on"));
    server.stop();
}
