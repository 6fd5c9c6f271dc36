//! The layer in front of a handler, as a plain tower service and under axum.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use keywright_core::{ActionName, Client, Purpose, SessionId};
use keywright_store::Draft;
use keywright_testing::{Epoch, PlainHashes, World};
use keywright_tower::{
    Caller, OrRefuse, Refused, SECOND_FACTOR, StepUpAction, StepUpFor, StepUpLayer, StepUpMissing, step_up,
};
use keywright_twofactor::import::{ImportOutcome, ImportedUser};
use keywright_twofactor::recovery::ImportedCodes;
use keywright_twofactor::{
    DeviceImport, ImportedDevice, Method, Rule, SLOT_KINDS, StepUpPolicy, TotpSecret, TwoFactor, TwoFactorPolicy,
};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const SEED: &[u8] = b"12345678901234567890";
const START: u64 = 1_699_999_980;

struct MakeKey;
impl StepUpAction for MakeKey {
    const ACTION: ActionName = ActionName::new("key.make");
}

struct ReadLog;
impl StepUpAction for ReadLog {
    const ACTION: ActionName = ActionName::new("log.read");
}

/// A world, and a router over it with the routes `/key` (a proof each time), `/log` (remembered),
/// `/open` (a handler without the layer) and `/other` (the layer of another action).
struct Server {
    world: Arc<World>,
    router: Router,
    /// How often a handler acted.
    acted: Arc<AtomicUsize>,
}

fn policy() -> TwoFactorPolicy {
    let rule = Rule::strongest_of(&[Method::Totp, Method::Recovery, Method::Password]);
    let step_up = StepUpPolicy::builder().default_rule(rule).rule(ReadLog::ACTION, rule.remembered(60)).build();
    TwoFactorPolicy::builder().step_up(step_up.unwrap()).build().unwrap()
}

impl Server {
    async fn new() -> Self {
        let world = Arc::new(World::builder().start(START).slots(SLOT_KINDS).comparing().build().await);
        let two_factor = TwoFactor::new(world.driver.clone(), policy()).unwrap();
        let acted = Arc::new(AtomicUsize::new(0));
        let account = world.account.clone();
        let caller = move |parts: &Parts| {
            let session = parts.headers.get("session")?.to_str().ok()?;
            Some(Caller::new(account.clone(), SessionId::new(session), Client::unknown()).with_password())
        };
        let (key_world, count) = (Arc::clone(&world), Arc::clone(&acted));
        let make_key = move |headers: http::HeaderMap, proof: StepUpFor<MakeKey>| {
            let (world, acted) = (Arc::clone(&key_world), Arc::clone(&count));
            async move {
                assert!(!headers.contains_key(SECOND_FACTOR), "the code goes no further");
                let proof = proof.into_proof();
                if headers.contains_key("epoch-moves") {
                    world.move_epoch(Epoch::Credential).await;
                }
                let valid = |draft: &mut Draft<'_>| proof.is_valid_in(draft);
                if !world.driver.transact(&world.partition(), &[], valid).await.unwrap() {
                    return StatusCode::CONFLICT;
                }
                acted.fetch_add(1, Ordering::SeqCst);
                StatusCode::CREATED
            }
        };
        let read_log = |proof: StepUpFor<ReadLog>| async move { proof.into_proof().was_remembered().to_string() };
        let twice = |_: StepUpFor<ReadLog>, _: StepUpFor<ReadLog>| async { "never" };
        let key = StepUpLayer::<MakeKey, _>::new(two_factor.clone(), caller.clone());
        let log = StepUpLayer::<ReadLog, _>::new(two_factor, caller);
        let router = Router::new()
            .route("/key", post(make_key.clone()).layer(key))
            .route("/log", post(read_log).layer(log.clone()))
            .route("/twice", post(twice).layer(log.clone()))
            .route("/open", post(make_key.clone()))
            .route("/other", post(make_key).layer(log));
        Self { world, router, acted }
    }

    async fn enrolled() -> Self {
        let server = Self::new().await;
        let two_factor = TwoFactor::new(server.world.driver.clone(), policy()).unwrap();
        let device = ImportedDevice::new("phone", TotpSecret::from_slice(SEED).unwrap());
        let imported = two_factor.import_device(&server.world.account, &device).await.unwrap();
        assert!(matches!(imported, DeviceImport::Imported(_)));
        server
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
        send(self.router.clone(), path, headers).await
    }

    fn acted(&self) -> usize {
        self.acted.load(Ordering::SeqCst)
    }
}

async fn send(mut router: Router, path: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    keywright_testing::tower::call(&mut router, request.body(axum::body::Body::empty()).unwrap()).await
}

fn code(at: u64) -> String {
    totp_rs::Builder::new().with_secret(SEED).build().unwrap().generate(at).to_string()
}

/// Checks status and body of a refusal.
fn is(answer: &Response<Bytes>, status: u16, body: &str) {
    assert_eq!((answer.status().as_u16(), std::str::from_utf8(answer.body()).unwrap()), (status, body));
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(answer.headers()["content-type"], "application/json");
}

const S: (&str, &str) = ("session", "s");

#[tokio::test]
async fn a_missing_code_is_asked_for_and_a_right_one_passes_once() {
    let server = Server::enrolled().await;
    is(&server.post("/key", &[]).await, 401, r#"{"action":"key.make","error":"not_signed_in"}"#);
    let required = r#"{"action":"key.make","error":"step_up_required","header":"x-second-factor","methods":["totp"]}"#;
    is(&server.post("/key", &[S]).await, 403, required);
    let right = code(START);
    assert_eq!(server.post("/key", &[S, ("x-second-factor", &right)]).await.status(), StatusCode::CREATED);
    let denied = r#"{"action":"key.make","error":"step_up_denied","header":"x-second-factor","methods":["totp"]}"#;
    is(&server.post("/key", &[S, ("x-second-factor", &right)]).await, 403, denied);
    is(&server.post("/key", &[S]).await, 403, required);
    assert_eq!(server.acted(), 1);
}

/// The codes were imported as slow hashes, and the driver's verifier compares them.
#[tokio::test]
async fn a_hashed_recovery_code_passes_once() {
    const CODE: &str = "1a2b3c4d5e6f7a8b";
    let server = Server::new().await;
    let device = ImportedDevice::new("phone", TotpSecret::from_slice(SEED).unwrap());
    let codes = ImportedCodes::hashes([CODE, "ffeeddccbbaa9988"].map(PlainHashes::hash_of));
    let user = ImportedUser::new().device(device).recovery(codes);
    let two_factor = TwoFactor::new(server.world.driver.clone(), policy()).unwrap();
    let imported = two_factor.import_user(&server.world.account, &user).await.unwrap();
    assert!(matches!(imported, ImportOutcome::Imported(_)));
    assert_eq!(
        server.post("/key", &[S, ("x-second-factor", "ffeeddccbbaa9989")]).await.status(),
        StatusCode::FORBIDDEN
    );
    assert_eq!(server.post("/key", &[S, ("x-second-factor", CODE)]).await.status(), StatusCode::CREATED);
    assert_eq!(server.post("/key", &[S, ("x-second-factor", CODE)]).await.status(), StatusCode::FORBIDDEN);
    server.world.hashes.set_busy(true);
    let busy = server.post("/key", &[S, ("x-second-factor", "ffeeddccbbaa9988")]).await;
    assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
    server.world.hashes.set_busy(false);
    assert_eq!(server.post("/key", &[S, ("x-second-factor", "ffeeddccbbaa9988")]).await.status(), StatusCode::CREATED);
    assert_eq!(server.acted(), 2);
}

#[tokio::test]
async fn wrong_codes_are_denied_then_refused_with_a_time() {
    let server = Server::enrolled().await;
    let near: Vec<String> = (0..7).map(|step| code(START - 90 + step * 30)).collect();
    let wrong = (0..).map(|n| format!("{n:06}")).find(|code| !near.contains(code)).unwrap();
    let mut refusal = None;
    for _ in 0..20 {
        let answer = server.post("/key", &[S, ("x-second-factor", &wrong)]).await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            refusal = Some(answer);
            break;
        }
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    }
    let refusal = refusal.unwrap();
    let seconds = refusal.headers()["retry-after"].to_str().unwrap();
    is(&refusal, 429, &format!(r#"{{"action":"key.make","error":"step_up_refused","retry_after":{seconds}}}"#));
    assert_eq!(server.acted(), 0);
}

#[tokio::test]
async fn malformed_codes_are_not_counted() {
    let server = Server::enrolled().await;
    let malformed = r#"{"action":"key.make","error":"malformed_code"}"#;
    let right = code(START);
    let long = "1".repeat(129);
    for headers in [
        vec![S, ("x-second-factor", &*right), ("x-second-factor", &*right)],
        vec![S, ("x-second-factor", &*long)],
        vec![S, ("x-second-factor", "")],
        vec![S, ("x-second-factor", "caf\u{e9}")],
        vec![S, ("x-second-factor", "12345")],
    ] {
        is(&server.post("/key", &headers).await, 400, malformed);
    }
    assert_eq!(server.post("/key", &[S, ("x-second-factor", &right)]).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_proof_is_remembered_where_the_rule_says_so_and_in_its_session() {
    let server = Server::enrolled().await;
    let right = code(START);
    assert_eq!(server.post("/log", &[S, ("x-second-factor", &right)]).await.body().as_ref(), b"false");
    assert_eq!(server.post("/log", &[S]).await.body().as_ref(), b"true");
    assert_eq!(server.post("/log", &[("session", "other")]).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(server.post("/key", &[S]).await.status(), StatusCode::FORBIDDEN);
    // A wrong code is refused even so.
    assert_eq!(server.post("/log", &[S, ("x-second-factor", &right)]).await.status(), StatusCode::FORBIDDEN);
    server.world.advance(60);
    assert_eq!(server.post("/log", &[S]).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_16_requests_with_one_code_one_acts() {
    let server = Server::enrolled().await;
    for round in 0..4 {
        let right = code(server.world.now());
        let barrier = Arc::new(Barrier::new(16));
        let mut running = JoinSet::new();
        for _ in 0..16 {
            let (router, barrier, right) = (server.router.clone(), Arc::clone(&barrier), right.clone());
            running.spawn(async move {
                barrier.wait().await;
                send(router, "/key", &[S, ("x-second-factor", &right)]).await.status()
            });
        }
        let answers = running.join_all().await;
        let made = answers.iter().filter(|status| **status == StatusCode::CREATED).count();
        assert_eq!((made, server.acted()), (1, round + 1), "{answers:?}");
        server.world.advance(30);
    }
}

#[tokio::test]
async fn an_epoch_that_moves_between_layer_and_commit_voids_the_proof() {
    let server = Server::enrolled().await;
    let headers = [S, ("x-second-factor", &code(START)), ("epoch-moves", "yes")];
    assert_eq!(server.post("/key", &headers).await.status(), StatusCode::CONFLICT);
    assert_eq!(server.acted(), 0);
}

#[tokio::test]
async fn a_handler_without_its_layer_is_refused() {
    let server = Server::enrolled().await;
    let missing = r#"{"action":"key.make","error":"step_up_missing"}"#;
    let right = code(START);
    is(&server.post("/open", &[S, ("x-second-factor", &right)]).await, 500, missing);
    is(&server.post("/other", &[S, ("x-second-factor", &right)]).await, 500, missing);
    let twice = r#"{"action":"log.read","error":"step_up_missing"}"#;
    server.world.advance(30);
    is(&server.post("/twice", &[S, ("x-second-factor", &code(START + 30))]).await, 500, twice);
    assert_eq!(server.acted(), 0);
    let mut empty = http::Extensions::new();
    assert!(matches!(StepUpFor::<MakeKey>::take(&mut empty), Err(StepUpMissing { .. })));
}

#[tokio::test]
async fn without_a_factor_the_password_is_named_and_a_code_opens_nothing() {
    let server = Server::new().await;
    let body = r#"{"action":"key.make","error":"step_up_required","header":"x-second-factor","methods":["password"]}"#;
    is(&server.post("/key", &[S]).await, 403, body);
    is(&server.post("/key", &[S, ("x-second-factor", "123456")]).await, 403, body);
}

#[tokio::test]
async fn without_a_layer_one_request_is_answered_alike() {
    let server = Server::enrolled().await;
    let two_factor = TwoFactor::new(server.world.driver.clone(), policy()).unwrap();
    let caller = Caller::new(server.world.account.clone(), SessionId::new("s"), Client::unknown());
    let ask = async |code: Option<&str>| step_up::<MakeKey>(&two_factor, &caller, code).await;
    let refused = ask(None).await.unwrap_err();
    let required = r#"{"action":"key.make","error":"step_up_required","header":"x-second-factor","methods":["totp"]}"#;
    assert_eq!((refused.status().as_u16(), refused.to_json().as_str()), (403, required));
    for malformed in ["", "12345", &"1".repeat(129)] {
        assert_eq!(ask(Some(malformed)).await.unwrap_err().error(), "malformed_code");
    }
    let right = code(START);
    assert_eq!(ask(Some(&right)).await.unwrap().into_proof().account(), &server.world.account);
    assert_eq!(ask(Some(&right)).await.unwrap_err().error(), "step_up_denied");
}

#[tokio::test]
async fn what_is_not_granted_is_refused() {
    let server = Server::enrolled().await;
    let two_factor = TwoFactor::new(server.world.driver.clone(), policy()).unwrap();
    let login = async |code: &str| -> Result<(), Refused> {
        let verdict = two_factor.verify(&server.world.account, code, &Purpose::new("login"), Client::unknown()).await;
        verdict.or_refuse().map(|proof| assert_eq!(proof.account(), &server.world.account))
    };
    assert_eq!(login("12345").await.unwrap_err().to_json(), r#"{"error":"malformed_code"}"#);
    let right = code(START);
    login(&right).await.unwrap();
    let denied = login(&right).await.unwrap_err();
    assert_eq!((denied.status().as_u16(), denied.to_json().as_str()), (403, r#"{"error":"denied"}"#));
    let near: Vec<String> = (0..7).map(|step| code(START - 90 + step * 30)).collect();
    let wrong = (0..).map(|n| format!("{n:06}")).find(|code| !near.contains(code)).unwrap();
    let mut refused = login(&wrong).await.unwrap_err();
    for _ in 0..5 {
        refused = login(&wrong).await.unwrap_err();
    }
    assert_eq!((refused.status().as_u16(), refused.error(), refused.retry_after()), (429, "refused", Some(30)));
    assert_eq!(refused.to_json(), r#"{"error":"refused","retry_after":30}"#);
    let unenrolled = Server::new().await;
    let two_factor = TwoFactor::new(unenrolled.world.driver.clone(), policy()).unwrap();
    let (account, session) = (&unenrolled.world.account, SessionId::new("s"));
    let verdict = two_factor.verify(account, &right, &Purpose::new("login"), Client::unknown()).await;
    assert_eq!(verdict.or_refuse().unwrap_err().error(), "nothing_enrolled");
    let confirmed = two_factor.confirm(account, session, &right, Client::unknown()).await;
    assert_eq!(confirmed.or_refuse().unwrap_err().error(), "none_pending");
    assert_eq!(two_factor.begin(account, session, "").await.or_refuse().unwrap_err().error(), "bad_name");
    let pending = two_factor.begin(account, session, "phone").await.or_refuse().unwrap();
    assert_eq!(Refused::from(pending.uri("", "").unwrap_err()).status(), 400);
    let confirm = async |code: &str| two_factor.confirm(account, session, code, Client::unknown()).await.or_refuse();
    let app = totp_rs::Builder::new().with_secret(pending.secret().expose()).build().unwrap();
    let off = confirm(&app.generate(START + 300).to_string()).await.unwrap_err();
    assert_eq!(off.to_json(), r#"{"error":"clock_off","seconds":300}"#);
    let (_, codes) = confirm(&app.generate(START).to_string()).await.unwrap();
    assert_eq!(codes.unwrap().iter().count(), 10);
    assert_eq!(two_factor.begin(account, session, "tablet").await.or_refuse().unwrap_err().error(), "not_proven");
}
