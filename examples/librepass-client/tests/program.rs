//! The program as its users meet it, where no server is needed.

#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Returns the exit code and the error output. There is no terminal to prompt on.
fn run(folder: &Path, arguments: &[&str], password: Option<&str>) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_librepass-client"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null()).env_remove("LIBREPASS_PASSWORD");
    if let Some(password) = password {
        command.env("LIBREPASS_PASSWORD", password);
    }
    let output = command.output().unwrap();
    assert!(output.stdout.is_empty());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn what_cannot_be_done_is_said_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, said) in [
        (&["list"][..], "log in again"),
        (&["login", "--server", "http://pass.example", "--email", "user@example.com"], "must be an https URL"),
        (&["login", "--server", "https://a", "--email", "user@example.com", "--ca", "absent"], "certificates"),
        // Nothing listens on this port.
        (&["login", "--server", "http://127.0.0.1:9", "--email", "user@example.com"], "did not answer"),
    ] {
        let (code, complaint) = run(folder.path(), arguments, Some("sesame"));
        assert!(code == Some(1) && complaint.contains(said), "{arguments:?}: {complaint}");
        assert!(!complaint.contains("sesame") && !complaint.contains("panicked"), "{complaint}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_password_is_no_argument_and_a_saved_login_is_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["list", "--password", "sesame"][..], &["register"], &["add"], &[]] {
        assert_eq!(run(folder.path(), arguments, None).0, Some(2), "{arguments:?}");
    }
    fs::write(folder.path().join("librepass-login.json"), "{\"token\":\"lp_planted\"}").unwrap();
    let (code, complaint) = run(folder.path(), &["list"], None);
    assert!(code == Some(1) && complaint.contains("was not written by this program"), "{complaint}");
    assert!(!complaint.contains("planted"), "{complaint}");
}
