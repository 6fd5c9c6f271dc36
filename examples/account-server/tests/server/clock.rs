//! Clocks that jump between restarts, by `faketime` (Debian's package of that name): whatever was
//! promised under one clock holds under the next.

use keywright_testing::shifted::Shifted;

use crate::client::{Answer, Client};
use crate::librepass::scene::Scene;
use crate::program::{Folder, Server};

const ALICE: &str = "[[account]]\nname = \"alice\"\nlogin_password = \"login\"\n\
                     app_passwords = [\"alice-app-password-1234\"]\n";
const FILES: [&str; 8] =
    ["--accounts", "accounts.toml", "--store", "sqlite:db", "--keyring", "keys", "--rate-limits", "off"];

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
const TEN_YEARS: i64 = 3_652 * DAY;

fn shifted() -> Shifted {
    Shifted::new(env!("CARGO_BIN_EXE_account-server"))
}

fn scene() -> (Shifted, Folder) {
    let shifted = shifted();
    let folder = Folder::new(shifted.program());
    folder.write("accounts.toml", ALICE);
    (shifted, folder)
}

/// A machine under load may answer "busy": nothing was decided, so the client sends the same again.
fn login(server: &Server, password: &str) -> Answer {
    loop {
        let answer = Client::new(server, "alice", password).get("session/request");
        if answer.status != 503 {
            return answer;
        }
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
}

fn wait(answer: &Answer) -> i64 {
    answer.header("retry-after").unwrap().parse().unwrap()
}

#[test]
fn an_owner_gets_in_after_every_jump() {
    let (shifted, folder) = scene();
    let server = folder.start(&FILES);
    let mut alice = Client::new(&server, "alice", "alice-app-password-1234");
    assert_eq!(alice.set_challenge("a").status, 200);
    server.stop();
    for shift in [1, -1, HOUR, -HOUR, DAY, -DAY, TEN_YEARS, -TEN_YEARS, 0, TEN_YEARS, 0] {
        shifted.set(shift);
        let server = folder.start(&FILES);
        let mut alice = Client::new(&server, "alice", "alice-app-password-1234");
        assert_eq!(alice.open("b").status, 401, "{shift}");
        assert_eq!(alice.open("a").status, 200, "{shift}");
        assert_eq!(login(&server, "login").status, 200, "{shift}");
        server.stop();
    }
    shifted.set(0);
    assert!(folder.run(&["--store", "sqlite:db", "--keyring", "keys", "check"]).starts_with("looked at: "));
}

/// A3: a wait that was promised ends when it was promised to, whatever the clock did meanwhile.
#[test]
fn waits_end_as_promised_under_every_clock() {
    for shift in [1, -1, HOUR, -HOUR, DAY, -DAY, TEN_YEARS, -TEN_YEARS] {
        let (shifted, folder) = scene();
        shifted.set(shift);
        let server = folder.start(&FILES);
        let refused = (0..20).map(|_| login(&server, "wrong")).find(|answer| answer.status == 429);
        let promised = wait(&refused.unwrap());
        server.stop();
        // The clock is right again. The wait begins anew at most once, and never grows.
        shifted.set(0);
        let server = folder.start(&FILES);
        let again = login(&server, "login");
        let left = if again.status == 200 { 0 } else { wait(&again) };
        assert!(left <= promised.max(30), "{shift}: {left} of {promised}");
        server.stop();
        shifted.set(left + 1);
        let server = folder.start(&FILES);
        assert_eq!(login(&server, "login").status, 200, "{shift}: {promised}, then {left}");
        server.stop();
    }
}

/// C8 and E9: one jump forward drops neither the security log nor anything else, even if
/// housekeeping runs for the first time then.
#[test]
fn a_jump_forward_drops_no_log() {
    let (shifted, folder) = scene();
    let command = |words: &[&str]| folder.run(&[&["--store", "sqlite:db", "--keyring", "keys"], words].concat());
    folder.start(&FILES).stop();
    let before = command(&["events", "alice"]);
    for _ in 0..3 {
        shifted.set(TEN_YEARS);
        let server = folder.start(&FILES);
        assert_eq!(login(&server, "alice-app-password-1234").status, 200);
        command(&["sweep"]);
        server.stop();
        shifted.set(0);
        folder.start(&FILES).stop();
    }
    let log = folder.read("log.txt");
    assert!(log.contains("the clock is more than a day ahead of where the store was last swept"), "{log}");
    let after = command(&["events", "alice"]);
    assert!(after.ends_with(&before) && before.contains("account_created"), "{before}\n{after}");
}

/// C14: a fence from a clock that ran ahead would void everything that is created until then.
#[test]
fn a_fence_of_the_future_is_refused() {
    let (shifted, folder) = scene();
    let command = |words: &[&'static str]| [&["--store", "sqlite:db", "--keyring", "keys"], words].concat();
    folder.start(&FILES).stop();
    folder.run(&command(&["backup", "copy"]));
    std::fs::remove_file(folder.path("db")).unwrap();
    shifted.set(DAY);
    folder.run(&command(&["restore", "copy"]));
    shifted.set(0);
    let complaint = folder.refuse(&FILES);
    assert!(complaint.contains("lies in the future of this server's clock"), "{complaint}");
    shifted.set(DAY + 1);
    let server = folder.start(&FILES);
    assert_eq!(login(&server, "login").status, 200);
    server.stop();
}

/// LibrePass: the server's key pair and the tokens of a clock that ran ahead or behind.
#[test]
fn a_vault_is_reached_after_every_jump() {
    let shifted = shifted();
    let scene = Scene::of(Folder::new(shifted.program()));
    let server = scene.start(&[]);
    scene.register(&server, "user@example.org", "correct horse");
    server.stop();
    for shift in [1, -1, HOUR, -HOUR, DAY, -DAY, TEN_YEARS, 0, -TEN_YEARS, 0] {
        shifted.set(shift);
        let server = scene.start(&[]);
        let session = scene.log_in(&server, "user@example.org", "correct horse");
        assert!(session.unwrap().read().is_ok(), "{shift}");
        server.stop();
    }
}
