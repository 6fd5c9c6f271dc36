//! The ways in that a session's fresh proof opens, and each way in at recovery codes. What others have shut, and for how
//! long, is in `ways_in.rs` and `two_factor.rs`.

use keywright_challenge::{Proof, Verification};
use keywright_core::{ActionName, Client as Guesser, ClientAdmission, ClientTag, Clock, Purpose, SessionId};
use keywright_nextcloud::{AppTokenId, GuessedSecret, NextcloudPolicy};
use keywright_twofactor::recovery::Liveness;
use keywright_twofactor::{
    ADMIT_CLIENT, Attested, CHANGE_FACTORS, CodeKind, Enrolment, EnrolmentStart, FactorChange, StepUp, TwoFactor,
    TwoFactorPolicy, VerifyOutcome,
};
use serde_json::{Value, json};

use crate::support::{World, alice, bob, secret};
use crate::ways_in::{is_admitted, shut_out};

/// Where the attackers are.
const HOSTILE: &str = "203.0.113.9";
const PAGE: &[u8] = b"page";

fn factors(world: &World) -> TwoFactor {
    let policy = TwoFactorPolicy::builder().end_other_logins(false).build().unwrap();
    TwoFactor::new(world.driver.clone(), policy).unwrap()
}

fn now(world: &World) -> u64 {
    world.clock.now().unwrap().get()
}

fn code_of(seed: &[u8], at: u64) -> String {
    totp_rs::Builder::new().with_secret(seed).build_noncompliant().generate(at).to_string()
}

fn tag(world: &World, token: &str) -> ClientTag {
    world.app.app_token_tag(&alice(), &AppTokenId(token.into()))
}

/// A proof of the login password, which the host has just checked.
pub(crate) async fn by_password(world: &World, action: &ActionName) -> StepUp {
    factors(world).step_up_attested(&alice(), action, SessionId::new(PAGE), Attested::Password).await.unwrap().unwrap()
}

/// A device that an app token's client enrolled, with the recovery codes that came with it.
struct Enrolled {
    seed: Vec<u8>,
    codes: Vec<String>,
}

impl Enrolled {
    async fn by(world: &World, token: &str) -> Self {
        let factors = factors(world);
        let first = FactorChange::first_factor(alice(), SessionId::new(PAGE));
        let EnrolmentStart::Begun(pending) = factors.begin_with(first, "phone", None).await.unwrap() else { panic!() };
        let seed = pending.secret().expose().to_vec();
        let typed = code_of(&seed, now(world));
        let client = Guesser::credential(tag(world, token));
        let confirmed = factors.confirm(&alice(), SessionId::new(PAGE), &typed, client).await.unwrap();
        let Enrolment::Active { recovery_codes: Some(codes), .. } = confirmed else { panic!("{confirmed:?}") };
        world.clock.advance(30);
        Self { seed, codes: codes.iter().map(String::from).collect() }
    }

    fn code(&self, world: &World) -> String {
        code_of(&self.seed, now(world))
    }

    /// A code that the device does not show around now.
    fn wrong(&self, world: &World) -> String {
        let shown: Vec<String> = (0..=120)
            .step_by(30)
            .map(|later| code_of(&self.seed, now(world).saturating_sub(60).saturating_add(later)))
            .collect();
        (0..).map(|number| format!("{number:06}")).find(|code| !shown.contains(code)).unwrap()
    }

    /// A fresh proof by the device, of a client that is not held up.
    async fn step_up(&self, world: &World, action: &ActionName, token: &str) -> StepUp {
        world.clock.advance(30);
        let client = Guesser::credential(tag(world, token));
        let verdict = factors(world)
            .step_up_totp(&alice(), action, SessionId::new(PAGE), &self.code(world), client)
            .await
            .unwrap();
        world.clock.advance(30);
        let VerifyOutcome::Granted(proof) = verdict else { panic!("{verdict:?}") };
        proof
    }
}

async fn open(world: &World, token: &str, proof: Value) -> u16 {
    world.token(token).post("session/open", json!({"challenge": secret(1), "token": proof})).await.status
}

/// Another action's proof, a weaker one, and another account's admit nobody; nor does one from
/// before an epoch moved.
#[tokio::test]
async fn what_a_proof_is_not_for_it_lets_nobody_in_by() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    let t1 = tag(&world, "t1");
    let other_action = by_password(&world, &CHANGE_FACTORS).await;
    assert_eq!(world.app.admit_client(other_action, GuessedSecret::LoginPassword, t1).await.unwrap(), None);
    let weaker = by_password(&world, &ADMIT_CLIENT).await;
    assert_eq!(world.app.admit_client(weaker, GuessedSecret::Challenge, t1).await.unwrap(), None);
    let stale = by_password(&world, &ADMIT_CLIENT).await;
    phone.set(&secret(1), Some(&secret(1))).await.is(200, json!({"success": true}));
    assert_eq!(world.app.admit_client(stale, GuessedSecret::LoginPassword, t1).await.unwrap(), None);
    assert_eq!(world.count_events("client_admitted").await, 0);
    // A proof names its account: bob's lets a client of bob's in.
    let proof = factors(&world)
        .step_up_attested(&bob(), &ADMIT_CLIENT, SessionId::new(PAGE), Attested::Password)
        .await
        .unwrap();
    assert!(is_admitted(world.app.admit_client(proof.unwrap(), GuessedSecret::LoginPassword, t1).await.unwrap()));
    assert_eq!(world.count_events("client_admitted").await, 0);
}

/// Wrong guesses at the challenge, until no unknown client's proof is checked any more.
async fn shut_out_of_the_challenge(world: &World) {
    let looked_at = shut_out(world, async || world.password().at(HOSTILE).open(&secret(9)).await).await;
    assert_eq!(looked_at, 50);
}

#[tokio::test]
async fn at_the_challenge_a_proof_of_it_or_of_a_factor_lets_a_client_in() {
    let policy = NextcloudPolicy::builder().require_token(false).build().unwrap();
    let world = World::with(policy).await;
    world.with_challenge().await;
    shut_out_of_the_challenge(&world).await;
    let (phone, t1) = (Guesser::credential(tag(&world, "phone")), tag(&world, "t1"));
    assert_eq!(world.token("t1").open(&secret(1)).await.status, 429);
    // By the challenge itself, proven by a client that is still admitted: not by an unknown client,
    // nor by a wrong proof.
    let (right, wrong) = (Proof::from_client(&secret(1)).unwrap(), Proof::from_client(&secret(9)).unwrap());
    let admit =
        async |proof: &Proof, by: Guesser| world.app.admit_client_by_challenge(&alice(), proof, by, t1).await.unwrap();
    assert!(matches!(admit(&right, Guesser::unknown()).await, Verification::Refused(_)));
    assert!(matches!(admit(&wrong, phone).await, Verification::Denied(_)));
    assert_eq!(world.token("t1").open(&secret(1)).await.status, 429);
    let admitted = admit(&right, phone).await;
    assert!(matches!(admitted, Verification::Granted(ClientAdmission::Admitted { .. })), "{admitted:?}");
    assert_eq!(world.token("t2").open(&secret(1)).await.status, 429, "nobody else");
    assert_eq!(world.token("t1").open(&secret(1)).await.status, 200);

    // By a factor.
    let enrolled = Enrolled::by(&world, "phone").await;
    assert!(world.app.unlock(&alice(), GuessedSecret::Challenge).await.unwrap());
    shut_out_of_the_challenge(&world).await;
    assert_eq!(world.token("t3").open(&secret(1)).await.status, 429);
    let proof = enrolled.step_up(&world, &ADMIT_CLIENT, "phone").await;
    assert!(is_admitted(world.app.admit_client(proof, GuessedSecret::Challenge, tag(&world, "t3")).await.unwrap()));
    assert_eq!(world.token("t3").open(&secret(1)).await.status, 200);
}

/// The client that enrolled the device has never passed it on this wire.
#[tokio::test]
async fn at_time_based_codes_the_client_that_made_the_change_is_let_in() {
    let world = World::new().await;
    world.with_challenge().await;
    let enrolled = Enrolled::by(&world, "t3").await;
    let shut = async || {
        let wrong = enrolled.wrong(&world);
        let stranger = world.password().at(HOSTILE);
        stranger.clone().post("session/open", json!({"challenge": secret(1), "token": {"totp": wrong}})).await
    };
    assert_eq!(shut_out(&world, shut).await, 50);
    assert_eq!(open(&world, "t1", json!({"totp": enrolled.code(&world)})).await, 429);
    assert_eq!(open(&world, "t3", json!({"totp": enrolled.code(&world)})).await, 200);
}

/// A code of the right form that is none of Alice's.
async fn foreign(world: &World) -> String {
    let made = |draft: &mut keywright_store::Draft<'_>| {
        factors(world).steps().make_recovery_in(draft, Liveness::Now, Guesser::unknown())
    };
    let codes = world.driver.run(&(&bob()).into(), keywright_twofactor::SLOTS, made).await.unwrap();
    codes.iter().next().unwrap().to_owned()
}

/// Unknown clients guess at the recovery codes until others have to wait for long, but no longer
/// than an hour: the codes are too long to be guessed, so nothing locks them.
async fn hold_up(world: &World, foreign: &str) {
    let factors = factors(world);
    let stranger = Guesser::network(ClientTag::from_bytes([0xee; 16]));
    loop {
        match factors.verify_recovery(&alice(), foreign, &Purpose::new("elsewhere"), stranger).await.unwrap() {
            VerifyOutcome::Denied(_) => {}
            VerifyOutcome::Refused(refusal) if refusal.retry_after() > 1_800 => {
                assert!(refusal.retry_after() <= 3_600);
                return;
            }
            VerifyOutcome::Refused(refusal) => world.clock.advance(refusal.retry_after()),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn recovery_codes_known_tokens_and_every_way_in() {
    let world = World::new().await;
    world.with_challenge().await;
    let (enrolled, foreign) = (Enrolled::by(&world, "t3").await, foreign(&world).await);
    let mut codes = enrolled.codes.iter();
    let mut by = async |token: &str| open(&world, token, json!({"backup_codes": codes.next().unwrap()})).await;
    assert_eq!(by("t1").await, 200);
    // Unknown clients are held up. A client that has passed, or that made the codes, is not.
    hold_up(&world, &foreign).await;
    assert_eq!((by("t2").await, by("t1").await), (429, 200));
    hold_up(&world, &foreign).await;
    assert_eq!((by("t2").await, by("t3").await), (429, 200));
    // By a session with a fresh proof of a factor.
    let proof = enrolled.step_up(&world, &ADMIT_CLIENT, "t3").await;
    hold_up(&world, &foreign).await;
    let admitted = factors(&world).admit_client(proof, CodeKind::Recovery, tag(&world, "t4")).await.unwrap();
    assert!(matches!(admitted, ClientAdmission::Admitted { .. }));
    assert_eq!((by("t5").await, by("t4").await), (429, 200));
    // By the operator.
    hold_up(&world, &foreign).await;
    assert!(factors(&world).unlock(&alice(), CodeKind::Recovery).await.unwrap());
    assert_eq!(by("t6").await, 200);
    // And no longer than the wait: the codes are never shut.
    hold_up(&world, &foreign).await;
    world.clock.advance(3_600);
    assert_eq!(by("t7").await, 200);
    assert!(world.host.mails().is_empty(), "no mail lets anybody in at a second factor");
}
