//! A disk that is really full: a small file system of its own, which no quota of SQLite's imitates.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;

use keywright_testing::process::Server;

use crate::scene::{KNOWN, ask, cipher, cipher_id, connect, librepass_token, request, scripted, session_request, sync};

/// Mounts the file system where only the server sees it, then starts the server. It takes either root
/// or a system that lets users make namespaces.
const MOUNTED: &str = "[ \"$ON_SMALL_DISK\" ] || ON_SMALL_DISK=1 exec unshare --mount --map-root-user \"$0\" \"$@\"\n\
                       mkdir small && mount -t tmpfs -o size=80m tmpfs small || mount -t tmpfs -o size=80m tmpfs small";
const NO_ROOM_NEXTCLOUD: &str = "{\"status\":\"error\",\"id\":0,\"message\":\"Unable to complete request\"}";
const NO_ROOM_ROCKETCHAT: &str = "{\"error\":\"Internal server error\",\"success\":false}";
const NO_ROOM_LIBREPASS: &str = "{\"error\":\"LP-Database-Error\",\"status\":507}";
const JSON: &str = "content-type: application/json\r\n";

/// A file on the server's small disk, as this process reaches it.
fn filler(server: &Server) -> PathBuf {
    let root = Path::new("/proc").join(server.id().to_string());
    // The working folder of the server, in its own mounts.
    root.join("cwd").join("small").join("filler")
}

/// Takes all the space that is left.
fn fill(path: &Path) {
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    for size in [1 << 20, 4_096] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

fn post(server: &Server, path: &str, headers: &str, body: &str) -> (u16, String) {
    ask(connect(server), &request("POST", path, &format!("{JSON}{headers}"), body))
}

fn session(server: &Server, login: &str) -> (u16, String) {
    ask(connect(server), &session_request(login))
}

/// A log-in by password over Rocket.Chat.
fn log_in(server: &Server) -> (u16, String) {
    post(server, "/api/v1/login", "", "{\"user\":\"alice\",\"password\":\"login\"}")
}

/// Adds a cipher to a LibrePass vault.
fn put(server: &Server, token: &str, number: usize) -> (u16, String) {
    let cipher = cipher(token, number, 8_000);
    let changes = format!("{{\"lastSyncTimestamp\":0,\"updated\":[{cipher}],\"deleted\":[]}}");
    ask(connect(server), &sync(token, &changes))
}

/// What the vault has.
fn vault(server: &Server, token: &str) -> String {
    let (status, text) = ask(connect(server), &sync(token, "{\"lastSyncTimestamp\":0,\"updated\":[],\"deleted\":[]}"));
    assert_eq!(status, 200, "{text}");
    text
}

fn ready(server: &Server) -> (u16, String) {
    ask(connect(server), &request("GET", "/ready", "", ""))
}

#[test]
fn a_full_disk_is_answered_with_507_and_loses_nothing() {
    let (folder, _scripts) = scripted(MOUNTED, "");
    let options = [
        "--store",
        "sqlite:small/db",
        "--accounts",
        "accounts.toml",
        "--rate-limits",
        "off",
        "--keyring",
        "keys",
        "--librepass-verify-email",
        "off",
    ];
    let server = folder.start(&options);
    assert_eq!(ready(&server).0, 200);
    assert_eq!(session(&server, KNOWN).0, 200);
    let token = librepass_token(&server, "user@example.org");
    let filler = filler(&server);
    fill(&filler);
    // What the store has allocated takes some more commits, the small ones the longest.
    let mut stored = Vec::new();
    let mut numbers = 0..400;
    let refused = loop {
        let number = numbers.next().expect("the disk is full at last");
        let put = put(&server, &token, number);
        if put.0 == 200 {
            stored.push(number);
        }
        let answers = [put, session(&server, "alice:login"), log_in(&server)];
        if answers.iter().all(|(status, _)| *status != 200) {
            break answers;
        }
    };
    println!("{} ciphers before the disk was full", stored.len());
    for ((status, text), body) in refused.iter().zip([NO_ROOM_LIBREPASS, NO_ROOM_NEXTCLOUD, NO_ROOM_ROCKETCHAT]) {
        assert!(*status == 507 && text.ends_with(body), "{text}");
    }
    // Many at once: none is answered with anything else.
    thread::scope(|scope| {
        let asks = (0..9).map(|number| {
            let (server, token) = (&server, &token);
            scope.spawn(move || match number % 3 {
                0 => session(server, "alice:login"),
                1 => log_in(server),
                _ => put(server, token, 1_000 + number),
            })
        });
        for asked in asks.collect::<Vec<_>>() {
            let (status, text) = asked.join().unwrap();
            assert_eq!(status, 507, "{text}");
        }
    });
    // The answer of a second ago may still be given.
    let (status, text) = std::iter::repeat_with(|| ready(&server)).find(|(status, _)| *status != 200).unwrap();
    assert!(status == 503 && text.ends_with("not ready: the disk is nearly full\n"), "{text}");
    assert_eq!(ask(connect(&server), &request("GET", "/health", "", "")).0, 200);
    assert_eq!(session(&server, KNOWN).0, 200, "what only reads goes on");
    assert!(server.log().contains("reason=\"the disk is nearly full\""), "{}", server.log());

    std::fs::remove_file(&filler).unwrap();
    assert_eq!(session(&server, "alice:login").0, 200, "no guess was charged, and none is open");
    assert_eq!(log_in(&server).0, 200);
    // The answer of a second ago may still be given.
    while ready(&server).0 != 200 {}
    let has = |text: &str, number| text.contains(&cipher_id(number));
    let kept = vault(&server, &token);
    assert!(stored.iter().all(|number| has(&kept, *number)), "a cipher was lost");
    assert!((0..2_000).all(|number| stored.contains(&number) || !has(&kept, number)), "a refused one was stored");
    assert_eq!(put(&server, &token, 1_000).0, 200);
    assert!(has(&vault(&server, &token), 1_000));
    server.stop();
}
