//! A deletion that must be confirmed.

use serde_json::json;

use crate::scene::{Scene, credentials};

/// Nothing is deleted without a confirmation, and of sixteen at once one deletes.
pub fn an_account_is_deleted_once_and_only_if_confirmed(scene: &Scene) {
    let mut browser = scene.user("ann");
    let mut other = scene.user("bob");
    for path in ["/deletion", "/deletion/code"] {
        scene.browser().post(path, &json!({"code": "AAAA-AAAA-AAAA-AAAA"})).is_refused(401, "not_signed_in");
    }
    browser.post_code("/deletion/code", "AAAA-AAAA-AAAA-AAAA").is_refused(403, "denied");
    let begun = browser.post("/deletion", &json!({}));
    let code = begun.text("type_this").to_owned();
    assert_eq!((begun.status, code.len()), (200, 19), "{begun:?}");
    browser.post_code("/deletion/code", "AAAA-AAAA-AAAA-AAAA").is_refused(403, "denied");
    other.post_code("/deletion/code", &code).is_refused(403, "denied");
    assert!(browser.is_signed_in());
    let answers = browser.race(16, |browser| browser.post_code("/deletion/code", &code));
    assert_eq!(answers.iter().filter(|(_, answer)| answer.status == 200).count(), 1, "{:?}", answers.len());
    for (_, answer) in answers.iter().filter(|(_, answer)| answer.status != 200) {
        assert!(matches!(answer.status, 401 | 403 | 503), "{answer:?}"); // denied, signed out, or no account any more
    }
    assert!(!browser.is_signed_in());
    browser.post("/sign-in", &credentials("ann")).is_refused(401, "wrong_password");
    assert!(other.is_signed_in());
}

/// Five wrong codes end a confirmation.
pub fn five_wrong_codes_end_a_confirmation(scene: &Scene) {
    let mut browser = scene.user("ann");
    let code = browser.post("/deletion", &json!({})).text("type_this").to_owned();
    for attempt in 1..=5 {
        let answer = browser.post_code("/deletion/code", "AAAA-AAAA-AAAA-AAAA");
        answer.is_refused(403, "denied");
        assert_eq!(answer.body.get("start_over"), (attempt == 5).then_some(&json!(true)), "{attempt}");
    }
    browser.post_code("/deletion/code", &code).is_refused(403, "denied");
    assert!(browser.is_signed_in());
}
