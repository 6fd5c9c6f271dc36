//! The ways in for an owner whom others have locked out (`docs/security.md` § 6), tested one by
//! one: `totp` and `recovery`.
//!
//! | secret | what locks it | ways in |
//! |---|---|---|
//! | `totp` | fifty wrong codes from unknown clients | a known client; a recovery code; another session's proof; the operator |
//! | `recovery`, 64 bits and more | nothing; guesses wait at most an hour | time |
//! | `recovery`, Rocket.Chat's 46 bits | fifty wrong codes from unknown clients | a known client; another session's proof; the operator |

use keywright_core::{ActionName, ClientAdmission, Purpose, SessionId};
use keywright_store::guess::{CLIENT_ADMITTED, GUESSES_SHUT, GUESSES_UNLOCKED};
use keywright_twofactor::recovery::{Liveness, Preset};
use keywright_twofactor::{
    ADMIT_CLIENT, Attested, CHANGE_FACTORS, CodeKind, Method, Rule, StepUp, StepUpPolicy, TwoFactorError,
    TwoFactorPolicy, VerifyOutcome,
};

use crate::support::{Outcome, SEED, SESSION, START, UNKNOWN, World, client, code, tag, unlike, wrong};

/// The owner's phone, which is known for `totp`, and the laptop, which never was.
const PHONE: u8 = 1;
const LAPTOP: u8 = 2;

/// An account with a device and recovery codes, locked for good by unknown clients.
async fn shut_out() -> (World, Vec<String>) {
    let world = World::new().await;
    world.import("phone", SEED).await;
    let codes = world.make_recovery(Liveness::Now).await.unwrap().iter().map(str::to_owned).collect();
    assert!(world.totp_for(&code(SEED, START), &Purpose::new("login"), client(PHONE)).await.granted());
    let mut charged = 0;
    while charged < 50 {
        match world.totp(&wrong(&[SEED], world.now())).await {
            Outcome::Charged(streak) => charged = streak,
            Outcome::Refused(wait) => world.advance(wait),
            other => panic!("{other:?}"),
        }
    }
    world.advance(10 * 365 * 86_400);
    assert_eq!(world.denials_of(&GUESSES_SHUT).await.len(), 1);
    assert_eq!(world.totp(&code(SEED, world.now())).await, Outcome::Refused(86_400), "no time opens it");
    assert_eq!(by(&world, LAPTOP).await, Outcome::Refused(86_400));
    (world, codes)
}

/// A client types the correct code.
async fn by(world: &World, name: u8) -> Outcome {
    world.totp_for(&code(SEED, world.now()), &Purpose::new("login"), client(name)).await
}

async fn step_up(world: &World, action: &ActionName) -> StepUp {
    let typed = code(SEED, world.now());
    let verdict = world
        .service
        .step_up_totp(&world.account, action, SessionId::new(SESSION), &typed, client(PHONE))
        .await
        .unwrap();
    world.advance(30);
    let VerifyOutcome::Granted(proof) = verdict else { panic!("{verdict:?}") };
    proof
}

#[tokio::test]
async fn a_known_client_gets_in_as_if_nothing_were() {
    let (world, _) = shut_out().await;
    assert!(by(&world, PHONE).await.granted());
    assert!(world.service.totp_refusal(&world.account, client(PHONE)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_recovery_code_lets_its_client_in() {
    let (world, codes) = shut_out().await;
    let verdict =
        world.service.verify_recovery(&world.account, &codes[0], &Purpose::new("login"), client(LAPTOP)).await.unwrap();
    assert!(matches!(verdict, VerifyOutcome::Granted(_)));
    let changes = world.changes().await;
    let admitted: Vec<_> = changes.iter().filter(|event| event.is(&CLIENT_ADMITTED)).collect();
    assert_eq!(admitted.len(), 1);
    assert_eq!(admitted[0].text("secret"), Some("totp"));
    assert!(matches!(world.totp(&code(SEED, world.now())).await, Outcome::Refused(_)), "nobody else");
    assert!(by(&world, LAPTOP).await.granted());
    world.advance(7_200);
    assert!(by(&world, LAPTOP).await.granted(), "it is known now");

    // Where nothing is refused, no client is admitted, and no admission is used up.
    let _ =
        world.service.verify_recovery(&world.account, &codes[1], &Purpose::new("login"), client(LAPTOP)).await.unwrap();
    // Nor is a client admitted that cannot be identified.
    let _ = world.service.verify_recovery(&world.account, &codes[2], &Purpose::new("login"), UNKNOWN).await.unwrap();
    let admitted = world.changes().await.iter().filter(|event| event.is(&CLIENT_ADMITTED)).count();
    assert_eq!(admitted, 1);
}

/// An admission gives ten attempts, and there are three a day.
#[tokio::test]
async fn an_admission_is_no_open_door() {
    let (world, codes) = shut_out().await;
    let recover = async |nth: usize, name: u8| {
        let verdict = world
            .service
            .verify_recovery(&world.account, &codes[nth], &Purpose::new("login"), client(name))
            .await
            .unwrap();
        assert!(matches!(verdict, VerifyOutcome::Granted(_)));
    };
    recover(0, LAPTOP).await;
    let bad = unlike(&[SEED], world.now(), 3);
    for tries in 1..=10 {
        assert_eq!(world.totp_for(&bad, &Purpose::new("login"), client(LAPTOP)).await, Outcome::Charged(tries));
    }
    assert!(matches!(by(&world, LAPTOP).await, Outcome::Refused(_)));
    for (nth, name) in [(1, 10), (2, 11)] {
        recover(nth, name).await;
        assert!(world.service.totp_refusal(&world.account, client(name)).await.unwrap().is_none());
    }
    recover(3, 12).await;
    assert!(matches!(by(&world, 12).await, Outcome::Refused(_)), "the fourth today");
    world.advance(86_400);
    recover(4, 12).await;
    assert!(by(&world, 12).await.granted());
}

#[tokio::test]
async fn a_session_with_a_fresh_proof_lets_another_client_in() {
    let (world, _) = shut_out().await;
    let proof = step_up(&world, &ADMIT_CLIENT).await;
    let admitted = world.service.admit_client(proof, CodeKind::Totp, tag(LAPTOP)).await.unwrap();
    assert!(matches!(admitted, ClientAdmission::Admitted { .. }));
    assert!(by(&world, LAPTOP).await.granted());
    world.advance(30);

    // A proof for another action, with less than a factor, or from before an epoch moved admits no
    // client.
    let refused = async |world: &World, proof: StepUp| {
        let done = world.service.admit_client(proof, CodeKind::Totp, tag(7)).await;
        assert!(matches!(done, Err(TwoFactorError::NotProven)), "{done:?}");
    };
    refused(&world, step_up(&world, &CHANGE_FACTORS).await).await;
    let old = step_up(&world, &ADMIT_CLIENT).await;
    world.set_email(true).await.unwrap();
    refused(&world, old).await;
    let rule = Rule::any_enrolled_of(&[Method::Totp, Method::Mailed, Method::Password]);
    let weak = TwoFactorPolicy::builder()
        .step_up(StepUpPolicy::builder().default_rule(rule).build().unwrap())
        .build()
        .unwrap();
    let world = World::with(weak).await;
    world.import("phone", SEED).await;
    world.set_email(true).await.unwrap();
    let attested =
        world.service.step_up_attested(&world.account, &ADMIT_CLIENT, SessionId::new(SESSION), Attested::Mailed).await;
    refused(&world, attested.unwrap().unwrap()).await;
}

#[tokio::test]
async fn the_operator_unlocks() {
    let (world, _) = shut_out().await;
    assert!(world.service.unlock(&world.account, CodeKind::Totp).await.unwrap());
    assert!(world.changes().await.iter().any(|event| event.is(&GUESSES_UNLOCKED)));
    assert!(by(&world, LAPTOP).await.granted());
    assert!(!world.service.unlock(&world.account, CodeKind::Recovery).await.unwrap(), "nothing to lift");
    let empty = World::new().await;
    assert!(!empty.service.unlock(&empty.account, CodeKind::Totp).await.unwrap());
}

/// It is the way in when all others are closed.
#[tokio::test]
async fn recovery_codes_of_64_bits_wait_and_are_never_shut() {
    let (world, codes) = shut_out().await;
    for nth in 1..=200_u32 {
        // A well-formed code that is in no set: its check symbols are correct.
        let typed = checked(nth);
        let verdict =
            world.service.verify_recovery(&world.account, &typed, &Purpose::new("login"), UNKNOWN).await.unwrap();
        match verdict {
            VerifyOutcome::Denied(_) => {}
            VerifyOutcome::Refused(refusal) => {
                assert!(!refusal.is_locked() && refusal.retry_after() <= 3_600);
                world.advance(refusal.retry_after());
            }
            other => panic!("{other:?}"),
        }
    }
    world.advance(3_600);
    let verdict =
        world.service.verify_recovery(&world.account, &codes[0], &Purpose::new("login"), UNKNOWN).await.unwrap();
    assert!(matches!(verdict, VerifyOutcome::Granted(_)));
}

#[tokio::test]
async fn short_recovery_codes_have_their_own_ways_in() {
    for by_operator in [false, true] {
        let builder = TwoFactorPolicy::builder().recovery(Preset::RocketChat);
        let builder =
            builder.step_up(StepUpPolicy::builder().default_rule(Rule::strongest_of(&[Method::Totp])).build().unwrap());
        let world = World::with(builder.build().unwrap()).await;
        world.import("phone", SEED).await;
        let codes = world.make_recovery(Liveness::Now).await.unwrap();
        let codes: Vec<String> = codes.iter().map(str::to_owned).collect();
        let judge = async |typed: &str, name: u8| {
            let verdict = world
                .service
                .verify_recovery(&world.account, typed, &Purpose::new("login"), client(name))
                .await
                .unwrap();
            matches!(verdict, VerifyOutcome::Granted(_))
        };
        assert!(judge(&codes[0], PHONE).await);
        for _ in 0..60 {
            let _ = world
                .service
                .verify_recovery(&world.account, "AAAAAAAA", &Purpose::new("login"), UNKNOWN)
                .await
                .unwrap();
            world.advance(3_600);
        }
        assert!(!judge(&codes[1], LAPTOP).await, "shut");
        if by_operator {
            assert!(world.service.unlock(&world.account, CodeKind::Recovery).await.unwrap());
        } else {
            let proof = step_up(&world, &ADMIT_CLIENT).await;
            let admitted = world.service.admit_client(proof, CodeKind::Recovery, tag(LAPTOP)).await.unwrap();
            assert!(matches!(admitted, ClientAdmission::Admitted { .. }));
            assert!(!judge(&codes[1], 9).await, "nobody else");
        }
        assert!(judge(&codes[1], LAPTOP).await);
        assert!(judge(&codes[2], PHONE).await, "known");
    }
}

/// A recovery code of the default kind with this number: `docs/security.md` § 5.
fn checked(number: u32) -> String {
    const SYMBOLS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let check = (1 + 3 * 1_021 - (3 * number) % 1_021) % 1_021;
    let whole = (u64::from(number) << 10) | u64::from(check);
    (0..18)
        .rev()
        .map(|place| char::from(SYMBOLS[usize::try_from((whole >> (5 * place).min(63)) & 31).unwrap()]))
        .collect()
}
