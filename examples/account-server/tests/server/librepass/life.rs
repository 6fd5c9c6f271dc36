//! One account from its registration to its end, with ten thousand ciphers in it and restarts in between.

use std::collections::BTreeMap;

use keywright::twofactor::TotpSecret;
use keywright::{Clock, SystemClock, SystemEntropy};
use librepass_client::{ArgonParameters, Kind, Session};

use super::scene::{Scene, quick, refusal};
use crate::program::Server;

const OLD: &str = "Ada.Lovelace+vault@Example.org";
const NEW: &str = "countess@example.net";
const FIRST: &str = "correct horse battery";
const SECOND: &str = "staple Grüße aus Köln";
const OPTIONS: [&str; 2] = ["--vault-limit", "20000"];
const CIPHERS: usize = 10_000;
/// In four calls: clients send what changed, not the vault.
const PART: usize = 2_500;

/// What is in the vault, by cipher id.
type Plain = BTreeMap<String, String>;

#[test]
fn from_registration_to_deletion_with_ten_thousand_ciphers() {
    let scene = Scene::new();
    let server = scene.start(&OPTIONS);
    scene.is_secret(SECOND);
    scene.are_secret_keys(OLD, FIRST, quick());
    scene.are_secret_keys(OLD, SECOND, ArgonParameters::default());
    scene.are_secret_keys(NEW, SECOND, ArgonParameters::default());
    scene.register(&server, OLD, FIRST);
    let session = scene.log_in(&server, OLD, FIRST).unwrap();
    let plain = fill(&scene, &session);
    opens(&session, &plain);

    let timings = session.change_password(SECOND, Some("planted-hint"), |_, _| {}).unwrap();
    scene.is_secret("planted-hint");
    println!("password change:\n{timings}");
    assert_eq!(timings.ciphers, CIPHERS);
    assert_eq!(refusal(session.read()), "LP-Invalid-Token");
    assert_eq!(refusal(scene.log_in(&server, OLD, FIRST)), "LP-Invalid-Shared-Secret");
    server.stop();

    let server = scene.start(&OPTIONS);
    assert_eq!(refusal(scene.client(&server).resume(session.into_login(), FIRST).unwrap().read()), "LP-Invalid-Token");
    let session = scene.log_in(&server, OLD, SECOND).unwrap();
    opens(&session, &plain);

    let timings = session.change_email(NEW, SECOND, |_, _| {}).unwrap();
    println!("e-mail change, until the link is opened:\n{timings}");
    opens(&session, &plain);
    let link = scene.link("verifyNewEmail");
    assert_eq!(scene.send(&server, "GET", &link, "", "").status, 302);
    assert_eq!(refusal(session.read()), "LP-Invalid-Token");
    assert_eq!(refusal(scene.log_in(&server, OLD, SECOND)), "LP-User-404");
    let session = scene.log_in(&server, NEW, SECOND).unwrap();
    opens(&session, &plain);
    server.stop();
    scene.holds_no_secret();

    let server = scene.start(&OPTIONS);
    let mut codes = Codes::new(&scene);
    let recovery = second_factor(&scene, &server, &mut codes, &plain);
    server.stop();

    let server = scene.start(&OPTIONS);
    let session = recovers_once(&scene, &server, &recovery);
    deletes(&scene, &server, &session, &mut codes);
    server.stop();
    scene.holds_no_secret();
}

/// Ten thousand ciphers of 400 digits, each with a text of its own.
fn fill(scene: &Scene, session: &Session) -> Plain {
    let mut plain = Plain::new();
    for part in 0..CIPHERS.div_euclid(PART) {
        let mut ciphers = Vec::with_capacity(PART);
        for number in 0..PART {
            let text = format!("{{\"name\":\"planted-{part}-{number:05}\",\"note\":\"{:>136}\"}}", "x");
            let cipher = session.seal(Kind::LOGIN, text.as_bytes()).unwrap();
            assert_eq!(cipher.protected_data.len(), 400);
            if number == 0 {
                // Neither form is in the database: what is stored is sealed.
                scene.is_secret(&cipher.protected_data);
                scene.is_secret(&format!("planted-{part}-"));
            }
            plain.insert(cipher.id.clone(), text);
            ciphers.push(cipher);
        }
        session.put(&ciphers).unwrap();
    }
    plain
}

/// The vault is what was written, and opens under the keys of this session.
#[track_caller]
fn opens(session: &Session, plain: &Plain) {
    let vault = session.read().unwrap();
    assert_eq!(vault.len(), plain.len());
    for cipher in &vault {
        let text = session.open(cipher).unwrap();
        assert_eq!(Some(text.expose()), plain.get(&cipher.id).map(String::as_bytes), "{}", cipher.id);
    }
}

/// Time-based codes, each of a later step than the one before, because a step is accepted once.
struct Codes {
    secret: TotpSecret,
    last: u64,
}

impl Codes {
    fn new(scene: &Scene) -> Self {
        let secret = TotpSecret::random(&SystemEntropy).unwrap();
        scene.is_secret(secret.to_base32().expose());
        Self { secret, last: 0 }
    }

    /// Returns the oldest code that is still valid.
    fn next(&mut self) -> String {
        let now = SystemClock.now().unwrap().get().div_euclid(30);
        self.last = now.saturating_sub(1).max(self.last.saturating_add(1));
        self.last()
    }

    /// Returns the code before.
    fn last(&self) -> String {
        let totp = totp_rs::Builder::new().with_secret(self.secret.expose()).build_noncompliant();
        totp.generate(self.last.saturating_mul(30)).to_string()
    }
}

/// Switches on the second factor and logs in with it. Returns the recovery code.
fn second_factor(scene: &Scene, server: &Server, codes: &mut Codes, plain: &Plain) -> String {
    let session = scene.log_in(server, NEW, SECOND).unwrap();
    let base32 = codes.secret.to_base32();
    assert_eq!(refusal(session.set_up_two_factor(&base32, "abcdef")), "LP-Invalid-Two-Factor");
    let recovery = session.set_up_two_factor(&base32, &codes.next()).unwrap().expose().to_owned();
    scene.is_secret(&recovery);

    let mut session = scene.log_in(server, NEW, SECOND).unwrap();
    assert!(session.needs_second_factor());
    assert_eq!(refusal(session.read()), "LP-Invalid-Token");
    assert_eq!(refusal(session.change_password(FIRST, None, |_, _| {})), "LP-Invalid-Token");
    assert_eq!(refusal(session.prove_second_factor("abcdef")), "LP-Invalid-Two-Factor");
    session.prove_second_factor(&codes.next()).unwrap();
    opens(&session, plain);
    recovery
}

/// Returns the session that the recovery code proved.
fn recovers_once(scene: &Scene, server: &Server, recovery: &str) -> Session {
    let mut session = scene.log_in(server, NEW, SECOND).unwrap();
    session.prove_second_factor(recovery).unwrap();
    assert_eq!(session.read().unwrap().len(), CIPHERS);
    let mut again = scene.log_in(server, NEW, SECOND).unwrap();
    assert_eq!(refusal(again.prove_second_factor(recovery)), "LP-Invalid-Two-Factor");
    assert_eq!(refusal(again.read()), "LP-Invalid-Token");
    session
}

fn deletes(scene: &Scene, server: &Server, session: &Session, codes: &mut Codes) {
    assert_eq!(refusal(session.delete_account(None)), "LP-Invalid-Two-Factor");
    let used = codes.last();
    assert_eq!(refusal(session.delete_account(Some(&used))), "LP-Invalid-Two-Factor", "a code works once");
    session.delete_account(Some(&codes.next())).unwrap();
    assert_eq!(refusal(session.read()), "LP-Invalid-Token");
    assert_eq!(refusal(scene.log_in(server, NEW, SECOND)), "LP-User-404");
    assert!(scene.mails().iter().any(|(to, subject, _)| to == NEW && subject == "Your account was deleted"));
    scene.register(server, NEW, FIRST);
    assert_eq!(scene.log_in(server, NEW, FIRST).unwrap().read().unwrap().len(), 0, "a new account");
}
