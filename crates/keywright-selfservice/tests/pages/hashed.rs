//! Recovery codes that were imported as slow hashes, as the proof of a change.

use keywright_testing::PlainHashes;
use keywright_twofactor::import::{ImportOutcome, ImportedUser};
use keywright_twofactor::recovery::ImportedCodes;
use keywright_twofactor::{ImportedDevice, TotpSecret};
use std::sync::Arc;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::browser::Browser;
use crate::host::{Site, site};

const CODES: [&str; 3] = ["1a2b3c4d5e6f7a8b", "ffeeddccbbaa9988", "0123456789abcdef"];

async fn imported() -> Site {
    let site = site().await;
    let device = ImportedDevice::new("Phone", TotpSecret::from_slice(&[7; 20]).unwrap());
    let user = ImportedUser::new().device(device).recovery(ImportedCodes::hashes(CODES.map(PlainHashes::hash_of)));
    // An operator's program imports, with a verifier of its own.
    let operator = site.two_factor.clone().with_code_verifier(site.world.hashes.clone());
    let imported = operator.import_user(&site.world.account, &user).await.unwrap();
    assert!(matches!(imported, ImportOutcome::Imported(_)), "{imported:?}");
    site
}

async fn add(browser: &mut Browser<'_>, code: &str, shown: &str) {
    browser.get("/authenticators/add").await;
    browser.post("/authenticators/add", &[("name", "x"), ("proof", code)]).await.has(shown);
}

#[tokio::test]
async fn a_hashed_code_proves_a_change_once() {
    let site = imported().await;
    let mut browser = Browser::new(&site);
    add(&mut browser, "1a2b3c4d5e6f7a8c", "This code is wrong").await;
    add(&mut browser, "1a2b-3c4d-5e6f-7a8b", "Scan the code").await;
    add(&mut browser, CODES[0], "This code is wrong").await;
    browser.get("/").await.has("2 unused codes left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixteen_sessions_with_one_hashed_code_one_may_go_on() {
    const SESSIONS: [&str; 16] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];
    let site = Arc::new(imported().await);
    let start = Arc::new(Barrier::new(SESSIONS.len()));
    let mut set = JoinSet::new();
    for session in SESSIONS {
        let (site, start) = (Arc::clone(&site), Arc::clone(&start));
        set.spawn(async move {
            let mut browser = Browser::of_session(&site, session);
            browser.get("/authenticators/add").await;
            start.wait().await;
            browser
                .post("/authenticators/add", &[("name", "x"), ("proof", CODES[0])])
                .await
                .body
                .contains("Scan the code")
        });
    }
    let passed = set.join_all().await.into_iter().filter(|passed| *passed).count();
    assert_eq!(passed, 1);
    assert_eq!(site.two_factor.enrolled(&site.world.account).await.unwrap().recovery, Some(2));
}
