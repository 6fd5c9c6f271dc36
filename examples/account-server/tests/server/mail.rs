//! Mail after a reset.

use crate::client::{Client, get};
use crate::program::Folder;

#[test]
fn the_owner_is_told_of_a_reset() {
    let folder = Folder::new();
    folder.write(
        "accounts.toml",
        "[[account]]\nname = \"alice\"\nemail = \"alice@example.org\"\napp_passwords = [\"alice-app-password\"]\n",
    );
    let server = folder.start(&[
        "--store",
        "memory:",
        "--accounts",
        "accounts.toml",
        "--outbox",
        "outbox.txt",
        "--public-url",
        "https://accounts.example.org/",
    ]);
    let mut alice = Client::new(&server, "alice", "alice-app-password");
    assert_eq!(alice.set_challenge("a").status, 200);
    let asked = alice.get("account/reset");
    assert_eq!(asked.status, 202, "{asked:?}");
    let code = asked.body.split('"').find(|part| part.len() == 19 && part.contains('-')).unwrap();
    assert_eq!(folder.read("outbox.txt"), "");
    let reset = alice.post("account/reset", &format!("{{\"code\":\"{code}\"}}"));
    assert_eq!((reset.status, reset.body.as_str()), (200, "{\"status\":\"ok\"}"));

    let mail = folder.read("outbox.txt");
    assert!(mail.starts_with("To: alice@example.org\nSubject: Your account was reset\n\n"), "{mail}");
    assert!(mail.contains("\nhttps://accounts.example.org\n") && mail.ends_with("\n\n"), "{mail}");
    assert_eq!(alice.get("session/request").body, "{}", "the account is blank, and the app password works");
    assert_eq!(get(&server, "/health").status, 200);
    server.stop();
}
