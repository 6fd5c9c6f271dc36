//! Signing in, and stepping up: what every program does, whoever holds its sessions.

use serde_json::json;
use ureq::http::Method;

use crate::browser::Answer;
use crate::scene::{Phone, Scene, begin, credentials};

/// Parallel requests with one code.
const RACERS: usize = 16;

/// The routes that only a signed-in user may use.
const SIGNED_IN: [&str; 3] = ["/two-factor", "/two-factor/code", "/api-keys"];

/// Asserts that of a race one request got the status, and that the others were refused as for a wrong code.
fn one_of(answers: &[(crate::browser::Browser, Answer)], status: u16, error: &str) {
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
