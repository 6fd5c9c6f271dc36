//! Stopping: requests in progress are finished.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::client::{Answer, BASE, Client, text};
use crate::program::new_folder;

#[test]
fn on_termination_and_on_interrupt() {
    for signal in ["TERM", "INT"] {
        let folder = new_folder();
        let server = folder.start(&[]);
        server.signal(signal);
        assert!(server.wait().success(), "{signal}");
        assert!(!folder.path("account-server.sqlite-wal").exists(), "{signal}: the log is part of the file again");
    }
}

#[test]
fn a_request_in_progress_gets_its_answer() {
    let folder = new_folder();
    folder.write("accounts.toml", "[[account]]\nname = \"alice\"\napp_passwords = [\"alice-app-password\"]\n");
    let server = folder.start(&["--store", "memory:", "--accounts", "accounts.toml"]);
    let login = Client::new(&server, "alice", "alice-app-password").headers();
    let headers = format!("{login}content-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 2\r\n");
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(text("POST", &format!("{BASE}session/open"), &headers, "").as_bytes()).unwrap();
    // The server requests the body, so it is in the middle of the request.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    server.signal("TERM");
    while TcpStream::connect(server.address()).is_ok() {
        std::thread::yield_now();
    }
    stream.write_all(b"{}").unwrap();
    let answer = Answer::read(&mut stream);
    assert_eq!((answer.status, answer.body.as_str()), (200, "{\"keys\":[],\"success\":true}"));
    assert!(server.wait().success());
}
