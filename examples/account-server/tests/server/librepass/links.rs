//! Mailed links: what opens them, what does not, and who is informed.

use keywright::sqlite::rusqlite::Connection;

use super::scene::{Scene, quick, refusal};
use crate::program::Server;

const EMAIL: &str = "user@example.org";
const OTHER: &str = "other@example.org";
const PASSWORD: &str = "correct horse";

/// Requests that scanners make of a link before its owner does.
fn only_looked_at(scene: &Scene, server: &Server, link: &str) {
    for (method, headers) in [
        ("HEAD", ""),
        ("OPTIONS", ""),
        ("GET", "purpose: prefetch\r\n"),
        ("GET", "sec-purpose: prefetch;prerender\r\n"),
        ("GET", "x-moz: prefetch\r\n"),
    ] {
        let answer = scene.send(server, method, link, headers, "");
        assert!(!(300..400).contains(&answer.status), "{method} {headers}: {answer:?}");
    }
}

#[test]
fn a_new_address_is_verified_by_a_click_and_by_nothing_else() {
    let scene = Scene::new();
    let server = scene.start(&[]);
    scene.client(&server).register(EMAIL, PASSWORD, None, quick()).unwrap();
    let (to, subject, _) = scene.mails().pop().unwrap();
    assert_eq!((to.as_str(), subject.as_str()), (EMAIL, "Verify your e-mail address"));
    let link = scene.link("verifyEmail");
    only_looked_at(&scene, &server, &link);
    assert_eq!(refusal(scene.log_in(&server, EMAIL, PASSWORD)), "LP-Email-Not-Verified");

    let (start, end) = link.split_at(link.len() - 1);
    let wrong = format!("{start}{}", if end == "0" { "1" } else { "0" });
    let answer = scene.send(&server, "GET", &wrong, "", "");
    assert!(answer.status == 400 && answer.body.contains("LP-Email-Invalid-Code"), "{answer:?}");
    let opened = scene.send(&server, "GET", &link, "", "");
    let target = opened.header("location").unwrap();
    assert_eq!((opened.status, target), (302, format!("{}/verification/email", server.url).as_str()));
    assert_eq!(scene.send(&server, "GET", &link, "", "").status, 302, "verified already");
    let page = scene.send(&server, "GET", "/verification/email", "", "");
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"), "{page:?}");
    assert!(scene.log_in(&server, EMAIL, PASSWORD).is_ok());
    server.stop();
    scene.holds_no_secret();
}

#[test]
fn another_address_waits_for_its_click_and_the_old_one_is_told() {
    let scene = Scene::new();
    let server = scene.start(&[]);
    scene.register(&server, EMAIL, PASSWORD);
    let session = scene.log_in(&server, EMAIL, PASSWORD).unwrap();
    let id = session.write_note("planted-title", "planted-note").unwrap();
    scene.is_secret("planted-title");
    session.change_email(OTHER, PASSWORD, |_, _| {}).unwrap();

    let mails = scene.mails();
    let told: Vec<_> =
        mails.iter().filter(|(to, subject, _)| to == EMAIL && subject.contains("was asked for")).collect();
    let [(_, _, text)] = told.as_slice() else { panic!("{told:?}") };
    assert!(!text.contains("://"), "the old address gets no link: {text}");
    let link = scene.link("verifyNewEmail");
    only_looked_at(&scene, &server, &link);
    assert_eq!(session.read().unwrap().len(), 1, "nothing has happened yet");
    assert_eq!(refusal(scene.log_in(&server, OTHER, PASSWORD)), "LP-User-404");

    assert_eq!(scene.send(&server, "GET", &link, "", "").status, 302);
    let again = scene.send(&server, "GET", &link, "", "");
    assert_eq!(again.status, 302, "another click is told the same, and changes nothing: {again:?}");
    let session = scene.log_in(&server, OTHER, PASSWORD).unwrap();
    let [cipher] = session.read().unwrap().try_into().unwrap();
    assert_eq!((cipher.id.as_str(), session.name(&cipher).unwrap().as_deref()), (id.as_str(), Some("planted-title")));
    // The old address is free, and its keys are not these keys: it is another account now.
    scene.register(&server, EMAIL, PASSWORD);
    server.stop();
    scene.holds_no_secret();
}

#[test]
fn a_vault_that_was_edited_meanwhile_voids_the_link() {
    let scene = Scene::new();
    let server = scene.start(&[]);
    scene.register(&server, EMAIL, PASSWORD);
    let session = scene.log_in(&server, EMAIL, PASSWORD).unwrap();
    session.write_note("one", "").unwrap();
    session.change_email(OTHER, PASSWORD, |_, _| {}).unwrap();
    session.write_note("two", "").unwrap();
    let answer = scene.send(&server, "GET", &scene.link("verifyNewEmail"), "", "");
    assert!(answer.status >= 400, "{answer:?}");
    let session = scene.log_in(&server, EMAIL, PASSWORD).unwrap();
    assert!(session.read().unwrap().iter().all(|cipher| session.open(cipher).is_ok()));
    server.stop();
}

#[test]
fn without_verification_both_happen_at_once() {
    let scene = Scene::new();
    let server = scene.start(&["--librepass-verify-email", "off"]);
    scene.register(&server, EMAIL, PASSWORD);
    let session = scene.log_in(&server, EMAIL, PASSWORD).unwrap();
    session.write_note("a note", "").unwrap();
    session.change_email(OTHER, PASSWORD, |_, _| {}).unwrap();
    assert_eq!(refusal(session.read()), "LP-Invalid-Token");
    let session = scene.log_in(&server, OTHER, PASSWORD).unwrap();
    assert!(session.read().unwrap().iter().all(|cipher| session.open(cipher).is_ok()));
    server.stop();
}

#[test]
fn an_address_is_free_again_after_an_erasure() {
    let scene = Scene::new();
    let server = scene.start(&[]);
    scene.register(&server, EMAIL, PASSWORD);
    assert!(scene.log_in(&server, EMAIL, PASSWORD).is_ok());
    let claims = || -> i64 {
        let database = Connection::open(scene.path("db")).unwrap();
        database.query_row("SELECT count(*) FROM keywright_records WHERE slot = 'claim'", (), |row| row.get(0)).unwrap()
    };
    assert_eq!(claims(), 1);
    assert!(scene.run(&["accounts", "erase", EMAIL, "--yes"]).starts_with("user@example.org: erased"));
    assert_eq!(claims(), 0, "nothing of the account stays behind");
    assert_eq!(refusal(scene.log_in(&server, EMAIL, PASSWORD)), "LP-User-404");
    let (_, complaint) = scene.fail(&["accounts", "show", EMAIL]);
    assert!(complaint.contains("there is no account"), "{complaint}");
    scene.register(&server, EMAIL, "battery staple");
    assert!(scene.log_in(&server, EMAIL, "battery staple").is_ok());
    server.stop();
}
