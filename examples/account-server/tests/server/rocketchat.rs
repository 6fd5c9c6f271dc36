//! Rocket.Chat's clients: keys are reset behind a second factor that the accounts file seeded, once.

use keywright::{Clock, SystemClock};
use sha2::{Digest, Sha256};

use crate::client::{Answer, Client, raw, text};
use crate::program::{Folder, Server, new_folder};

const ACCOUNTS: &str = r#"
[[account]]
name = "Admin"
app_passwords = ["admin-app-password-0123"]
[account.rocketchat]
user_id = "adminId"
auth_tokens = ["admin-token-0123456789abc"]
permissions = ["edit-other-user-e2ee", "edit-other-user-totp", "api-bypass-rate-limit"]
totp_secret = "gezd gnbv gy3t qojq gezd gnbv gy3t qojq"
recovery_codes = ["AbCdEf23", "AbCdEf24", "AbCdEf25"]

[[account]]
name = "Alice"
[account.rocketchat]
user_id = "aliceId"
auth_tokens = ["alice-token-one-456789abc", "alice-token-two-456789abc"]
totp_secret = "GEZDGNBVGY3TQOJQ"

[[account]]
name = "bob"
[account.rocketchat]
user_id = "bobId"
auth_tokens = ["bob-token-0123456789abcde"]
verified_emails = ["bob@example.org", "bob@example.com"]
email_2fa = true

[[account]]
name = "Carol"
login_password = "login: grün"
[account.rocketchat]
user_id = "carolId"
auth_tokens = ["carol-token-0123456789abc"]
verified_emails = ["carol@example.org"]
"#;
const ADMIN: Login = Login("adminId", "admin-token-0123456789abc");
const ALICE: Login = Login("aliceId", "alice-token-one-456789abc");
const BOB: Login = Login("bobId", "bob-token-0123456789abcde");
const CAROL: Login = Login("carolId", "carol-token-0123456789abc");
/// The admin's secret. Its first half is Alice's.
const SECRET: &[u8] = b"12345678901234567890";
const OPTIONS: [&str; 4] = ["--accounts", "accounts.toml", "--outbox", "outbox.txt"];
const DONE: (u16, &str) = (200, "{\"success\":true}");

/// User id and token.
#[derive(Clone, Copy)]
struct Login(&'static str, &'static str);

/// A code and its method.
type Code<'a> = Option<(&'a str, &'a str)>;

impl Login {
    fn send(self, server: &Server, line: (&str, &str), code: Code<'_>, body: &str) -> Answer {
        let mut headers = format!("x-user-id: {}\r\nx-auth-token: {}\r\n", self.0, self.1);
        if let Some((method, code)) = code {
            headers.push_str(&format!("x-2fa-method: {method}\r\nx-2fa-code: {code}\r\n"));
        }
        if !body.is_empty() {
            headers.push_str("content-type: application/json\r\n");
        }
        raw(server, text(line.0, &format!("/api/v1/{}", line.1), &headers, body).as_bytes())
    }

    fn reset(self, server: &Server, code: Code<'_>, body: &str) -> Answer {
        self.send(server, ("POST", "users.resetE2EKey"), code, body)
    }

    fn remaining(self, server: &Server) -> Answer {
        self.send(server, ("GET", "users.totpCodesRemaining"), None, "")
    }
}

fn start() -> (Folder, Server) {
    let folder = new_folder();
    folder.write("accounts.toml", ACCOUNTS);
    let server = folder.start(&OPTIONS);
    (folder, server)
}

/// The code of a secret, this many steps from now.
fn totp(secret: &[u8], steps: u64) -> String {
    let then = SystemClock.now().unwrap().plus(steps.saturating_mul(30)).get();
    totp_rs::Builder::new().with_secret(secret).build_noncompliant().generate(then).to_string()
}

fn digest(password: &str) -> String {
    hex::encode(Sha256::digest(password))
}

fn is_done(answer: &Answer) {
    assert_eq!((answer.status, answer.body.as_str()), DONE, "{answer:?}");
}

/// A 400 with this type, which names this method.
fn is_asked(answer: &Answer, kind: &str, method: &str) {
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.body.contains(&format!("\"errorType\":\"{kind}\"")), "{answer:?}");
    assert!(answer.body.contains(&format!("\"method\":\"{method}\"")), "{answer:?}");
}

#[test]
fn own_keys_behind_totp() {
    let (_folder, server) = start();
    is_asked(&ALICE.reset(&server, None, ""), "totp-required", "totp");
    let right = totp(&SECRET[..10], 0);
    let wrong = if right == "000000" { "000001" } else { "000000" };
    is_asked(&ALICE.reset(&server, Some(("totp", wrong)), ""), "totp-invalid", "totp");
    is_asked(&ALICE.reset(&server, Some(("password", &digest(""))), ""), "totp-invalid", "totp");
    is_done(&ALICE.reset(&server, Some(("totp", &right)), ""));
    for token in [ALICE, Login("aliceId", "alice-token-two-456789abc")] {
        assert_eq!(token.remaining(&server).status, 401, "all logins have ended");
    }
    server.stop();
}

#[test]
fn logins() {
    let (_folder, server) = start();
    for (login, status) in [
        (ALICE, 200),
        (Login("aliceId", "alice-token-two-456789abc"), 200),
        (Login("aliceId", ADMIN.1), 401),
        (Login("adminId", ALICE.1), 401),
        (Login("aliceid", ALICE.1), 401),
        (Login("aliceId", "nobody"), 401),
        (Login("aliceId", ""), 401),
    ] {
        assert_eq!(login.remaining(&server).status, status, "{} {}", login.0, login.1);
    }
    let nobody = raw(&server, text("POST", "/api/v1/users.resetE2EKey", "", "").as_bytes());
    assert_eq!(nobody.status, 401);
    assert_eq!(
        nobody.body,
        "{\"error\":\"You must be logged in to do this.\",\"message\":\"You must be logged in to do this.\",\
         \"status\":\"error\",\"success\":false}"
    );
    assert_eq!(raw(&server, text("GET", "/api/v1/rooms.get", "", "").as_bytes()).status, 404);
    assert!(server.log().contains("/api/v1/users.resetE2EKey") && !server.log().contains("-token-"));
    server.stop();
}

#[test]
fn nothing_spent_or_ended_comes_back() {
    let (folder, server) = start();
    let now = totp(SECRET, 0);
    is_done(&ADMIN.reset(&server, Some(("totp", &now)), "{\"username\":\"aLICE\"}"));
    is_asked(&ADMIN.reset(&server, Some(("totp", &now)), "{\"userId\":\"bobId\"}"), "totp-invalid", "totp");
    is_done(&ADMIN.reset(&server, Some(("totp", "AbCdEf23")), "{\"userId\":\"bobId\"}"));
    is_asked(&ADMIN.reset(&server, Some(("totp", "AbCdEf23")), "{\"userId\":\"carolId\"}"), "totp-invalid", "totp");
    assert_eq!(ADMIN.remaining(&server).body, "{\"remaining\":2,\"success\":true}");
    let mail = folder.read("outbox.txt");
    for address in ["bob@example.org", "bob@example.com"] {
        let head = format!("To: {address}\nSubject: Your end-to-end keys are being reset\n\n");
        assert!(mail.contains(&head), "{mail}");
    }
    assert_eq!(mail.matches("To: ").count(), 2, "Alice has no address: {mail}");
    server.stop();

    // What changes in the file later changes nothing either.
    folder.write("accounts.toml", &ACCOUNTS.replace("bob-token-0123456789abcde", "bob-token-new-6789abcdefg"));
    let server = folder.start(&OPTIONS);
    for spent in [now.as_str(), "AbCdEf23"] {
        let answer = ADMIN.reset(&server, Some(("totp", spent)), "{\"userId\":\"carolId\"}");
        is_asked(&answer, "totp-invalid", "totp");
    }
    assert_eq!(ADMIN.remaining(&server).body, "{\"remaining\":2,\"success\":true}");
    for login in [ALICE, BOB, Login("bobId", "bob-token-new-6789abcdefg")] {
        assert_eq!(login.remaining(&server).status, 401, "{}", login.1);
    }
    is_done(&ADMIN.reset(&server, Some(("totp", "AbCdEf24")), "{\"user\":\"carol\"}"));
    assert_eq!(CAROL.remaining(&server).status, 401);
    server.stop();
}

#[test]
fn a_mailed_code() {
    let (folder, server) = start();
    let asked = BOB.reset(&server, None, "");
    is_asked(&asked, "totp-required", "email");
    assert!(asked.body.contains("\"codeGenerated\":true") && asked.body.contains("bob@example.org"), "{asked:?}");
    let mail = folder.read("outbox.txt");
    assert!(mail.starts_with("To: bob@example.org\nSubject: Your code\n\n"), "{mail}");
    assert_eq!(mail.matches("To: ").count(), 2, "to every verified address: {mail}");
    let is_code = |line: &&str| line.len() == 7 && line.chars().all(|c| c.is_ascii_digit() || c == '-');
    let code = mail.lines().find(is_code).unwrap().to_owned();
    is_asked(&BOB.reset(&server, Some(("email", "no code")), ""), "totp-invalid", "email");
    is_done(&BOB.reset(&server, Some(("email", &code)), ""));
    assert_eq!(BOB.remaining(&server).status, 401);
    server.stop();
}

#[test]
fn the_login_password_where_nothing_is_enrolled() {
    let (folder, server) = start();
    is_asked(&CAROL.reset(&server, None, ""), "totp-required", "password");
    for wrong in ["", "login: grun"] {
        is_asked(&CAROL.reset(&server, Some(("password", &digest(wrong))), ""), "totp-invalid", "password");
    }
    assert_eq!(folder.read("outbox.txt"), "", "an address alone is not enrolled");
    is_done(&CAROL.reset(&server, Some(("password", &digest("login: grün"))), ""));
    assert_eq!(CAROL.remaining(&server).status, 401);
    server.stop();
}

#[test]
fn others_only_with_the_permission() {
    let (_folder, server) = start();
    let password = digest("login: grün");
    for target in ["{\"userId\":\"bobId\"}", "{\"userId\":\"nobodyId\"}"] {
        let answer = CAROL.reset(&server, Some(("password", &password)), target);
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains("\"errorType\":\"error-not-allowed\""), "{answer:?}");
    }
    assert_eq!(BOB.remaining(&server).status, 200);
    let answer = ADMIN.reset(&server, Some(("totp", &totp(SECRET, 0))), "{\"userId\":\"nobodyId\"}");
    assert!(answer.body.contains("\"errorType\":\"error-invalid-user\""), "{answer:?}");
    let code = totp(SECRET, 1);
    is_done(&ADMIN.send(&server, ("POST", "users.resetTOTP"), Some(("totp", &code)), "{\"userId\":\"aliceId\"}"));
    assert_eq!(ALICE.remaining(&server).status, 401);
    server.stop();
}

#[test]
fn ten_calls_a_minute() {
    let folder = new_folder();
    folder.write("accounts.toml", ACCOUNTS);
    let server = folder.start(&["--store", "memory:", "--accounts", "accounts.toml"]);
    let first = ALICE.remaining(&server);
    assert_eq!((first.status, first.header("x-ratelimit-limit")), (200, Some("10")), "{first:?}");
    let reset: u64 = first.header("x-ratelimit-reset").unwrap().parse().unwrap();
    let window = reset.div_euclid(1_000).abs_diff(SystemClock.now().unwrap().get());
    assert!(window <= 60, "in milliseconds since 1970: {reset}");
    // The window may end in between: then the next one fills up.
    let refused = (0..30).map(|_| ALICE.remaining(&server)).find(|answer| answer.status != 200).unwrap();
    assert_eq!((refused.status, refused.header("x-ratelimit-remaining")), (429, Some("0")), "{refused:?}");
    assert!(refused.body.contains("[error-too-many-requests]"), "{refused:?}");
    let free = ADMIN.remaining(&server);
    assert_eq!((free.status, free.header("x-ratelimit-limit")), (200, None), "{free:?}");
    server.stop();

    let server = folder.start(&["--store", "memory:", "--accounts", "accounts.toml", "--rate-limits", "off"]);
    assert!((0..30).all(|_| {
        let answer = ALICE.remaining(&server);
        answer.status == 200 && answer.header("x-ratelimit-limit").is_none()
    }));
    server.stop();
}

#[test]
fn the_guess_ledger_is_not_switched_off() {
    let folder = new_folder();
    folder.write("accounts.toml", ACCOUNTS);
    let server = folder.start(&["--store", "memory:", "--accounts", "accounts.toml", "--rate-limits", "off"]);
    let wrong = digest("wrong");
    let answers = || CAROL.reset(&server, Some(("password", &wrong)), "");
    let refused = (0..20).map(|_| answers()).find(|answer| answer.status != 400).unwrap();
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(refused.header("retry-after").is_some() && refused.header("x-ratelimit-reset").is_some());
    server.stop();
}

#[test]
fn what_is_wrong_with_the_table_is_said_without_quoting_it() {
    const HEAD: &str = "[[account]]\nname = \"a\"\n[account.rocketchat]\nuser_id = \"id\"\n";
    for (line, said) in [
        (
            "totp_seed = \"sesame\"\nbackup = 1",
            "unknown in `[account.rocketchat]`: `backup` (line 6), `totp_seed` (line 5)",
        ),
        ("totp_secret = \"sesame\"", "`totp_secret` in line 5 is not base32 of 80 bits or more"),
        ("recovery_codes = [\"sesame\"]", "`recovery_codes` in line 5"),
        ("permissions = [\"sesame\"]", "`permissions` in line 5"),
    ] {
        let folder = new_folder();
        folder.write("accounts.toml", &format!("{HEAD}{line}\n"));
        let complaint = folder.refuse(&OPTIONS);
        assert!(complaint.contains(said) && !complaint.contains("sesame"), "{complaint}");
    }
}

#[test]
fn ids_addresses_and_tokens_belong_to_one_account() {
    let (folder, server) = start();
    // The other protocol's login is another matter.
    assert_eq!(Client::new(&server, "admin", "admin-app-password-0123").get("session/request").status, 200);
    server.stop();
    for (table, what) in [
        ("user_id = \"bobId\"", "the Rocket.Chat user id"),
        ("user_id = \"eveId\"\nauth_tokens = [\"bob-token-0123456789abcde\"]", "an auth token"),
        ("user_id = \"eveId\"\nverified_emails = [\"BOB@example.org\"]", "a verified address"),
    ] {
        folder.write("accounts.toml", &format!("[[account]]\nname = \"eve\"\n[account.rocketchat]\n{table}\n"));
        let complaint = folder.refuse(&OPTIONS);
        assert!(complaint.contains(&format!("{what} of `eve` is in use by another account")), "{complaint}");
        assert!(!complaint.contains("bob"), "{complaint}");
    }
}

/// The first contact of a client that has a password only: log-in, a device, log-out.
#[test]
fn a_password_alone_is_enough_to_begin() {
    let (folder, server) = start();
    let post = |server: &Server, path: &str, headers: &str, body: &str| {
        let headers = format!("content-type: application/json\r\n{headers}");
        raw(server, text("POST", &format!("/api/v1/{path}"), &headers, body).as_bytes())
    };
    let info = raw(&server, text("GET", "/api/info", "", "").as_bytes());
    assert_eq!((info.status, info.body.as_str()), (200, "{\"success\":true,\"version\":\"8.8.1\"}"));
    let wrong = post(&server, "login", "", "{\"user\":\"carol\",\"password\":\"no\"}");
    let nobody = post(&server, "login", "", "{\"user\":\"dave\",\"password\":\"no\"}");
    assert_eq!((wrong.status, &wrong.body), (401, &nobody.body));

    let form = "{\"user\":\"carol@example.org\",\"password\":\"login: grün\"}";
    let login = post(&server, "login", "", form);
    assert_eq!(login.status, 200, "{login:?}");
    let body: serde_json::Value = serde_json::from_str(&login.body).unwrap();
    let (data, me) = (&body["data"], &body["data"]["me"]);
    assert_eq!((&data["userId"], &me["username"], &me["_id"]), (&"carolId".into(), &"Carol".into(), &"carolId".into()));
    let token = data["authToken"].as_str().unwrap().to_owned();
    let headers = format!("x-user-id: carolId\r\nx-auth-token: {token}\r\n");
    let code = format!("{headers}x-2fa-method: password\r\nx-2fa-code: {}\r\n", digest("login: grün"));
    let begun = post(&server, "users.enableTotp", &code, "{}");
    assert_eq!(begun.status, 200, "{begun:?}");
    let keys = "{\"public_key\":\"p\",\"private_key\":\"w\"}";
    is_done(&post(&server, "e2e.setUserPublicAndPrivateKeys", &headers, keys));

    // The token is a login after a restart too, until it logs out.
    server.stop();
    let server = folder.start(&OPTIONS);
    let get = |path: &str| raw(&server, text("GET", &format!("/api/v1/{path}"), &headers, "").as_bytes());
    assert_eq!(get("e2e.fetchMyKeys").body, "{\"private_key\":\"w\",\"public_key\":\"p\",\"success\":true}");
    assert_eq!((get("me").status, get("logout").status, get("me").status), (200, 200, 401));
    let again = post(&server, "login", "", form);
    assert_eq!(again.status, 200, "a device that is not confirmed guards nothing: {again:?}");
    let remaining = CAROL.remaining(&server);
    assert_eq!(remaining.status, 200, "other logins stay: {remaining:?}");
}
