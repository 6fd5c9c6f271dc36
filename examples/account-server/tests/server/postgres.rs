//! Several servers on one PostgreSQL database.

use keywright_testing::postgres::Cluster;

use crate::client::Client;
use crate::program::new_folder;

const ALICE: &str =
    "[[account]]\nname = \"alice\"\nlogin_password = \"login\"\napp_passwords = [\"alice-app-password\"]\n";

#[test]
fn two_servers_count_guesses_together_and_survive_a_restart_of_the_database() {
    let cluster = Cluster::new();
    let folder = new_folder();
    folder.write("accounts.toml", ALICE);
    let url = cluster.url("postgres");
    let options = [
        "--store",
        &url,
        "--keyring",
        "keys",
        "--accounts",
        "accounts.toml",
        "--rate-limits",
        "off",
        "--store-connections",
        "4",
    ];
    let (first, second) = (folder.start(&options), folder.start(&options));
    let login = |server, password: &str| Client::new(server, "alice", password).get("session/request").status;
    assert_eq!((login(&first, "login"), login(&second, "login")), (200, 200));
    // Guesses at both doors are guesses at one secret.
    let refused = (0..10).find(|_| login(&first, "wrong") == 429 || login(&second, "wrong") == 429);
    assert!(refused.is_some());
    assert_eq!((login(&first, "login"), login(&second, "login")), (429, 429));
    let command = ["--store", &url, "--keyring", "keys", "accounts", "unlock", "alice"];
    assert_eq!(folder.run(&command), "alice: waits and limits are lifted at: login-password\n");
    assert_eq!((login(&first, "login"), login(&second, "login")), (200, 200));

    cluster.kill();
    assert!(login(&first, "login") >= 500, "nobody is let in, and nobody is told that the password is wrong");
    cluster.start();
    let again = (0..8).find(|_| login(&first, "login") == 200);
    assert!(again.is_some(), "it goes on by itself");
    let checked = folder.run(&["--store", &url, "--keyring", "keys", "check"]);
    assert!(checked.starts_with("looked at: "), "{checked}");
    first.stop();
    second.stop();
}

#[test]
fn a_database_that_cannot_be_used_is_reported_without_its_password() {
    let folder = new_folder();
    let nowhere = "postgres://app:topsecret@127.0.0.1:1/accounts?sslmode=disable";
    let complaint = folder.refuse(&["--store", nowhere, "--keyring", "keys"]);
    assert!(complaint.contains("the database server cannot be reached"), "{complaint}");
    assert!(!complaint.contains("topsecret"), "{complaint}");
    let complaint = folder.refuse(&["--store", nowhere]);
    assert!(complaint.contains("name its file with --keyring"), "{complaint}");
    assert!(!folder.path("keys").exists());
}
