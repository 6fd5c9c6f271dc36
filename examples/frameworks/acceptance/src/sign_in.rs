//! Signing in, and stepping up: what every program does, whoever holds its sessions.

use std::io::{Read, Write};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::Method;

use crate::browser::{Answer, Browser};
use crate::scene::{Phone, Scene, begin, credentials};

/// Parallel requests with one code.
const RACERS: usize = 16;

/// The routes that only a signed-in user may use.
const SIGNED_IN: [&str; 3] = ["/two-factor", "/two-factor/code", "/api-keys"];

/// Asserts that of a race one request got the status, and that the others were refused as for a wrong code.
fn one_of(answers: &[(Browser, Answer)], status: u16, error: &str) {
    let (granted, refused): (Vec<&Answer>, Vec<&Answer>) =
        answers.iter().map(|(_, answer)| answer).partition(|answer| answer.status == status);
    assert_eq!(granted.len(), 1, "{answers:?}", answers = answers.iter().map(|(_, answer)| answer).collect::<Vec<_>>());
    for answer in refused {
        // Where a sign-in ends the half-session, those that come later have none.
        if answer.status != 401 {
            answer.is_refused(403, error);
        }
    }
}

/// Before anything is set up, the password is enough.
pub fn the_password_alone_is_enough_before_an_enrolment(scene: &Scene) {
    let mut browser = scene.browser();
    assert!(!browser.is_signed_in());
    assert_eq!(browser.post("/sign-up", &credentials("ann")).status, 201);
    browser.post("/sign-up", &credentials("ann")).is_refused(409, "name_taken");
    assert!(!browser.is_signed_in());
    browser.post("/sign-in", &json!({"name": "ann", "password": "wrong"})).is_refused(401, "wrong_password");
    browser.post("/sign-in", &credentials("nobody")).is_refused(401, "wrong_password");
    let answer = browser.post("/sign-in", &credentials("ann"));
    assert_eq!(answer.status, 204);
    for line in &answer.set_cookies {
        let line = line.to_ascii_lowercase();
        assert!(["httponly", "secure", "samesite=lax"].iter().all(|part| line.contains(part)), "{line}");
    }
    assert!(browser.is_signed_in());
    browser.make_api_key(None).is_refused(403, "nothing_enrolled");
}

/// An enrolment takes the password, and a right code from the session that began it.
pub fn an_enrolment_takes_the_password_and_a_code(scene: &Scene) {
    let mut browser = scene.user("ann");
    browser.post("/two-factor", &json!({"password": "wrong"})).is_refused(403, "wrong_password");
    browser.post_code("/two-factor/code", "000000").is_refused(409, "none_pending");
    let phone = Phone::scan(&begin(&mut browser));
    let wrong = phone.wrong_codes().next().unwrap();
    browser.post_code("/two-factor/code", &wrong).is_refused(403, "denied");
    browser.post_code("/two-factor/code", "no code").is_refused(400, "malformed_code");
    let mut other = scene.browser();
    assert_eq!(other.post("/sign-in", &credentials("ann")).status, 204, "nothing is active yet");
    let code = phone.code();
    other.post_code("/two-factor/code", &code).is_refused(409, "none_pending");
    let answer = browser.post_code("/two-factor/code", &code);
    assert_eq!((answer.status, answer.body["recovery_codes"].as_array().map(Vec::len)), (200, Some(10)), "{answer:?}");
    browser.post("/two-factor", &json!({"password": "correct horse"})).is_refused(403, "not_proven");
}

/// Who got in with the password alone is out when a second factor is set up, and nobody else is.
pub fn an_enrolment_ends_the_other_sessions(scene: &Scene) {
    let (mut owner, mut thief, mut bystander) = (scene.user("ann"), scene.browser(), scene.user("bob"));
    assert_eq!(thief.post("/sign-in", &credentials("ann")).status, 204);
    let phone = Phone::scan(&begin(&mut owner));
    assert!(thief.is_signed_in(), "nothing is active yet");
    assert_eq!(owner.post_code("/two-factor/code", &phone.code()).status, 200);
    assert!(!thief.is_signed_in());
    thief.make_api_key(None).is_refused(401, "not_signed_in");
    owner.make_api_key(None).is_refused(403, "step_up_required");
    assert_eq!(owner.signed_in_as().as_deref(), Some("ann"));
    assert_eq!(bystander.signed_in_as().as_deref(), Some("bob"));
}

/// Nor does somebody stay in who was signing in with the password alone while it was set up.
pub fn a_sign_in_under_way_does_not_outlive_an_enrolment(scene: &Scene) {
    let mut owner = scene.user("ann");
    let code = Phone::scan(&begin(&mut owner)).code();
    let (first, got_in) = mpsc::channel();
    let sign_in_until_a_code_is_due = |first: Sender<()>| {
        let mut thieves = Vec::new();
        loop {
            let mut thief = scene.browser();
            match thief.post("/sign-in", &credentials("ann")).status {
                204 => thieves.push(thief),
                status => break (thieves, status),
            }
            first.send(()).unwrap();
        }
    };
    thread::scope(|scope| {
        let thieves: Vec<_> = (0..4)
            .map(|_| {
                let first = first.clone();
                scope.spawn(|| sign_in_until_a_code_is_due(first))
            })
            .collect();
        got_in.recv().unwrap();
        assert_eq!(owner.post_code("/two-factor/code", &code).status, 200);
        for thief in thieves {
            let (thieves, status) = thief.join().unwrap();
            assert_eq!(status, 202);
            assert!(thieves.into_iter().all(|mut thief| !thief.is_signed_in()));
        }
    });
    assert!(owner.is_signed_in());
}

/// Afterwards the password alone opens nothing, and a code opens one session.
pub fn then_a_sign_in_needs_a_code(scene: &Scene) {
    let (_, phone, _) = scene.enrolled("ann");
    let mut browser = scene.at_the_code("ann");
    assert!(!browser.is_signed_in());
    for path in SIGNED_IN {
        let body = json!({"code": "000000", "password": "correct horse"});
        assert_eq!(browser.post(path, &body).status, 401, "{path} is closed to a half-session");
    }
    let wrong = phone.wrong_codes().next().unwrap();
    browser.post_code("/sign-in/code", &wrong).is_refused(403, "denied");
    browser.post_code("/sign-in/code", "no code").is_refused(400, "malformed_code");
    assert!(!browser.is_signed_in());
    let code = phone.code();
    scene.browser().post_code("/sign-in/code", &code).is_refused(401, "not_signed_in");
    assert_eq!(browser.post_code("/sign-in/code", &code).status, 204);
    assert!(browser.is_signed_in());
    scene.at_the_code("ann").post_code("/sign-in/code", &code).is_refused(403, "denied");
}

/// A half-session opens one session, even if it was copied and there is another right code.
pub fn a_right_code_ends_the_half_session(scene: &Scene) {
    let (_, phone, codes) = scene.enrolled("ann");
    let mut browser = scene.at_the_code("ann");
    let mut copy = browser.clone();
    assert_eq!(browser.post_code("/sign-in/code", &phone.code()).status, 204);
    copy.post_code("/sign-in/code", &codes[0]).is_refused(401, "not_signed_in");
    assert!(browser.is_signed_in() && !copy.is_signed_in());
    browser.post_code("/sign-in/code", &codes[0]).is_refused(401, "not_signed_in");
    assert_eq!(browser.make_api_key(Some(&codes[0])).status, 200, "the code is not spent");
}

/// Whoever signs in gets a session that nobody knew before, whatever cookies the browser had.
pub fn a_planted_session_does_not_become_the_victims(scene: &Scene) {
    let (_, phone, codes) = scene.enrolled("ann");
    assert_eq!(scene.browser().post("/sign-up", &credentials("bob")).status, 201);
    let attacker = scene.user("mallory");
    let is_out = |victim: &str| {
        let name = attacker.clone().signed_in_as();
        assert!(name.is_none_or(|name| name == "mallory"), "the attacker is {victim}");
    };
    let mut bob = attacker.clone();
    assert_eq!(bob.post("/sign-in", &credentials("bob")).status, 204);
    assert_eq!(bob.signed_in_as().as_deref(), Some("bob"));
    is_out("bob");
    let attacker = scene.user("mallory-2");
    let mut ann = attacker.clone();
    assert_eq!(ann.post("/sign-in", &credentials("ann")).status, 202);
    attacker.clone().post_code("/sign-in/code", &codes[0]).is_refused(401, "not_signed_in");
    let half = ann.clone();
    assert_eq!(ann.post_code("/sign-in/code", &phone.code()).status, 204);
    assert_eq!(ann.signed_in_as().as_deref(), Some("ann"));
    for mut browser in [attacker, half] {
        assert_ne!(browser.signed_in_as().as_deref(), Some("ann"));
    }
}

/// Sixteen requests with one code open one session.
pub fn one_code_opens_one_session(scene: &Scene) {
    let (_, phone, _) = scene.enrolled("ann");
    let code = phone.code();
    let mut answers = scene.at_the_code("ann").race(RACERS, |browser| browser.post_code("/sign-in/code", &code));
    one_of(&answers, 204, "denied");
    assert_eq!(answers.iter_mut().filter_map(|(browser, _)| browser.is_signed_in().then_some(())).count(), 1);
}

/// The same field takes a recovery code, and of sixteen requests with one, one gets in.
pub fn a_recovery_code_opens_one_session(scene: &Scene) {
    let (_, _, codes) = scene.enrolled("ann");
    let answers = scene.at_the_code("ann").race(RACERS, |browser| browser.post_code("/sign-in/code", &codes[0]));
    one_of(&answers, 204, "denied");
    assert_eq!(scene.at_the_code("ann").post_code("/sign-in/code", &codes[1]).status, 204, "the next one");
    scene.at_the_code("ann").post_code("/sign-in/code", &codes[1]).is_refused(403, "denied");
}

/// A sensitive action says what it needs, and a code buys it once.
pub fn a_step_up_is_demanded_and_a_code_makes_one_key(scene: &Scene) {
    let (mut browser, phone, codes) = scene.enrolled("ann");
    let answer = browser.make_api_key(None);
    answer.is_refused(403, "step_up_required");
    assert_eq!(answer.body["methods"], json!(["totp", "recovery"]), "{answer:?}");
    assert_eq!((answer.text("header"), answer.text("action")), ("x-second-factor", "api-key.make"));
    let wrong = phone.wrong_codes().next().unwrap();
    browser.make_api_key(Some(&wrong)).is_refused(403, "step_up_denied");
    browser.make_api_key(Some("no code")).is_refused(400, "malformed_code");
    browser.make_api_key(Some(&"1".repeat(1_000))).is_refused(400, "malformed_code");
    let code = phone.code();
    scene.browser().make_api_key(Some(&code)).is_refused(401, "not_signed_in");
    let answers = browser.race(RACERS, |browser| browser.make_api_key(Some(&code)));
    one_of(&answers, 200, "step_up_denied");
    browser.make_api_key(None).is_refused(403, "step_up_required");
    let answer = browser.make_api_key(Some(&codes[0]));
    assert_eq!((answer.status, answer.text("key").len()), (200, 64), "{answer:?}");
}

/// Strangers who guess must wait, and the owner's device does not.
pub fn strangers_wait_and_the_known_device_does_not(scene: &Scene) {
    let (mut owner, phone, _) = scene.enrolled("ann");
    let mut stranger = scene.at_the_code("ann");
    let mut wrong = phone.wrong_codes();
    let mut answers = (0..10).map(|_| stranger.post_code("/sign-in/code", &wrong.next().unwrap()));
    let refused = answers.find(|answer| answer.status != 403).unwrap();
    refused.is_refused(429, "refused");
    assert!(refused.retry_after.is_some_and(|seconds| (1..=60).contains(&seconds)), "{refused:?}");
    assert_eq!(refused.body["retry_after"].as_u64(), refused.retry_after);
    let code = phone.code();
    stranger.post_code("/sign-in/code", &code).is_refused(429, "refused");
    scene.at_the_code("ann").post_code("/sign-in/code", &code).is_refused(429, "refused");
    assert_eq!(owner.post("/sign-in", &credentials("ann")).status, 202);
    assert_eq!(owner.post_code("/sign-in/code", &code).status, 204, "the device that has shown a code");
    assert!(owner.is_signed_in());
}

/// What is no request changes nothing, and the server goes on.
pub fn bad_input_is_refused(scene: &Scene) {
    let (mut browser, _, _) = scene.enrolled("ann");
    for body in ["", "{", "[]", r#"{"code": 1}"#, r#"{"code": null}"#, r#"{"cod": "000000"}"#] {
        for path in ["/sign-up", "/sign-in", "/sign-in/code", "/two-factor", "/two-factor/code", "/deletion/code"] {
            let answer = browser.send(Method::POST, path, &[("content-type", "application/json")], body);
            assert!((400..=422).contains(&answer.status), "{path} {body}: {answer:?}");
        }
    }
    assert!(browser.is_signed_in());
}

/// A page of another site can let a browser post a form. As plain text it can look like JSON, and must not sign in.
pub fn what_a_form_can_send_is_refused(scene: &Scene) {
    let (mut browser, _, codes) = scene.enrolled("ann");
    let mut half = scene.at_the_code("ann");
    let code = json!({"code": codes[0]});
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let refuse = |browser: &mut Browser, path: &str, body: &Value| {
            let answer = browser.send(Method::POST, path, &[("content-type", kind)], &body.to_string());
            assert!((400..=422).contains(&answer.status), "{path} {kind}: {answer:?}");
            assert!(answer.set_cookies.is_empty(), "{path} {kind}: {answer:?}");
        };
        refuse(&mut scene.browser(), "/sign-up", &credentials("bob"));
        refuse(&mut scene.browser(), "/sign-in", &credentials("ann"));
        refuse(&mut half, "/sign-in/code", &code);
        refuse(&mut browser, "/two-factor", &credentials("ann"));
    }
    let kind = [("content-type", "application/json; charset=utf-8")];
    assert_eq!(half.send(Method::POST, "/sign-in/code", &kind, &code.to_string()).status, 204);
}

/// A request with a taken name is refused before anything is stored.
pub fn a_taken_name_leaves_nothing(scene: &Scene) {
    let mut browser = scene.browser();
    assert_eq!(browser.post("/sign-up", &credentials("ann")).status, 201);
    let accounts = scene.accounts();
    assert_ne!(accounts, 0);
    for name in ["ann", " ann "] {
        browser.post("/sign-up", &credentials(name)).is_refused(409, "name_taken");
    }
    browser.post("/sign-up", &credentials(" ")).is_refused(400, "bad_name");
    assert_eq!(scene.accounts(), accounts);
}

/// The device is known for a year, and the sessions end with the browser.
pub fn the_cookie_of_the_device_stays(scene: &Scene) {
    let (_, phone, _) = scene.enrolled("ann");
    let mut browser = scene.browser();
    let mut lines = browser.post("/sign-in", &credentials("ann")).set_cookies;
    lines.extend(browser.post_code("/sign-in/code", &phone.code()).set_cookies);
    lines.retain(|line| !line.split(';').next().unwrap().ends_with('=')); // what ends a cookie
    let (device, others): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.starts_with("__Host-device="));
    assert_eq!((device.len(), others.is_empty()), (1, false), "{lines:?}");
    assert!(device[0].contains("Max-Age=31536000"), "{device:?}");
    assert!(others.iter().all(|line| !line.contains("Max-Age") && !line.contains("Expires")), "{others:?}");
    assert!(lines.iter().all(|line| line.contains("Path=/")), "{lines:?}");
}

/// By a cookie of its own choice, a page of a sibling host could count its guesses as the owner's.
pub fn a_device_cookie_that_no_server_drew_is_replaced(scene: &Scene) {
    const DEVICE: &str = "__Host-device";
    drop(scene.user("ann"));
    let mut browser = scene.browser();
    browser.plant(DEVICE, "planted");
    assert_eq!(browser.post("/sign-in", &credentials("ann")).status, 204);
    let drawn = browser.cookie(DEVICE).unwrap().to_owned();
    assert_eq!(drawn.len(), 32, "{drawn}");
    assert_eq!(browser.post("/sign-in", &credentials("ann")).status, 204);
    assert_eq!(browser.cookie(DEVICE), Some(drawn.as_str()), "what was drawn stays");
}

/// A server that cannot accept a connection, because no file is free, accepts one when there is.
pub fn a_server_without_a_free_file_goes_on(scene: &Scene) {
    let mut connections = scene.use_all_files();
    let mut last = connections.pop().unwrap();
    last.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    last.write_all(b"GET /me HTTP/1.1\r\nhost: shop\r\n\r\n").unwrap();
    assert!(last.read(&mut [0]).is_err(), "there was a file left");
    drop((connections, last));
    assert!(!scene.browser().is_signed_in());
}

/// While the store takes no commits, nobody gets in; and what was not granted is not spent.
pub fn a_store_that_fails_lets_nobody_in(scene: &Scene) {
    let (mut signed_in, phone, codes) = scene.enrolled("ann");
    let (mut browser, code) = (scene.at_the_code("ann"), phone.code());
    scene.without_commits(|| {
        let refused = browser.post_code("/sign-in/code", &code);
        refused.is_refused(503, "unavailable");
        assert_eq!(refused.retry_after, Some(1));
        signed_in.make_api_key(Some(&codes[0])).is_refused(503, "unavailable");
        assert!(!browser.is_signed_in());
    });
    assert_eq!(browser.post_code("/sign-in/code", &code).status, 204);
    assert_eq!(signed_in.make_api_key(Some(&codes[0])).status, 200);
}
