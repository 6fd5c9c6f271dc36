//! What the log has of each request, in both forms.

use serde_json::Value;

use crate::client::Client;
use crate::program::new_folder;

const ALICE: &str =
    "[[account]]\nname = \"alice\"\nlogin_password = \"login\"\napp_passwords = [\"alice-app-password-1234\"]\n";

#[test]
fn every_request_has_an_id_and_a_client() {
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    let server = folder.start(&["--store", "memory:", "--accounts", "accounts.toml", "--rate-limits", "off"]);
    let answer = Client::new(&server, "alice", "alice-app-password-1234").get("session/request");
    let id = answer.header("x-request-id").unwrap();
    assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let log = server.log();
    let line = log.lines().find(|line| line.contains(id)).unwrap();
    assert!(line.contains("status=200") && line.contains("client=\"127.0.0.1\""), "{line}");
    // Whoever is turned away stands out.
    let refused = (0..20).map(|_| Client::new(&server, "alice", "wrong").get("session/request"));
    let refused = refused.into_iter().find(|answer| answer.status == 429).unwrap();
    let wait = refused.header("retry-after").unwrap();
    let log = server.log();
    let line = log.lines().rfind(|line| line.contains("status=429")).unwrap();
    assert!(line.contains(" WARN ") && line.contains(&format!("retry_after=\"{wait}\"")), "{line}");
    let id = refused.header("x-request-id").unwrap();
    for part in ["refused_by=\"guesses\"", "client=\"127.0.0.1\"", id] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!format!("{refused:?}").contains("guesses"), "the client is not told");
    server.stop();
}

#[test]
fn json_lines_have_the_same() {
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    let options = ["--store", "memory:", "--accounts", "accounts.toml", "--log-format", "json"];
    let server = folder.start(&options);
    let answer = Client::new(&server, "alice", "alice-app-password-1234").get("session/request");
    let lines: Vec<Value> = server.log().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = lines.iter().find(|line| line["fields"]["message"] == "request").unwrap();
    assert_eq!(line["fields"]["status"], 200);
    assert_eq!(line["fields"]["client"], "127.0.0.1");
    assert_eq!(line["span"]["id"], answer.header("x-request-id").unwrap());
    server.stop();
}

#[test]
fn a_level_leaves_out_what_is_below_it() {
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    let options = ["--store", "memory:", "--accounts", "accounts.toml", "--log-level", "error"];
    let server = folder.start(&options);
    assert_eq!(Client::new(&server, "alice", "alice-app-password-1234").get("session/request").status, 200);
    server.stop();
    assert_eq!(folder.read("log.txt"), "");
}
