//! What the options say about codes of Rocket.Chat's users, and the log-ins that an operator begins.

use keywright::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::client::{Answer, Client, raw, text};
use crate::program::{Folder, Server, new_folder};

const ACCOUNTS: &str = r#"
[[account]]
name = "alice"
app_passwords = ["alice-app-password-0123"]
[account.rocketchat]
user_id = "aliceId"
auth_tokens = ["alice-token-0123456789abc"]
totp_secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
verified_emails = ["alice@example.org"]

[[account]]
name = "bob"
[account.rocketchat]
user_id = "bobId"
"#;
const ALICE: &str = "x-user-id: aliceId\r\nx-auth-token: alice-token-0123456789abc\r\n";
const FILES: [&str; 6] = ["--accounts", "accounts.toml", "--outbox", "outbox.txt", "--rate-limits", "off"];

fn start(options: &[&str]) -> (Folder, Server) {
    let folder = new_folder();
    folder.write("accounts.toml", ACCOUNTS);
    let server = folder.start(&[&FILES, options].concat());
    (folder, server)
}

/// Calls an endpoint with JSON.
fn call(server: &Server, path: &str, headers: &str, body: &Value) -> Answer {
    let headers = format!("content-type: application/json\r\n{headers}");
    raw(server, text("POST", &format!("/api/v1/{path}"), &headers, &body.to_string()).as_bytes())
}

/// Alice's code, a number of steps from now.
fn totp(steps: u64) -> String {
    let then = SystemClock.now().unwrap().plus(steps.saturating_mul(30)).get();
    totp_rs::Builder::new().with_secret(&b"12345678901234567890"[..]).build_noncompliant().generate(then).to_string()
}

/// Acts with a code.
fn act(server: &Server, path: &str, code: &str) -> Answer {
    call(server, path, &format!("{ALICE}x-2fa-method: totp\r\nx-2fa-code: {code}\r\n"), &json!({}))
}

/// One code for two purposes within its time step, as LibrePass's own suite needs it.
#[test]
fn a_code_is_accepted_once_or_once_for_each_purpose() {
    for (options, second) in [(&[][..], 400), (&["--totp-once", "account"], 400), (&["--totp-once", "purpose"], 200)] {
        let (_folder, server) = start(options);
        let code = totp(1);
        assert_eq!(act(&server, "users.logoutOtherClients", &code).status, 200, "{options:?}");
        let other = act(&server, "users.2fa.enableEmail", &code);
        assert_eq!(other.status, second, "{options:?}: {other:?}");
        let again = act(&server, "users.logoutOtherClients", &code);
        assert_eq!(again.status, 400, "{options:?}: {again:?}");
        server.stop();
    }
}

/// A device that Rocket.Chat enrolled does not lock out applications of Nextcloud Passwords.
#[test]
fn a_device_is_asked_for_where_it_was_enrolled_or_everywhere() {
    for (options, tokens) in
        [(&[][..], false), (&["--second-factors", "own"], false), (&["--second-factors", "all"], true)]
    {
        let (_folder, server) = start(options);
        let mut alice = Client::new(&server, "alice", "alice-app-password-0123");
        assert_eq!(alice.set_challenge("a").status, 200);
        let mut alice = Client::new(&server, "alice", "alice-app-password-0123");
        let asked = alice.get("session/request");
        assert_eq!(asked.body.contains("\"token\""), tokens, "{asked:?}");
        let opened = alice.open("a");
        assert_eq!(opened.status, if tokens { 401 } else { 200 }, "{opened:?}");
        let own = call(&server, "users.logoutOtherClients", ALICE, &json!({}));
        assert!(own.body.contains("totp-required") && own.body.contains("\"method\":\"totp\""), "{own:?}");
        server.stop();
    }
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap()
}

/// Returns the second line of what a command printed.
fn secret(printed: &str) -> String {
    printed.lines().nth(1).unwrap().to_owned()
}

#[test]
fn an_operator_begins_a_log_in() {
    let (folder, server) = start(&[]);
    let code = secret(&folder.run(&["accounts", "login-code", "alice"]));
    let redeem = |code: &str| call(&server, "loginCode.redeem", "", &json!({"code": code}));
    let redeemed = redeem(&code);
    assert_eq!((redeemed.status, &json_of(&redeemed)["userId"]), (200, &json!("aliceId")), "{redeemed:?}");
    let token = json_of(&redeemed)["loginToken"].as_str().unwrap().to_owned();
    let me = text("GET", "/api/v1/me", &format!("x-user-id: aliceId\r\nx-auth-token: {token}\r\n"), "");
    assert_eq!(raw(&server, me.as_bytes()).status, 200);
    assert_eq!(redeem(&code).status, 400, "once");

    let id = secret(&folder.run(&["accounts", "challenge", "alice"]));
    let verify = |code: &str| {
        call(&server, "twoFactorChallenges.verifyChallenge", "", &json!({"challengeId": id, "code": code}))
    };
    let wrong = verify("?");
    assert_eq!((wrong.status, &json_of(&wrong)["error"]), (400, &json!("invalid-code")));
    let verified = verify(&totp(0));
    assert_eq!((verified.status, &json_of(&verified)["userId"]), (200, &json!("aliceId")), "{verified:?}");
    assert_eq!(verify(&totp(1)).status, 400, "once");
    let none = folder.run(&["accounts", "challenge", "bob"]);
    assert_eq!(none, "bob: a log-in requires no second factor, so there is no challenge\n");
    assert!(folder.refuse_command(&["accounts", "login-code", "carol"]).contains("there is no account `carol`"));
    let log = server.log();
    assert!(!log.contains(&code) && !log.contains(&id), "{log}");
    server.stop();
}

/// Neither counts any more, and neither is a fault of the server.
#[test]
fn codes_of_an_account_that_was_erased() {
    let (folder, server) = start(&[]);
    let code = secret(&folder.run(&["accounts", "login-code", "alice"]));
    let id = secret(&folder.run(&["accounts", "challenge", "alice"]));
    assert!(folder.run(&["accounts", "erase", "alice", "--yes"]).starts_with("alice: erased"));
    let redeemed = call(&server, "loginCode.redeem", "", &json!({"code": code}));
    assert_eq!((redeemed.status, &json_of(&redeemed)["error"]), (400, &json!("invalid-code")), "{redeemed:?}");
    let verified =
        call(&server, "twoFactorChallenges.verifyChallenge", "", &json!({"challengeId": id, "code": totp(0)}));
    assert_eq!((verified.status, &json_of(&verified)["error"]), (400, &json!("challenge-not-found")), "{verified:?}");
    server.stop();
}

/// What users of Nextcloud Passwords set is theirs, outlives a restart, and ends with a reset or
/// with the account.
#[test]
fn settings_are_kept() {
    let (folder, server) = start(&[]);
    let alice = |server: &Server, path: &str, body: &str| {
        let answer = Client::new(server, "alice", "alice-app-password-0123").post(path, body);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        json_of(&answer)
    };
    let mine = r#"{"user.notification.security":true,"client.theme":"dark","user.session.lifetime":1}"#;
    let set = alice(&server, "settings/set", mine);
    let stored = json!({
        "user.notification.security": true, "client.theme": "dark", "user.session.lifetime": 600,
    });
    assert_eq!(set, stored);
    let huge = alice(&server, "settings/set", &json!({"client.huge": "x".repeat(2_000)}).to_string());
    assert_eq!(huge, json!({"client.huge": null}), "what is not kept is not shown");
    server.stop();
    let server = folder.start(&FILES);
    let names = r#"["client.theme","user.notification.security","user.mail.security"]"#;
    let read = alice(&server, "settings/get", names);
    let expected = json!({"client.theme": "dark", "user.notification.security": true, "user.mail.security": false});
    assert_eq!(read, expected);
    let listed = alice(&server, "settings/list", r#"{"scopes":["client"]}"#);
    assert_eq!(listed, json!({"client.theme": "dark"}));
    let reset = alice(&server, "settings/reset", r#"["user.notification.security"]"#);
    assert_eq!(reset, json!({"user.notification.security": false}));

    // A reset of the account removes the rest in its commit.
    let asked = Client::new(&server, "alice", "alice-app-password-0123").get("account/reset");
    assert_eq!(asked.status, 202, "{asked:?}");
    server.stop();
}
