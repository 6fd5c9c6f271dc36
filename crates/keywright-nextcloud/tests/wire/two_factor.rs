//! Two-factor tokens: what is required, what each answer costs, and what is left of a token beside
//! a wrong passphrase.

mod credit;
mod hashed;
mod origins;
mod passkeys;
mod races;
mod waits;

use std::sync::Arc;

use keywright_core::{AccountId, Client as Guesser, ClientAdmission, ClientTag, Clock, Purpose, SessionId};
use keywright_nextcloud::{AppTokenId, NextcloudPolicy};
use keywright_store::{Draft, MemoryStore, Partition};
use keywright_store_conformance::{FaultStore, Odds};
use keywright_twofactor::recovery::Liveness;
use keywright_twofactor::{
    ADMIT_CLIENT, CodeKind, DeviceImport, ImportedDevice, SLOTS, TotpSecret, TwoFactor, TwoFactorPolicy, VerifyOutcome,
};
use serde_json::{Value, json};

use crate::support::{Answer, Client, START, World, alice, bob, salts, secret};

const SEED: [u8; 20] = [0x5e; 20];

/// The code that Alice's app shows at a moment.
pub(crate) fn code_at(at: u64) -> String {
    totp_rs::Builder::new().with_secret(SEED).build_noncompliant().generate(at).to_string()
}

/// The code that it shows `later` seconds after the start.
fn code(later: u64) -> String {
    code_at(START.saturating_add(later))
}

/// The one before.
fn code_before() -> String {
    code_at(START.saturating_sub(30))
}

/// A code that it shows at no time near.
fn wrong() -> String {
    let shown: Vec<String> = (0..600).step_by(30).map(code).chain([code_before()]).collect();
    (0..).map(|number| format!("{number:06}")).find(|code| !shown.contains(code)).unwrap()
}

/// The account's factors, where a change of them ends no login.
fn factors(world: &World) -> TwoFactor {
    let policy = TwoFactorPolicy::builder().end_other_logins(false).build().unwrap();
    TwoFactor::new(world.driver.clone(), policy).unwrap()
}

async fn import(factors: &TwoFactor, name: &str, seed: &[u8; 20]) {
    let device = ImportedDevice::new(name, TotpSecret::from_slice(seed).unwrap());
    let imported = factors.import_device(&alice(), &device).await.unwrap();
    assert!(matches!(imported, DeviceImport::Imported(_)), "{imported:?}");
}

pub(crate) async fn enrol(world: &World) {
    import(&factors(world), "phone", &SEED).await;
}

/// Alice's recovery codes.
pub(crate) async fn recovery(world: &World) -> Vec<String> {
    made(world, &alice()).await
}

/// Codes of the right form that are none of Alice's.
async fn foreign(world: &World) -> Vec<String> {
    made(world, &bob()).await
}

async fn made(world: &World, account: &AccountId) -> Vec<String> {
    let make =
        |draft: &mut Draft<'_>| factors(world).steps().make_recovery_in(draft, Liveness::Now, Guesser::unknown());
    let codes = world.driver.run(&Partition::account(account), SLOTS, make).await.unwrap();
    codes.iter().map(String::from).collect()
}

async fn remove(world: &World) {
    let device = factors(world).enrolled(&alice()).await.unwrap().devices[0].id;
    let remove = |draft: &mut Draft<'_>| factors(world).steps().remove_device_in(draft, device, Guesser::unknown());
    world.driver.transact(&Partition::account(&alice()), SLOTS, remove).await.unwrap();
}

/// Alice with the challenge `secret(1)` and a device.
async fn enrolled(world: &World) -> Client {
    let phone = world.with_challenge().await;
    enrol(world).await;
    phone
}

async fn world() -> World {
    let world = World::new().await;
    enrolled(&world).await;
    world
}

impl Client {
    async fn open_with(&mut self, proof: &str, token: Value) -> Answer {
        self.post("session/open", json!({"challenge": proof, "token": token})).await
    }

    async fn open_totp(&mut self, proof: &str, code: &str) -> Answer {
        self.open_with(proof, json!({"totp": code})).await
    }
}

fn opened() -> Value {
    json!({"success": true, "keys": []})
}

/// Alice's guesses at a secret that were counted.
async fn charged(world: &World, secret: &str) -> u64 {
    world.charged(secret).await
}

fn entry(id: &str, label: &str, description: &str) -> Value {
    json!({"type": "user-token", "id": id, "label": label, "description": description, "request": false})
}

#[tokio::test]
async fn a_request_lists_the_tokens_that_the_account_has() {
    let world = World::new().await;
    let challenge = json!({"salts": salts(1), "type": "PWDv1r1"});
    let totp = entry("totp", "Authenticator app", "The code that your authenticator app shows now");
    let backup = entry("backup_codes", "Recovery code", "One of your recovery codes; each works once");
    enrol(&world).await;
    let mut laptop = world.token("laptop");
    laptop.get("session/request").await.is(200, json!({}));
    let mut phone = world.with_challenge().await;
    laptop.get("session/request").await.is(200, json!({"challenge": challenge, "token": [totp]}));
    phone.get("session/request").await.is(200, json!({}));
    let codes = recovery(&world).await;
    laptop.get("session/request").await.is(200, json!({"challenge": challenge, "token": [totp, backup]}));
    for code in &codes {
        let verdict = factors(&world)
            .verify_recovery(&alice(), code, &Purpose::new("elsewhere"), Guesser::unknown())
            .await
            .unwrap();
        assert!(matches!(verdict, VerifyOutcome::Granted(_)));
    }
    laptop.get("session/request").await.is(200, json!({"challenge": challenge, "token": [totp]}));
    remove(&world).await;
    laptop.get("session/request").await.is(200, json!({"challenge": challenge}));
    laptop.open(&secret(1)).await.is(200, opened());
}

#[tokio::test]
async fn a_code_opens_once_in_every_protocol() {
    let world = world().await;
    let mut laptop = world.token("laptop");
    let before = laptop.session.clone();
    laptop.open_totp(&secret(1), &code(0)).await.is(200, opened());
    assert!(laptop.is_authorized().await && laptop.session != before);
    laptop.open("").await.is(200, opened());
    for _ in 0..8 {
        world.token("t1").open_totp(&secret(1), &code(0)).await.fails(401, "8b4f02b4");
        world.token("t1").open_totp(&secret(1), &code_before()).await.fails(401, "8b4f02b4");
    }
    let elsewhere =
        factors(&world).verify_totp(&alice(), &code(0), &Purpose::new("elsewhere"), Guesser::unknown()).await.unwrap();
    assert!(matches!(elsewhere, VerifyOutcome::Denied(_)));
    assert_eq!(charged(&world, "totp").await + charged(&world, "challenge").await, 0, "a replay is not charged");
    world.clock.advance(30);
    world.token("t1").open_totp(&secret(1), &code(30)).await.is(200, opened());
}

/// Applications show and copy codes in groups (`docs/decisions.md` 67).
#[tokio::test]
async fn a_code_may_be_typed_in_groups() {
    let world = world().await;
    let grouped = |code: &str, with: &str| format!("{}{with}{}", &code[..3], &code[3..]);
    world.token("laptop").open_totp(&secret(1), &grouped(&code(0), " ")).await.is(200, opened());
    world.clock.advance(30);
    world.token("t1").open_totp(&secret(1), &grouped(&code(30), "-")).await.is(200, opened());
    assert_eq!(charged(&world, "totp").await, 0);
}

#[tokio::test]
async fn the_token_is_judged_before_the_passphrase_and_only_a_guess_is_charged() {
    let world = world().await;
    let codes = recovery(&world).await;
    let mut client = world.token("laptop");
    let rows = world.scan().await;
    let malformed = ["", "12345", "1234567", "１２３４５６", "abcdef", &"1".repeat(9_999)];
    let mut table: Vec<(Value, u16, &str)> = malformed.map(|code| (json!({"totp": code}), 401, "8b4f02b4")).to_vec();
    table.extend([
        (Value::Null, 401, "c0980e3c"),
        (json!({}), 401, "c0980e3c"),
        (json!({"totp": null}), 401, "c0980e3c"),
        (json!([]), 400, "0"),
        (json!("123456"), 400, "0"),
        (json!({"totp": 123_456}), 400, "0"),
        (json!({"totp": [code(0)]}), 400, "0"),
        (json!({"email": code(0)}), 401, "8b4f02b4"),
        (json!({"totp": code(0), "email": "1"}), 401, "8b4f02b4"),
        (json!({"backup_codes": code(0)}), 401, "8b4f02b4"),
        (json!({"totp": codes[0]}), 401, "8b4f02b4"),
        // One that cannot be a code makes no free probe of the other.
        (json!({"totp": code(0), "backup_codes": "x"}), 401, "8b4f02b4"),
        (json!({"totp": wrong(), "backup_codes": "x"}), 401, "8b4f02b4"),
        (json!({"totp": "x", "backup_codes": codes[0]}), 401, "8b4f02b4"),
    ]);
    for (token, status, id) in table {
        for proof in [json!(secret(1)), json!(secret(9)), json!(null), json!("short")] {
            client.post("session/open", json!({"challenge": proof, "token": token})).await.fails(status, id);
        }
    }
    assert_eq!(world.scan().await, rows, "none of it is charged, spent or written");
    for (proof, count) in [(json!(secret(1)), 1), (json!(secret(9)), 2), (json!(null), 3), (json!("short"), 4)] {
        let body = json!({"challenge": proof, "token": {"totp": wrong()}});
        client.post("session/open", body).await.fails(401, "8b4f02b4");
        assert_eq!(charged(&world, "totp").await, count);
    }
    assert_eq!(charged(&world, "challenge").await, 0);
    client.open_totp(&secret(1), &code(0)).await.is(200, opened());
}

#[tokio::test]
async fn every_token_given_must_be_right_and_the_right_one_is_kept_otherwise() {
    let world = world().await;
    let (codes, foreign) = (recovery(&world).await, foreign(&world).await);
    let mut client = world.token("laptop");
    let both = |totp: &str, backup: &str| json!({"totp": totp, "backup_codes": backup});
    client.open_with(&secret(1), both(&code(0), &foreign[0])).await.fails(401, "8b4f02b4");
    assert_eq!((charged(&world, "totp").await, charged(&world, "recovery").await), (0, 1));
    client.open_with(&secret(1), both(&wrong(), &codes[0])).await.fails(401, "8b4f02b4");
    assert_eq!((charged(&world, "totp").await, charged(&world, "recovery").await), (1, 1));
    client.open_with(&secret(1), both(&wrong(), &foreign[0])).await.fails(401, "8b4f02b4");
    assert_eq!((charged(&world, "totp").await, charged(&world, "recovery").await), (2, 2));
    client.open_with(&secret(1), both(&code(0), &codes[0])).await.is(200, opened());
    for token in [json!({"totp": code(0)}), json!({"backup_codes": codes[0]})] {
        world.token("t1").open_with(&secret(1), token).await.fails(401, "8b4f02b4");
    }
    world.token("t1").open_with(&secret(1), json!({"backup_codes": codes[1].to_lowercase()})).await.is(200, opened());
    assert_eq!(factors(&world).enrolled(&alice()).await.unwrap().recovery, Some(8));
}

#[tokio::test]
async fn the_fifth_wrong_token_is_403_and_the_others_wait() {
    let world = world().await;
    let (codes, foreign) = (recovery(&world).await, foreign(&world).await);
    let right = [json!({"totp": code(0)}), json!({"backup_codes": codes[0]})];
    for (at, bad) in [json!({"totp": wrong()}), json!({"backup_codes": foreign[0]})].into_iter().enumerate() {
        let mut guesser = world.token(["laptop", "t1"][at]);
        for _ in 0..4 {
            guesser.open_with(&secret(1), bad.clone()).await.fails(401, "8b4f02b4");
        }
        guesser.open_with(&secret(1), bad.clone()).await.waits(403, "b927b225", 30);
        assert_eq!(guesser.open_with(&secret(1), right[at].clone()).await.status, 401);
        let rows = world.scan().await;
        for token in [&right[at], &bad] {
            world.token("t2").open_with(&secret(1), token.clone()).await.is_refused(30);
        }
        assert_eq!(world.scan().await, rows, "a refusal writes nothing");
        world.password().open_with(&secret(1), right[at].clone()).await.is_refused(30);
    }
    assert_eq!(world.host.ended(), ["laptop", "t1"]);
    assert_eq!(charged(&world, "challenge").await, 0);
    world.clock.advance(30);
    world.token("t2").open_with(&secret(1), right[0].clone()).await.is(200, opened());
    world.token("t2").open_with(&secret(1), right[1].clone()).await.is(200, opened());
}

/// Locks Alice's time-based codes by others' wrong guesses, until someone acts.
async fn shut(world: &World) {
    let (factors, network) = (factors(world), Guesser::network(ClientTag::from_bytes([0xee; 16])));
    let mut streak = 0;
    while streak < 50 {
        match factors.verify_totp(&alice(), &wrong(), &Purpose::new("elsewhere"), network).await.unwrap() {
            VerifyOutcome::Denied(denial) => streak = denial.charge().unwrap().streak(),
            VerifyOutcome::Refused(refusal) => world.clock.advance(refusal.retry_after()),
            other => panic!("{other:?}"),
        }
    }
    world.clock.advance(10 * 365 * 86_400);
}

/// The code that Alice's app shows now.
fn now(world: &World) -> String {
    code_at(world.clock.now().unwrap().get())
}

/// `docs/security.md` § 6: no time opens what others have shut, a recovery code does, for the client that has one.
#[tokio::test]
async fn a_recovery_code_lets_its_client_in_where_others_have_shut_out_time_based_codes() {
    let world = world().await;
    let (codes, foreign) = (recovery(&world).await, foreign(&world).await);
    shut(&world).await;
    let is_shut = async |token: &str| {
        let answer = world.token(token).open_totp(&secret(1), &now(&world)).await;
        (answer.status, answer.retry_after()) == (429, Some(86_400))
    };
    assert!(is_shut("t1").await && is_shut("t2").await);
    world.token("t2").open_with(&secret(1), json!({"backup_codes": foreign[0]})).await.fails(401, "8b4f02b4");
    world.token("t2").open_with(&secret(1), json!({"backup_codes": "x"})).await.fails(401, "8b4f02b4");
    assert!(is_shut("t2").await, "a wrong code opens nothing");
    assert_eq!(world.count_events("client_admitted").await, 0);
    world.token("t2").open_with(&secret(1), json!({"backup_codes": codes[0]})).await.is(200, opened());
    assert_eq!(world.count_events("client_admitted").await, 1);
    assert!(is_shut("t1").await, "nobody else is let in");
    world.token("t2").open_totp(&secret(1), &now(&world)).await.is(200, opened());
    // Where nothing is refused, nobody is admitted.
    world.clock.advance(30);
    world.token("t2").open_with(&secret(1), json!({"backup_codes": codes[1]})).await.is(200, opened());
    assert_eq!(world.count_events("client_admitted").await, 1);
}

/// The other ways in at time-based codes: a known token, a session with a fresh proof, the operator.
#[tokio::test]
async fn every_way_in_at_time_based_codes() {
    let world = world().await;
    world.token("phone").open_totp(&secret(1), &code_before()).await.is(200, opened());
    shut(&world).await;
    // No time ends the lock, but anybody's right code does: the codes are locked again before each.
    let refused = async |token: &str| world.token(token).open_totp(&secret(1), &now(&world)).await.status == 429;
    assert!(refused("t1").await);
    // Known: not held up. No mail is sent for a second factor.
    world.token("phone").open_totp(&secret(1), &now(&world)).await.is(200, opened());
    assert!(world.host.mails().is_empty());
    // By a session with a fresh proof of a factor. That is by a recovery code, which lets nobody else in.
    let codes = recovery(&world).await;
    shut(&world).await;
    assert!(refused("t1").await);
    let factors = factors(&world);
    let tag = world.app.app_token_tag(&alice(), &AppTokenId("phone".into()));
    let step_up = factors
        .step_up_recovery(&alice(), &ADMIT_CLIENT, SessionId::new(b"session-1"), &codes[0], Guesser::credential(tag))
        .await
        .unwrap();
    let VerifyOutcome::Granted(proof) = step_up else { panic!("{step_up:?}") };
    let t1 = world.app.app_token_tag(&alice(), &AppTokenId("t1".into()));
    let admitted = factors.admit_client(proof, CodeKind::Totp, t1).await.unwrap();
    assert!(matches!(admitted, ClientAdmission::Admitted { .. }), "{admitted:?}");
    world.clock.advance(30);
    world.token("t1").open_totp(&secret(1), &now(&world)).await.is(200, opened());
    // By the operator.
    shut(&world).await;
    assert!(refused("t2").await);
    assert!(factors.unlock(&alice(), CodeKind::Totp).await.unwrap());
    world.clock.advance(30);
    world.token("t2").open_totp(&secret(1), &now(&world)).await.is(200, opened());
}

#[tokio::test]
async fn a_token_that_passed_is_not_held_up_by_others() {
    let world = world().await;
    world.token("phone").open_totp(&secret(1), &code_before()).await.is(200, opened());
    for _ in 0..5 {
        world.password().open_totp(&secret(1), &wrong()).await;
    }
    world.password().open_totp(&secret(1), &code(0)).await.is_refused(30);
    world.token("phone").open_totp(&secret(1), &code(0)).await.is(200, opened());
}

/// A token that has passed stays known when the factors change.
#[tokio::test]
async fn a_change_of_factors_leaves_known_tokens_known() {
    let world = world().await;
    world.token("phone").open_totp(&secret(1), &code_before()).await.is(200, opened());
    import(&factors(&world), "next", &[0x5f; 20]).await;
    for _ in 0..5 {
        world.password().open_totp(&secret(1), &wrong()).await;
    }
    world.token("t1").open_totp(&secret(1), &code(0)).await.is_refused(30);
    world.token("phone").open_totp(&secret(1), &code(0)).await.is(200, opened());
}

/// By the default policy a change of factors ends every login of the account.
#[tokio::test]
async fn a_change_of_factors_ends_the_sessions() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    let default = TwoFactor::new(world.driver.clone(), TwoFactorPolicy::default()).unwrap();
    import(&default, "phone", &SEED).await;
    assert!(!phone.is_authorized().await);
    phone.open_totp(&secret(1), &code(0)).await.is(200, opened());
}

#[tokio::test]
async fn a_policy_can_offer_tokens_without_requiring_them() {
    let policy = NextcloudPolicy::builder().require_token(false).build().unwrap();
    let world = World::with(policy).await;
    enrolled(&world).await;
    let mut laptop = world.token("laptop");
    assert!(laptop.get("session/request").await.json()["token"].is_array());
    laptop.open_totp(&secret(1), &wrong()).await.fails(401, "8b4f02b4");
    laptop.open(&secret(1)).await.is(200, opened());
}

/// The second factor is the account's, not this protocol's.
#[tokio::test]
async fn a_reset_takes_no_factor_away() {
    let world = World::new().await;
    enrol(&world).await;
    let codes = recovery(&world).await;
    let mut phone = world.token("phone");
    let code_of_reset = phone.reset_code().await;
    phone.reset_with(&code_of_reset).await.is(200, json!({"status": "ok"}));
    world.with_challenge().await;
    let mut laptop = world.token("laptop");
    laptop.open(&secret(1)).await.fails(401, "c0980e3c");
    laptop.open_totp(&secret(1), &code(0)).await.is(200, opened());
    world.token("t1").open_with(&secret(1), json!({"backup_codes": codes[0]})).await.is(200, opened());
}

#[tokio::test]
async fn a_fault_spends_and_charges_nothing() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), NextcloudPolicy::default()).await;
    enrolled(&world).await;
    let rows = world.scan().await;
    let mut laptop = world.token("laptop");
    for fault in [Odds::FULL, Odds::SILENT] {
        store.randomise(0, fault);
        for (proof, code) in [(1, code(0)), (1, wrong()), (9, code(0))] {
            laptop.open_totp(&secret(proof), &code).await.fails(500, "0");
        }
        store.calm();
        assert_eq!(world.scan().await, rows);
    }
    assert!(!laptop.is_authorized().await);
    laptop.open(&secret(1)).await.fails(401, "c0980e3c");
    laptop.open_totp(&secret(1), &code(0)).await.is(200, opened());
}
