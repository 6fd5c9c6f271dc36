//! The log-in to the pages for owners.

use crate::client::{Answer, get, raw, text};
use crate::program::{Folder, Server, new_folder};

const ACCOUNTS: &str = "
[[account]]
name = \"alice\"
login_password = \"login\"

[[account]]
name = \"bob\"
login_password = \"login\"
[account.rocketchat]
user_id = \"bobId\"
totp_secret = \"GVKVEWKYGQ2WU4KSJ4ZDKZZTOVFTK23CIFAWKZ3JOVCTQTCDIFXA\"
recovery_codes = [\"wmwNorTZ\", \"dttr5ynC\", \"9ZfP26gs\", \"87PJm7nu\", \"Mn4v3EGc\", \"cp2C3nsd\", \"AMAWK8S8\", \"FHEzG8MA\", \"fSAm7Yb2\", \"DExkMTz8\", \"yLFRjMBo\", \"r82K5SRs\"]

[[account]]
name = \"mia\"
login_password = \"login\"
[account.rocketchat]
user_id = \"miaId\"
verified_emails = [\"mia@example.org\"]
email_2fa = true
";

fn start() -> (Folder, Server) {
    let folder = new_folder();
    folder.write("accounts.toml", ACCOUNTS);
    let server = folder.start(&["--store", "memory:", "--accounts", "accounts.toml", "--rate-limits", "off"]);
    (folder, server)
}

fn post(server: &Server, path: &str, headers: &str, body: &str) -> Answer {
    let headers = format!("{headers}content-type: application/x-www-form-urlencoded\r\n");
    raw(server, text("POST", path, &headers, body).as_bytes())
}

/// Returns the line with which a browser sends back the cookie that an answer sets.
fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie").unwrap_or_else(|| panic!("{answer:?}"));
    assert!(set.contains("; HttpOnly; SameSite=Lax"), "{set}");
    format!("cookie: {}\r\n", set.split(';').next().unwrap())
}

fn home(server: &Server, cookie: &str) -> Answer {
    raw(server, text("GET", "/", cookie, "").as_bytes())
}

#[test]
fn a_name_and_a_password_open_a_session() {
    let (_folder, server) = start();
    let page = get(&server, "/login");
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"), "{page:?}");
    assert_eq!((page.header("cache-control"), page.header("referrer-policy")), (Some("no-store"), Some("no-referrer")));
    let entered = post(&server, "/login", "", "name=ALICE&password=login");
    assert_eq!((entered.status, entered.header("location")), (303, Some("/")));
    let session = cookie(&entered);
    let shown = home(&server, &session);
    assert!(shown.status == 200 && shown.body.contains("Account security"), "{shown:?}");
    assert!(shown.body.contains(">alice<"), "the name as the account has it");
    for forged in ["", "cookie: account_session=\r\n", "cookie: account_session=0\r\n"] {
        assert_eq!(home(&server, forged).header("location"), Some("/login"));
    }
    let other = post(&server, "/login", "", "name=alice&password=login");
    assert_ne!(cookie(&other), session, "each log-in has a token of its own");
    server.stop();
}

/// Whether a name exists is not to be seen, neither in a refusal nor in a wait.
#[test]
fn names_that_exist_and_names_that_do_not_are_refused_alike() {
    let (_folder, server) = start();
    for _ in 0..5 {
        let answers =
            ["alice", "nobody"].map(|name| post(&server, "/login", "", &format!("name={name}&password=wrong")));
        let [alice, nobody] = answers.map(|answer| (answer.status, answer.body));
        assert_eq!(alice.1.replace("alice", "nobody"), nobody.1);
        assert_eq!((alice.0, nobody.0), (422, 422));
        assert!(nobody.1.contains("The name or the password is wrong."));
    }
    for name in ["alice", "nobody"] {
        let refused = post(&server, "/login", "", &format!("name={name}&password=login"));
        assert_eq!(refused.status, 429, "{name}: {refused:?}");
        assert!(refused.header("retry-after").is_some() && refused.body.contains("You can try again in"));
    }
    server.stop();
}

#[test]
fn what_is_typed_is_escaped_and_limited() {
    let (_folder, server) = start();
    let answer = post(&server, "/login", "", "name=%22%3E%3Cscript%3E&password=x");
    assert!(answer.status == 422 && !answer.body.contains("<script>") && answer.body.contains("&lt;script&gt;"));
    for body in ["", "name=alice", "password=login", &format!("name={}&password=x", "a".repeat(300))] {
        assert_eq!(post(&server, "/login", "", body).status, 422, "{body}");
    }
    let german = post(&server, "/login", "accept-language: de\r\n", "name=alice&password=x");
    assert!(german.body.contains("lang=\"de\"") && german.body.contains("ist falsch"));
    server.stop();
}

#[test]
fn a_form_of_another_site_signs_nobody_in() {
    let (_folder, server) = start();
    for header in ["sec-fetch-site: cross-site\r\n", "origin: https://evil.example\r\n"] {
        let answer = post(&server, "/login", header, "name=alice&password=login");
        assert!(answer.status == 403 && answer.header("set-cookie").is_none(), "{answer:?}");
    }
    assert_eq!(post(&server, "/login", "origin: http://test\r\n", "name=alice&password=login").status, 303);
    server.stop();
}

#[test]
fn an_account_with_a_factor_needs_a_code() {
    let (_folder, server) = start();
    let waiting = post(&server, "/login", "", "name=bob&password=login");
    assert_eq!((waiting.status, waiting.header("location")), (303, Some("/login/code")));
    let login = cookie(&waiting);
    assert!(login.contains("account_signin="));
    assert_eq!(home(&server, &login).header("location"), Some("/login"), "this is no session");
    let page = raw(&server, text("GET", "/login/code", &login, "").as_bytes());
    assert!(page.status == 200 && page.body.contains("Enter your code"), "{page:?}");
    let wrong = post(&server, "/login/code", &login, "code=000000");
    assert!(wrong.status == 422 && wrong.body.contains("This code is wrong"), "{wrong:?}");
    assert_eq!(post(&server, "/login/code", &login, "code=%3F").status, 422);
    assert!(post(&server, "/login/code", "", "code=wmwNorTZ").body.contains("took too long"), "without the password");
    let entered = post(&server, "/login/code", &login, "code=wmwNorTZ");
    assert_eq!((entered.status, entered.header("location")), (303, Some("/")));
    let session = cookie(&entered);
    assert!(home(&server, &session).body.contains("Two-factor authentication is on"));
    // Neither the code nor the log-in counts twice.
    assert_eq!(post(&server, "/login/code", &login, "code=dttr5ynC").status, 422);
    let again = cookie(&post(&server, "/login", "", "name=bob&password=login"));
    assert_eq!(post(&server, "/login/code", &again, "code=wmwNorTZ").status, 422);
    server.stop();
}

/// A browser whose owner has ticked the box is not asked again, and only after the password.
#[test]
fn a_remembered_browser_needs_no_code_until_it_is_forgotten() {
    let (_folder, server) = start();
    let login = cookie(&post(&server, "/login", "", "name=bob&password=login"));
    let entered = post(&server, "/login/code", &login, "code=wmwNorTZ&remember=1");
    let set = entered.headers.iter().map(|(_, value)| value).find(|value| value.starts_with("account_browser="));
    let set = set.unwrap_or_else(|| panic!("{entered:?}"));
    assert!(set.contains("; Path=/login; Max-Age=2592000; HttpOnly; SameSite=Lax"), "{set}");
    let browser = format!("cookie: {}\r\n", set.split(';').next().unwrap());

    assert_eq!(post(&server, "/login", &browser, "name=bob&password=wrong").status, 422);
    assert_eq!(home(&server, &browser).header("location"), Some("/login"), "it is no session");
    let again = post(&server, "/login", &browser, "name=bob&password=login");
    assert_eq!((again.status, again.header("location")), (303, Some("/")));
    let session = cookie(&again);
    let page = home(&server, &session);
    assert!(page.body.contains("remembered browser was not asked for a code"), "{page:?}");
    let forged = browser.replace("account_browser=", "account_browser=A");
    for other in ["", &forged] {
        let asked = post(&server, "/login", other, "name=bob&password=login");
        assert_eq!(asked.header("location"), Some("/login/code"), "{other}");
    }
    server.stop();
}

/// Eight requests carry the same code, and one opens a session.
#[test]
fn of_parallel_codes_one_opens_a_session() {
    let (_folder, server) = start();
    let login = cookie(&post(&server, "/login", "", "name=bob&password=login"));
    let entered: usize = std::thread::scope(|scope| {
        let code = || usize::from(post(&server, "/login/code", &login, "code=dttr5ynC").status == 303);
        let racers: Vec<_> = (0..8).map(|_| scope.spawn(code)).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).sum()
    });
    assert_eq!(entered, 1);
    server.stop();
}

#[test]
fn mailed_codes_are_not_skipped() {
    let (_folder, server) = start();
    let answer = post(&server, "/login", "", "name=mia&password=login");
    assert!(answer.status == 422 && answer.header("set-cookie").is_none(), "{answer:?}");
    assert!(answer.body.contains("mailed codes"));
    server.stop();
}

#[test]
fn other_sessions_end_and_this_one_stays() {
    let (_folder, server) = start();
    let [one, two] = [0, 1].map(|_| cookie(&post(&server, "/login", "", "name=alice&password=login")));
    let page = home(&server, &one).body;
    let token = page.split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(post(&server, "/sessions/end", &one, "form_token=0").status, 403);
    assert_eq!(home(&server, &two).status, 200);
    let ended = post(&server, "/sessions/end", &one, &format!("form_token={token}"));
    assert_eq!((ended.status, ended.header("location")), (303, Some("/?done=sessions")));
    assert_eq!((home(&server, &one).status, home(&server, &two).status), (200, 303));
    let out = post(&server, "/sign-out", &one, &format!("form_token={token}"));
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"), "{out:?}");
    assert_eq!(home(&server, &one).status, 303);
    server.stop();
}
