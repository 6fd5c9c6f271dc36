//! A first start without an accounts file.

use std::process::Command;

use crate::client::Client;
use crate::program::{Server, new_folder};

/// Runs the printed lines, just as they stand there.
fn curl_lines_work(server: &Server) {
    let version = Command::new("curl").arg("--version").output();
    assert!(version.is_ok_and(|run| run.status.success()), "curl is missing: install it to run this test");
    let lines: Vec<_> = server.printed.lines().filter(|line| line.starts_with("curl ")).collect();
    let expected = ["{}", "{\"keys\":[],\"success\":true}", "\"status\":\"accepted\"", "\"authToken\":\""];
    assert_eq!(lines.len(), expected.len(), "{}", server.printed);
    for (line, expected) in lines.iter().zip(expected) {
        let run = Command::new("sh").args(["-c", line]).output().unwrap();
        assert!(run.status.success(), "{line}: {}", String::from_utf8_lossy(&run.stderr));
        let answer = String::from_utf8(run.stdout).unwrap();
        assert!(answer.contains(expected), "{line}: {answer}");
    }
}

fn value<'a>(printed: &'a str, name: &str) -> &'a str {
    let line = printed.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {printed}"));
    line.split_once(':').unwrap().1.trim()
}

#[test]
fn the_curl_lines_work_as_printed() {
    for options in [
        &["--store", "memory:"][..],
        &["--store", "memory:", "--tls-self-signed", "--reset-style", "wait"],
        &["--store", "memory:", "--tls-self-signed", "--listen", "0.0.0.0:0"],
        &["--store", "memory:", "--listen", "[::1]:0"],
    ] {
        let folder = new_folder();
        let server = folder.start(options);
        curl_lines_work(&server);
        server.stop();
    }
}

#[test]
fn it_is_made_once_and_shown_once() {
    let folder = new_folder();
    let server = folder.start(&[]);
    let printed = server.printed.clone();
    let (name, app) = (value(&printed, "name"), value(&printed, "app password"));
    let login = value(&printed, "login password");
    assert_eq!(Client::new(&server, name, app).get("session/request").status, 200);
    assert_eq!(Client::new(&server, "DEMO", login).get("session/request").status, 200);
    assert_eq!(Client::new(&server, name, "wrong").get("session/request").status, 401);
    server.stop();
    assert!(folder.path("account-server.sqlite").exists());
    assert!(folder.path("account-server.keyring.toml").exists());

    let again = folder.start(&[]);
    assert!(again.printed.starts_with("the account demo exists already"), "{}", again.printed);
    assert!(!again.printed.contains("curl"), "{}", again.printed);
    assert_eq!(Client::new(&again, name, app).get("session/request").status, 200);
    again.stop();
    let log = folder.read("log.txt");
    assert!(!log.contains(app) && !log.contains(login), "{log}");
}

#[test]
fn none_where_others_can_listen_in_and_none_beside_accounts() {
    let folder = new_folder();
    let server = folder.start(&["--listen", "0.0.0.0:0"]);
    assert!(server.printed.contains("plain HTTP is refused"), "{}", server.printed);
    assert!(!server.printed.contains("curl"), "{}", server.printed);
    let app = value(&server.printed, "app password").to_owned();
    Client::new(&server, "demo", &app).get("session/request").is_refusal(400, "6304571a");
    assert_eq!(crate::client::get(&server, "/health").status, 200);
    server.stop();

    let folder = new_folder();
    folder.write("accounts.toml", "[[account]]\nname = \"alice\"\n");
    let server = folder.start(&["--accounts", "accounts.toml"]);
    assert_eq!(server.printed, "");
    server.stop();
    let server = folder.start(&[]);
    assert_eq!(server.printed, "no demo account is made: the store has accounts already\n");
    server.stop();
}
